"""`Hosts`: the models that a batch is answered by: their free places, their losses, their return.

A host whose connection broke rests, for a pause that grows with each loss until it has answered
again; the others go on. One that refuses for good leaves. The batch ends with the last one, or when
none has been there for as long as its patience lasts. Nobody waits here: the batch asks when.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Generic, TypeAlias, TypeVar

from .._concurrency.clock import monotonic
from ..errors import LMStudioError, LMStudioModelNotFoundError
from .tasks import Running, Task
from .verdicts import Verdict

if TYPE_CHECKING:
    from .._connection.scope import CancelScope
    from .._connection.session import Session
    from .inquiry import Inquiry

R = TypeVar("R")

FIRST_PAUSE = 0.1  # seconds before a lost host is tried again; each time twice as long ...
LONGEST_PAUSE = 15.0  # ... but not longer than this
_AWAY = (Verdict.LOST, Verdict.ABSENT, Verdict.REFUSED)
# Losses after which an input may be their cause, and runs alone; and of one that is the cause.
SUSPECT, CAUSE = 3, 6


# Begins what a batch asks with a prompt, under a scope that may cancel it.
Begin: TypeAlias = "Callable[[Any, CancelScope], Running[R]]"


class Host(Generic[R]):
    """One model of one server. It belongs to the thread that iterates.

    Attributes:
        name: The server, as a user would write it.
        places: How many inputs may run there at once; None: it has not said yet, so none may.
        begin: Starts one.
        refill: How many places have to be free before any is given, until none is.
        inquiry: Asks for the number of places, if nobody has said it.
        running: Those that do.
        epoch: How often it was lost.
        left: Why it has left the batch, if it has.
    """

    def __init__(
        self,
        session: Session,
        name: str | None,
        places: int | None,
        begin: Begin[R],
        inquiry: Inquiry | None = None,
        *,
        refill: int = 1,
    ) -> None:
        """Make one of which nothing runs."""
        self._session: Any = session  # of the half that the batch belongs to
        self.name = name
        self.places = places
        self.begin = begin
        self.inquiry = inquiry
        self.refill = refill
        self._is_refilled = True
        self.running: set[Task[R]] = set()
        self.epoch = 0
        self.left: LMStudioError | None = None
        self._rests_until = 0.0
        self._pause = FIRST_PAUSE
        self._down_since: float | None = None
        self._last_error: LMStudioError | None = None
        self._alone: Task[R] | None = None  # nothing runs beside it

    def is_ready(self, now: float) -> bool:
        """Whether it takes inputs at all."""
        return self.left is None and self._rests_until <= now

    @property
    def is_down(self) -> bool:
        """Whether it was lost and has answered nothing since."""
        return self._down_since is not None

    def free(self, task: Task[R] | None) -> int:
        """Return how many more may run there; `task` is the next one, if it is known."""
        if self._alone is not None and self._alone in self.running:
            return 0
        free = (self.places or 0) - len(self.running)
        if free < self.refill:  # short work: several are begun at once
            if free <= 0 or not self._is_refilled:
                self._is_refilled = False
                return 0
        else:
            self._is_refilled = True
        if task is not None and task.losses >= SUSPECT and self.running:
            return 0
        return free

    def note_begin(self, task: Task[R]) -> None:
        """Give an input its place, before it is started."""
        task.host, task.epoch = self, self.epoch
        self._alone = task if task.losses >= SUSPECT else None
        self.running.add(task)

    def note_end(self, task: Task[R], verdict: Verdict, error: Any) -> None:
        """Learn from the end of an input. May be repeated: a loss counts once."""
        if task.epoch != self.epoch or self.left is not None:
            return
        # One that has come back may be loading its model.
        may_load = self.is_down and isinstance(error, LMStudioModelNotFoundError)
        if verdict is Verdict.REFUSED and not may_load:
            self.left = error
        elif verdict in _AWAY and isinstance(error, LMStudioError):
            now = monotonic()
            if error.partial is not None and error.partial.content:  # it was there until now
                self._down_since, self._pause = None, FIRST_PAUSE
            if self._down_since is None:
                self._down_since = now
            self._last_error = error
            self._rests_until = now + self._pause
            self._pause = min(2 * self._pause, LONGEST_PAUSE)
            self.epoch += 1  # last: what else ended with it is no other loss
        elif verdict in (Verdict.ANSWERED, Verdict.FAILED):
            self._down_since, self._pause = None, FIRST_PAUSE

    def rests(self, now: float) -> float:
        """Return the seconds until it may be tried again; 0 if it may, infinity if it left."""
        return math.inf if self.left is not None else max(0.0, self._rests_until - now)

    def given_up(self, now: float, patience: float | None) -> LMStudioError | None:
        """Return why nothing is to be expected of it, or None."""
        if self.left is not None:
            return self.left
        if self._down_since is None or patience is None:
            return None
        return self._last_error if now - self._down_since >= patience else None


class Hosts(Generic[R]):
    """All hosts of a batch. It belongs to the thread that iterates, but for `add`."""

    def __init__(self, hosts: Sequence[Host[R]], patience: float | None) -> None:
        """Take hosts, and the seconds that none of them may be there; None: any."""
        self._all = list(hosts)
        self._patience = patience

    def __iter__(self) -> Iterator[Host[R]]:
        """Give each host."""
        return iter(self._all)

    def add(self, host: Host[R]) -> None:
        """Take one more. Thread safety: all threads; it is one C call."""
        self._all.append(host)

    @property
    def running(self) -> int:
        """How many inputs run."""
        return sum(len(host.running) for host in self._all)

    @property
    def places(self) -> int:
        """How many may run at once."""
        return sum(host.places or 0 for host in self._all)

    def free(self, task: Task[R] | None) -> Host[R] | None:
        """Return the host that has the most free places for the next input, if any has."""
        best, most = None, 0
        now = monotonic()
        for host in self._all:
            free = host.free(task)
            if free > most and host.is_ready(now):
                best, most = host, free
        return None if best is not None and best.is_down and self._all_given_up(now) else best

    def seconds_to_rest(self) -> float:
        """Return how long nothing can be begun, because of pauses; 0 if there is none."""
        now = monotonic()
        resting = [rest for host in self._all if 0 < (rest := host.rests(now)) < math.inf]
        return min(resting, default=0.0)

    def failure(self) -> LMStudioError | None:
        """Return why the batch cannot go on, if it cannot: first of a host that has not left."""
        now = monotonic()
        if self.running or not self._all_given_up(now):
            return None
        last = next((host for host in self._all if host.left is None), self._all[-1])
        return last.given_up(now, self._patience)

    def _all_given_up(self, now: float) -> bool:
        return all(host.given_up(now, self._patience) is not None for host in self._all)
