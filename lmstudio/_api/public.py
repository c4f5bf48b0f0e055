"""Public classes and functions say their public path: pickles and texts outlive a move of files."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def public(*members: type | Callable[..., Any]) -> None:
    """Let classes and functions be those of the package itself, as ``lmstudio.Chat``.

    Annotations of a class must not be strings, which would be looked up in the package then.
    """
    for member in members:
        member.__module__ = "lmstudio"


def public_module(names: dict[str, Any]) -> None:
    """Do so with the classes that a module defines for users; `names` is its ``globals()``."""
    here, classes = names["__name__"], [c for c in names.values() if isinstance(c, type)]
    public(*(c for c in classes if c.__module__ == here and not c.__name__.startswith("_")))
