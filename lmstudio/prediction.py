"""`PredictionStream`: one prediction, iterated, waited for and cancelled from any thread."""

from __future__ import annotations

import contextlib
import queue
import sys
import threading
from _thread import get_ident
from collections import deque
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import TYPE_CHECKING, Any

from . import _process
from ._call import END, Call, Ending, Leash
from ._deadline import Deadline, DeadlinePassed, check_seconds, receiver
from ._iterator import FragmentIterator
from ._line import Line
from ._reader import PredictionCallbacks, Reader
from .cancellation import CancelEvent
from .errors import (
    LMStudioError,
    LMStudioRuntimeError,
    LMStudioTimeoutError,
)
from .info import LlmInstanceInfo
from .results import LlmPredictionFragment, LlmPredictionStats, PredictionResult

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["PredictionStream"]

_LEFT = "the loop over the stream was left"
_RAISED = "a callback raised an exception"
_LOOK_AGAIN = 1.0  # seconds after which a waiter checks that the reader it relies on lives


class _NestedReadError(LMStudioRuntimeError):
    """A callback of a stream waits for the end of that stream."""


class PredictionStream:
    """A prediction that is received bit by bit.

    Iterate over it for its fragments, or call `result()` for the whole; it starts by itself.
    Leaving the loop, an exception in it, leaving ``with``, dropping the stream and Ctrl-C all
    stop the model. (Endpoint: channel ``llm/predict``.)

    Thread safety: one thread iterates at a time; everything else may be called from any thread.
    `cancel()` and `close()` may be called in signal handlers and finalisers too.
    """

    def __init__(
        self,
        line: Line,
        call: Call,
        callbacks: PredictionCallbacks,
        *,
        cancel_event: CancelEvent = None,
        since: float | None = None,
        structured: bool = False,
        response_type: type | None = None,
    ) -> None:
        """Prepare a stream; handles make them, nobody else needs to."""
        self._line = line
        self._call = call
        self._cancel_event = cancel_event
        self._since = since
        self._reader = Reader(
            call, callbacks, line.callbacks, structured=structured, response_type=response_type
        )
        self._turn: dict[int, int] = {}  # [0] is the thread that reads; set by setdefault
        self._owner: tuple[int, threading.Thread] = (0, threading.main_thread())
        self._iterator: Leash | None = None
        self._done_callbacks: deque[Callable[[PredictionStream], Any]] = deque()
        self._started: dict[int, object] = {}  # set once, by setdefault
        self._ended: dict[int, object] = {}  # likewise: the callbacks of the end have run

    # -- control ------------------------------------------------------------------------------

    def __repr__(self) -> str:
        """Say how far it is."""
        call = self._call
        state = "not started" if not self._started else "running" if not self.done() else "ended"
        return f"<PredictionStream: {state}{', cancelled' if call.is_cancelled else ''}>"

    def start(self) -> None:
        """Send the request now, instead of at the first use.

        Raises:
            LMStudioRuntimeError: It was started before.
            LMStudioClientError: The client is closed.
        """
        if not self._begin():
            raise LMStudioRuntimeError("This prediction was started before.")

    def cancel(self, reason: Any = None) -> bool:
        """Stop the prediction; it ends normally and keeps what was received.

        It acts in every phase: before the start, while connecting, queued, loading, during prompt
        processing and in the middle. It never blocks. After the end it does nothing.

        Args:
            reason: Anything; it is found as `PredictionResult.cancel_reason`.

        Returns:
            True for the caller that stopped it; False for all others, and after the end.
        """
        return self._call.cancel(reason)

    def close(self) -> None:
        """Stop the prediction if it has not ended."""
        if not self._call.end_is_taken:
            self._call.cancel("stream closed")

    def __enter__(self) -> Self:
        """Start it, if that was not done."""
        try:
            self._begin()
            return self
        except BaseException:
            self._call.cancel("interrupted")  # does nothing if the start has failed
            raise

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Stop the prediction if it has not ended."""
        self.close()

    def cancelled(self) -> bool:
        """Return whether it was cancelled before it ended."""
        return self._call.is_cancelled

    def done(self) -> bool:
        """Return whether `result()` would return (or raise) without waiting for the server."""
        was_withdrawn = bool(self._call.mark) and not self._started
        return self._call.ending is not None or was_withdrawn

    def add_done_callback(self, callback: Callable[[PredictionStream], Any]) -> None:
        """Call ``callback(stream)`` once when the stream has ended, however it did.

        It is called by the thread that iterates or waits, once that thread has reached the end;
        here and now, if one has already.
        """
        self._done_callbacks.append(callback)
        if self._ended:
            self._run_done_callbacks()

    @property
    def stats(self) -> LlmPredictionStats | None:
        """The statistics, once the prediction has ended without an error; None before."""
        result = self._reader.outcome_so_far()
        return None if result is None else result.stats

    @property
    def model_info(self) -> LlmInstanceInfo | None:
        """The model that answered, once the prediction has ended; None before."""
        result = self._reader.outcome_so_far()
        return None if result is None else result.model_info

    # -- reading ------------------------------------------------------------------------------

    def __iter__(self) -> Iterator[LlmPredictionFragment]:
        """Start the prediction, and return an iterator over its fragments.

        The iterator is an object of its own: when it is dropped, as by ``break``, the prediction
        is cancelled.

        Raises:
            LMStudioRuntimeError: Another iterator, or a thread in `result()`, reads this stream.
        """
        me = get_ident()
        try:
            if self._turn.setdefault(0, me) != me or self._reader.calling == me:
                me = 0
                raise self._in_use()
            if self._iterator is not None and not self._reader.is_at_end:
                if self._iterator() is not None:
                    raise self._in_use()
                self._call.cancel(_LEFT)
            self._owner = (me, threading.current_thread())
            self._begin()
            iterator = FragmentIterator(self)
            self._iterator = Leash(iterator, self._call)
            self._call.leashes.append(self._iterator)
            if self._call.ending is not None:
                self._call.leashes.clear()  # the I/O thread did this before
            return iterator
        except LMStudioError:
            raise
        except BaseException:
            self._call.cancel("interrupted")
            raise
        finally:
            if self._turn.get(0) == me:
                self._turn.pop(0, None)

    def result(self, timeout: float | None = None) -> PredictionResult:
        """Return the result, waiting for it and starting the prediction if need be.

        While another thread iterates, this only waits; otherwise it reads the rest here, and
        calls the callbacks. After a cancel it waits a little (the client's `cancel_grace`) for
        the server's last word, and returns what was received.

        Args:
            timeout: Seconds to wait here; the prediction goes on after that. None: no limit.

        Returns:
            The result. The first one that was returned stays the result.

        Raises:
            LMStudioTimeoutError: `timeout` passed, or a time limit of the prediction did.
            LMStudioError: Whatever ended the prediction; each call raises a new exception.
        """
        limit = check_seconds(timeout, "timeout")
        try:
            self._begin()
            is_over = self._wait(Deadline(limit))
        except _NestedReadError:
            raise
        except Exception:  # of a callback, or how the prediction ended
            self._end_by_exception()
            raise
        except BaseException:
            self._call.cancel("interrupted")
            raise
        if not is_over:
            raise LMStudioTimeoutError(
                f"The prediction has not ended within {limit:g} s; it goes on."
            )
        self._finish_reading()
        return self._reader.outcome()

    def wait_for_result(self, timeout: float | None = None) -> PredictionResult:
        """Do the same as `result()`."""
        return self.result(timeout)

    def _begin(self) -> bool:
        """Start it; return False if that was done before."""
        _process.check_process(self._call.loop.process, "stream")
        me, call = object(), self._call
        try:
            if self._started.setdefault(0, me) is not me:
                return False
            call.leashes.append(Leash(self, call))
            self._line.start(call, self._cancel_event, self._since)
        except BaseException as error:
            if self._started.get(0) is me:
                self._give_up(error)
            raise
        finally:
            if call.ending is not None:
                call.leashes.clear()
        return True

    def _give_up(self, error: BaseException) -> None:
        """End a call whose start failed, unless the I/O thread has it and will do so."""
        call = self._call
        is_ours = isinstance(error, LMStudioError)
        if is_ours:
            call.take_end()
        else:
            call.cancel("interrupted")
        if call.id not in call.loop.open and call.ending is None:
            call.ending = Ending(error=error if isinstance(error, LMStudioError) else None)
            call.inbox.put(END)
            call.notify()

    # -- waiting ------------------------------------------------------------------------------

    def _wait(self, deadline: Deadline) -> bool:
        """Wait for the outcome, reading here if nobody else does; return False at the deadline."""
        call = self._call
        while True:
            waiter: queue.SimpleQueue[None] = queue.SimpleQueue()
            call.waiters.append(waiter)  # before looking, so that no change is missed
            try:
                if call.end_is_taken or (call.mark and call.ending is not None):
                    return True
                if not call.mark:
                    if self._iterator is not None and self._iterator() is None:
                        call.cancel(_LEFT)
                        continue
                    if self._reader.calling == get_ident():
                        raise _NestedReadError(
                            "result() was called by a callback of this stream, which has not ended."
                        )
                    if not self._is_read_by_another():
                        has_read = self._read_all(deadline)
                        if has_read is not None:
                            if not has_read:
                                return False
                            continue
                if deadline.remaining() == 0:
                    return False
                with contextlib.suppress(DeadlinePassed):
                    receiver(waiter, deadline.at_most(_LOOK_AGAIN))()
            finally:
                with contextlib.suppress(ValueError):
                    call.waiters.remove(waiter)

    def _read_all(self, deadline: Deadline) -> bool | None:
        """Read up to the end; return False at the deadline, None if another thread is reading."""
        me = get_ident()
        try:
            if self._turn.setdefault(0, me) != me:
                return None
            self._owner = (me, threading.current_thread())
            receive = receiver(self._call.inbox, deadline)
            while self._reader.advance(receive) is not None:
                pass
            return True
        except DeadlinePassed:
            return False
        finally:
            if self._turn.get(0) == me:
                self._turn.pop(0, None)
                self._call.notify()

    def _is_read_by_another(self) -> bool:
        """Whether a living thread other than this one has a living iterator."""
        ident, thread = self._owner
        has_iterator = self._iterator is not None and self._iterator() is not None
        if not has_iterator or ident == get_ident() or not thread.is_alive():
            return False
        # Of threads that Python did not start, it does not know when they end.
        return ident in sys._current_frames()

    def _in_use(self) -> LMStudioRuntimeError:
        return LMStudioRuntimeError(
            f"The thread {self._owner[1].name!r} is reading this stream: iterate over it once, and "
            "in one thread. Other threads may call result() or cancel()."
        )

    def _finish_reading(self) -> None:
        """Run the callbacks of the end, once."""
        me = object()
        try:
            if self._ended.setdefault(0, me) is me:
                self._reader.report_message()
        finally:
            self._run_done_callbacks()

    def _end_by_exception(self) -> None:
        """Stop the prediction, if it has not ended, and tell nobody of a message."""
        self._call.cancel(_RAISED)
        self._ended.setdefault(0, self)
        self._run_done_callbacks()

    def _run_done_callbacks(self) -> None:
        while self._done_callbacks:
            try:
                callback = self._done_callbacks.popleft()
            except IndexError:  # another thread took the last one
                break
            self._line.callbacks.run(callback, self)
