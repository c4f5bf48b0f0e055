"""`Batch`: many inputs, a few at a time, read lazily; what fails is a value like any other."""

from __future__ import annotations

import functools
import itertools
import queue
import types
import weakref
from _thread import get_ident
from collections import deque
from collections.abc import AsyncIterable, Iterable, Iterator, Sequence, Sized
from typing import Any, Generic, NoReturn, TypeVar

from .._api.backports import Self
from .._api.callbacks import not_the_end
from .._api.public import public
from .._api.shown import shown
from .._background.thread import check_other_thread
from .._concurrency import fork
from .._concurrency.cancel_token import check_events
from .._concurrency.clock import monotonic
from .._concurrency.deadline import Deadline, DeadlinePassed, receiver
from .._concurrency.threads import check_may_wait
from .._connection.limits import CallLimits
from .._connection.request import Request
from .._connection.scope import CancelScope
from .._connection.session import Session
from .._values.chat import Chat
from ..errors import (
    LMStudioError,
    LMStudioRuntimeError,
    LMStudioValueError,
)
from .calls import RequestRun, Work
from .hosts import CAUSE, Host, Hosts
from .numbers import BatchNumbers, Tally
from .options import BatchProgress, BatchSettings
from .outcome import BatchOutcome
from .progress import show_progress
from .records import record_of
from .tasks import Task
from .verdicts import Verdict, judge

R = TypeVar("R")
T = TypeVar("T")

_AHEAD = 3  # for each place: how many more may be begun and not yet given, ...
_AHEAD_IN_ORDER = 1000  # ... and where they wait for one before them
_INQUIRY = 5.0  # seconds in which a host may say how many places it has
_LEFT = "the loop over the batch was left"
_INTERRUPTED = "the batch was left by an exception"
_LOOK_AGAIN = 1.0  # seconds after which a batch looks for what has ended, even if nothing told it


