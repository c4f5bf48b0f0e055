"""`CancelToken`, and what `cancel_event=` accepts."""

from __future__ import annotations

import math
import queue
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any, NoReturn, TypeAlias

from .._api.backports import Self
from .._api.callbacks import check_given_callback, not_the_end
from .._api.checks import check_seconds
from .._api.public import public
from .._api.shown import shown, worded
from ..errors import LMStudioCancelledError, LMStudioRuntimeError, LMStudioValueError
from .clock import monotonic
from .deadline import Deadline, DeadlinePassed, receiver
from .drain import drain
from .event_watcher import resume_watching, watch
from .object_watcher import FIRST_LOOK, FirstLook, resume_objects, watch_object
from .once import Once
from .targets import Target, Targets
from .threads import check_may_wait, start_daemon
from .watched import Alarm, EventLike, carefully, is_plain, watch_error

EVENT_REASON = "cancel_event was set"

# Tokens whose cancel has not yet come to all that depend on them, and since when, by identity.
_unfinished: dict[int, tuple[float, CancelToken]] = {}
_UNDER_WAY = 0.25  # seconds in which it does, unless Ctrl-C has interrupted it


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
        "_sources",
        "_targets",
        "_waiters",
    )
    _is_retired: bool = False  # whether a cancel changes nothing any more

    def __init__(self) -> None:
        """Make a token that is not set."""
        self._claim = Once()  # the reason of the first cancel()
        self._targets = Targets()
        self._callbacks: deque[Callable[[], Any]] = deque()
        self._waiters: deque[queue.SimpleQueue[None]] = deque()
        self._sources: list[CancelToken] = []  # which cancel this one, kept alive

    @classmethod
    def after(cls, seconds: float) -> Self:
        """Return a token that cancels itself after `seconds`.

        Somebody must hold it until then: what is started with it does, its callbacks do not.

        Raises:
            LMStudioValueError: `seconds` is negative or not a number.
            LMStudioRuntimeError: Python starts no threads any more (it is exiting).
        """
        limit = check_seconds(seconds, "seconds")
        token = cls()
        if limit == 0:
            token.cancel("0 s have passed")
        elif limit is not None:
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
        state = f"cancelled, reason={shown(self.reason)}" if self._claim else "not cancelled"
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
        first, tokens = self._spread(reason)
        failure: BaseException | None = None
        for token in reversed(tokens):  # first those that depend on others
            try:
                token._run_callbacks()
            except BaseException as error:
                failure = error if failure is None else failure
        for token in tokens:
            token._targets.clear()  # who adds one from now on looks at the claim
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
        """Wait until it is set, for at most `timeout` seconds; return whether it is set.

        As for an event of `threading`, a `timeout` below 0 is 0.

        Raises:
            LMStudioRuntimeError: This is a finaliser, run in a thread that must not wait.
        """
        waiter: queue.SimpleQueue[None] = queue.SimpleQueue()
        # Added first, looked at second, while cancel() in another thread claims first and wakes the
        # waiters second: one of the two finds the other.
        self._waiters.append(waiter)
        try:
            if self._claim:
                return True
            check_may_wait()
            resume_watching()
            resume_objects()
            has_passed = isinstance(timeout, (int, float)) and timeout < 0
            limit = 0.0 if has_passed else check_seconds(timeout, "timeout")
            receiver(waiter, Deadline(limit))()
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

        Raises:
            LMStudioValueError: It cannot be called so.
        """
        check_given_callback("on_cancel()'s callback", callback)
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
            words = "" if self.reason is None else f": {worded(self.reason)}"
            raise LMStudioCancelledError(f"The operation was cancelled{words}", self.reason)

    def _announce(self, reason: Any) -> bool:
        """Do what `cancel` does before any callback is run: those may take long."""
        return self._spread(reason)[0]

    def _spread(self, reason: Any) -> tuple[bool, list[CancelToken]]:
        """Set this token and all that depend on it, wake who waits, and stop calls.

        A loop, since a chain of tokens may be longer than Python's stack.

        Returns:
            Whether this was the first; and these tokens, each before those that depend on it.
        """
        # Before the claim: wherever Ctrl-C comes, `resume_interrupted` goes on.
        _unfinished[id(self)] = monotonic(), self
        if reason is True or reason is False:
            reason = None  # what Qt's `clicked` passes on tells whether a button is checked
        first = False
        reached: dict[int, CancelToken] = {}
        ahead: list[tuple[CancelToken, Any]] = [(self, reason)]
        while ahead:
            token, reason = ahead.pop()
            if id(token) in reached or token._is_retired:
                continue
            reached[id(token)] = token
            # First of all: who adds a waiter, a callback or a target from now on looks here itself.
            is_first = token._claim.set(reason)
            if token is self:
                first = is_first
            for waiter in token._waiters.copy():  # a copy, since those who were woken leave it
                waiter.put(None)
            for target in token._targets.living():
                if isinstance(target, CancelToken):
                    ahead.append((target, token.reason))
                else:
                    target.cancel(token.reason)
        _unfinished.pop(id(self), None)
        return first, list(reached.values())

    @property
    def _is_over(self) -> bool:
        """Whether it needs no watching any more."""
        return bool(self._claim)

    def _cancel_soon(self, reason: Any) -> None:
        """Do what `cancel` does; callbacks, which may take long, run in another thread."""
        try:
            self._cancel_beside(reason)
        except BaseException:  # then they run here
            carefully(self.cancel, reason)

    def _cancel_beside(self, reason: Any) -> None:
        """Do what `cancel` does, with a thread for callbacks, if there are any.

        Raises:
            LMStudioRuntimeError: Python starts no threads any more; all but the callbacks is done.
        """
        _, tokens = self._spread(reason)
        if any(token._callbacks for token in tokens):
            refusal = "No callback runs"
            start_daemon(carefully, "lmstudio-cancel", self.cancel, reason, refusal=refusal)

    def _watch_failed(self, error: BaseException) -> None:
        """Cancel, since one of the events it depends on is broken."""
        self._cancel_soon(error)

    def _follow(self, token: CancelToken) -> None:
        self._sources.append(token)
        token._link(self)

    def _link(self, target: Target) -> None:
        """Cancel `target` together with this token, until `_unlink`. It is held weakly."""
        self._targets.add(target)
        # Linked first, looked at second, while cancel() in another thread claims first and looks
        # for targets second: one of the two finds the other.
        if self._claim:
            target.cancel(self.reason)

    def _unlink(self, target: Target) -> None:
        """Take back `_link`."""
        self._targets.discard(target)

    def _run_callbacks(self) -> None:
        failure: BaseException | None = None
        for callback in drain(self._callbacks):
            try:
                callback()
            except BaseException as error:
                failure = not_the_end(error) if failure is None else failure
        if failure is not None:
            raise failure


CancelEvent: TypeAlias = EventLike | Iterable[EventLike] | None
"""What stops a call: an event, several of them, or None.

