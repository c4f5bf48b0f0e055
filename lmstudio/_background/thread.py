"""The thread "lmstudio-background": reads what nobody waits for.

One for the process, while there is something to read. It blocks in the `get` of its queue of news,
until a job is added or has news, for at most a second; in code of the user's (callbacks without a
`dispatch`, a `dispatch`, done callbacks) until it loses its `Seat`; and for half a second on a
future that somebody left locked. A job whose callback holds it up comes back when that returns.

A job is polled once in its `interval` while its packets come. When none has come, a `Doorbell`
takes the place of the call's inbox: the I/O thread rings it with the next packet, which puts the
inbox back. So a job that rests costs nothing.
"""

from __future__ import annotations

import heapq
import itertools
import logging
import queue
from collections import deque
from collections.abc import Callable
from contextlib import suppress

from .._api.checks import check_seconds
from .._api.shown import shown
from .._concurrency.clock import monotonic
from .._concurrency.fork import PerProcess
from .._concurrency.once import Once
from .._concurrency.threads import start_daemon
from ..errors import LMStudioRuntimeError, LMStudioValueError
from . import seat
from .doorbell import Doorbell, Job
from .seat import NAME, Seat

logger = logging.getLogger(__name__)

WAITS_FOR_ITSELF = (
    "A callback waits for something that the thread it runs in has to bring. Use on_done, or pass "
    "dispatch= to have callbacks run in a thread of yours."
)
_LOOK_AGAIN = 1.0  # seconds after which this looks at jobs that rest, even if nothing rang


class _State:
    """The jobs of this process.

    It has no lock: a finaliser of the user's, run by the garbage collector in the middle of these
    lines, may start something in the background.

    Attributes:
        arriving: Jobs that the thread has still to take.
        errands: Code of the user's that it has still to call.
        running: The seat of the thread, which itself puts it here, by one C call; none: it ended.
        begun: Set as soon as the thread that was started last has begun.
        news: The bells that rang; None only wakes the thread.
    """

    def __init__(self) -> None:
        self.arriving: deque[Doorbell] = deque()
        self.errands: deque[Callable[[], None]] = deque()
        self.running: dict[int, Seat] = {}
        self.begun = Once()
        self.begun.set()
        self.news: queue.SimpleQueue[Doorbell | None] = queue.SimpleQueue()

    @property
    def has_arrivals(self) -> bool:
        """Whether there is something that no thread has taken yet."""
        return bool(self.arriving or self.errands)

    def ensure_thread(self) -> None:
        """Start the thread, if it does not run, for what was appended before.

        Raises:
            LMStudioRuntimeError: Python starts no threads any more.
        """
        # Appended first, looked at second: a thread without jobs says first that it ends, and looks
        # for new ones second. Two threads may be started at once; one of them runs, the other ends.
        if not self.running and self.begun:
            begun = Once()
            start_daemon(_run, NAME, self, begun, refusal="Nothing runs in the background")
            self.begun = begun  # not before: Ctrl-C may come, and nobody would ever set it


_state = PerProcess(lambda _: _State())


def is_this_thread() -> bool:
    """Whether the caller runs in this thread, or one that was: it must not wait for itself."""
    return seat.current() is not None


def check_other_thread() -> None:
    """Refuse to wait in this thread for what it has to bring.

    Raises:
        LMStudioRuntimeError: The caller is a callback that runs in it.
    """
    if is_this_thread():
        raise LMStudioRuntimeError(WAITS_FOR_ITSELF)


def check_interval(interval: object) -> float:
    """Return the seconds between two polls.

    Raises:
        LMStudioValueError: It is no positive number.
    """
    seconds = check_seconds(interval, "interval")
    if not seconds:
        raise LMStudioValueError(
            f"interval must be more than 0 seconds; {shown(interval)} was given."
        )
    return seconds


def add(job: Job) -> Callable[[None], None]:
    """Poll a job until it is over.

    Returns:
        What rings for it, called with None: it is polled as soon as its interval is over.

    Raises:
        LMStudioRuntimeError: Python starts no threads any more.
    """
    state = _state.value
    bell = Doorbell(job, state.news)
    state.arriving.append(bell)
    try:
        state.ensure_thread()
    except LMStudioRuntimeError:
        with suppress(ValueError):
            state.arriving.remove(bell)
        bell.leave()
        raise
    # The thread need not wake before something comes; what came before it knew the job rings now.
    if not bell.hang_up():
        state.news.put(bell)
    return bell.put


def post(errand: Callable[[], None]) -> None:
    """Have code of the user's called in this thread, soon; it must raise nothing."""
    state = _state.value
    state.errands.append(errand)
    mine = seat.current()
    if mine is None or mine.is_lost:  # else this very thread does it after what it does now
        with suppress(LMStudioRuntimeError):  # Python is exiting
            state.ensure_thread()
        state.news.put(None)


class _SeatLost(Exception):
    """This thread was held up, and another one has its place.

    Attributes:
        bell: That of the job which held it up, and has to come back; None: it is over.
    """

    def __init__(self, bell: Doorbell | None = None) -> None:
        self.bell = bell


