"""Hands on names of `lmstudio` under the paths of the official package's modules."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any


def hand_on(module: str, listed: str) -> tuple[list[str], Callable[[str], Any], Callable[[], Any]]:
    """Return the ``__all__``, ``__getattr__`` and ``__dir__`` of such a module.

    It has every public name of `lmstudio`, and imports one when it is used.

    Args:
        module: Its name.
        listed: The names that ``from module import *`` brings.
    """
    names = listed.split()

    def get(name: str) -> Any:
        package = importlib.import_module(__name__.partition(".")[0])
        if name not in package._HOME:
            raise AttributeError(
                f"module {module!r} has no attribute {name!r}. See 'Coming from the official "
                "package' in docs/differences.md for what to use instead."
            )
        return getattr(package, name)

    return names, get, lambda: names
