"""Who reads a stream, and how everybody else waits for its end."""

from __future__ import annotations

import contextlib
import queue
import sys
import threading
from _thread import get_ident
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from .._concurrency import fork as _process
from .._concurrency.cancel_token import CancelEvent
from .._concurrency.deadline import Deadline, DeadlinePassed, receiver
from .._connection.call import (
    END,
    Call,
    Ending,
    Leash,
)
from .._connection.session import Line
from .._values.results import PredictionResult
from ..errors import LMStudioError, LMStudioRuntimeError
from .reader import PredictionCallbacks, Reader

if TYPE_CHECKING:
    from .._background.callback_queue import Outbox
    from .._background.thread import BackgroundCall

__all__ = ["LEFT", "NestedReadError", "StreamReading"]

LEFT = "the loop over the stream was left"
_RAISED = "a callback raised an exception"
_LOOK_AGAIN = 1.0  # seconds after which a waiter checks that the reader it relies on lives


class NestedReadError(LMStudioRuntimeError):
    """A callback of a stream waits for the end of that stream."""


class StreamReading:
    """The part of `PredictionStream` that starts it, reads it and waits for it.

    Thread safety: one thread reads at a time, which `_turn` sees to; the others wait.
    """

    __slots__ = (
        "__weakref__",
        "_call",
        "_cancel_event",
        "_done_callbacks",
        "_ended",
        "_future",
        "_iterator",
        "_line",
        "_owner",
        "_reader",
        "_since",
        "_started",
        "_turn",
    )

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
        self._future: BackgroundCall[PredictionResult] | None = None  # if it runs in the background
        self._done_callbacks: deque[Callable[[Any], Any]] = deque()
        self._started: dict[int, object] = {}  # set once, by setdefault
        self._ended: dict[int, object] = {}  # likewise: the callbacks of the end have run

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
                        call.cancel(LEFT)
                        continue
                    if self._reader.calling == get_ident():
                        raise NestedReadError(
                            "result() was called by a callback of this stream, which has not "
                            "ended. Call it after the loop, or use on_message."
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

    def _hand_over(
        self,
        future: BackgroundCall[PredictionResult],
        outbox: Outbox,
        on_progress: Callable[[float], Any] | None,
    ) -> None:
        """Leave the reading to the background thread.

        Raises:
            LMStudioRuntimeError: Somebody reads it already.
        """
        me = get_ident()
        try:
            is_mine = self._turn.setdefault(0, me) == me and self._reader.calling != me
            has_iterator = self._iterator is not None and self._iterator() is not None
            is_iterated = has_iterator and not self._reader.is_at_end
            if not is_mine or is_iterated or self._future is not None:
                me = me if is_mine else 0
                raise self._in_use()
            self._reader.hand_over(outbox, on_progress)
            self._future = future
        finally:
            if self._turn.get(0) == me:
                self._turn.pop(0, None)

    def _read_all(
        self,
        deadline: Deadline,
        take: Callable[[str], object] | None = None,
        most: int | None = None,
    ) -> bool | None:
        """Read up to the end; the background thread gives each fragment's text to `take`.

        Returns:
            True at the end; False at the deadline, or after `most` fragments; None if another
            thread is reading.
        """
        me = get_ident()
        try:
            if self._turn.setdefault(0, me) != me:
                return None
            if self._future is not None and take is None:
                return None  # it was handed over after this thread had looked
            self._owner = (me, threading.current_thread())
            receive = receiver(self._call.inbox, deadline)
            while most is None or most > 0:
                fragment = self._reader.advance(receive)
                if fragment is None:
                    return True
                if take is not None:
                    take(fragment.content)
                if most is not None:
                    most -= 1
            return False
        except DeadlinePassed:
            return False
        finally:
            if self._turn.get(0) == me:
                self._turn.pop(0, None)
                self._call.notify()

    def _is_read_by_another(self) -> bool:
        """Whether a living thread other than this one has a living iterator, or will read it."""
        if self._future is not None:
            return True
        ident, thread = self._owner
        has_iterator = self._iterator is not None and self._iterator() is not None
        if not has_iterator or ident == get_ident() or not thread.is_alive():
            return False
        # Of threads that Python did not start, it does not know when they end.
        return ident in sys._current_frames()

    def _in_use(self) -> LMStudioRuntimeError:
        name = self._owner[1].name if self._future is None else "lmstudio-background"
        return LMStudioRuntimeError(
            f"The thread {name!r} is reading this stream: iterate over it once, and "
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
            self._reader.gate.run(callback, self)
