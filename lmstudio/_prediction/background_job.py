"""Runs a stream in the background: its text, progress and end go to callbacks and a future."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from .._api.callbacks import check_callback
from .._background.callback_queue import CallbackQueue
from .._background.future import BackgroundCall
from .._background.thread import add, check_interval
from .._concurrency.callback_gate import Dispatch
from .._concurrency.cancel_token import attach

if TYPE_CHECKING:
    from .._values.results import PredictionResult
    from .stream import PredictionStream


def start(
    stream: PredictionStream,
    *,
    on_text: Callable[[str], Any] | None,
    on_reasoning: Callable[[str], Any] | None,
    on_answer: Callable[[str], Any] | None,
    on_progress: Callable[[float], Any] | None,
    on_done: Callable[[PredictionResult], Any] | None,
    on_error: Callable[[BaseException], Any] | None,
    dispatch: Dispatch | None,
    interval: float,
) -> BackgroundCall[PredictionResult]:
    """Let the background thread read a stream that nobody reads; see its `run_in_background`."""
    future: BackgroundCall[PredictionResult] | None = None
    try:
        seconds = check_interval(interval)
        check_callback("on_progress", on_progress, "progress")
        # What stops it is the call, not the stream: that would hold itself, until the garbage
        # collector comes, by way of its future and its callbacks.
        callbacks = CallbackQueue(
            stream._session.callback_gate,
            dispatch,
            stream._call.cancel,
            on_text=on_text,
            on_reasoning=on_reasoning,
            on_answer=on_answer,
            on_done=on_done,
            on_error=on_error,
        )
        future = BackgroundCall(stream._call.cancel)
        stream._hand_over(future, callbacks, on_progress)
        attach(stream._call, callbacks.closed)
        stream._begin()
        add(StreamJob(stream, callbacks, future, seconds))
    except BaseException as error:
        is_ours = future is not None and stream._future is future
        is_interrupt = not isinstance(error, Exception)
        reads = stream._reads.get(0)
        has_place = reads is not None and reads() is future
        # Else it was refused: somebody reads it, and goes on.
        if is_ours or (is_interrupt and (has_place or not stream._is_read_by_another())):
            stream.cancel("interrupted")
        if is_ours:  # perhaps no thread has it, which would tell of its end
            stream._end_by_exception()
        raise
    return future


class StreamJob:
    """Holds the stream, so that it goes on though its user drops it."""

    def __init__(
        self,
        stream: PredictionStream,
        callbacks: CallbackQueue,
        future: BackgroundCall[PredictionResult],
        interval: float,
    ) -> None:
        """Prepare to read a stream that was handed over."""
        self.call = stream._call
        self.interval = interval
        self._stream = stream
        self._callbacks = callbacks
        self._future = future
        self._has_read = False
        self._result: PredictionResult | None = None
        self._error: BaseException | None = None

    def poll(self) -> bool:
        """Read what has arrived; after the end, tell the future and then the callbacks.

        The end is told by a poll of its own, so that the last text is on its way to the window by
        then, or nobody waits for that way.
        """
        if not self._has_read:
            self._has_read = not self._read()
            if not self._has_read:
                return True
            if self.call.outcome is not None:  # else no news would bring the poll that follows
                self.interval = 0.0
                return True
        callbacks = self._callbacks
        error = callbacks.failure or self._error
        try:
            self._future._finish(self._result, error)
        finally:
            callbacks.end(self._result, error)
        return False

    def _read(self) -> bool:
        """Read what has arrived; return whether more may come."""
        stream, callbacks = self._stream, self._callbacks
        try:
            try:
                # After a cancel the reading ends at once, and the server's last word may be out.
                if not stream._read_arrived(callbacks.text) or self.call.outcome is None:
                    return True
                stream._finish_reading()
                self._result = stream._reader.outcome()
            finally:
                callbacks.bring_text()
        except BaseException as caught:  # what cannot be read, or how the prediction ended
            self._error = caught
            stream._end_by_exception()
        return False
