"""`Seat`: the place of the thread that reads in the background; who is held up loses it.

Code of the user's runs in that thread: callbacks, done callbacks of futures, `dispatch`. Mostly it
returns at once, and so nothing is handed to another thread for it. Where it does not, a spare
thread, which waits beside, takes the place over and reads on; the one that is held up keeps only
what it is in the middle of. Who comes first, the return or the spare thread, is decided by one C
call.
"""

from __future__ import annotations

import queue
import threading
from _thread import get_ident
from collections.abc import Callable
from contextlib import suppress

from .._concurrency.clock import monotonic
from .._concurrency.fork import PerProcess
from .._concurrency.once import Once
from .._concurrency.threads import start_daemon
from ..errors import LMStudioRuntimeError

NAME = "lmstudio-background"
_PATIENCE = 0.05  # seconds between two looks; what the second still finds under way is held up
_QUIET = 20  # so many looks that find nothing new, and the spare thread rests
_BACK, _LOST = "back", "lost"  # how a turn ended

_seats: PerProcess[dict[int, Seat]] = PerProcess(lambda _: {})


def current() -> Seat | None:
    """Return the seat that the current thread has, or has lost and not left yet."""
    return _seats.value.get(get_ident())


def enter() -> None:
    """Note that user code follows, if the current thread has a seat."""
    seat = current()
    if seat is not None:
        seat.enter()


class Seat:
    """The place of one thread.

    A turn is what it does of the user's between `enter` and `leave`.

    Thread safety: for its own thread, but for the spare thread that it starts at the first turn.
    """

    def __init__(self, take_over: Callable[[], None]) -> None:
        """Prepare one.

        Args:
            take_over: Called in the spare thread, when this one is held up: it reads on.
        """
        self._take_over = take_over
        self._turn = Once()  # set as soon as it is over
        self._turn.set(_BACK)
        self._has_spare = False
        self._spare_rests = False
        self._wake: queue.SimpleQueue[None] = queue.SimpleQueue()
        self._is_over = False

    def __enter__(self) -> Seat:
        """Sit down."""
        _seats.value[get_ident()] = self
        return self

    def __exit__(self, *_: object) -> None:
        """Stand up, and send the spare thread away."""
        self._turn.set(_BACK)
        self._is_over = True
        self._wake.put(None)
        _seats.value.pop(get_ident(), None)

    @property
    def is_lost(self) -> bool:
        """Whether another thread has taken over."""
        return self._turn.value is _LOST

    def enter(self) -> None:
        """Begin a turn, unless one is under way or the seat is lost."""
        if not self._turn or self.is_lost:
            return
        self._turn = Once()
        # Begun first, looked at second; the spare thread does it the other way round.
        if not self._has_spare:
            self._has_spare = True
            try:
                start_daemon(self._stand_by, "lmstudio-spare", refusal="Nobody can stand by")
            except LMStudioRuntimeError:  # there are too many threads, or Python is exiting
                self._has_spare = False
        elif self._spare_rests:
            self._spare_rests = False
            self._wake.put(None)

    def leave(self) -> bool:
        """End the turn, if there is one; return False if the seat is lost."""
        self._turn.set(_BACK)
        return not self.is_lost

    def _stand_by(self) -> None:
        """Look now and then whether the turn that was under way still is; rest when none is."""
        seen: Once | None = None
        seen_at, quiet = 0.0, 0
        while not self._is_over:
            turn, now = self._turn, monotonic()
            if turn is not seen:
                seen, seen_at, quiet = turn, now, 0
            elif turn:
                quiet += 1
            elif now - seen_at >= _PATIENCE and turn.set(_LOST):
                threading.current_thread().name = NAME
                self._take_over()
                return
            if quiet < _QUIET:
                with suppress(queue.Empty):
                    self._wake.get(timeout=_PATIENCE)
                continue
            self._spare_rests = True
            if self._turn is turn:
                self._wake.get()
            self._spare_rests = False
            quiet = 0
