# Made by tests/api/make_asyncio.py out of _batch/batch.py.
"""`AsyncBatch`: many inputs, a few at a time, read lazily; what fails is a value like any other."""

from __future__ import annotations

import asyncio
import functools
import weakref
from _thread import get_ident
from collections import deque
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable, Iterator, Sized
from typing import Any, Generic, NoReturn, TypeAlias, TypeVar, cast

from .._api.backports import Self
from .._api.callbacks import not_the_end
from .._api.checks import check_count, check_flag
from .._api.public import public
from .._api.shown import shown
from .._background.future import BackgroundCall
from .._background.thread import check_other_thread
from .._batch.progress import Progress, show_progress
from .._concurrency import fork
from .._concurrency.cancel_token import check_events
from .._concurrency.deadline import Deadline, DeadlinePassed
from .._concurrency.threads import check_may_wait
from .._connection.call import Call
from .._connection.limits import CallLimits
from .._connection.request import Request
from .._connection.scope import CancelScope
from ..errors import LMStudioError, LMStudioRuntimeError, LMStudioValueError
from .events import close_scope, open_scope_at_once
from .inbox import LoopInbox, receiver
from .session import AsyncSession

R = TypeVar("R")

# Starts one input under a scope that may cancel it.
Start: TypeAlias = Callable[[Any, CancelScope], tuple[Call, BackgroundCall[R]]]

_PLACES = 4  # where the server does not say how many the model has
_ASK_PLACES = 5.0  # seconds in which it may say so
_AHEAD = 4  # times `max_parallel`: how many may be started and not yet given
_LEFT = "the loop over the batch was left"
_INTERRUPTED = "the batch was left by an exception"
_LOOK_AGAIN = 1.0  # seconds after which a batch looks for what has ended, even if nothing told it


