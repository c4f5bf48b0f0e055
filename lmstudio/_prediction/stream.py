"""`PredictionStream`: one prediction, iterated, waited for and cancelled from any thread."""

from __future__ import annotations

import contextlib
import math
import queue
import sys
import threading
from _thread import get_ident
from collections.abc import Callable, Generator, Iterator
from types import TracebackType
from typing import TYPE_CHECKING, Any

import lmstudio

from .._api.backports import Self
from .._api.checks import check_seconds
from .._api.public import public
from .._concurrency import fork
from .._concurrency.callback_gate import Dispatch
from .._concurrency.clock import monotonic
from .._concurrency.deadline import Deadline, DeadlinePassed, receiver
from .._concurrency.threads import check_may_wait
from .._connection.call import END
from .._values.model_info import LlmInstanceInfo
from .._values.results import (
    ANSWER,
    LlmPredictionFragment,
    LlmPredictionStats,
    PredictionResult,
    T_co,
    kind_of,
)
from ..errors import LMStudioRuntimeError, LMStudioTimeoutError
from .iterator import FragmentIterator
from .prediction import LEFT, Prediction
from .right_to_read import Place

if TYPE_CHECKING:
    from .._background.callback_queue import CallbackQueue

_LOOK_AGAIN = 1.0  # seconds after which a waiter checks that the reader it relies on lives


