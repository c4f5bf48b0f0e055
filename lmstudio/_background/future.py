"""`BackgroundCall`: the future of something that runs in the background, with a stop button."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Generator
from concurrent.futures import Future
from concurrent.futures import TimeoutError as _TimeIsUp
from typing import Any, TypeVar

from .._api.public import public
from .._concurrency import fork
from .._concurrency.deadline import Deadline, slice_of
from .._concurrency.threads import check_may_wait, start_daemon
from ..errors import LMStudioError, LMStudioRuntimeError
from . import seat
from .thread import WAITS_FOR_ITSELF, is_this_thread

T = TypeVar("T")

futures_logger = logging.getLogger("concurrent.futures")
_PATIENCE = 0.5  # seconds that one future may hold up all others


class _Condition(threading.Condition):
    """Entered and left in one step of C each, so that Ctrl-C cannot leave it locked for ever.

    `with condition:` looks these up in the class, finds the property, and so calls the lock itself;
    in the standard class there is a step of Python between the lock and the `with`.

    In a forked child it is refused, also to `concurrent.futures.wait()` and `as_completed()`: a
    thread of the parent may have had it, and none will ever bring the outcome.
    """

    def __init__(self) -> None:
        self._process = fork.current
        super().__init__()

    def _own_lock(self) -> Any:
        fork.check_process(self._process, "future")
        return self._lock  # type: ignore[attr-defined]

    __enter__ = property(lambda self: self._own_lock().__enter__)
    __exit__ = property(lambda self: self._lock.__exit__)
    # The standard class sets it on the object; here it stays what it is.
    acquire = property(lambda self: self._own_lock().acquire, lambda self, _: None)


class BackgroundCall(Future[T]):
    """The outcome of something that runs in the background: a future with a stop button.

    It is a `concurrent.futures.Future`, for `as_completed()`, `wait()`, `add_done_callback()` and
    `asyncio.wrap_future()`, and may be awaited. A prediction that is cancelled ends normally:
    `result()` gives what had been read, which is all that the callbacks were given. What else is
    cancelled ends with `LMStudioCancelledError`.

    Thread safety: everything may be called from any thread.
    """

    def __init__(self, stop: Callable[[Any], bool]) -> None:
        """Make the future of something that runs; `run_in_background()` does."""
        super().__init__()
        self._condition = _Condition()
        self._stop = stop
        self._process = fork.current
        # The identifier of the thread that brings the outcome; 0: it has none of its own.
        self._worker = 0
        self.set_running_or_notify_cancel()

    def __repr__(self) -> str:
        """Say how far it is."""
        if self._process is not fork.current:
            return f"<{type(self).__name__} of the parent process>"
        return super().__repr__()

    def cancel(self, reason: Any = None) -> bool:
        """Stop the operation; it never blocks. The future is done a little later.

        Only what a tool of `act()` has registered with `on_cancel()` of its token runs here.

        Args:
            reason: Anything; it is found as `cancel_reason` on the result, or as `reason` on the
                error.

        Returns:
            True for the caller that stopped it; False for all others, and after the end.
        """
        # Not by `done()`, which waits for a lock that this very thread may hold.
        return self._state != "FINISHED" and self._stop(reason)

    def result(self, timeout: float | None = None) -> T:
        """Return the result, waiting for it for `timeout` seconds at most (None: no limit).

        Raises:
            concurrent.futures.TimeoutError: `timeout` passed; the operation goes on.
            LMStudioRuntimeError: This is a forked child, or a callback waits for its own end.
            BaseException: What ended the operation, or what one of its callbacks raised.
        """
        error = super().exception(self._wait_in_slices(timeout))
        if isinstance(error, LMStudioError):
            raise _own(error)
        return super().result(0)

    def exception(self, timeout: float | None = None) -> BaseException | None:
        """Return what ended the operation, None for a result; waits and raises as `result()`."""
        return super().exception(self._wait_in_slices(timeout))

    def _wait_in_slices(self, timeout: float | None) -> float | None:
        """Wait where Ctrl-C could not end one long wait; return what is left of the time."""
        self._check_waiter()
        if timeout is not None and timeout <= 0:
            return timeout
        deadline = Deadline(timeout)
        while not self.done() and (seconds := slice_of(deadline)) is not None:
            try:
                super().exception(seconds)
            except _TimeIsUp:
                pass
        return deadline.remaining()

    def __await__(self) -> Generator[Any, None, T]:
        """Wait for the result in an event loop, and return it.

        A task that is cancelled meanwhile stops the operation, as it would stop a coroutine;
        ``asyncio.shield(asyncio.wrap_future(call))`` does not. Raises as `result()` does.
        """
        import asyncio  # here: most programs need not load it

        try:
            return (yield from asyncio.wrap_future(self).__await__())
        except LMStudioError as error:
            raise _own(error) from error.__cause__

    def _check_waiter(self) -> None:
        """Raise where waiting would never end.

        Raises:
            LMStudioRuntimeError: In a forked child; before the end, in a callback, and in a thread
                that must not wait.
        """
        fork.check_process(self._process, "future")
        if not self.done():
            check_may_wait()
        if (is_this_thread() or threading.get_ident() == self._worker) and not self.done():
            raise LMStudioRuntimeError(WAITS_FOR_ITSELF)

    def _invoke_callbacks(self) -> None:
        """Call all done callbacks; the standard class stops at the first `BaseException`."""
        failure: BaseException | None = None
        if self._done_callbacks:  # type: ignore[attr-defined]
            seat.enter()
        for callback in self._done_callbacks:  # type: ignore[attr-defined]
            try:
                callback(self)
            except Exception:  # as the standard class does
                futures_logger.exception("exception calling callback for %r", self)
            except BaseException as error:
                failure = failure or error
        if failure is not None:
            raise failure

    def _finish(self, result: Any, error: BaseException | None) -> None:
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
            start_daemon(work, "lmstudio-future", refusal="A future cannot be made done")


def _own(error: LMStudioError) -> LMStudioError:
    """Return the error of one of those who wait: each raises an object of its own."""
    own = error.fresh()
    own.__cause__ = error.__cause__
    return own.with_traceback(error.__traceback__)


public(BackgroundCall)