class AsyncBatch(Generic[R]):
    """An iterator over the outcomes of many inputs: pairs of an index and a result or error.

    The index is the place of the input, from 0. Results come as they finish, or in order. An input
    (they may come by ``async for``, too) is read when one of the `max_parallel` places is free, so
    memory stays bounded; that happens
    while you ask for the next outcome, in your task, so an input that is long in coming holds up
    outcomes and stops as well. An `LMStudioError` of one input is its outcome, and the others go
    on. If the inputs themselves raise, what is under way is given first.

    After a cancel (of an event, by `cancel()`, `AsyncClient.cancel_all()` or Ctrl-C, which is
    raised as
    ever) nothing more is started. Leaving a ``for`` loop over it, as by ``break``, is one too, and
    so is dropping it. Iterate again for what had finished, and for what the others have so far:
    results with `cancelled` set, or `LMStudioCancelledError`. Each outcome is given once, also if
    Ctrl-C came in the middle of giving it.

    Thread safety: one thread iterates; `cancel` and `cancelled` may be called anywhere, also in
    signal handlers.
    """

    def __init__(
        self,
        session: AsyncSession,
        start: Start[R],
        inputs: Iterable[Any] | AsyncIterable[Any],
        *,
        max_parallel: int | None,
        ask_places: Request[int | None] | None = None,
        ordered: bool,
        limits: CallLimits,
        progress: Progress,
    ) -> None:
        """Prepare a batch; `respond_many()` and its kin do.

        Without `max_parallel` the first step asks for it, by `ask_places`. Of the `limits` only the
        events are for the batch, the time limits for each input: they are only checked here, so
        that a wrong one is told once.

        Raises:
            LMStudioValueError: An argument cannot be used.
            LMStudioClientError: The client is closed.
            LMStudioRuntimeError: `cancel_event` cannot be watched.
        """
        max_parallel = check_count(max_parallel, "max_parallel")
        if isinstance(inputs, (str, bytes, dict)) or not isinstance(
            inputs, (Iterable, AsyncIterable)
        ):
            raise LMStudioValueError(
                f"The inputs must be a list or another iterable; {shown(inputs)} was given."
            )
        ordered = check_flag(ordered, "ordered")
        events = check_events(limits.get("cancel_event"))
        session.check_limits(limits)
        session.check_open()
        self._session = session
        self._process = fork.current
        self._start = start
        try:
            self._inputs: Iterator[Any] | AsyncIterator[Any] | None = (
                aiter(inputs) if isinstance(inputs, AsyncIterable) else iter(inputs)
            )
            total = len(inputs) if isinstance(inputs, Sized) else None
        except StopIteration as error:  # of user code
            raise not_the_end(error) from error
        self._total = total
        self._input_error: Exception | None = None
        self._max_parallel = max_parallel or (0 if ask_places else _PLACES)  # 0: to be asked for
        self._ask_places = ask_places
        self._ordered = ordered
        self._count = 0  # of inputs that were read
        self._outcomes: dict[int, BackgroundCall[R] | LMStudioError] = {}  # by index, until given
        self._ended: deque[int] = deque()  # news: the indices of those that have ended
        self._ready: dict[int, None] = {}  # those of whose end this thread knows, in that order
        self._given: int | None = None  # whose outcome was given last; it is kept until the next
        self._bell: LoopInbox = LoopInbox(asyncio.get_running_loop())  # wakes the iterating thread
        self._scope = CancelScope(session, cast(Any, self._bell))
        self._iterator: weakref.ref[_BatchIterator[R]] | None = None  # of the last loop over it
        self._thread = 0  # in which that is
        open_scope_at_once(self._scope, events)
        self._progress = show_progress(progress, total, self, session.callback_gate)

    def __reduce__(self) -> NoReturn:
        """Refuse to be pickled, with the words of what holds the connections."""
        self._session.__reduce__()

    def __repr__(self) -> str:
        """Say how far it is."""
        under_way = self._under_way()
        cancelled = ", cancelled" if self.cancelled() else ""
        return f"<AsyncBatch: {self._count - under_way} given, {under_way} under way{cancelled}>"

    def cancel(self, reason: Any = None) -> bool:
        """Stop all of it: what runs, and what would follow. It never blocks.

        Args:
            reason: Anything; it is found as `cancel_reason` on results, `reason` on errors.

        Returns:
            True for the caller that stopped it; False for all others, and after the end.
        """
        return self._scope.cancel(reason)

    def cancelled(self) -> bool:
        """Return whether it was cancelled before its end, as by leaving the loop."""
        self._notice_if_left()
        return self._scope.is_set()

    def __aiter__(self) -> AsyncIterator[tuple[int, R | LMStudioError]]:
        """Return an iterator, an object of its own.

        When it is dropped after its first step, as by ``break``, the batch is cancelled.
        """
        return _BatchIterator(self)

    def __iter__(self) -> NoReturn:
        """Say what to write instead."""
        raise TypeError("Write 'async for' for an AsyncBatch.")

    def _note_iterator(self, iterator: _BatchIterator[R]) -> None:
        """Let an iterator be the one by whose end the batch is left.

        Raises:
            LMStudioRuntimeError: Another loop over the batch goes on.
        """
        last = None if self._iterator is None else self._iterator()
        if last is iterator:
            return
        if last is not None and self._goes_on() and not self._scope.is_set():
            raise LMStudioRuntimeError(
                "Another loop over this batch goes on: iterate over it once, and in one thread."
            )
        self._notice_if_left()
        self._iterator = weakref.ref(iterator)
        self._thread = get_ident()

    def _goes_on(self) -> bool:
        """Whether a loop over it has something to do; in its own thread, but to take what is there.

        Ctrl-C in the body of that loop leaves its iterator, which somebody may hold.
        """
        has_more = self._inputs is not None and self._count != self._total
        if has_more or self._thread != get_ident():
            return has_more or bool(self._under_way())
        return not all(_has_ended(outcome) for outcome in self._outcomes.values())

    def _notice_if_left(self) -> None:
        """Stop all if the loop was left; the I/O thread has stopped what ran already."""
        iterator = self._iterator
        if iterator is not None and iterator() is None:
            self.cancel(_LEFT)  # does nothing after the end

    async def __anext__(self) -> tuple[int, R | LMStudioError]:
        """Return the next outcome.

        Raises:
            StopIteration: All are given, or those that were under way after a cancel.
            LMStudioRuntimeError: `cancel_event` cannot be watched, or this is a callback that the
                outcomes wait for.
            Exception: What the inputs raised.
        """
        try:
            pair = await self._take()
            # The last step: Python looks for signals at calls and jumps back, of which there is
            # none from here on. Where Ctrl-C came before it, the pair is given again.
            self._given = pair[0]
            return pair
        except (KeyboardInterrupt, asyncio.CancelledError):
            self.cancel(_INTERRUPTED)
            raise

    async def _take(self) -> tuple[int, R | LMStudioError]:
        """Do what `__next__` does, but do not note that it was given."""
        check_other_thread()
        check_may_wait()
        fork.check_process(self._process, "batch")
        try:
            self._notice_if_left()
            self._forget_given()
            pair = await self._next_pair()
        except BaseException as error:
            self.cancel(_INTERRUPTED)  # does nothing after the end
            # Of an input, or the progress function.
            if isinstance(error, (StopIteration, StopAsyncIteration)):
                raise not_the_end(error) from error
            raise
        if pair is None:
            raise StopAsyncIteration
        return pair

    async def _next_pair(self) -> tuple[int, R | LMStudioError] | None:
        """Wait for the next outcome, which is kept until it was given; return None at the end."""
        # Each round looks at everything, and waits only if that gave nothing. What ends after the
        # look rings the bell, so the wait is short.
        while True:
            await self._start_more()
            self._progress(self._count - self._running())
            index = self._next_index()
            if index is not None:
                outcome = _outcome(self._outcomes[index])
                if isinstance(outcome, BaseException) and not isinstance(outcome, LMStudioError):
                    self._given = index
                    raise outcome
                return index, outcome
            if not self._outcomes:
                self._finish()
                return None
            try:
                receive = receiver(self._bell, Deadline(_LOOK_AGAIN))
                await receive()
            except DeadlinePassed:
                self._look_at_all()

    def _under_way(self) -> int:
        """How many were started and not given."""
        return len(self._outcomes) - (self._given in self._outcomes)

    def _forget_given(self) -> None:
        """Forget the outcome that was given last; Ctrl-C may come between, and this is repeated."""
        if self._given is not None:
            self._ready.pop(self._given, None)
            self._outcomes.pop(self._given, None)
            self._given = None

    def _running(self) -> int:
        """Take the news, and return how many inputs are under way."""
        while self._ended:  # the background thread appends; only this thread takes
            index = self._ended.popleft()
            # It may have been found by `_look_at_all`, and given, before its news came.
            if index in self._outcomes:
                self._ready[index] = None
        return len(self._outcomes) - len(self._ready)

    def _look_at_all(self) -> None:
        """Find what has ended and nothing told of, since Ctrl-C came in between."""
        for index, outcome in self._outcomes.items():
            if _has_ended(outcome):
                self._ready[index] = None

    async def _start_more(self) -> None:
        """Read inputs and start them, as long as there is room."""
        if not self._max_parallel:
            self._max_parallel = await self._asked_places() or _PLACES
        while self._inputs is not None and not self._scope.is_set():
            if len(self._outcomes) >= _AHEAD * self._max_parallel:
                return
            if self._running() >= self._max_parallel:
                return
            try:
                if isinstance(self._inputs, AsyncIterator):
                    item = await anext(self._inputs)
                else:
                    item = next(self._inputs)
            except (StopIteration, StopAsyncIteration):
                self._inputs = None
                return
            except Exception as error:
                self._input_error = error  # first: an iterator that has raised is at its end
                self._inputs = None
                return
            index, self._count = self._count, self._count + 1
            try:
                call, future = self._start(item, self._scope)
            except LMStudioError as error:
                self._outcomes[index] = error
                self._ended.append(index)
                continue
            self._outcomes[index] = future  # before its end can be told, by the last line here
            call.is_left = asyncio.get_running_loop().is_closed
            call.cancel_when_dropped(self)
            if self._iterator is not None and (iterator := self._iterator()) is not None:
                call.cancel_when_dropped(iterator)
            # Neither may hold the batch, which is to be noticed when it is dropped.
            future.add_done_callback(functools.partial(_note_end, self._ended, self._bell, index))

    async def _asked_places(self) -> int | None:
        try:
            assert self._ask_places is not None
            return await self._session.async_call(
                self._ask_places, cancel_event=self._scope, timeout=_ASK_PLACES
            )
        except LMStudioError:  # what is asked next will tell; after a cancel, nothing is
            return None

    def _next_index(self) -> int | None:
        """Return the index of the outcome to be given now, if there is one."""
        index = next(iter(self._outcomes if self._ordered else self._ready), None)
        return index if index in self._ready else None

    def _finish(self) -> None:
        close_scope(self._scope)
        self._progress(self._count)
        self._progress.close()
        self._scope.check_events()
        if self._input_error is not None:
            try:
                raise self._input_error
            finally:
                self._input_error = None  # last: Ctrl-C in what stands above must not lose it


