"""Tells the process that made an object from a child forked off it, and renews state in a child."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Callable
from typing import Generic, TypeVar

from ..errors import LMStudioRuntimeError

T = TypeVar("T")

# An object stands for a process: comparing it costs no call on the path of a token.
current: object = object()
_renewals: list[Callable[[], None]] = []  # run in a forked child, by its only thread


_LAZY = ("lmstudio", "attr", "attrs", "cattr", "cattrs", "websocket")  # imported when needed


def _finish_imports() -> None:
    """Before a fork: wait for imports that other threads are in the middle of.

    The child would wait for them for ever: the locks of modules come along, the threads do not.
    """
    for name, module in list(sys.modules.items()):
        is_ours = name.partition(".")[0] in _LAZY
        if is_ours and getattr(getattr(module, "__spec__", None), "_initializing", False):
            try:
                importlib.import_module(name)
            except Exception:  # it fails in the other thread, too
                pass


def _renew() -> None:
    global current
    current = object()
    for renew in _renewals:
        renew()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_finish_imports, after_in_child=_renew)


def in_child(renew: Callable[[], None]) -> None:
    """Have a function called in each forked child, by its only thread, before anything else."""
    _renewals.append(renew)


class PerProcess(Generic[T]):
    """The state of a module, made anew in a forked child.

    No thread comes along into a child, and whatever lock another thread held stays taken there.

    Attributes:
        value: The state of this process.
    """

    def __init__(self, make: Callable[[T | None], T]) -> None:
        """Make the state by `make(None)`, and in a child by `make(state of the parent)`."""
        self._make = make
        self.value: T = make(None)
        _renewals.append(self._renew)

    def _renew(self) -> None:
        self.value = self._make(self.value)


def check_process(owner: object, what: str) -> None:
    """Raise unless this is the process in which `owner` was `current`.

    Raises:
        LMStudioRuntimeError: The object called `what` came here through a fork.
    """
    if owner is not current:
        raise LMStudioRuntimeError(
            f"This {what} belongs to the parent process and does not work in a forked child. "
            "Start a new one here: clients and handles of models work."
        )
