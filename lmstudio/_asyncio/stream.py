"""`AsyncPredictionStream`: one prediction, iterated and waited for by tasks of an event loop."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Generator
from types import TracebackType
from typing import Any, NoReturn, cast

from .._api.backports import Self
from .._api.checks import check_seconds
from .._api.public import public
from .._concurrency import fork
from .._concurrency.clock import monotonic
from .._concurrency.deadline import Deadline, DeadlinePassed
from .._connection.call import END
from .._prediction.prediction import Prediction
from .._prediction.right_to_read import Place
from .._values.model_info import LlmInstanceInfo
from .._values.results import LlmPredictionFragment, LlmPredictionStats, PredictionResult, T_co
from ..errors import LMStudioRuntimeError, LMStudioTimeoutError
from .inbox import LoopInbox, running_loop
from .iterator import AT_ONCE, AsyncFragmentIterator, AsyncTextIterator
from .session import AsyncSession

_LOOK_AGAIN = 1.0  # seconds after which a waiter looks again whether the loop was left


class CancelAnswer:
    """What `AsyncPredictionStream.cancel()` returns: it is true for the caller that stopped it.

    It may be awaited, which waits for nothing; nobody has to.
    """

    __slots__ = ("_is_first",)

    def __init__(self, is_first: bool) -> None:
        """Hold the answer."""
        self._is_first = is_first

    def __bool__(self) -> bool:
        """Return whether this caller stopped the prediction."""
        return self._is_first

    def __repr__(self) -> str:
        """Show the answer."""
        return f"<CancelAnswer: {self._is_first}>"

    def __await__(self) -> Generator[None, None, bool]:
        """Return the answer, without waiting."""
        yield from ()
        return self._is_first


class AsyncPredictionStream(Prediction[T_co]):
    """A prediction that is received bit by bit, in tasks of an event loop.

    Iterate over it with ``async for`` for its fragments, or await `wait_for_result()` for the
    whole; it starts by itself. Leaving the loop, an exception in it, a task that is cancelled,
    leaving ``async with`` and dropping the stream all stop the model.
    (Endpoint: channel ``llm/predict``.)

    Thread safety: the tasks of one event loop; `cancel`, `cancelled` and `done` may be called from
    any thread, signal handler or finaliser.
    """

    __slots__ = ("_inbox", "_is_read")

    def __init__(self, *arguments: Any, **options: Any) -> None:
        """Prepare a prediction; handles do, nobody else needs to."""
        super().__init__(*arguments, **options)
        self._is_read = False  # by a task in `wait_for_result()`
        self._inbox = LoopInbox(running_loop())
        self._call.inbox = cast(Any, self._inbox)  # of which others only `put`

    # -- control ------------------------------------------------------------------------------

    async def start(self) -> None:
        """Send the request now, instead of at the first use.

        Raises:
            LMStudioRuntimeError: It was started before.
            LMStudioClientError: The client is closed.
        """
        if not await self._begin():
            raise LMStudioRuntimeError("This prediction was started before. Make another stream.")

    def cancel(self, reason: Any = None) -> CancelAnswer:
        """Stop the prediction; it ends normally and keeps what was received.

        It acts when it is called, in every phase, and never blocks. It need not be awaited.

        Args:
            reason: Anything; it is found as `PredictionResult.cancel_reason`.

        Returns:
            What is true for the caller that stopped it; it may be awaited, which waits for nothing.
        """
        return CancelAnswer(self._call.cancel(reason))

    async def aclose(self) -> None:
        """Stop the prediction if it has not ended."""
        if not self._call.end_is_taken:
            self._call.cancel("stream closed")

    async def __aenter__(self) -> Self:
        """Start it, if that was not done."""
        await self._begin()
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Stop the prediction if it has not ended."""
        await self.aclose()

    def __enter__(self) -> NoReturn:
        """Say what to write instead."""
        raise TypeError("Write 'async with' for an AsyncPredictionStream.")

    def __exit__(self, *_: object) -> None:
        """Never come here."""

    def __iter__(self) -> NoReturn:
        """Say what to write instead."""
        raise TypeError("Write 'async for' for an AsyncPredictionStream.")

    @property
    def stats(self) -> LlmPredictionStats | None:
        """The statistics, once reading has ended in any way; None before. It never waits."""
        result = self._what_is_known()
        return None if result is None else result.stats

    @property
    def model_info(self) -> LlmInstanceInfo | None:
        """The model that answered, once reading has ended and if the server said; None before."""
        result = self._what_is_known()
        return None if result is None else result.model_info

    def _what_is_known(self) -> PredictionResult | None:
        fork.check_process(self._call.dispatcher.process, "stream")
        self._notice_if_left()
        return self._reader.outcome_so_far() if self._call.claim else None

    # -- reading ------------------------------------------------------------------------------

    def __aiter__(self) -> AsyncIterator[LlmPredictionFragment]:
        """Return an iterator over the fragments, an object of its own.

        Its first step starts the prediction, and makes it the one that reads: when it is dropped
        after that, as by ``break``, or closed by ``aclose()``, the prediction is cancelled.

        Raises:
            LMStudioRuntimeError: Another task reads this stream.
        """
        fork.check_process(self._call.dispatcher.process, "stream")
        if not self._has_nothing_to_read() and (self._is_read or self._is_iterated()):
            raise self._in_use()
        return AsyncFragmentIterator(self)

    def texts(self, *, reasoning: bool = False) -> AsyncIterator[str]:
        """Return an iterator over the answer's text as it comes, for what takes texts.

        That is a StreamingResponse of Starlette and FastAPI, ``st.write_stream`` of Streamlit, a
        function of Gradio. Its `aclose()` and dropping it stop the model, as leaving a loop over
        the stream does; its first step starts the prediction.

        Args:
            reasoning: Whether all text comes, as the model wrote it: with its reasoning and the
                marks around that, as in `PredictionResult.content`.

        Raises:
            LMStudioRuntimeError: Another task reads this stream.
            LMStudioError: In its steps, what ended the prediction.
        """
        self.__aiter__()  # which checks that it is free
        return AsyncTextIterator(AsyncFragmentIterator(self), reasoning)

    def result(self) -> PredictionResult[T_co]:
        """Return the result of a prediction that has ended. It never waits.

        What has arrived and was not read is read here. After a cancel it is what is known, and the
        callbacks of the end are left to `wait_for_result()`.

        Raises:
            LMStudioRuntimeError: It has not ended, or another task reads it; `wait_for_result()`
                waits.
            LMStudioError: What ended the prediction; each call raises a new exception.
        """
        self._notice_if_left()
        if not self._call.claim and self.done() and not self._is_read_by_another():
            self._read_the_rest()
        if not self._call.claim:
            raise LMStudioRuntimeError(
                "The prediction has not ended: iterate over it, or await wait_for_result()."
            )
        if self._call.is_cancelled and self._call.outcome is None:
            known = self._reader.outcome_so_far()
            if known is not None:
                return known
        return self._reader.outcome()

    def _read_the_rest(self) -> None:
        """Read what has ended to its end, and run the callbacks of that."""
        self._check_loop()
        self._is_read = True
        try:
            while self._reader.advance(self._take_or_end) is not None:
                pass
        except Exception:  # of a callback, or the server's garbage
            self._end_by_exception()
            raise
        finally:
            self._is_read = False
            self._call.notify()
        if self._reader.is_at_end:
            self._finish_reading()

    async def wait_for_result(self, timeout: float | None = None) -> PredictionResult[T_co]:
        """Return the result, waiting for it and starting the prediction if need be.

        While another task iterates, this only waits; otherwise, also in the task that iterates, it
        reads the rest here, and calls the callbacks. After a cancel it waits a little (the client's
        `cancel_grace`) for the server's last word, and returns what was received. A task that is
        cancelled here stops the prediction, unless another one reads it.

        Args:
            timeout: Seconds to wait here; the prediction goes on after that. None: no limit.

        Returns:
            The result. The first one that was returned stays the result.

        Raises:
            LMStudioTimeoutError: `timeout` passed, or a time limit of the prediction did.
            LMStudioError: Whatever ended the prediction; each call raises a new exception.
        """
        limit = check_seconds(timeout, "timeout")
        self._check_loop()  # outside: who is refused does not cancel it
        try:
            await self._begin()
            is_over = await self._wait(Deadline(limit))
        except Exception:  # of a callback, or how the prediction ended
            self._end_by_exception()
            raise
        except BaseException:
            if not self._is_read_by_another():
                self._call.cancel("interrupted")
            raise
        if not is_over:
            raise LMStudioTimeoutError(
                f"The prediction has not ended within {limit:g} s; it goes on."
            )
        self._finish_reading()
        return self._reader.outcome()

    # -- starting and waiting -----------------------------------------------------------------

    async def _begin(self) -> bool:
        """Start it; return False if that was done before."""
        self._check_loop()
        call, me = self._call, object()
        fork.check_process(call.dispatcher.process, "stream")
        if not self._is_started.set(me):
            return False
        try:
            # Before it is sent: a stream that is dropped while it is started is noticed as well.
            call.cancel_when_dropped(self)
            session = cast(AsyncSession, self._session)
            await session.async_start(call, self._events, self._since, has_inbox=True)
        except BaseException as error:
            self._give_up(error)
            raise
        finally:
            if call.outcome is not None:  # it ended before it was sent
                call.owners.clear()
        return True

    def _check_loop(self) -> None:
        """Check that it is read in the loop in which it was made, unless it has been read.

        Raises:
            LMStudioRuntimeError: Another one runs here.
        """
        if not self._reader.is_at_end:
            self._inbox.check_loop()

    async def _wait(self, deadline: Deadline) -> bool:
        """Wait for the outcome, reading here if nobody else does; return False at the deadline."""
        call = self._call
        while True:
            waiter = LoopInbox(asyncio.get_running_loop())
            call.waiters.append(waiter)  # type: ignore[arg-type]  # before looking
            try:
                if call.end_is_taken or (call.claim and call.outcome is not None):
                    return True
                # Once cancelled, there is only the server's last word to come.
                if not call.claim and self._notice_if_left():
                    continue
                if not call.claim and not self._is_read_by_another():
                    if not await self._read_all(deadline):
                        return False
                    continue
                if deadline.remaining() == 0:
                    return False
                await waiter.wait(deadline.at_most(_LOOK_AGAIN))
            finally:
                with contextlib.suppress(ValueError):
                    call.waiters.remove(waiter)  # type: ignore[arg-type]

    def _is_read_by_another(self) -> bool:
        """Whether another task reads it now, or goes on and has an iterator that will."""
        reads = self._reads.get(0)
        iterator = None if reads is None else reads()
        return self._is_read or (
            isinstance(iterator, AsyncFragmentIterator) and iterator.is_of_another()
        )

    async def _read_all(self, deadline: Deadline) -> bool:
        """Read to the end; return False at the deadline."""
        self._is_read = True
        try:
            last = self._end_of_reading(deadline)
            for number in range(1, 1 << 62):
                if monotonic() >= last:
                    return False
                while True:
                    try:
                        fragment = self._reader.advance(self._inbox.take)
                        break
                    except DeadlinePassed:
                        if self._call.outcome is not None:
                            fragment = self._reader.advance(self._take_or_end)
                            break
                        if not await self._inbox.wait(deadline):
                            return False
                if fragment is None:
                    return True
                if number % AT_ONCE == 0:
                    await asyncio.sleep(0)
            return False
        finally:
            self._is_read = False
            self._call.notify()

    def _take_or_end(self) -> Any:
        """Return the next item of what has ended.

        Its outcome is stored after all that came was put, and before END is.
        """
        try:
            return self._inbox.take()
        except DeadlinePassed:
            return END

    def _is_free_for(self, iterator: AsyncFragmentIterator) -> bool:
        """Let an iterator be what reads for good; return False if something else does.

        Raises:
            LMStudioRuntimeError: This is another loop.
        """
        self._inbox.check_loop()
        if self._is_read and not self._has_nothing_to_read():
            return False
        reads = self._reads.setdefault(0, Place(iterator))
        if reads() is iterator:
            return True
        return self._notice_if_left() or self._has_nothing_to_read()

    def _in_use(self) -> LMStudioRuntimeError:
        return LMStudioRuntimeError(
            "Another task is reading this stream: iterate over it once. Other tasks may await "
            "wait_for_result(), or call cancel()."
        )


public(AsyncPredictionStream, CancelAnswer)
