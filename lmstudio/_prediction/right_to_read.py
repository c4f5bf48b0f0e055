"""The right to read a stream, which one thread has at a time; the place of what reads for good."""

from __future__ import annotations

import threading
import weakref
from _thread import get_ident
from collections.abc import Iterator
from contextlib import contextmanager

from .._concurrency.threads import check_may_wait


class RightToRead(dict[int, int]):
    """Says which thread reads a stream: `right.get(0)`; None if no thread does.

    It is taken and given back by one C call each, and is no lock: a lock that Ctrl-C leaves taken
    stays taken, while a thread that has this right can simply take it again. `FragmentIterator`
    spells both out, for the sake of the path of a token; all others use `held`.

    Ctrl-C may come while it is given back, and then it stays taken. It stops the prediction too,
    and where that is stopped nobody needs the right any more: there is nothing to read.

    Thread safety: all threads.

    Attributes:
        last: The thread that read last.
        calling: The number of the thread that is inside a callback of the stream; 0: none is.
    """

    __slots__ = ("calling", "last")

    def __init__(self) -> None:
        """Nobody has it."""
        self.calling = 0
        self.last: tuple[int, threading.Thread] = (0, threading.main_thread())

    @contextmanager
    def held(self) -> Iterator[bool]:
        """Take the right for a while, if it is free; say whether it was taken.

        It is not free in the thread that has it: there, this is called by a callback, or by a
        finaliser or a signal handler that came between two steps of the reading.
        """
        me = get_ident()
        is_inside = self.get(0) == me
        try:
            yield not is_inside and self.take(me)
        finally:
            # Whose it is says the dict alone: Ctrl-C may come between the step that takes it and
            # whatever would note that.
            if not is_inside and self.get(0) == me:
                self.pop(0, None)

    def take(self, me: int) -> bool:
        """Take it for the current thread, if it is free or was left by a thread that has ended."""
        return self.setdefault(0, me) == me or (
            self.is_left_by_the_dead() and self.setdefault(0, me) == me
        )

    def is_left_by_the_dead(self) -> bool:
        """Free it from a thread that ended with it; return whether that was so."""
        holder = self.get(0)
        # One that was noted: before that, Python need not know a thread that it did not start. Of
        # several that come here, one C call lets one take it.
        if holder is None or holder != self.last[0] or holder in _living():
            return False
        if self.setdefault(~holder, get_ident()) == get_ident():
            self.pop(0, None)
        return True

    def note_reader(self, me: int) -> None:
        """Remember the thread with this number, which is the current one.

        The number alone does not tell: one that has ended leaves it to the next thread.

        Raises:
            LMStudioRuntimeError: It must not wait.
        """
        check_may_wait()
        self.last = (me, threading.current_thread())

    def name_of_reader(self) -> str:
        """Return the name of the thread that has it, or had it last."""
        holder, (ident, thread) = self.get(0), self.last
        if holder is None or holder == ident:
            return thread.name
        taken_just_now = _living().get(holder)  # it is noted a little later
        return f"{holder}" if taken_just_now is None else taken_just_now.name

    def was_read_here(self) -> bool:
        """Whether the current thread is the one that read last."""
        return self.last[0] == get_ident() and self.last[1] is threading.current_thread()


class Place(weakref.ref[object]):
    """Refers to what reads a stream for good, as long as that lives.

    Unlike plain references, two of one object are two: of threads in the first step of one
    iterator, one has the place, and the others do not give it back.
    """

    __slots__ = ()


def _living() -> dict[int, threading.Thread]:
    """The threads that Python knows, by number, without the lock that `enumerate()` takes."""
    living: dict[int, threading.Thread] = threading._active  # type: ignore[attr-defined]
    return living
