"""`TaskDispatcher`: begins and ends the calls of a batch as tasks of Dask, each at one worker.

It stands in the place of the `Dispatcher` that looks after the calls to one server. Its thread is
the event loop of Dask's own client: everything happens there but `begin`, `wake` and `post`.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import inspect
import itertools
import os
import weakref
from collections import deque
from collections.abc import Callable
from typing import Any

from .._batch.hosts import Host
from .._concurrency import fork
from .._concurrency.clock import monotonic
from .._connection.call import END, Call, CancelOnDrop, Outcome
from ..errors import (
    LMStudioClientError,
    LMStudioConnectionLostError,
    LMStudioError,
    LMStudioRuntimeError,
    LMStudioWebsocketError,
)
from .on_worker import Answer

_LOOK = 0.25  # seconds between two looks at the open calls, and at the workers


class WorkerSeat:
    """The place of one worker in a batch; when that is gone, of the next one that comes.

    Attributes:
        worker: The address of the worker; None: it has none yet.
        host: What the batch has of it; its name and places are told from here.
    """

    def __init__(self, worker: str | None) -> None:
        """Take a worker."""
        self.worker = worker
        self.host: Host[Any] | None = None

    @property
    def has_left(self) -> bool:
        """Whether the batch asks it nothing any more, whoever has it."""
        return self.host is not None and self.host.left is not None


class TaskDispatcher:
    """The calls of one batch.

    Attributes:
        open: The calls that were begun and have not ended, by their number.
        dropped: Calls whose owner was dropped.
    """

    def __init__(
        self,
        client: Any,
        question: bytes,
        places: int | None,
        resource: str | None,
        on_seat: Callable[[WorkerSeat], None],
    ) -> None:
        """Prepare; nothing runs before the first call.

        Args:
            client: The `distributed.Client`.
            question: What is asked of every worker, as a pickle.
            places: How many inputs may run at each worker at once; None: nobody has said it.
            resource: The resource that a worker must have, and a task takes one of; or None.
            on_seat: Called in the loop with a seat that is new.
        """
        self.client = client
        self.process = fork.current
        self.reactor = self  # what calls know of it is `commands`, `wake` and `post`
        self.has_ended = False
        self.open: dict[int, Call] = {}
        self.dropped: deque[CancelOnDrop] = deque()
        self.commands: deque[tuple[Callable[..., object], tuple[Any, ...]]] = deque()
        self.seats: list[WorkerSeat] = []
        self._question = question
        self._places = places
        self._resource = resource
        self._on_seat = on_seat
        self._workers: dict[str, int | None] = {}  # address, and how much of the resource it has
        self._known: set[str] = set()  # all workers
        self._futures: dict[int, Any] = {}  # by the number of the call
        self._tasks: set[asyncio.Task[None]] = set()  # that wait for them; Python holds none
        self._seat_of: dict[int, WorkerSeat] = {}
        self._watch: asyncio.Task[None] | None = None
        self._looks_at = 0.0  # when the workers were looked at last
        self._name = f"lmstudio-{os.urandom(8).hex()}"
        self._numbers = itertools.count()

    @property
    def is_closed(self) -> bool:
        """Whether Dask's client is."""
        return self.client.status in ("closing", "closed")

    # -- any thread ---------------------------------------------------------------------------

    def begin(
        self, call: Call, function: Callable[..., Answer], seat: WorkerSeat, *, takes_place: bool
    ) -> None:
        """Run a function for a call at the worker of a seat."""
        self.open[call.id] = call
        resources = {self._resource: 1} if takes_place and self._resource is not None else None
        self.post(self._begin, call, function, seat, resources)

    def post(self, step: Callable[..., object], *arguments: Any) -> None:
        """Have something done in the loop."""
        self.commands.append((step, arguments))
        self.wake()

    def wake(self) -> None:
        """Have the loop look at the commands. It takes no lock."""
        if self.is_closed:
            self._end_all()  # nobody is there to look
            return
        try:
            self.client.loop.asyncio_loop.call_soon_threadsafe(self._look_at_commands)
        except RuntimeError:  # the loop has just been closed
            self._end_all()

    def take_workers(self) -> None:
        """Give each worker that there is a seat; called once, in the thread of the user."""
        self._seat(self._fitting(self.client.scheduler_info().get("workers", {})))
        if not self.seats:
            self.seats.append(WorkerSeat(None))

    # -- the loop -----------------------------------------------------------------------------

    def _look_at_commands(self) -> None:
        while self.commands:
            step, arguments = self.commands.popleft()
            step(*arguments)

    def _begin(
        self, call: Call, function: Callable[..., Answer], seat: WorkerSeat, resources: Any
    ) -> None:
        if call.id not in self.open:  # it was cancelled before
            return
        self._seat_of[call.id] = seat
        task = asyncio.ensure_future(self._run(call, function, seat, resources))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        if self._watch is None or self._watch.done():
            self._watch = asyncio.ensure_future(self._keep_watch(weakref.ref(self)))

    def cancelled(self, call: Call) -> None:
        """End a call that was cancelled; its task is let go, which stops the model."""
        self._end(call, Outcome())

    def fail(self, call: Call, error: LMStudioError) -> None:
        """End a call whose event is broken."""
        self._end(call, Outcome(error=error))

    def _end(self, call: Call, outcome: Outcome) -> None:
        if self.open.pop(call.id, None) is not None:
            call.outcome = outcome
            call.owners.clear()
            call.unfollow()
            call.inbox.put(END)
        self._seat_of.pop(call.id, None)
        future = self._futures.pop(call.id, None)
        if future is not None:
            future.release()  # whoever waits for it is told, and so is the worker

    def _end_all(self) -> None:
        """End what is open, since Dask's client was closed."""
        for call in list(self.open.values()):
            self._end(call, Outcome(error=_closed()))

    async def _run(
        self, call: Call, function: Callable[..., Answer], seat: WorkerSeat, resources: Any
    ) -> None:
        try:
            outcome = await self._ask(call, function, seat, resources)
        except LMStudioError as error:
            outcome = Outcome(error=error)
        except (Exception, asyncio.CancelledError) as error:
            outcome = Outcome(error=self._judge(error, seat))
        self._end(call, outcome)

    async def _ask(
        self, call: Call, function: Callable[..., Answer], seat: WorkerSeat, resources: Any
    ) -> Outcome:
        if seat.worker not in self._workers:
            await self._look_at_workers()
        if seat.worker is None or seat.worker not in self._workers:
            raise LMStudioWebsocketError(
                "There is no Dask worker." if seat.worker is None else f"{_named(seat)} is gone."
            )
        if call.id not in self.open:  # it was cancelled meanwhile
            return Outcome()
        call.is_sent = True  # as far as is known
        arguments = () if call.parameter is None else (call.parameter,)
        future = self.client.submit(
            function,
            self._question,
            *arguments,
            key=f"{self._name}-{next(self._numbers)}",
            pure=False,
            workers=[seat.worker],
            allow_other_workers=False,
            resources=resources,
        )
        self._futures[call.id] = future
        answer: Answer = await future.result()
        call.is_sent = answer.is_sent
        if seat.host is not None:
            seat.host.name = answer.host
        if isinstance(answer.value, LMStudioError):
            return Outcome(error=answer.value)
        return Outcome(answer.value)

    def _judge(self, error: BaseException, seat: WorkerSeat) -> LMStudioError:
        """Return what an error of Dask, or one of none of us, means for the batch."""
        if self.is_closed:
            return _closed()
        if self.client.status != "running":
            return LMStudioConnectionLostError("The scheduler of Dask is gone.")
        if isinstance(error, (asyncio.CancelledError, concurrent.futures.CancelledError)):
            return LMStudioConnectionLostError(f"A task at {seat.worker} was cancelled elsewhere.")
        if type(error).__name__ == "KilledWorker":
            return LMStudioConnectionLostError(f"{_named(seat)} is gone: {error}")
        # As where lmstudio is not installed, or the function for `api_host` fails.
        words = f"{_named(seat)} cannot ask an LM Studio: {error!r}"
        return _for_good(LMStudioRuntimeError(words))

    # -- the workers --------------------------------------------------------------------------

    @staticmethod
    async def _keep_watch(reference: weakref.ref[TaskDispatcher]) -> None:
        """Look for workers that are gone or new, and for calls that nobody wants, while any runs.

        It holds nothing while it rests: the calls that are open hold the rest.
        """
        while True:
            self = reference()
            if self is None or not self.open:
                return
            self._look_at_commands()  # Ctrl-C may have come before they were told of
            while self.dropped:
                call = self.dropped.popleft().call
                if call.outcome is None:
                    call.cancel("the batch was dropped before its end")
            for call in list(self.open.values()):
                if call.is_cancelled:
                    self.cancelled(call)
            with contextlib.suppress(Exception):  # who is not answered goes on with what it knows
                await self._look_at_workers()
            del self
            await asyncio.sleep(_LOOK)

    async def _look_at_workers(self) -> None:
        if monotonic() - self._looks_at < _LOOK / 2:  # several calls want to know at once
            return
        self._looks_at = monotonic()
        addresses = set(await self.client.nthreads())
        if addresses != self._known:
            known = _identity_options(self.client)
            info = await self.client.scheduler.identity(**known)
            self._seat(self._fitting(info["workers"]))
            self._known = addresses
        for number, seat in list(self._seat_of.items()):
            call = self.open.get(number)
            if call is not None and call.is_sent and seat.worker not in addresses:
                words = f"{_named(seat)} is gone."
                self._end(call, Outcome(error=LMStudioConnectionLostError(words)))

    def _fitting(self, workers: dict[str, Any]) -> dict[str, int | None]:
        """Return the workers that take part, and how much each has of the resource."""
        name = self._resource
        if name is None:
            return dict.fromkeys(workers)
        amounts = {
            a: int(worker.get("resources", {}).get(name, 0)) for a, worker in workers.items()
        }
        return {address: amount for address, amount in amounts.items() if amount > 0}

    def _seat(self, workers: dict[str, int | None]) -> None:
        """Give each worker a seat: one that is free, else a new one."""
        self._workers = workers
        taken = {seat.worker for seat in self.seats}
        free = [seat for seat in self.seats if seat.worker not in workers and not seat.has_left]
        for address in sorted(workers.keys() - taken):
            if free:
                self._take_over(free.pop(), address)
            else:
                seat = WorkerSeat(address)
                self.seats.append(seat)
                self._on_seat(seat)

    def _take_over(self, seat: WorkerSeat, address: str) -> None:
        seat.worker = address
        if seat.host is not None and self.places_of(seat) is not None:
            seat.host.places = self.places_of(seat)

    def places_of(self, seat: WorkerSeat) -> int | None:
        """Return how many inputs may run at the worker of a seat; None: its LM Studio is asked.

        That is what was said, else how much it has of the resource; one, until there is a worker.
        """
        if self._places is not None or self._resource is None:
            return self._places
        return self._workers.get(seat.worker or "") or 1


def _identity_options(client: Any) -> dict[str, Any]:
    """Return how the scheduler is asked for all of its workers: older versions know no other."""
    from distributed import Scheduler

    takes_number = "n_workers" in inspect.signature(Scheduler.identity).parameters
    return {"n_workers": -1} if takes_number else {}


def _closed() -> LMStudioError:
    words = "The Dask client was closed, or has lost its scheduler."
    return _for_good(LMStudioClientError(words))


def _for_good(error: LMStudioError) -> LMStudioError:
    """Return an error after which the batch asks that worker nothing more."""
    error._lets_nobody_in = True
    return error


def _named(seat: WorkerSeat) -> str:
    return f"The Dask worker {seat.worker}"
