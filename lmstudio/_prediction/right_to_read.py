"""The right to read a stream, which one thread has at a time."""

from __future__ import annotations

import threading
from _thread import get_ident
from collections.abc import Iterator
from contextlib import contextmanager


class RightToRead(dict[int, int]):
    """Says which thread reads a stream: `right.get(0)`; None if no thread does.

    It is taken and given back by one C call each, and is no lock: a lock that Ctrl-C leaves taken
    stays taken, while a thread that has this right can simply take it again. `FragmentIterator`
    spells both out, for the sake of the path of a token; all others use `held`.

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
        """Take the right for a while, if it is free or this thread's; say whether it was taken."""
        me = get_ident()
        # A callback is called by the thread that reads, whose right it is, and stays.
        is_callback = self.calling == me
        try:
            yield not is_callback and self.setdefault(0, me) == me
        finally:
            # Whose it is says the dict alone: Ctrl-C may come between the step that takes it and
            # whatever would note that.
            if not is_callback and self.get(0) == me:
                self.pop(0, None)

    def note_reader(self, me: int) -> None:
        """Remember the thread with this number, which is the current one.

        The number alone does not tell: one that has ended leaves it to the next thread.
        """
        self.last = (me, threading.current_thread())

    def was_read_here(self) -> bool:
        """Whether the current thread is the one that read last."""
        return self.last[0] == get_ident() and self.last[1] is threading.current_thread()