class PredictionStream(Prediction[T_co]):
    """A prediction that is received bit by bit.

    Iterate over it for its fragments, or call `result()` for the whole; it starts by itself.
    Leaving the loop, an exception in it, leaving ``with``, dropping the stream and Ctrl-C all
    stop the model. (Endpoint: channel ``llm/predict``.)

    Thread safety: one thread iterates at a time; everything else may be called from any thread.
    `cancel()` and `close()` may be called in signal handlers and finalisers too.
    """

    __slots__ = ("_future",)

    def __init__(self, *arguments: Any, **options: Any) -> None:
        """Prepare a prediction, as the base does; handles do, nobody else needs to."""
        super().__init__(*arguments, **options)
        # If it runs in the background.
        self._future: lmstudio.BackgroundCall[PredictionResult[T_co]] | None = None

    # -- control ------------------------------------------------------------------------------

    def start(self) -> None:
        """Send the request now, instead of at the first use.

        Raises:
            LMStudioRuntimeError: It was started before.
            LMStudioClientError: The client is closed.
        """
        if not self._begin():
            raise LMStudioRuntimeError("This prediction was started before. Make another stream.")

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

    @property
    def stats(self) -> LlmPredictionStats | None:
        """The statistics, once reading has ended in any way; None before.

        After a cancel, the thread that read waits for the server's last word as `result()` does;
        any other thread gets at once what is known, which is the stop reason at least. After an
        error they are those of its `partial`.
        """
        result = self._what_is_known()
        return None if result is None else result.stats

    @property
    def model_info(self) -> LlmInstanceInfo | None:
        """The model that answered, once reading has ended and if the server said; None before.

        It waits as `stats` does.
        """
        result = self._what_is_known()
        return None if result is None else result.model_info

    def _what_is_known(self) -> PredictionResult | None:
        """Return how it ended, or what an error has left, once reading has ended; None before."""
        fork.check_process(self._call.dispatcher.process, "stream")
        self._notice_if_left()
        if not self._call.claim:
            return None
        # Only waits, for the server's last word: callbacks belong to `result()` and the loop.
        if self._is_started and self._future is None and self._reader.right.was_read_here():
            self._wait(Deadline(None))
        return self._reader.outcome_so_far()

    # -- reading ------------------------------------------------------------------------------

    def __iter__(self) -> Iterator[LlmPredictionFragment]:
        """Return an iterator over the fragments, an object of its own.

        Its first step starts the prediction, and makes it the one that reads: when it is dropped
        after that, as by ``break``, the prediction is cancelled. Before that it is nothing to the
        stream.

        Raises:
            LMStudioRuntimeError: Another iterator, or a thread in `result()`, reads this stream.
        """
        fork.check_process(self._call.dispatcher.process, "stream")
        right, me = self._reader.right, get_ident()
        if not self._has_nothing_to_read():
            is_read = right.get(0, me) != me and not right.is_left_by_the_dead()
            if is_read or right.calling == me or self._is_iterated():
                raise self._in_use()
        if self._future is not None:
            raise self._in_use()
        return FragmentIterator(self)

    def texts(self, *, reasoning: bool = False) -> Generator[str, None, None]:
        """Return a generator of the answer's text as it comes, for what takes an iterator of texts.

        That is Streamlit's ``st.write_stream``, a response of Flask, a function of Gradio. Closing
        the generator and dropping it stop the model, as leaving a loop over the stream does; its
        first step starts the prediction.

        Args:
            reasoning: Whether all text comes, as the model wrote it: with its reasoning and the
                marks around that, as in `PredictionResult.content`.

        Raises:
            LMStudioRuntimeError: Another iterator, or a thread in `result()`, reads this stream.
            LMStudioError: In its steps, what ended the prediction.
        """
        return self._texts(iter(self), reasoning)

    def _texts(
        self, fragments: Iterator[LlmPredictionFragment], with_reasoning: bool
    ) -> Generator[str, None, None]:
        has_begun = False
        try:
            for fragment in fragments:
                has_begun = True
                is_wanted = with_reasoning or kind_of(fragment) == ANSWER
                if is_wanted and fragment.content:
                    yield fragment.content
        finally:
            if has_begun and not self._call.end_is_taken:
                self._call.cancel(LEFT)

    def result(self, timeout: float | None = None) -> PredictionResult[T_co]:
        """Return the result, waiting for it and starting the prediction if need be.

        While another thread iterates, this only waits; otherwise it reads the rest here, and
        calls the callbacks. (The thread that read last iterates, as long as it and the iterator
        live: where that was a thread of a pool, which may not come back, use `timeout`.) After a
        cancel it waits a little (the client's `cancel_grace`) for the server's last word, and
        returns what was received.

        Args:
            timeout: Seconds to wait here; the prediction goes on after that. None: no limit. A
                callback that is running then is awaited.

        Returns:
            The result. The first one that was returned stays the result.

        Raises:
            LMStudioTimeoutError: `timeout` passed, or a time limit of the prediction did.
            LMStudioError: Whatever ended the prediction; each call raises a new exception.
        """
        try:
            limit = check_seconds(timeout, "timeout")
            self._check_waiter()
            if not self._begin_and_wait(Deadline(limit)):
                raise LMStudioTimeoutError(
                    f"The prediction has not ended within {limit:g} s; it goes on."
                )
            if self._future is None:  # else the background thread runs the callbacks of the end
                self._finish_reading()
            return self._reader.outcome()
        except Exception:
            raise
        except BaseException:  # Ctrl-C, wherever it came
            self._call.cancel("interrupted")
            raise

    def run_in_background(
        self,
        *,
        on_text: Callable[[str], Any] | None = None,
        on_reasoning: Callable[[str], Any] | None = None,
        on_answer: Callable[[str], Any] | None = None,
        on_progress: Callable[[float], Any] | None = None,
        on_done: Callable[[PredictionResult[T_co]], Any] | None = None,
        on_error: Callable[[BaseException], Any] | None = None,
        dispatch: Dispatch | None = None,
        interval: float = 0.04,
    ) -> lmstudio.BackgroundCall[PredictionResult[T_co]]:
        """Start the prediction and have it read by the package's own thread, not by yours.

        One thread reads all such streams. Exactly one of `on_done` and `on_error` is called, once,
        after all else, however the prediction ends; nothing is called any more once the client or
        the window is closed. The callbacks that the stream was made with run in the same way. An
        exception in a callback stops the prediction, and is what `on_error` and the future get.

        Args:
            on_text: Called with the text that has arrived since the last time, as the model wrote
                it: with its reasoning, and the marks around that.
            on_reasoning: Called with the reasoning in that text.
            on_answer: Called with the rest of it, without reasoning and marks.
            on_progress: Called with the share of the prompt that is processed, from 0 to 1.
            on_done: Called with the result, also of a prediction that was cancelled.
            on_error: Called with what ended the prediction.
            dispatch: Has a function called in the thread where callbacks belong: `TkDispatcher`,
                `QtDispatcher`, ``wx.CallAfter``, ``loop.call_soon_threadsafe``. None: they run in
                the package's thread, and should be short, since this stream waits for them.
            interval: Seconds between two texts, at least. Text comes sooner only at the end, or
                just before another callback is due (except `on_prediction_fragment`).

        Returns:
            A `concurrent.futures.Future` of the result; it is done just before the last callback.

        Raises:
            LMStudioRuntimeError: Somebody reads the stream already.
            LMStudioClientError: The client is closed.
            LMStudioValueError: An argument cannot be used.
        """
        from .background_job import start  # here: programs that only iterate need not load it

        return start(
            self,
            on_text=on_text,
            on_reasoning=on_reasoning,
            on_answer=on_answer,
            on_progress=on_progress,
            on_done=on_done,
            on_error=on_error,
            dispatch=dispatch,
            interval=interval,
        )

    def wait_for_result(self, timeout: float | None = None) -> PredictionResult[T_co]:
        """Do the same as `result()`."""
        return self.result(timeout)

    # -- starting and waiting -----------------------------------------------------------------

    def _begin(self) -> bool:
        """Start it; return False if that was done before."""
        fork.check_process(self._call.dispatcher.process, "stream")
        me, call = object(), self._call
        try:
            if not self._is_started.set(me):
                return False  # another thread starts it, or has; its failure is stored as the end
            # Before it is sent: a stream that is dropped while it is started is noticed as well.
            call.cancel_when_dropped(self)
            self._session.start(call, self._events, self._since)
        except BaseException as error:
            if self._is_started.value is me:  # Ctrl-C may come before the claim, too
                self._give_up(error)
            raise
        finally:
            if call.outcome is not None:  # it ended before it was sent
                call.owners.clear()
        return True

    def _check_waiter(self) -> None:
        """Raise where waiting would never end."""
        if self._call.outcome is None:
            check_may_wait()
        if self._future is not None:
            self._future._check_waiter()
        if self._reader.right.get(0) == get_ident() and not self._call.claim:
            raise LMStudioRuntimeError(
                "result() was called by a callback of this stream, which has not ended, or by a "
                "finaliser or signal handler in the middle of its reading. Call it after the loop, "
                "or use on_message."
            )

    def _begin_and_wait(self, deadline: Deadline) -> bool:
        try:
            self._begin()
            return self._wait(deadline)
        except Exception:  # of a callback, or how the prediction ended
            self._end_by_exception()
            raise

    def _wait(self, deadline: Deadline) -> bool:
        """Wait for the outcome, reading here if nobody else does; return False at the deadline."""
        call = self._call
        while True:
            waiter: queue.SimpleQueue[None] = queue.SimpleQueue()
            # Before looking: the I/O thread stores the outcome and a reader claims the end first,
            # and both notify second. So whatever changes after the look wakes this thread.
            call.waiters.append(waiter)
            try:
                if call.end_is_taken or (call.claim and call.outcome is not None):
                    return True
                # Once cancelled, there is nothing to read: only the server's last word to come.
                has_moved = None if call.claim else self._read_if_free(deadline)
                if has_moved:
                    continue
                if has_moved is False or deadline.remaining() == 0:
                    return False
                with contextlib.suppress(DeadlinePassed):
                    receiver(waiter, deadline.at_most(_LOOK_AGAIN))()
            finally:
                with contextlib.suppress(ValueError):
                    call.waiters.remove(waiter)

    def _read_if_free(self, deadline: Deadline) -> bool | None:
        """Read to the end, if nobody else does.

        Returns:
            True if the state has changed; False at the deadline; None if another thread reads.
        """
        if self._notice_if_left():
            return True
        return None if self._is_read_by_another() else self._read_all(deadline)

    def _may_read(self, me: int) -> bool:
        """Whether a thread may read, though another one has the right."""
        right = self._reader.right
        return self._has_nothing_to_read() or (right.calling != me and right.take(me))

    def _is_free_for(self, place: Place) -> bool:
        """Let what `place` refers to read for good; return False if something else does."""
        # This very thread reads already: a callback, a finaliser or a signal handler came between.
        if self._reader.right.get(0) == get_ident() and not self._has_nothing_to_read():
            return False
        if self._reads.setdefault(0, place) is place:
            return True
        # Nobody else has it, if the loop was left, or is at its end: there is nothing to read.
        return self._future is None and (self._notice_if_left() or self._has_nothing_to_read())

    def _give_back_place(self, place: Place) -> None:
        """Undo what `_is_free_for` did, since a thread in `result()` reads."""
        if self._reads.get(0) is place:
            self._reads.pop(0, None)

    def _begin_reading(self, iterator: FragmentIterator) -> Callable[[], Any]:
        """Start it, if need be, for an iterator's first step; return what takes an item."""
        self._reader.right.note_reader(get_ident())
        # Before it is sent: an iterator that is dropped while it starts is noticed as well.
        self._call.cancel_when_dropped(iterator)
        self._begin()
        iterator._receive = receiver(self._call.inbox, None)
        return iterator._receive

    def _read_all(self, deadline: Deadline) -> bool | None:
        """Read up to the end.

        Returns:
            True at the end; False at the deadline; None if another thread is reading.
        """
        with self._reader.right.held() as is_mine:
            if not is_mine or self._future is not None:
                return None  # it was taken, or handed over, after this thread had looked
            is_at_end = self._read(deadline)
        self._call.notify()  # whoever waits for the right may read on
        return is_at_end

    def _read_arrived(self, take: Callable[[str, str | None], object]) -> bool:
        """Background thread: give the text that has arrived to `take`; return whether it ended."""
        with self._reader.right.held() as is_mine:
            # No more than is there: other streams wait for their turn.
            count = max(self._call.inbox.qsize(), 1)
            # After a cancel nothing is taken, and Ctrl-C may have left the right to a thread.
            may_read = is_mine or self._has_nothing_to_read()
            return may_read and self._read(Deadline(0), take, count)

    def _read(
        self,
        deadline: Deadline,
        take: Callable[[str, str | None], object] | None = None,
        most: int = sys.maxsize,
    ) -> bool:
        """Read to the end, the deadline, or the number of fragments; return whether it ended."""
        self._reader.right.note_reader(get_ident())
        if take is None and deadline.at != math.inf:
            receive = self._receiver_within(deadline)
        else:
            receive = receiver(self._call.inbox, deadline)
        try:
            for _ in range(most):
                fragment = self._reader.advance(receive)
                if fragment is None:
                    return True
                if take is not None:
                    take(fragment.content, kind_of(fragment))
        except DeadlinePassed:
            pass
        return False

    def _receiver_within(self, deadline: Deadline) -> Callable[[], Any]:
        """Return what takes an item, but none after a deadline, though callbacks are slow."""
        call, last = self._call, self._end_of_reading(deadline)
        receive = receiver(call.inbox, deadline)

        def receive_in_time() -> Any:
            if monotonic() >= last:
                raise DeadlinePassed
            try:
                return receive()
            except DeadlinePassed:
                if call.outcome is None:
                    raise
                # Stored after all that came was put, and before END is.
                with contextlib.suppress(queue.Empty):
                    return call.inbox.get_nowait()
                return END

        return receive_in_time

    def _hand_over(
        self,
        future: lmstudio.BackgroundCall[PredictionResult[T_co]],
        callbacks: CallbackQueue,
        on_progress: Callable[[float], Any] | None,
    ) -> None:
        """Leave the reading to the background thread, and all callbacks to its queue.

        Raises:
            LMStudioRuntimeError: Somebody reads it already.
            LMStudioValueError: There is a callback for the progress already.
        """
        place = Place(future)
        if not self._is_free_for(place):
            raise self._in_use()
        try:
            # With the right held: no other thread can start to read before the future is noted.
            with self._reader.right.held() as is_mine:
                if not (is_mine or self._has_nothing_to_read()):
                    raise self._in_use()
                self._reader.hand_over(callbacks, on_progress, callbacks.beside_text)
                self._future = future
        finally:
            if self._future is not future:
                self._give_back_place(place)

    def _is_read_by_another(self) -> bool:
        """Whether a living thread other than this one has a living iterator, or will read it."""
        if self._future is not None:
            return True
        ident, thread = self._reader.right.last
        reads = self._reads.get(0)
        if reads is None or reads() is None or ident == get_ident() or not thread.is_alive():
            return False
        # Of threads that Python did not start, it does not know when they end. Only these are asked
        # for: before 3.11.9 that may freeze the process, if garbage is collected meanwhile.
        is_foreign = isinstance(thread, threading._DummyThread)
        return not is_foreign or ident in sys._current_frames()

    def _in_use(self) -> LMStudioRuntimeError:
        name = "lmstudio-background" if self._future else self._reader.right.name_of_reader()
        return LMStudioRuntimeError(
            f"The thread {name!r} is reading this stream: iterate over it once, and "
            "in one thread. Other threads may call result() or cancel()."
        )


public(PredictionStream)
