"""Hands on names of `lmstudio` under the paths of the official package's modules."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from types import FrameType, ModuleType
from typing import Any

from .public_names import HOME


def hand_on(module: str, listed: str) -> tuple[list[str], Callable[[str], Any], Callable[[], Any]]:
    """Return the ``__all__``, ``__getattr__`` and ``__dir__`` of such a module.

    It has every public name of `lmstudio`, and imports one when it is used.

    Args:
        module: Its name.
        listed: The names that ``from module import *`` brings.
    """
    names = listed.split()

    def get(name: str) -> Any:
        if name not in HOME:
            words = (
                f"module {module!r} has no attribute {name!r}. See 'Coming from the official "
                "package' in docs/differences.md for what to use instead."
            )
            if _is_import(sys._getframe(1)):
                raise ImportError(words, name=module)
            raise AttributeError(words)
        return getattr(importlib.import_module(__name__.partition(".")[0]), name)

    return names, get, lambda: names


class SyncApi(ModuleType):
    """The module `sync_api`, with the two underscored names that programs use."""

    @property
    def _DEFAULT_TIMEOUT(self) -> Any:
        return self.get_sync_api_timeout()

    @_DEFAULT_TIMEOUT.setter
    def _DEFAULT_TIMEOUT(self, seconds: Any) -> None:
        before = self.get_sync_api_timeout()
        self.set_sync_api_timeout(seconds)
        self.__dict__.setdefault("_timeouts_before", []).append(before)

    @_DEFAULT_TIMEOUT.deleter
    def _DEFAULT_TIMEOUT(self) -> None:
        # At the end of a `unittest.mock.patch`, which cannot set it back.
        before = self.__dict__.get("_timeouts_before") or [60.0]
        self.set_sync_api_timeout(before.pop())

    @property
    def _reset_default_client(self) -> Any:
        return self.close_default_client


def _is_import(frame: FrameType) -> bool:
    """Return whether a frame is at ``from module import name``.

    It makes an ImportError of its own out of an AttributeError, which says nothing of why.
    """
    from opcode import opmap

    code = frame.f_code.co_code
    return 0 <= frame.f_lasti < len(code) and code[frame.f_lasti] == opmap["IMPORT_FROM"]
