"""`PredictionStream`: one prediction, iterated, waited for and cancelled from any thread."""

from __future__ import annotations

import threading
from _thread import get_ident
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import TYPE_CHECKING, Any

from .._concurrency.deadline import Deadline, check_seconds
from .._connection.call import Leash
from .._values.model_info import LlmInstanceInfo
from .._values.results import LlmPredictionFragment, LlmPredictionStats, PredictionResult
from ..errors import LMStudioError, LMStudioRuntimeError, LMStudioTimeoutError
from .iterator import FragmentIterator
from .stream_reading import LEFT, NestedReadError, StreamReading

if TYPE_CHECKING:
    from typing_extensions import Self

    from .._background.callback_queue import Dispatch
    from .._background.thread import BackgroundCall

__all__ = ["PredictionStream"]


class PredictionStream(StreamReading):
    """A prediction that is received bit by bit.

    Iterate over it for its fragments, or call `result()` for the whole; it starts by itself.
    Leaving the loop, an exception in it, leaving ``with``, dropping the stream and Ctrl-C all
    stop the model. (Endpoint: channel ``llm/predict``.)

    Thread safety: one thread iterates at a time; everything else may be called from any thread.
    `cancel()` and `close()` may be called in signal handlers and finalisers too.
    """

    # -- control ------------------------------------------------------------------------------

    def __repr__(self) -> str:
        """Say how far it is."""
        return f"<PredictionStream: {self._state()}>"

    def _repr_markdown_(self) -> str:
        """Show what was read so far in a notebook, without starting or reading anything."""
        return self._reader.markdown("" if self._state() == "ended" else self._state())

    def _state(self) -> str:
        state = "not started" if not self._started else "running" if not self.done() else "ended"
        return f"{state}{', cancelled' if self._call.is_cancelled else ''}"

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
            if self._future is not None:
                raise self._in_use()
            if self._iterator is not None and not self._reader.is_at_end:
                if self._iterator() is not None:
                    raise self._in_use()
                self._call.cancel(LEFT)
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
        if self._future is not None:
            self._future.check_waiter()
        try:
            self._begin()
            is_over = self._wait(Deadline(limit))
        except NestedReadError:
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
        if self._future is None:  # else the background thread runs the callbacks of the end
            self._finish_reading()
        return self._reader.outcome()

    def run_in_background(
        self,
        *,
        on_text: Callable[[str], Any] | None = None,
        on_progress: Callable[[float], Any] | None = None,
        on_done: Callable[[PredictionResult], Any] | None = None,
        on_error: Callable[[BaseException], Any] | None = None,
        dispatch: Dispatch | None = None,
        interval: float = 0.04,
    ) -> BackgroundCall[PredictionResult]:
        """Start the prediction and have it read by the package's own thread, not by yours.

        One thread reads all such streams. Exactly one of `on_done` and `on_error` is called, once,
        after all else, however the prediction ends; nothing is called any more once the client or
        the window is closed. The callbacks that the stream was made with run in the same way. An
        exception in a callback stops the prediction, and is what `on_error` and the future get.

        Args:
            on_text: Called with the text that has arrived since the last time.
            on_progress: Called with the share of the prompt that is processed, from 0 to 1.
            on_done: Called with the result, also of a prediction that was cancelled.
            on_error: Called with what ended the prediction.
            dispatch: Has a function called in the thread where callbacks belong: `TkDispatcher`,
                `QtDispatcher`, ``wx.CallAfter``, ``loop.call_soon_threadsafe``. None: they run in
                the package's thread, and should be short, since other streams wait for them.
            interval: Seconds between two calls of `on_text`, at least.

        Returns:
            A `concurrent.futures.Future` of the result; it is done just before the last callback.

        Raises:
            LMStudioRuntimeError: Somebody reads the stream already.
            LMStudioClientError: The client is closed.
            LMStudioValueError: An argument cannot be used.
        """
        from .background_job import deliver  # here: programs that only iterate need not load it

        return deliver(
            self,
            on_text=on_text,
            on_progress=on_progress,
            on_done=on_done,
            on_error=on_error,
            dispatch=dispatch,
            interval=interval,
        )

    def wait_for_result(self, timeout: float | None = None) -> PredictionResult:
        """Do the same as `result()`."""
        return self.result(timeout)
