"""Runs a stream in the background: its text, progress and end go to callbacks and a future."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from .._background.callback_queue import Dispatch, Outbox, check_callable
from .._background.thread import BackgroundCall, add, check_interval
from .._concurrency.cancel_token import attach
from .._concurrency.deadline import Deadline

if TYPE_CHECKING:
    from .._values.results import PredictionResult
    from .stream import PredictionStream

__all__ = ["deliver"]


def deliver(
    stream: PredictionStream,
    *,
    on_text: Callable[[str], Any] | None,
    on_progress: Callable[[float], Any] | None,
    on_done: Callable[[PredictionResult], Any] | None,
    on_error: Callable[[BaseException], Any] | None,
    dispatch: Dispatch | None,
    interval: float,
) -> BackgroundCall[PredictionResult]:
    """Let the background thread read a stream that nobody reads; see its `run_in_background`."""
    seconds = check_interval(interval)
    check_callable(on_progress=on_progress)
    outbox = Outbox(
        stream._line.callbacks,
        dispatch,
        stream.cancel,
        on_text=on_text,
        on_done=on_done,
        on_error=on_error,
    )
    future: BackgroundCall[PredictionResult] = BackgroundCall(stream.cancel)
    try:
        stream._hand_over(future, outbox, on_progress)
        attach(stream._call, outbox.closed)
        stream._begin()
        add(_StreamJob(stream, outbox, future, seconds))
    except BaseException:
        if stream._future is future:  # else somebody reads it, and goes on
            stream.cancel("interrupted")
        raise
    return future


class _StreamJob:
    """Holds the stream, so that it goes on though its user drops it."""

    def __init__(
        self,
        stream: PredictionStream,
        outbox: Outbox,
        future: BackgroundCall[PredictionResult],
        interval: float,
    ) -> None:
        self.call = stream._call
        self.interval = interval
        self._stream = stream
        self._outbox = outbox
        self._future = future

    def turn(self) -> bool:
        """Read what has arrived; at the end, tell the future and then the callbacks."""
        stream, outbox = self._stream, self._outbox
        result, error = None, None
        try:
            try:
                # No more than is there: other streams wait for their turn.
                most = max(self.call.inbox.qsize(), 1)
                if not stream._read_all(Deadline(0), outbox.text, most) or not self.call.ending:
                    return True
                stream._finish_reading()
                result = stream._reader.outcome()
            finally:
                outbox.send()
        except BaseException as caught:  # what cannot be read, or how the prediction ended
            error = caught
            stream._end_by_exception()
        error = outbox.failure or error
        try:
            self._future.finish(result, error)
        finally:
            outbox.end(result, error)
        return False
