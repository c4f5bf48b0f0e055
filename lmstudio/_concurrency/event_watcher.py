"""The thread that watches plain events, and the times of `CancelToken.after()`.

An event has no callback, so it must be waited for or polled. "lmstudio-watch" waits for a lone
`threading.Event` (in `wait`, for 0.25 s at a time), or polls several (in `sleep`, for 7 ms). It
exists while something is watched.

Nothing here takes a lock: a finaliser or a signal handler may begin to watch something in the
middle of whatever its thread does here. Who adds something adds first and looks for the thread
second; a thread that ends says so first and looks for what was added second. So one of them finds
the other; and that two threads watch the same thing for a moment does no harm.
"""

from __future__ import annotations

from collections import deque

from ..errors import LMStudioRuntimeError
from .clock import monotonic, sleep
from .drain import drain
from .fork import PerProcess
from .targets import Target
from .threads import start_daemon
from .watched import REFUSAL, SLICE, EventLike, Watched, keep_on, note

_PERIOD = 0.007  # seconds between two polls of several


class _State:
    """What is watched in this process.

    Attributes:
        arrivals: What no thread has seen yet.
        watcher: The thread that takes what arrives; None: there is none.
        watchers: This one, and older ones that have still to hand over what they have.
    """

    def __init__(self, parent: _State | None = None) -> None:
        self.arrivals: deque[Watched] = deque()
        self.watcher: _Watcher | None = None
        self.watchers: dict[int, _Watcher] = {}
        if parent is not None:  # its tokens go on here; see `resume_watching`
            self.arrivals.extend(list(parent.arrivals))
            for watcher in list(parent.watchers.values()):
                self.arrivals.extend(list(watcher.watched.values()))


_state = PerProcess(_State)


def watch(event: EventLike, target: Target, reason: object) -> None:
    """Cancel `target` with `reason` once a plain event is set.

    The watch ends when the target is over or collected.

    Raises:
        LMStudioRuntimeError: Python starts no threads any more (it is exiting).
    """
    state = _state.value
    arrival = Watched(event, reason)
    arrival.targets.add(target)
    state.arrivals.append(arrival)
    _have_taken(state, event)


def resume_watching() -> None:
    """Start the thread for what has arrived, if whoever should have done so could not.

    In a forked child that is what the parent watched, when the first call is made or waits.
    """
    state = _state.value
    if state.arrivals and state.watcher is None:
        try:
            _have_taken(state, None)
        except LMStudioRuntimeError:
            pass  # then the next time


def _have_taken(state: _State, event: EventLike | None) -> None:
    """See to it that a thread takes what has arrived."""
    current = state.watcher
    if current is not None and (current.waits_for is None or current.waits_for is event):
        return
    # One that waits for another event cannot be woken: a new one takes over, and the old one hands
    # over what it has, when it sees that.
    watcher = _Watcher(state)
    try:
        state.watchers[id(watcher)] = state.watcher = watcher
        start_daemon(keep_on, "lmstudio-watch", watcher.turn, refusal=REFUSAL, may_wait=False)
    except BaseException:
        # The old one goes on, if it is there; so does this one, if it was started after all.
        if state.watcher is watcher:
            state.watcher = None
        state.watchers.pop(id(watcher), None)
        raise


class _Watcher:
    """What one "lmstudio-watch" thread does.

    Attributes:
        waits_for: The lone event in whose `wait` it is.
        watched: What it watches, by the identity of the event.
    """

    __slots__ = ("_next_look", "_state", "waits_for", "watched")

    def __init__(self, state: _State) -> None:
        self.waits_for: EventLike | None = None
        self._state = state
        self.watched: dict[int, Watched] = {}
        self._next_look = 0.0  # at events that are not set: they may have nothing left to cancel

    def turn(self) -> bool:
        """Look at each event once; return whether there is anything left to do."""
        self.waits_for = None
        if not self._is_in_charge():
            self._state.watchers.pop(id(self), None)
            return False
        self._take_arrivals()
        if not self.watched:
            return self._goes_on()
        self._rest()
        self._look()
        return True

    def _is_in_charge(self) -> bool:
        """Return True unless a newer thread has taken over, which gets what this one has."""
        state = self._state
        while state.watcher is not self:
            if state.watcher is None:  # the newer one could not be started, or has ended
                state.watcher = self
                continue  # two may do this at once: one finds the other, and hands over
            state.arrivals.extend(self.watched.values())
            self.watched.clear()
            # Handed over first, looked second: one that ends looks in the other order.
            if state.watcher is not None:
                return False
        return True

    def _take_arrivals(self) -> None:
        arrivals = self._state.arrivals
        for arrival in drain(arrivals):
            try:
                known = self.watched.setdefault(id(arrival.event), arrival)
                if known is not arrival:
                    for target in arrival.targets.living():
                        known.targets.add(target)
            except BaseException:
                arrivals.append(arrival)
                raise

    def _goes_on(self) -> bool:
        """End, unless something came meanwhile."""
        state = self._state
        if state.watcher is self:
            state.watcher = None
        if state.arrivals:
            return True
        state.watchers.pop(id(self), None)
        return False

    def _rest(self) -> None:
        if len(self.watched) > 1:
            sleep(_PERIOD)
            return
        (watched,) = self.watched.values()
        self.waits_for = watched.event
        if not self._state.arrivals:  # written first, looked second
            watched.event.wait(SLICE)

    def _look(self) -> None:
        now = monotonic()
        due = list(self.watched.items())
        if now < self._next_look:
            due = [(key, watched) for key, watched in due if watched.event.is_set()]
        else:
            self._next_look = now + SLICE
        for key, watched in due:
            try:
                watched.act(watched.look())
                if not watched.living():
                    del self.watched[key]
            except BaseException:
                note("a look at an event failed")  # the others are looked at all the same
