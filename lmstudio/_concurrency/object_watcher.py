"""The threads that watch events of other types: of multiprocessing, of Dask, of the user's own.

Their `is_set()` is not ours: it may hang or raise. So each has a thread, "lmstudio-watch-other",
which alone asks it, also for the first time: whoever starts something with it waits for that look,
but not long. The thread rests for 5 ms, or 20 times what `is_set()` took. It blocks where
`is_set()` blocks, and then that object alone is not seen.

As in `event_watcher`, nothing takes a lock.
"""

from __future__ import annotations

import queue
import weakref
from collections import deque

from ..errors import LMStudioRuntimeError
from .clock import monotonic
from .deadline import Deadline, DeadlinePassed, receiver
from .drain import drain
from .fork import PerProcess
from .once import Once
from .targets import Target
from .threads import start_daemon
from .watched import REFUSAL, SLICE, EventLike, Watched, keep_on

FIRST_LOOK = 0.25  # seconds that a call waits for the first look
_PERIOD = 0.005  # seconds at least between two looks
_COST_FACTOR = 20  # at most 1/20 of a core for one slow is_set()


class _State:
    """What is watched in this process.

    Attributes:
        watched: The objects, by identity.
        inherited: Those of the process that it was forked off, until `resume_objects`.
    """

    def __init__(self, parent: _State | None = None) -> None:
        self.watched: dict[int, _WatchedObject] = {}
        self.inherited: deque[Watched] = deque()
        if parent is not None:
            self.inherited.extend([*parent.inherited, *list(parent.watched.values())])


_state = PerProcess(_State)


def resume_objects() -> None:
    """In a forked child: watch what the parent watched; its tokens go on here."""
    inherited = _state.value.inherited
    for watched in drain(inherited):
        try:
            for target in watched.living():
                watch_object(watched.event, target, watched.reason, is_seen=True)
        except LMStudioRuntimeError:
            inherited.append(watched)  # then the next time
            return


def watch_object(
    event: EventLike, target: Target, reason: object, *, is_seen: bool = False
) -> FirstLook:
    """Cancel `target` with `reason` once an object is set.

    The watch ends when the target is over or collected.

    Args:
        event: The object.
        target: What it cancels.
        reason: With which reason.
        is_seen: Whether the caller has looked at the object.

    Returns:
        What the caller must wait for, unless it has looked.

    Raises:
        LMStudioRuntimeError: Python starts no threads any more (it is exiting).
    """
    state = _state.value
    while True:
        watched = state.watched.get(id(event))
        if watched is None or watched.has_ended:
            watched = _WatchedObject(state, event, reason)
            look = watched.add(target, is_seen)
            watched.start()
            return look
        look = watched.add(target, is_seen)
        if not watched.has_ended:  # added first, looked second
            return look


class FirstLook:
    """The first look at an object for one target: who starts that waits for it."""

    __slots__ = ("_answered", "_inbox", "_watched", "target")

    def __init__(self, watched: _WatchedObject, target: Target, is_seen: bool) -> None:
        """Wait for the look, unless the caller has looked."""
        self.target = weakref.ref(target)
        self._watched = watched
        self._answered = Once()
        self._inbox: queue.SimpleQueue[None] = queue.SimpleQueue()
        if is_seen:
            self._answered.set(None)

    def answer(self, seen: bool | BaseException) -> bool:
        """Hand over what was seen; return False if nobody waits for it any more."""
        is_first = self._answered.set(seen)
        self._inbox.put(None)
        return is_first

    def wait(self, deadline: Deadline) -> bool | BaseException | None:
        """Return whether it is set, or what `is_set()` raised; None if that takes too long.

        It is for the caller to act on the first two; after None the thread that watches does.
        """
        try:
            if not self._watched.hangs():
                receiver(self._inbox, deadline)()
        except DeadlinePassed:
            pass
        finally:
            self._watched.withdraw(self)
        self._answered.set(None)
        seen: bool | BaseException | None = self._answered.value
        return seen


class _WatchedObject(Watched):
    """An object, and what the thread does that watches it.

    Attributes:
        has_ended: Whether that thread is gone, or about to go.
    """

    __slots__ = ("_asked_since", "_bell", "_looks", "_state", "has_ended")

    def __init__(self, state: _State, event: EventLike, reason: object) -> None:
        super().__init__(event, reason)
        self.has_ended = False
        self._state = state
        self._looks: deque[FirstLook] = deque()
        self._bell: queue.SimpleQueue[None] = queue.SimpleQueue()
        self._asked_since: float | None = None

    def add(self, target: Target, is_seen: bool) -> FirstLook:
        """Have the object asked for a target: at once, and then now and then."""
        look = FirstLook(self, target, is_seen)
        self.targets.add(target)
        self._looks.append(look)
        if self._bell.empty():  # not once for each, while nobody comes to the door
            self._bell.put(None)
        return look

    def withdraw(self, look: FirstLook) -> None:
        """Forget a look that nobody waits for any more."""
        try:
            self._looks.remove(look)
        except ValueError:
            pass  # the thread has taken it

    def hangs(self) -> bool:
        """Return whether its `is_set()` was called a while ago, and has not come back."""
        since = self._asked_since
        return since is not None and monotonic() - since > FIRST_LOOK

    def start(self) -> None:
        """Start the thread.

        Raises:
            LMStudioRuntimeError: Python starts no threads any more (it is exiting).
        """
        try:
            self._state.watched[id(self.event)] = self
            start_daemon(keep_on, "lmstudio-watch-other", self._turn, refusal=REFUSAL)
        except BaseException as error:
            self.has_ended = True
            self._state.watched.pop(id(self.event), None)
            for look in drain(self._looks):  # of others, who counted on this thread
                look.answer(error)
            raise

    def _turn(self) -> bool:
        """Ask it once; return whether there is anything left to do."""
        looks = list(drain(self._looks))  # before it is asked: that is for these, too
        if not looks and not self.living():
            return self._goes_on()
        asked = self._asked_since = monotonic()
        try:
            seen = self.look()
        finally:
            self._asked_since = None
        self._answer(looks, seen)
        self.act(seen)
        self._rest(max(_PERIOD, _COST_FACTOR * (monotonic() - asked)))
        return True

    def _answer(self, looks: list[FirstLook], seen: bool | BaseException) -> None:
        for look in looks:
            target = look.target()
            if look.answer(seen) and seen is not False and target is not None:
                self.targets.discard(target)  # who waits acts on it

    def _rest(self, seconds: float) -> None:
        end = Deadline(seconds)
        # A long rest ends when something comes, or nothing is left.
        while end.remaining() and not self._looks and self.living():
            try:
                receiver(self._bell, end.at_most(SLICE))()
            except DeadlinePassed:
                pass

    def _goes_on(self) -> bool:
        """End, unless something came meanwhile."""
        self._state.watched.pop(id(self.event), None)
        self.has_ended = True
        if not self._looks and not self.living():  # said first, looked second
            return False
        self.has_ended = False
        self._state.watched.setdefault(id(self.event), self)
        return True
