"""`CancelToken`, and what `cancel_event=` accepts."""

from __future__ import annotations

import queue
import weakref
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any, NoReturn, TypeAlias

from .._api.backports import Self
from .._api.callbacks import not_the_end
from .._api.checks import check_seconds
from .._api.public import public
from .._api.shown import shown
from ..errors import LMStudioCancelledError, LMStudioRuntimeError, LMStudioValueError
from .deadline import Deadline, DeadlinePassed, receiver
from .drain import drain
from .event_watcher import Alarm, EventLike, Target, watch
from .once import Once

EVENT_REASON = "cancel_event was set"
_MANY_TARGETS = 100  # a token that has so many looks for those that were dropped


class CancelToken:
    """An event that is set once, with a reason, and can tell others at once.

    It can stand wherever a `threading.Event` is expected, and is what `cancel_event=` acts on
    fastest. It is one-shot: make a new one for the next operation.

    Thread safety: everything may be called from any thread; `cancel`, `set`, `is_set` and `wait`
    take no lock, so they are safe in signal handlers and finalisers too.
    """

    __slots__ = (
        "__weakref__",
        "_callbacks",
        "_claim",
        "_purge_at",
        "_sources",
        "_targets",
        "_waiters",
    )

    def __init__(self) -> None:
        """Make a token that is not set."""
        self._claim = Once()  # the reason of the first cancel()
        self._targets: dict[int, weakref.ref[Any]] = {}
        self._purge_at = _MANY_TARGETS
        self._callbacks: deque[Callable[[], Any]] = deque()
        self._waiters: deque[queue.SimpleQueue[None]] = deque()
        self._sources: list[CancelToken] = []  # which cancel this one

    @classmethod
    def after(cls, seconds: float) -> Self:
        """Return a token that cancels itself after `seconds`.

        Raises:
            LMStudioValueError: `seconds` is negative or not a number.
            LMStudioRuntimeError: Python starts no threads any more (it is exiting).
        """
        limit = check_seconds(seconds, "seconds")
        token = cls()
        if limit is not None:
            watch(Alarm(limit), token, f"{limit:g} s have passed")
        return token

    @classmethod
    def any(cls, *events: EventLike) -> CancelToken:
        """Return a token that is cancelled when one of `events` is set.

        Raises:
            LMStudioValueError: One of them has no `is_set()`.
        """
        token = cls()
        attach(token, check_events(events))
        return token

    def __repr__(self) -> str:
        """Say whether it is set, and why."""
        state = f"cancelled, reason={self.reason!r}" if self.is_set() else "not cancelled"
        return f"<CancelToken: {state}>"

    def __reduce__(self) -> NoReturn:
        """Refuse to be pickled: a copy in another process would never be set."""
        raise TypeError(
            "A CancelToken works in one process only. To cancel work in other processes, pass a "
            "multiprocessing.Event (or a manager's) as cancel_event."
        )

    @property
    def reason(self) -> Any:
        """What the first `cancel()` was given; None before that."""
        return self._claim.value

    def cancel(self, reason: Any = None) -> bool:
        """Set the token and stop everything that was started with it.

        Callbacks run in this thread; the first exception that one raises is raised here after
        all have run.

        Args:
            reason: Anything; it is found as `cancel_reason` on results.

        Returns:
            True for the first caller, False for all others.
        """
        # Repeated by every caller, and nothing is forgotten before it is done: Ctrl-C may have
        # interrupted the first one anywhere.
        first = self._announce(reason)
        failure: BaseException | None = None
        for key, target in self._living_targets():
            try:
                if isinstance(target, CancelToken):
                    target.cancel(self.reason)
            except BaseException as error:  # of a callback of a dependent token
                failure = failure or error
            self._targets.pop(key, None)
        try:
            self._run_callbacks()
        except BaseException as error:
            failure = failure or error
        if failure is not None:
            try:
                raise failure
            finally:
                del failure  # no cycle through this frame
        return first

    def set(self) -> None:
        """Do the same as `cancel()`, as `threading.Event` calls it."""
        self.cancel()

    def is_set(self) -> bool:
        """Return whether it was cancelled."""
        return bool(self._claim)

    def clear(self) -> NoReturn:
        """Refuse: a token is one-shot.

        Raises:
            LMStudioRuntimeError: Always.
        """
        raise LMStudioRuntimeError("A CancelToken cannot be cleared; make a new one.")

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until it is set, for at most `timeout` seconds; return whether it is set."""
        waiter: queue.SimpleQueue[None] = queue.SimpleQueue()
        # Added first, looked at second, while cancel() in another thread claims first and wakes the
        # waiters second: one of the two finds the other.
        self._waiters.append(waiter)
        try:
            if self._claim:
                return True
            receiver(waiter, Deadline(check_seconds(timeout, "timeout")))()
        except DeadlinePassed:
            pass
        finally:
            try:
                self._waiters.remove(waiter)
            except ValueError:
                pass  # cancel() took it
        return bool(self._claim)

    def on_cancel(self, callback: Callable[[], Any]) -> None:
        """Call `callback()` once, in the cancelling thread; at once if it is cancelled already.

        What it raises is raised by `cancel()`; where a watched event or the time of `after()`
        cancelled the token, it is only logged, at debug level.
        """
        self._callbacks.append(callback)
        # Added first, looked at second, as in `wait`. Both threads may run callbacks then: each is
        # taken from the deque by one of them.
        if self._claim:
            self._run_callbacks()

    def raise_if_cancelled(self) -> None:
        """Raise if it is set.

        Raises:
            LMStudioCancelledError: With the token's reason.
        """
        if self._claim:
            words = "" if self.reason is None else f": {self.reason}"
            raise LMStudioCancelledError(f"The operation was cancelled{words}", self.reason)

    def _announce(self, reason: Any) -> bool:
        """Do what `cancel` does before any callback is run: those may take long."""
        # First of all: who adds a waiter, a callback or a target from now on looks here itself.
        first = self._claim.set(reason)
        for waiter in self._waiters.copy():  # a copy, since those who were woken leave it
            waiter.put(None)
        for _, target in self._living_targets():
            if isinstance(target, CancelToken):
                target._announce(self.reason)
            elif target is not None:
                target.cancel(self.reason)
        return first

    def _living_targets(self) -> list[tuple[int, Any]]:
        # Of keys alone: making pairs could run a finaliser that links a target meanwhile.
        references = [(key, self._targets.get(key)) for key in list(self._targets)]
        return [(key, None if ref is None else ref()) for key, ref in references]

    def _fired(self) -> CancelToken | None:
        """Return this token if it is set, or one that cancels it; this changes nothing.

        Ctrl-C may have interrupted the `cancel` of the other before it came to this one.
        """
        if self._claim:
            return self
        fired = (source._fired() for source in self._sources)
        return next((token for token in fired if token is not None), None)

    @property
    def _is_over(self) -> bool:
        """Whether it needs no watching any more."""
        return bool(self._claim)

    @property
    def _runs_user_code(self) -> bool:
        """Whether callbacks may run in `cancel`, its own or those of a dependent token."""
        return True

    def _watch_failed(self, error: Exception) -> None:
        """Cancel, since one of the events it depends on is broken."""
        self.cancel(error)

    def _follow(self, token: CancelToken) -> None:
        # Noted first: where Ctrl-C interrupts the other's cancel() before it comes here, `_fired`
        # finds it.
        self._sources.append(token)
        token._link(self)

    def _link(self, target: Target) -> None:
        """Cancel `target` together with this token, until `_unlink`. It is held weakly."""
        if len(self._targets) >= self._purge_at:
            for key in list(self._targets):
                reference = self._targets.get(key)
                if reference is not None and reference() is None:
                    self._targets.pop(key, None)
            # When there are twice as many: so a link costs the same, however many there are.
            self._purge_at = 2 * len(self._targets) + _MANY_TARGETS
        self._targets[id(target)] = weakref.ref(target)
        # Linked first, looked at second, while cancel() in another thread claims first and looks
        # for targets second: one of the two finds the other.
        if self._claim:
            target.cancel(self.reason)

    def _unlink(self, target: Target) -> None:
        """Take back `_link`."""
        self._targets.pop(id(target), None)

    def _run_callbacks(self) -> None:
        failure: BaseException | None = None
        for callback in drain(self._callbacks):
            try:
                callback()
            except BaseException as error:
                failure = failure or not_the_end(error)
        if failure is not None:
            raise failure


CancelEvent: TypeAlias = EventLike | Iterable[EventLike] | None


def check_events(events: Any) -> list[Any]:
    """Return what was passed as `cancel_event=` as a list.

    Raises:
        LMStudioValueError: It is no event, and no iterable of events.
    """
    if events is None:
        return []
    if callable(getattr(events, "is_set", None)) or isinstance(events, (str, bytes)):
        events = [events]
    try:
        sources = list(events)
    except TypeError:
        sources = [events]
    for source in sources:
        if isinstance(source, type):
            raise LMStudioValueError(
                f"cancel_event must be an object, not a class: {source.__name__}() instead of "
                f"{source.__name__}."
            )
        if not callable(getattr(source, "is_set", None)):
            raise LMStudioValueError(
                "cancel_event must be a threading.Event, a CancelToken, another object with "
                f"is_set(), or an iterable of these; {shown(source)} has no is_set()."
            )
    return sources


def attach(target: Target, sources: list[Any]) -> None:
    """Cancel `target` when one of `sources` is set, at once if one is set already.

    Raises:
        LMStudioRuntimeError: One of them cannot be watched.
    """
    try:
        # First those that are set already, so that no thread is started for the others.
        for source in sources:
            if source.is_set():
                target.cancel(source.reason if isinstance(source, CancelToken) else EVENT_REASON)
                return
        for source in sources:
            if isinstance(source, CancelToken):
                target._follow(source)
            else:
                watch(source, target, EVENT_REASON)
    except Exception as error:  # what a user's is_set() raises, or no thread can be started
        raise LMStudioRuntimeError(f"cancel_event cannot be watched: {error!r}") from error


public(CancelToken)