class _BatchIterator(Generic[R]):
    """The iterator of a ``for`` loop over a batch."""

    __slots__ = ("__weakref__", "_batch")

    def __init__(self, batch: AsyncBatch[R]) -> None:
        self._batch = batch

    def __repr__(self) -> str:
        return f"<iterator of {self._batch!r}>"

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> tuple[int, R | LMStudioError]:
        batch = self._batch
        try:
            batch._note_iterator(self)
            pair = await batch._take()
            batch._given = pair[0]  # the last step, as in the batch itself
            return pair
        except (KeyboardInterrupt, asyncio.CancelledError):
            batch.cancel(_INTERRUPTED)
            raise


def _note_end(ended: deque[int], bell: LoopInbox, index: int, _future: BackgroundCall[Any]) -> None:
    ended.append(index)  # first: whoever is woken looks there
    bell.put(None)


def _has_ended(outcome: BackgroundCall[R] | LMStudioError) -> bool:
    return isinstance(outcome, LMStudioError) or outcome.done()


def _outcome(ended: BackgroundCall[R] | LMStudioError) -> R | BaseException:
    """Return the result or error of an input that has ended."""
    error = ended if isinstance(ended, LMStudioError) else ended.exception()
    if error is None:
        return ended.result()  # type: ignore[union-attr]
    return error.with_traceback(None)  # which would keep alive all that the input has used


public(AsyncBatch)