class Batch(Generic[R]):
    """An iterator over the outcomes of many inputs: pairs of an index and a result or error.

    The index is the position of the input, from 0. Results come as they finish, or in order. An
    input is read when one more may run, so memory stays bounded; that happens while you ask for the
    next outcome, in your thread, so an input that is long in coming holds up outcomes and stops as
    well. An `LMStudioError` of one input is its outcome, and the others go on. If the inputs
    themselves raise, what is under way is given first. Each pair is a `BatchOutcome`, which has the
    input, too.

    A server that is lost or not there does not count as a failed input. The batch waits for it, and
    asks again what ran there; with several hosts the others go on meanwhile. When its patience is
    over, or if the last host refuses for good (no such model, a wrong token), what has ended is
    given and then that error is raised. `unfinished()` gives the inputs that have no answer.

    After a cancel (of an event, by `cancel()`, `Client.cancel_all()` or Ctrl-C, which still raises
    `KeyboardInterrupt`) nothing more is started. Leaving a ``for`` loop over it, as by ``break``,
    cancels it too, and so does dropping it. Iterate again for what had finished, and for what the
    others have so far: results with `cancelled` set, or `LMStudioCancelledError`. Each outcome is
    given once, also if Ctrl-C came in the middle of giving it.

    Thread safety: one thread iterates; `cancel`, `cancelled` and `numbers` may be used anywhere,
    also in signal handlers.
    """

    def __init__(
        self,
        hosts: Sequence[Host[R]],
        work: Work[R],
        inputs: Iterable[Any],
        settings: BatchSettings,
        *,
        limits: CallLimits,
        progress: BatchProgress,
    ) -> None:
        """Prepare a batch; `respond_many()` and its kin do.

        Of the `limits` only the events are for the batch, the time limits for each input: they are
        only checked here, so that a wrong one is told once.

        Raises:
            LMStudioValueError: An argument cannot be used.
            LMStudioClientError: The client is closed.
            LMStudioRuntimeError: `cancel_event` cannot be watched, or another batch writes the
                journal.
            LMStudioOSError: The journal cannot be opened.
        """
        if isinstance(inputs, (str, bytes, dict, Chat)) or not isinstance(inputs, Iterable):
            raise LMStudioValueError(
                f"The inputs must be a list or another iterable; {shown(inputs)} was given."
                f"{_hint_for(inputs)}"
            )
        events = check_events(limits.get("cancel_event"))
        for host in hosts:
            host._session.check_limits(limits)
            host._session.check_open()
        session: Session = hosts[0]._session
        self._session = session
        self._process = fork.current
        self._hosts = Hosts(hosts, settings.patience)
        self._host_of: Any = None  # makes a host out of a handle
        self._work = work
        self._settings = settings
        try:
            self._inputs: Iterator[Any] | None = iter(inputs)
            total = _length(inputs)
        except StopIteration as error:  # of user code
            raise not_the_end(error) from error
        self._total = total
        self._error: BaseException | None = None  # raised at the end
        self._has_failed = False  # no host is there any more
        self._has_dropped = False  # what was not begun when it stopped
        self._count = 0  # of inputs that were read
        self._fresh: deque[Any] = deque()  # an input that was read, until it is in the next
        self._open: dict[int, Task[R]] = {}  # by index, until given
        self._waiting: deque[Task[R]] = deque()  # those of them that are to be sent again
        self._news: deque[int] = deque()  # the indices of those that have ended
        self._ready: deque[Task[R]] = deque()  # those that have an outcome, unless in order
        self._inquiries = [(host, host.inquiry) for host in hosts if host.inquiry is not None]
        self._head = 0  # in order: the index of the next one
        self._given: int | None = None  # whose outcome was given last; it is kept until the next
        self._without: dict[int, Any] = {}  # inputs that were begun and have no answer
        self._read_after: list[Any] = []  # those that `unfinished()` has read, in order
        self._tally = Tally(total)
        self._bell: queue.SimpleQueue[Any] = queue.SimpleQueue()  # wakes the iterating thread
        self._scope = CancelScope(session, self._bell)
        self._iterator: weakref.ref[_BatchIterator[R]] | None = None  # of the last loop over it
        self._thread = 0  # in which that is
        self._journal = None
        if settings.journal is not None:
            from .journal_file import JournalFile  # here: most batches need not load it

            is_left = functools.partial(_is_left, weakref.ref(self))
            self._journal = JournalFile(settings.journal, work.kind, is_left)
        try:
            if self._journal is not None:
                self._journal.open()
            self._progress = show_progress(progress, total, self, session.callback_gate)
            for host in hosts:
                host._session.scopes[id(self._scope)] = self._scope
            self._scope.open(events)
        except BaseException:  # whose traceback keeps the batch alive, and so its journal locked
            if self._journal is not None:
                self._journal.close()
            raise

    def __reduce__(self) -> NoReturn:
        """Refuse to be pickled, with the words of what holds the connections."""
        self._session.__reduce__()

    def __repr__(self) -> str:
        """Say how far it is."""
        under_way = self._under_way()
        cancelled = ", cancelled" if self.cancelled() else ""
        return f"<Batch: {self._count - under_way} given, {under_way} under way{cancelled}>"

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

    @property
    def numbers(self) -> BatchNumbers:
        """How far it is, how fast, and how long it will take; at the end, what it was."""
        unmatched = 0 if self._journal is None else self._journal.unmatched
        return self._tally.numbers(unmatched, is_stopped=self._has_failed or self.cancelled())

    def unfinished(self) -> Iterator[Any]:
        """Return an iterator over all inputs that have no answer, once the batch has ended.

        First those that were begun and have no outcome that was given, but for cancelled ones; then
        those that were not read yet, which it reads as it is asked for them, and keeps: the next
        one that is asked for has them too. It may be handed to another batch.

        Raises:
            LMStudioRuntimeError: The batch goes on: cancel it first.
        """
        self._notice_if_left()
        if not self._has_stopped() and (self._inputs is not None or self._under_way()):
            raise LMStudioRuntimeError("The batch goes on: cancel it, or iterate to its end.")
        under_way = {i: task.input for i, task in self._open.items() if i != self._given}
        begun = sorted({**self._without, **under_way}.items())
        # Ctrl-C may have come between two steps of `_read`.
        is_begun = self._count in self._open or self._count in self._without
        fresh = [] if is_begun else list(self._fresh)
        return _Unfinished(
            deque([*(item for _, item in begun), *fresh]), self._inputs, self._read_after
        )

    def __iter__(self) -> Iterator[BatchOutcome[R]]:
        """Return an iterator, an object of its own.

        When it is dropped after its first step, as by ``break``, the batch is cancelled.
        """
        return _BatchIterator(self)

    def _note_iterator(self, iterator: _BatchIterator[R]) -> None:
        """Let an iterator be the one by whose end the batch is left.

        Raises:
            LMStudioRuntimeError: Another loop over the batch goes on.
        """
        last = None if self._iterator is None else self._iterator()
        if last is iterator:
            return
        if last is not None and self._goes_on() and not self._has_stopped():
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
        return not all(_has_ended(task) for task in self._open.values())

    def _notice_if_left(self) -> None:
        """Stop all if the loop was left; the I/O thread has stopped what ran already."""
        iterator = self._iterator
        if iterator is not None and iterator() is None:
            self.cancel(_LEFT)  # does nothing after the end
            self._tally.end()

    def __next__(self) -> BatchOutcome[R]:
        """Return the next outcome.

        Raises:
            StopIteration: All are given, or those that were under way after a cancel.
            LMStudioWebsocketError: No server has been there for as long as `patience` says.
            LMStudioServerError: The last server refuses all inputs.
            LMStudioValueError: The journal is none; or, which ends the whole batch, the id of an
                input is the id of a second input, or the journal has it for something else.
            LMStudioOSError: The journal cannot be read or written.
            LMStudioRuntimeError: `cancel_event` cannot be watched, or this is a callback that the
                outcomes wait for.
            Exception: What the inputs raised, or a function that was given (`to_prompt`,
                `input_id`, `retry_if`), which ends the whole batch.
        """
        try:
            outcome = self._take()
            # The last step: Python looks for signals at calls and jumps back, of which there is
            # none from here on. Where Ctrl-C came before it, the outcome is given again.
            self._given = outcome[0]
            return outcome
        except KeyboardInterrupt:
            self.cancel(_INTERRUPTED)
            raise

    def _take(self) -> BatchOutcome[R]:
        """Do what `__next__` does, but do not note that it was given."""
        check_other_thread()
        check_may_wait()
        fork.check_process(self._process, "batch")
        try:
            self._notice_if_left()
            self._forget_given()
            outcome = self._next_outcome()
        except BaseException as error:
            self.cancel(_INTERRUPTED)  # does nothing after the end
            self._tally.end()
            if isinstance(error, StopIteration):  # of an input, or a function that was given
                raise not_the_end(error) from error
            raise
        if outcome is None:
            raise StopIteration
        return outcome

    def _next_outcome(self) -> BatchOutcome[R] | None:
        """Wait for the next outcome, which is kept until it was given; return None at the end."""
        if self._tally.begin() and not self._scope.is_set() and self._journal is not None:
            self._journal.load()
        # Each round looks at everything, and waits only if that gave nothing. What ends after the
        # look rings the bell, so the wait is short.
        while True:
            if self._inquiries and not self._has_stopped():
                self._look_at_inquiries()
            self._start_more()
            self._progress(self._tally.done, self._numbers_now)
            task = self._next_task()
            if task is not None:
                if isinstance(task.outcome, BatchOutcome):
                    return task.outcome
                self._given = task.index
                assert task.outcome is not None
                raise task.outcome
            if not self._open and (self._inputs is None or self._has_stopped()):
                self._finish()
                return None
            self._note_failure()
            try:
                receive = receiver(self._bell, self._next_look())
                receive()
            except DeadlinePassed:
                self._look_at_all()

    def _add_host(self, host: Host[R]) -> None:
        """Let one more host take inputs from now on. Thread safety: all threads."""
        if host.inquiry is not None:
            self._inquiries.append((host, host.inquiry))
        self._hosts.add(host)
        self._bell.put(None)

    def _add_model(self, model: Any) -> None:
        """Let one more model take inputs from now on. Thread safety: all threads.

        Raises:
            LMStudioValueError: The handle cannot be used.
        """
        self._add_host(self._host_of(model))

    def _look_at_inquiries(self) -> None:
        """Let hosts have the places that they have room for. It never waits."""
        now = monotonic()
        for host, inquiry in self._inquiries:
            inquiry.look(host, now, functools.partial(self._ask, host))

    def _ask(self, host: Host[R], request: Request[T]) -> RequestRun[T] | None:
        limits: CallLimits = {"cancel_event": self._scope, "timeout": _INQUIRY}
        try:
            question = RequestRun(host._session, request, limits)
            question.call.cancel_when_dropped(self)
            question.tell(self._bell.put)
        except LMStudioError:
            return None
        return question

    def _numbers_now(self) -> BatchNumbers:
        return self.numbers

    def _next_look(self) -> Deadline:
        """Return how long nothing is to be done, if nothing rings."""
        rest = self._hosts.seconds_to_rest()
        return Deadline(min(rest, _LOOK_AGAIN) if rest else _LOOK_AGAIN)

    def _has_stopped(self) -> bool:
        """Whether nothing is started any more."""
        return self._has_failed or self._scope.is_set()

    def _note_failure(self) -> None:
        """Let the batch end if nothing is to be expected of any host."""
        if self._waiting and not self._has_stopped():
            failure = self._hosts.failure()
            if failure is not None:
                self._error = failure.fresh()
                self._has_failed = True
                self._bell.put(None)  # another round, which gives what there is

    def _under_way(self) -> int:
        """How many were started and not given."""
        return len(self._open) - (self._given in self._open)

    def _forget_given(self) -> None:
        """Forget the outcome that was given last; Ctrl-C may come between, and this is repeated."""
        if self._given is not None:
            self._open.pop(self._given, None)
            self._given = None

    def _take_news(self) -> None:
        """Look at what other threads told of the end of inputs."""
        while self._news:  # other threads append; only this thread takes
            # First looked at, then taken: Ctrl-C may come between, and this is repeated.
            task = self._open.get(self._news[0])
            if task is not None:
                self._settle(task)
            self._news.popleft()

    def _look_at_all(self) -> None:
        """Find what has ended and nothing told of, since Ctrl-C came in between."""
        for task in list(self._open.values()):
            self._settle(task)

    # -- the end of one input -----------------------------------------------------------------

    def _settle(self, task: Task[R]) -> None:
        """Decide what becomes of an input if it has ended. May be repeated after Ctrl-C."""
        running, host = task.running, task.host
        if running is None or host is None or not running.done():
            return
        outcome = running.outcome()
        if isinstance(outcome, BaseException):
            outcome = outcome.with_traceback(None)  # which would keep alive all that it has used
        misfit = self._work.misfit(outcome)
        verdict = judge(outcome, misfit, running.call)
        host.note_end(task, verdict, outcome)
        host.running.discard(task)
        if self._is_sent_again(task, verdict, outcome, misfit):
            if verdict is Verdict.FAILED:
                self._waiting.append(task)
            else:
                self._waiting.appendleft(task)
        else:
            self._complete(task, outcome, misfit)
        task.running = None

    def _is_sent_again(
        self, task: Task[R], verdict: Verdict, outcome: Any, misfit: LMStudioError | None
    ) -> bool:
        """Decide whether an input is to be sent again, and count it."""
        if verdict is Verdict.ANSWERED:
            return False
        if self._has_stopped():  # then it has no outcome, and is unfinished
            return verdict is not Verdict.FAILED or task.failures < self._settings.retries
        if verdict in (Verdict.ABSENT, Verdict.REFUSED):
            task.attempts -= 1
        elif verdict is Verdict.LOST:
            task.losses += 1
            return task.losses < CAUSE
        elif verdict is Verdict.FAILED:
            if task.failures >= self._settings.retries:
                return False
            retry_if = self._settings.retry_if
            if retry_if is not None:
                told = self._outcome_of(task, outcome, misfit)
                if not self._session.callback_gate.run(retry_if, told):
                    return False
            task.failures += 1
        return True

    def _outcome_of(
        self, task: Task[R], outcome: Any, misfit: LMStudioError | None, *, recorded: bool = False
    ) -> BatchOutcome[R]:
        host = None if task.host is None else task.host.name
        return BatchOutcome(task.index, outcome, task.input, task.attempts, host, recorded, misfit)

    def _complete(self, task: Task[R], outcome: Any, misfit: LMStudioError | None = None) -> None:
        """Give an input its outcome; its line is written before. May be repeated."""
        if isinstance(outcome, BaseException) and not isinstance(outcome, LMStudioError):
            self._end(task, outcome)
            return
        told = self._outcome_of(task, outcome, misfit)
        if told.cancelled:
            self._without[task.index] = task.input
        elif self._journal is not None and task.key is not None and task.attempts:
            self._journal.add(task.index, task.key, record_of(told))
        self._tally.add(told)
        self._end(task, told)

    def _end(self, task: Task[R], outcome: BatchOutcome[R] | BaseException) -> None:
        task.outcome = outcome
        if not self._settings.ordered:
            self._ready.append(task)

    def _next_task(self) -> Task[R] | None:
        """Return what is to be given now, if there is anything."""
        if self._has_stopped():
            self._drop_waiting()
        if not self._settings.ordered:
            while self._ready:
                task = self._ready[0]
                if task.index in self._open:  # else it was given
                    return task
                self._ready.popleft()
            return None
        while self._head < self._count:
            found = self._open.get(self._head)
            if found is not None:
                return found if found.outcome is not None else None
            self._head += 1
        return None

    def _drop_waiting(self) -> None:
        """After the stop: what neither runs nor has ended will not."""
        # Once all are looked at; later ones come from what still ran, to be sent again.
        for task in list(self._waiting if self._has_dropped else self._open.values()):
            if task.running is None and task.outcome is None:
                self._without[task.index] = task.input
                self._open.pop(task.index, None)
        self._waiting.clear()
        self._has_dropped = True

    # -- the beginning of one input -----------------------------------------------------------

    def _start_more(self) -> None:
        """Read inputs and start them, as long as there is room."""
        while True:
            self._take_news()
            if self._journal is not None and self._journal.is_behind:
                self._journal.write()  # before one of these outcomes is given
            if self._has_stopped():
                return
            next_one = self._waiting[0] if self._waiting else None
            host = self._hosts.free(next_one)
            if host is None:
                return
            if next_one is not None:
                self._waiting.popleft()
                self._begin(next_one, host)
            else:
                task = self._read()
                if task is None:
                    return
                if task.outcome is None:
                    self._begin(task, host)
                elif self._next_task() is not None:
                    return

    def _read(self) -> Task[R] | None:
        """Read the next input; it may have its outcome already. None: not now, or no more."""
        if self._inputs is None or len(self._open) >= self._most_open():
            return None
        try:
            # In one step of C, so that Ctrl-C does not lose what was read.
            self._fresh.extend(itertools.islice(self._inputs, 1))
        except Exception as error:
            self._error = error  # first: an iterator that has raised is at its end
            self._inputs = None
            return None
        if not self._fresh:
            self._inputs = None
            return None
        item = self._fresh[0]
        task: Task[R] = Task(self._count, item)
        self._open[task.index] = task
        self._fresh.popleft()
        self._count += 1
        to_prompt = self._settings.to_prompt
        prompt = item if to_prompt is None else to_prompt(item)
        try:
            task.prompt = self._work.prepare(prompt)
        except LMStudioError as error:
            if to_prompt is None and isinstance(item, dict) and "messages" not in item:
                error = LMStudioValueError(f"{error} For rows, pass to_prompt=.")
            self._complete(task, error.with_traceback(None))
            return task
        if self._journal is not None:
            task.key = self._journal.key(item, task.prompt)
            if self._journal.has(task.key):
                record, outcome = self._journal.find(task.key, self._work.response_type)
                self._recall(task, record, outcome, again=self._journal.wants_errors_again)
        return task

    def _recall(self, task: Task[R], record: dict[str, Any], outcome: Any, *, again: bool) -> None:
        """Give an input the outcome that the journal has for it, unless it is to be asked again."""
        misfit = self._work.misfit(outcome)
        attempts, host = record.get("attempts", 1), record.get("host")
        told: BatchOutcome[R] = BatchOutcome(
            task.index, outcome, task.input, attempts, host, True, misfit
        )
        if told.error is not None and again:
            return
        self._tally.add(told)
        self._end(task, told)

    def _most_open(self) -> int:
        """How many may be begun and not given."""
        ahead, places = self._settings.ahead, self._hosts.places
        if ahead is None:
            ahead = _AHEAD_IN_ORDER if self._settings.ordered else _AHEAD * places
        return places + ahead

    def _begin(self, task: Task[R], host: Host[R]) -> None:
        """Start an input at a host."""
        host.note_begin(task)
        task.attempts += 1
        try:
            running = host.begin(task.prompt, self._scope)
            task.running = running
            call = running.call
            iterator = None if self._iterator is None else self._iterator()
            call.cancel_when_dropped(self if iterator is None else iterator)  # it holds the batch
            # Last. It may not hold the batch, which is to be noticed when it is dropped.
            running.tell(functools.partial(_note_end, self._news, self._bell, task.index))
        except LMStudioError as error:
            host.running.discard(task)
            task.running = None
            task.attempts -= 1
            if not self._has_stopped():
                self._complete(task, error.with_traceback(None))
        except BaseException:
            if task.running is not None:  # it may not have been started, and so would never end
                task.running.call.cancel(_INTERRUPTED)
            _note_end(self._news, self._bell, task.index, None)
            raise

    # -- the end ------------------------------------------------------------------------------

    def _finish(self) -> None:
        self._tally.end()
        for _, inquiry in self._inquiries:
            if inquiry.question is not None:
                inquiry.question.call.cancel()
        self._scope.close()
        self._progress(self._tally.done, self._numbers_now)
        self._progress.close()
        if self._journal is not None:
            self._journal.close()
        self._scope.check_events()
        if self._error is not None:
            try:
                raise self._error
            finally:
                self._error = None  # last: Ctrl-C in what stands above must not lose it


