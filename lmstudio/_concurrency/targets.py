"""`Target`: what an event or a token cancels; `Targets` holds many of them, weakly."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from .cancel_token import CancelToken

_MANY = 100  # who has so many looks for those that were dropped


class Target(Protocol):
    """What an event cancels. It is held weakly."""

    def cancel(self, reason: Any = None) -> bool:
        """Stop it."""
        ...

    def _follow(self, token: CancelToken) -> None:
        """Let a token cancel it, until it is over."""
        ...

    @property
    def _is_over(self) -> bool:
        """Whether it need not be watched any more."""
        ...

    def _cancel_soon(self, reason: Any) -> None:
        """Do what `cancel` does, but run no code of a user's in this thread."""
        ...

    def _watch_failed(self, error: BaseException) -> None:
        """Take what `is_set()` raised, and run no code of a user's in this thread."""
        ...


class Targets:
    """What is cancelled together. To add and to remove one costs the same, however many there are.

    Thread safety: all threads. It takes no lock: each step is one C call.
    """

    __slots__ = ("_purge_at", "_references")

    def __init__(self) -> None:
        """Hold nothing."""
        # By the identity of the reference, not of the target: another object may have that of a
        # target that was dropped. (A target has one reference without a callback, always the same.)
        self._references: dict[int, weakref.ref[Any]] = {}
        self._purge_at = _MANY

    def __len__(self) -> int:
        """Return how many there are, with some that were dropped."""
        return len(self._references)

    def add(self, target: Any) -> None:
        """Hold a target, unless it is held already."""
        reference = weakref.ref(target)
        self._references[id(reference)] = reference
        if len(self._references) > self._purge_at:
            self._purge()

    def discard(self, target: Any) -> None:
        """Let a target go, if it is held."""
        reference = weakref.ref(target)  # kept for now, so that no other one has its identity
        self._references.pop(id(reference), None)

    def clear(self) -> None:
        """Let all go."""
        self._references.clear()

    def living(self) -> list[Any]:
        """Return those that were not dropped."""
        targets = (reference() for reference in self._listed())
        return [target for target in targets if target is not None]

    def _purge(self) -> None:
        for reference in self._listed():
            if reference() is None:
                self._references.pop(id(reference), None)
        # When there are twice as many: so one costs the same, however many there are.
        self._purge_at = 2 * len(self._references) + _MANY

    def _listed(self) -> list[weakref.ref[Any]]:
        # In one C call, which runs no finaliser: another one could add a target meanwhile.
        return list(self._references.values())
