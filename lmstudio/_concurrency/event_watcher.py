"""Watches events that other threads set, and cancels what was started with them.

An event has no callback, so it must be waited for or polled. That is done here and never in the
I/O thread, since a user's `is_set()` may block:

- "lmstudio-watch" waits for a lone `threading.Event` (in `wait`, for 0.25 s at a time), or polls
  several (in `sleep`, for 7 ms). It exists while something is watched.
- "lmstudio-cancel" cancels one token, whose callbacks may take as long as they like.
- "lmstudio-watch-other", one for each object of another type, polls that one (and sleeps for 5 ms,
  or 20 times what `is_set()` took). It blocks where that object's `is_set()` blocks, and then only
  its own calls are affected.
"""

from __future__ import annotations

import logging
import threading
import weakref
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, Protocol

from ..errors import LMStudioRuntimeError
from .clock import monotonic, sleep
from .fork import PerProcess
from .threads import start_daemon

if TYPE_CHECKING:
    from .cancel_token import CancelToken

logger = logging.getLogger(__name__)

_SLICE = 0.25  # seconds in one wait for a lone event
_PERIOD = 0.007  # seconds between two polls of several
_OTHER_PERIOD = 0.005  # seconds at least between two polls of an object of another type
_COST_FACTOR = 20  # at most 1/20 of a core for one slow is_set()


class EventLike(Protocol):
    """Anything that says whether it is set: events of threading, multiprocessing, Dask, ..."""

    def is_set(self) -> bool:
        """Return whether it is set."""
        ...


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

    @property
    def _runs_user_code(self) -> bool:
        """Whether `cancel` may take long, and must not delay other events."""
        ...

    def _watch_failed(self, error: Exception) -> None:
        """Take an exception that `is_set()` raised."""
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


class _Watched:
    """An event and what it cancels. The state's lock guards `targets`."""

    __slots__ = ("event", "reason", "targets")

    def __init__(self, event: Any, reason: Any) -> None:
        self.event = event
        self.reason = reason
        self.targets: list[weakref.ref[Any]] = []

    def living_targets(self) -> list[Target]:
        targets = (reference() for reference in list(self.targets))
        return [target for target in targets if target is not None and not target._is_over]

    def check(self) -> bool:
        """Cancel the targets if the event is set; return whether anything is left to watch."""
        targets = self.living_targets()
        if not targets:
            return False
        try:
            if not self.event.is_set():
                return True
        except Exception as error:
            for target in targets:
                _stop(target, target._watch_failed, error)
        else:
            for target in targets:
                _stop(target, target.cancel, self.reason)
        return False


def _stop(target: Target, stop: Callable[[Any], object], argument: Any) -> None:
    if target._runs_user_code:
        try:
            start_daemon(_carefully, "lmstudio-cancel", stop, argument, refusal="No callback runs")
            return
        except LMStudioRuntimeError:
            pass  # then it is done here
    _carefully(stop, argument)


def _carefully(stop: Callable[[Any], object], argument: Any) -> None:
    """Stop a target. What user code raises there must not end the watching of other events."""
    try:
        stop(argument)
    except BaseException:
        logger.debug("a callback of a CancelToken failed", exc_info=True)


class _State:
    """Everything that is watched in this process. The lock guards the other attributes."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.watched: dict[int, _Watched] = {}
        self.others: dict[int, _Watched] = {}
        self.generation = 0  # of the "lmstudio-watch" thread; 0: there is none
        self.generations = 0
        self.waits_for_one = False


_state = PerProcess(lambda _: _State())
_REFUSAL = "No event can be watched"


def watch(event: EventLike, target: Target, reason: Any) -> None:
    """Cancel `target` with `reason` once `event` is set.

    The watch ends when the target is over or collected.

    Raises:
        LMStudioRuntimeError: Python starts no threads any more (it is exiting).
    """
    state = _state.value
    is_plain = type(event) in (threading.Event, Alarm)
    with state.lock:
        table = state.watched if is_plain else state.others
        entry = table.get(id(event))
        is_new = entry is None
        if entry is None:
            entry = _Watched(event, reason)
        # A new list: the watching thread walks through the old one without the lock.
        entry.targets = [r for r in entry.targets if r() is not None] + [weakref.ref(target)]
        table[id(event)] = entry  # before a thread is started, which looks for it at once
        try:
            if not is_plain:
                if is_new:
                    start_daemon(
                        _watch_other, "lmstudio-watch-other", state, entry, refusal=_REFUSAL
                    )
            elif not state.generation or (is_new and state.waits_for_one):
                # A thread that waits for another event cannot be woken: a new one takes over, and
                # the old one ends when it looks at its generation. The new one waits for the lock,
                # so it cannot look before its generation is written.
                state.generations += 1
                start_daemon(
                    _watch_plain, "lmstudio-watch", state, state.generations, refusal=_REFUSAL
                )
                state.generation = state.generations
                state.waits_for_one = False
        except BaseException:
            if is_new:
                del table[id(event)]
            raise


def _watch_plain(state: _State, generation: int) -> None:
    next_look = 0.0  # at events that are not set: they may have nothing left to cancel
    try:
        while True:
            with state.lock:
                if state.generation != generation:
                    return  # a newer thread has taken over
                entries = list(state.watched.values())
                if not entries:
                    state.generation = 0  # under this lock: the next event gets a new thread
                    return
                # Under the lock: who adds an event from now on knows that this thread waits.
                state.waits_for_one = len(entries) == 1
            # Without the lock from here on: a waiting thread would stop all who add an event.
            if len(entries) == 1:
                entries[0].event.wait(_SLICE)
            else:
                sleep(_PERIOD)
            now = monotonic()
            if now < next_look:
                entries = [entry for entry in entries if entry.event.is_set()]
            else:
                next_look = now + _SLICE
            _forget(state, state.watched, [entry for entry in entries if not entry.check()])
    finally:
        with state.lock:
            if state.generation == generation:
                state.generation = 0  # this one failed; the next event gets a new one


def _watch_other(state: _State, entry: _Watched) -> None:
    while True:
        before = monotonic()
        if not entry.check():
            _forget(state, state.others, [entry])
            if state.others.get(id(entry.event)) is not entry:
                return
            continue  # a target was added meanwhile
        pause = max(_OTHER_PERIOD, _COST_FACTOR * (monotonic() - before))
        while pause > 0 and entry.living_targets():  # a long pause ends when nothing is left
            sleep(min(pause, _SLICE))
            pause -= _SLICE


def _forget(state: _State, table: dict[int, _Watched], entries: Iterable[_Watched]) -> None:
    with state.lock:
        for entry in entries:
            # Looked at again: another thread may have added a target since it was checked.
            if not entry.living_targets():
                table.pop(id(entry.event), None)
