"""`AsyncFragmentIterator`: reads one stream for an ``async for`` loop."""

from __future__ import annotations

import asyncio
import weakref
from typing import TYPE_CHECKING, Any

from .._api.callbacks import not_the_end
from .._concurrency.deadline import DeadlinePassed
from .._prediction.prediction import LEFT
from .._values.results import ANSWER, LlmPredictionFragment, kind_of
from .inbox import LoopInbox

if TYPE_CHECKING:
    from .stream import AsyncPredictionStream

AT_ONCE = 100  # fragments after which other tasks have their turn, though more are there


class AsyncFragmentIterator:
    """Reads a stream, from its first step on; before that it owns nothing.

    Dropping it after that cancels the stream, so the stream holds it weakly.
    """

    __slots__ = ("__weakref__", "_inbox", "_is_running", "_number", "_stream", "_task")

    def __init__(self, stream: AsyncPredictionStream[Any]) -> None:
        """Prepare to read a stream, which makes this."""
        self._stream = stream
        self._inbox: LoopInbox | None = None  # None before the first step
        self._is_running = False
        self._number = 0
        # That of the last step which had to wait: a `wait_for_result()` in it reads the rest.
        self._task: weakref.ref[asyncio.Task[Any]] | None = None

    def __repr__(self) -> str:
        """Show what it reads."""
        return f"<iterator of {self._stream!r}>"

    def __aiter__(self) -> AsyncFragmentIterator:
        """Return itself."""
        return self

    async def __anext__(self) -> LlmPredictionFragment:
        """Return the next fragment; this is the path of a token.

        Raises:
            StopAsyncIteration: The prediction ended, or was cancelled.
            LMStudioRuntimeError: Another task is reading.
            LMStudioError: What ended the prediction.
        """
        stream, reader = self._stream, self._stream._reader
        if reader.is_at_end:
            reader.raise_error()
            raise StopAsyncIteration
        if (
            self._is_running
            or stream._is_read
            or (self._inbox is None and not stream._is_free_for(self))
        ):
            raise stream._in_use()
        self._is_running = True
        try:
            inbox = self._inbox or await self._begin()
            self._number += 1
            if self._number % AT_ONCE == 0:
                await asyncio.sleep(0)
            while True:
                try:
                    fragment = reader.advance(inbox.take)
                except DeadlinePassed:
                    self._note_task()
                    await inbox.wait()
                    continue
                if fragment is not None:
                    return fragment
                stream._finish_reading()
                break
        except (StopIteration, StopAsyncIteration) as error:  # of user code, such as a callback
            stream._end_by_exception()
            raise not_the_end(error) from error
        except Exception:  # of a callback, or the server's garbage
            stream._end_by_exception()
            raise
        except BaseException:  # the task is cancelled, mostly
            stream._call.cancel("interrupted")
            raise
        finally:
            self._is_running = False
        reader.raise_error()
        raise StopAsyncIteration

    async def _begin(self) -> LoopInbox:
        self._note_task()
        # Before it is sent: an iterator that is dropped while it starts is noticed as well.
        self._stream._call.cancel_when_dropped(self)
        await self._stream._begin()
        self._inbox = self._stream._inbox
        return self._inbox

    def _note_task(self) -> None:
        task = _current_task()
        if task is not None and (self._task is None or self._task() is not task):
            self._task = weakref.ref(task)

    def is_of_another(self) -> bool:
        """Whether another task is in a step of it, or goes on after one."""
        task = None if self._task is None else self._task()
        goes_on = task is not None and task is not _current_task() and not task.done()
        return self._is_running or goes_on

    async def aclose(self) -> None:
        """Stop the prediction, if this has begun to read it and it has not ended."""
        self.leave()

    def leave(self) -> None:
        """Do what `aclose` does, which waits for nothing."""
        if self._inbox is not None and not self._stream._call.end_is_taken:
            self._stream._call.cancel(LEFT)


class AsyncTextIterator:
    """Gives the texts of a stream, one fragment's at a time; it is left as its iterator is."""

    __slots__ = ("__weakref__", "_fragments", "_with_reasoning")

    def __init__(self, fragments: AsyncFragmentIterator, with_reasoning: bool) -> None:
        """Give the answer's texts, or all."""
        self._fragments = fragments
        self._with_reasoning = with_reasoning

    def __aiter__(self) -> AsyncTextIterator:
        """Return itself."""
        return self

    async def __anext__(self) -> str:
        """Return the next text; raises as the iterator of fragments does."""
        while True:
            fragment = await self._fragments.__anext__()
            is_wanted = self._with_reasoning or kind_of(fragment) == ANSWER
            if is_wanted and fragment.content:
                return fragment.content

    async def aclose(self) -> None:
        """Stop the prediction, if this has begun to read it and it has not ended."""
        self._fragments.leave()


def _current_task() -> asyncio.Task[Any] | None:
    try:
        return asyncio.current_task()
    except RuntimeError:  # no loop runs: a coroutine is collected
        return None