An event is a `threading.Event`, a `CancelToken`, or anything else that has `is_set()`.
"""


def check_events(events: Any) -> list[Any]:
    """Return what was passed as `cancel_event=` as a list.

    Raises:
        LMStudioValueError: It is no event, and no iterable of events.
    """
    if events is None:
        return []
    is_one = isinstance(events, (str, bytes)) or hasattr(events, "cancel")  # as a stream has it
    if is_one or callable(getattr(events, "is_set", None)):
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
    # First those that are set already, so that no thread is started for the others. Only of tokens
    # and plain events it is known that to ask them takes no time.
    for source in sources:
        if isinstance(source, CancelToken):
            if source._claim:
                target.cancel(source.reason)
                return
        elif is_plain(source) and source.is_set():
            target.cancel(EVENT_REASON)
            return
    looks: list[tuple[EventLike, FirstLook]] = []
    for source in sources:
        if isinstance(source, CancelToken):
            target._follow(source)
        elif is_plain(source):
            watch(source, target, EVENT_REASON)
        else:
            looks.append((source, watch_object(source, target, EVENT_REASON)))
    if looks:
        _wait_for(looks, target)


def _wait_for(looks: list[tuple[EventLike, FirstLook]], target: Target) -> None:
    """Wait for the first look at events of other types, but not long: one may hang."""
    deadline = Deadline(FIRST_LOOK)
    for event, look in looks:
        seen = look.wait(deadline)
        if isinstance(seen, Exception) and not isinstance(seen, (OSError, EOFError)):
            # No connection failed: it may belong to this thread, as those of Dask do, which find
            # their client where they are asked for the first time.
            seen = _ask_here(event)
            if seen is False:
                watch_object(event, target, EVENT_REASON, is_seen=True)
        if isinstance(seen, BaseException):
            raise watch_error(seen) from seen
        if seen:
            target.cancel(EVENT_REASON)
            return


def _ask_here(event: EventLike) -> bool | Exception:
    try:
        return bool(event.is_set())
    except Exception as error:
        return error


def resume_interrupted() -> None:
    """Go on with what Ctrl-C has interrupted in other threads. It takes no lock, and never waits.

    A cancel may not have come to all that depends on a token, and an event may have nobody who
    watches it.
    """
    resume_watching()
    resume_objects()
    for key in list(_unfinished):
        since, token = _unfinished.get(key, (math.inf, None))
        if token is None or not token._claim or monotonic() - since < _UNDER_WAY:
            continue
        try:
            token._cancel_beside(token.reason)
        except LMStudioRuntimeError:
            pass  # then the callbacks run at the next cancel()


public(CancelToken)