class _Poller:
    """When each job is polled. It belongs to whoever has the seat."""

    def __init__(self, state: _State) -> None:
        self._state = state
        self._jobs: set[Doorbell] = set()  # but not the one that is polled just now
        self._polls: list[tuple[float, int, Doorbell]] = []  # a heap; some may be out of date
        self._counter = itertools.count()
        self._next_look = monotonic() + _LOOK_AGAIN  # at the jobs that rest

    @property
    def is_empty(self) -> bool:
        return not self._jobs

    def admit(self, bell: Doorbell) -> None:
        """Take a new job."""
        self._jobs.add(bell)
        if bell.job.call is None:  # nothing will ring
            self.note(bell)

    def seconds_to_rest(self) -> float:
        """Return how long nothing is to be done, if nothing rings."""
        when = self._next_look
        if self._polls:
            when = min(when, self._polls[0][0])
        return max(when - monotonic(), 0.0)

    def note(self, bell: Doorbell) -> None:
        """Somebody rang: poll the job, at once at its end, otherwise when its interval is over."""
        if bell in self._jobs:
            has_ended = bell.job.call is not None and bell.job.call.outcome is not None
            self._plan(bell, 0.0 if has_ended else bell.last_poll + bell.job.interval)

    def poll_due(self, mine: Seat) -> None:
        """Poll every job whose time has come, and do the errands of each.

        Raises:
            _SeatLost: The user's code holds this thread up; this poller is another thread's now.
        """
        now = monotonic()
        self._do_errands(mine)
        while self._polls and self._polls[0][0] <= now:
            when, _, bell = heapq.heappop(self._polls)
            if when == bell.next_poll and bell in self._jobs:
                self._poll(bell, now, mine)
                self._do_errands(mine)
        if now >= self._next_look:
            self._next_look = now + _LOOK_AGAIN
            for bell in self._jobs:  # a switch of threads may have hidden a packet from its bell
                if bell.next_poll is None and bell.has_news:
                    self.note(bell)

    def _plan(self, bell: Doorbell, when: float) -> None:
        if bell.next_poll != when:
            bell.next_poll = when
            heapq.heappush(self._polls, (when, next(self._counter), bell))

    def _poll(self, bell: Doorbell, now: float, mine: Seat) -> None:
        bell.last_poll = now
        bell.next_poll = None
        if not bell.has_news and bell.hang_up():
            return
        bell.take_down()
        self._jobs.discard(bell)  # it stays with this thread, whoever has the seat
        try:
            goes_on = bell.job.poll()
        except BaseException:  # of a done callback, or a bug of ours: the other jobs must go on
            logger.debug("a job of the background thread failed", exc_info=True)
            goes_on = False
        if not goes_on:
            bell.leave()
        if not mine.leave():
            raise _SeatLost(bell if goes_on else None)
        if goes_on:
            self._jobs.add(bell)
            self._plan(bell, now + bell.job.interval)

    def _do_errands(self, mine: Seat) -> None:
        while self._state.errands:
            errand = self._state.errands.popleft()
            mine.enter()
            try:
                errand()
            except BaseException:  # a bug of ours: what else this thread has must go on
                logger.debug("an errand of the background thread failed", exc_info=True)
            if not mine.leave():
                raise _SeatLost


def _run(state: _State, begun: Once) -> None:
    """Be the background thread, unless there is one already."""
    mine = _seat(state, poller := _Poller(state))
    is_mine = state.running.setdefault(0, mine) is mine
    begun.set()  # after that: who finds it set looks for the thread there
    if is_mine:
        _work(state, poller, mine)


def _seat(state: _State, poller: _Poller) -> Seat:
    def take_over() -> None:
        mine = _seat(state, poller)
        state.running[0] = mine  # nobody else puts anything there while it holds the lost one
        _work(state, poller, mine)

    return Seat(take_over)


def _work(state: _State, poller: _Poller, mine: Seat) -> None:
    """Read until there is nothing to read, or another thread has taken over."""
    try:
        with mine:
            _poll_all(state, poller, mine)
    except _SeatLost as lost:
        if lost.bell is not None:
            state.arriving.append(lost.bell)
            state.news.put(lost.bell)
        if state.has_arrivals:
            try:
                state.ensure_thread()
                state.news.put(None)
            except LMStudioRuntimeError:  # no thread can be started, but this one is there
                _run(state, Once())
    finally:
        if not mine.is_lost and state.running.get(0) is mine:
            state.running.pop(0, None)


def _poll_all(state: _State, poller: _Poller, mine: Seat) -> None:
    rung: list[Doorbell | None] = []
    while True:
        # Admitted first: what rang may be new. And nothing that is over may be kept alive by a
        # name while this waits.
        while state.arriving:
            poller.admit(state.arriving.popleft())
        if poller.is_empty and not state.errands:
            state.running.pop(0, None)
            if not state.has_arrivals or state.running.setdefault(0, mine) is not mine:
                return
            continue
        while rung:
            bell = rung.pop()
            if bell is not None:
                poller.note(bell)
        bell = None
        poller.poll_due(mine)
        if not poller.is_empty:
            with suppress(queue.Empty):
                rung.append(state.news.get(timeout=poller.seconds_to_rest()))
                while True:
                    rung.append(state.news.get_nowait())
