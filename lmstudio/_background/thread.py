"""The thread "lmstudio-background": reads what nobody waits for, and hands it to futures.

One for the process, while there is something to read. It blocks in the `get` of its wake-up queue:
until a new job, the end of a call, or the next turn of a job (at most a second); and for half a
second on a future that somebody left locked.
"""

from __future__ import annotations

import logging
import os
import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from time import monotonic
from typing import Any, Protocol, TypeVar

from .._concurrency import fork as _process
from .._concurrency.deadline import check_seconds
from .._connection.call import Call
from ..errors import LMStudioRuntimeError, LMStudioValueError

__all__ = ["BackgroundCall", "Job", "add", "check_interval", "check_other_thread"]

logger = logging.getLogger(__name__)

_WAITS_FOR_ITSELF = (
    "A callback waits for something that the thread it runs in has to bring. Use on_done, or pass "
    "dispatch= to have callbacks run in a thread of yours."
)

T = TypeVar("T")

_LOOK_AGAIN = 1.0  # seconds after which every job gets a turn
_PATIENCE = 0.5  # seconds that one future may hold up all others


class _Condition(threading.Condition):
    """Entered and left in one step of C each, so that Ctrl-C cannot leave it locked for ever."""

    __enter__ = property(lambda self: self._lock.__enter__)
    __exit__ = property(lambda self: self._lock.__exit__)


class BackgroundCall(Future[T]):
    """The outcome of something that runs in the background: a future with a stop button.

    It is a `concurrent.futures.Future`, for `as_completed()`, `wait()`, `add_done_callback()` and
    `asyncio.wrap_future()`. A prediction that is cancelled ends normally: `result()` gives what had
    arrived. What else is cancelled ends with `LMStudioCancelledError`.

    Thread safety: everything may be called from any thread.
    """

    def __init__(self, stop: Callable[[Any], bool]) -> None:
        """Make the future of something that runs; `run_in_background()` does."""
        super().__init__()
        self._condition = _Condition()
        self._stop = stop
        self._process = _process.current
        self.worker = 0  # the thread that brings the outcome, if it has one of its own
        self.set_running_or_notify_cancel()

    def cancel(self, reason: Any = None) -> bool:
        """Stop the operation; it never blocks. The future is done a little later.

        Args:
            reason: Anything; it is found as `cancel_reason` on the result, or as `reason` on the
                error.

        Returns:
            True for the caller that stopped it; False for all others, and after the end.
        """
        return self._stop(reason)

    def result(self, timeout: float | None = None) -> T:
        """Return the result, waiting for it for `timeout` seconds at most (None: no limit).

        Raises:
            concurrent.futures.TimeoutError: `timeout` passed; the operation goes on.
            LMStudioRuntimeError: This is a forked child, or a callback waits for its own end.
            BaseException: What ended the operation, or what one of its callbacks raised.
        """
        self.check_waiter()
        return super().result(timeout)

    def exception(self, timeout: float | None = None) -> BaseException | None:
        """Return what ended the operation, None for a result; waits and raises as `result()`."""
        self.check_waiter()
        return super().exception(timeout)

    def check_waiter(self) -> None:
        """Raise where waiting would never end.

        Raises:
            LMStudioRuntimeError: In a forked child, and in a callback before the end.
        """
        _process.check_process(self._process, "future")
        if (is_this_thread() or threading.get_ident() == self.worker) and not self.done():
            raise LMStudioRuntimeError(_WAITS_FOR_ITSELF)

    def finish(self, result: Any, error: BaseException | None) -> None:
        """Make it done, in the thread that brings the outcome.

        Raises:
            BaseException: What a done callback raised, unless it is an `Exception`.
        """

        def work() -> None:
            if error is None:
                self.set_result(result)
            else:
                self.set_exception(error)

        if self._condition.acquire(timeout=_PATIENCE):
            self._condition.release()
            work()
        else:
            # Ctrl-C has left it locked, in `concurrent.futures.wait` or the like.
            threading.Thread(target=work, name="lmstudio-future", daemon=True).start()


class Job(Protocol):
    """Something that this thread reads."""

    interval: float  # seconds between two turns

    @property
    def call(self) -> Call | None:
        """The call whose end gives it a turn at once, if there is one."""
        ...

    def turn(self) -> bool:
        """Do what there is to do, without waiting; return whether more will come."""
        ...


class _State:
    """The jobs of this process. The lock guards `arriving` and `ident`."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.arriving: list[Job] = []
        self.ident = 0  # of the thread; 0: there is none
        self.wake: queue.SimpleQueue[None] = queue.SimpleQueue()


_state = _State()


def _renew() -> None:
    global _state
    _state = _State()  # in a forked child: no thread came along, and the lock may be held


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew)


def is_this_thread() -> bool:
    """Whether the caller runs in this thread, which must not wait for itself."""
    return threading.get_ident() == _state.ident


def check_other_thread() -> None:
    """Refuse to wait in this thread for what it has to bring.

    Raises:
        LMStudioRuntimeError: The caller is a callback that runs in it.
    """
    if is_this_thread():
        raise LMStudioRuntimeError(_WAITS_FOR_ITSELF)


def check_interval(interval: object) -> float:
    """Return the seconds between two turns.

    Raises:
        LMStudioValueError: It is no positive number.
    """
    seconds = check_seconds(interval, "interval")
    if not seconds:
        raise LMStudioValueError(f"interval must be more than 0 seconds; {interval!r} was given.")
    return seconds


def add(job: Job) -> None:
    """Give a job turns until it is over.

    Raises:
        LMStudioRuntimeError: Python starts no threads any more.
    """
    state = _state
    with state.lock:
        if not state.ident:
            thread = threading.Thread(
                target=_run, args=(state,), name="lmstudio-background", daemon=True
            )
            try:
                thread.start()
            except RuntimeError as error:
                raise LMStudioRuntimeError(
                    f"Nothing runs in the background any more: {error}"
                ) from None
            state.ident = thread.ident or 0
        state.arriving.append(job)
    state.wake.put(None)


def _run(state: _State) -> None:
    turns: dict[Job, float] = {}  # when each job gets its next turn
    while True:
        with state.lock:
            turns.update(dict.fromkeys(state.arriving, 0.0))
            state.arriving.clear()
            if not turns:
                state.ident = 0
                return
        now = monotonic()
        for job, when in list(turns.items()):
            if when <= now or (job.call is not None and job.call.ending is not None):
                if _takes_turn(job, state):
                    turns[job] = now + min(job.interval, _LOOK_AGAIN)
                else:
                    del turns[job]
        rest = min(turns.values(), default=now) - monotonic()
        del job  # nothing that is over may be kept alive while waiting
        try:
            state.wake.get(timeout=max(rest, 0.0))
        except queue.Empty:
            pass


def _takes_turn(job: Job, state: _State) -> bool:
    call, wake = job.call, state.wake
    had_ended = call is not None and call.ending is not None
    if call is not None:
        with suppress(ValueError):
            call.waiters.remove(wake)  # the turn itself may notify all waiters
    try:
        if not job.turn():
            return False
    except BaseException:  # of a done callback, or a bug of ours: the other jobs must go on
        logger.debug("a job of the background thread failed", exc_info=True)
        return False
    if call is not None:
        call.waiters.append(wake)
        if call.ending is not None and not had_ended:  # it came before this thread waited for it
            wake.put(None)
    return True
