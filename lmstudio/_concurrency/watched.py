"""An event and what it cancels: what the threads that watch events have in common.

They must not die of anything: a user's `is_set()` or callback, or want of memory or stack.
"""

from __future__ import annotations

import logging
import sys
import threading
from collections.abc import Callable
from typing import Any, Protocol

from .._api.public import public
from .._api.shown import Failure, shown
from ..errors import LMStudioRuntimeError
from .clock import monotonic, sleep
from .targets import Target, Targets

logger = logging.getLogger(__name__)

SLICE = 0.25  # seconds after which a thread sees at the latest that nothing is left to watch
REFUSAL = "No event can be watched"
_PAUSE = 0.007  # seconds after a failure


class EventLike(Protocol):
    """Anything that says whether it is set: events of threading, multiprocessing, Dask, ..."""

    def is_set(self) -> bool:
        """Return whether it is set."""
        ...


class Alarm:
    """An event that is set once a time has passed."""

    __slots__ = ("_at",)

    def __init__(self, seconds: float) -> None:
        """Start the clock."""
        self._at = monotonic() + seconds

    def is_set(self) -> bool:
        """Return whether the time has passed."""
        return monotonic() >= self._at

    def wait(self, timeout: float) -> bool:
        """Sleep until it is set, for at most `timeout` seconds."""
        sleep(max(0.0, min(timeout, self._at - monotonic())))
        return self.is_set()


def is_plain(event: object) -> bool:
    """Return whether to ask an event takes no time, and runs nothing of a user's."""
    if type(event) is threading.Event:
        return "is_set" not in vars(event) and "wait" not in vars(event)
    return type(event) is Alarm


def watch_error(error: BaseException) -> LMStudioRuntimeError:
    """Return the error of what was started with an event whose `is_set()` raised."""
    return LMStudioRuntimeError(
        f"cancel_event cannot be watched: its is_set() raised {shown(error)}"
    )


class Watched:
    """An event and what it cancels."""

    __slots__ = ("event", "reason", "targets")

    def __init__(self, event: Any, reason: Any) -> None:
        """Cancel nothing yet."""
        self.event = event
        self.reason = reason
        self.targets = Targets()

    def living(self) -> list[Target]:
        """Return what it is still watched for, and let the rest go."""
        living = []
        for target in self.targets.living():
            if target._is_over:
                self.targets.discard(target)
            else:
                living.append(target)
        return living

    def look(self) -> bool | BaseException:
        """Return whether the event is set, or what it raised.

        Also a KeyboardInterrupt means its call alone: Ctrl-C raises that in the main thread only.
        """
        try:
            return bool(self.event.is_set())
        except BaseException as error:
            return error

    def act(self, seen: bool | BaseException) -> None:
        """Stop the targets if the event was seen to be set, or broken."""
        if seen is False:
            return
        for target in self.living():
            if target._is_over:  # it depends on one that was stopped here
                is_stopped = True
            elif isinstance(seen, BaseException):
                is_stopped = carefully(target._watch_failed, seen)
            else:
                is_stopped = carefully(target._cancel_soon, self.reason)
            if is_stopped:  # else that is to be repeated
                self.targets.discard(target)


def carefully(stop: Callable[[Any], object], argument: Any) -> bool:
    """Call `stop(argument)`; log what it raises, and return whether it raised nothing."""
    try:
        stop(argument)
        return True
    except BaseException:
        note("a callback of a CancelToken failed")
        return False


def note(what: str) -> None:
    """Log the exception that is being handled."""
    try:
        error = sys.exc_info()[1]
        logger.debug("%s: %s", what, None if error is None else Failure(error))
    except BaseException:  # there is no memory for it, or no stack
        pass


def keep_on(turn: Callable[[], bool]) -> None:
    """Call `turn` until it returns False, whatever it raises."""
    while True:
        try:
            if not turn():
                return
        except BaseException:
            note("a look at watched events failed")
            sleep(_PAUSE)


public(EventLike)
