"""Tells the process that made an object from a child forked off it, and renews state in a child."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Generic, TypeVar

from ..errors import LMStudioRuntimeError

T = TypeVar("T")

# An object stands for a process: comparing it costs no call on the path of a token.
current: object = object()
_renewals: list[Callable[[], None]] = []  # run in a forked child, by its only thread


def _renew() -> None:
    global current
    current = object()
    for renew in _renewals:
        renew()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew)


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