def _length(inputs: object) -> int | None:
    """Return how many inputs there are, if they say so."""
    try:
        return len(inputs) if isinstance(inputs, Sized) else None
    except TypeError:  # as some loaders of data do that do not know; list() goes on, too
        return None


def _hint_for(inputs: Any) -> str:
    """Return a sentence about what was meant; or nothing."""
    if isinstance(inputs, (str, dict, Chat)):
        return " Put a single input into a list: [input]."
    if isinstance(inputs, (types.FunctionType, types.MethodType)):
        return f" Call it: {inputs.__name__}()."
    if isinstance(inputs, AsyncIterable):
        return " The models of an AsyncClient take what comes by 'async for'."
    return ""


class _BatchIterator(Generic[R]):
    """The iterator of a ``for`` loop over a batch."""

    __slots__ = ("__weakref__", "_batch")

    def __init__(self, batch: Batch[R]) -> None:
        self._batch = batch

    def __repr__(self) -> str:
        return f"<iterator of {self._batch!r}>"

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> BatchOutcome[R]:
        batch = self._batch
        try:
            batch._note_iterator(self)
            outcome = batch._take()
            batch._given = outcome[0]  # the last step, as in the batch itself
            return outcome
        except KeyboardInterrupt:
            batch.cancel(_INTERRUPTED)
            raise


class _Unfinished:
    """The iterator over the inputs that have no answer."""

    def __init__(
        self, begun: deque[Any], inputs: Iterator[Any] | None, read_after: list[Any]
    ) -> None:
        self._begun = begun
        self._inputs = inputs
        self._read_after = read_after
        self._at = 0  # in these

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Any:
        if self._begun:
            return self._begun.popleft()
        if self._at == len(self._read_after) and self._inputs is not None:
            try:
                # In one step of C, so that Ctrl-C does not lose what was read.
                self._read_after.extend(itertools.islice(self._inputs, 1))
            except StopIteration:
                self._inputs = None
        if self._at == len(self._read_after):
            raise StopIteration
        self._at += 1
        return self._read_after[self._at - 1]


def _note_end(news: deque[int], bell: queue.SimpleQueue[Any], index: int, _ended: object) -> None:
    news.append(index)  # first: whoever is woken looks there
    if bell.empty():  # else it rings, and whoever comes then finds this one too
        bell.put(None)


def _is_left(reference: weakref.ref[Batch[Any]]) -> bool:
    batch = reference()
    return batch is None or batch.cancelled()


def _has_ended(task: Task[Any]) -> bool:
    return task.outcome is not None or (task.running is not None and task.running.done())


public(Batch)
