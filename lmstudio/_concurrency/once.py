"""`Once`: a value that is set once, by whoever comes first."""

from __future__ import annotations

from typing import Any


class Once(dict[int, Any]):
    """A value that the first to come sets; it is true from then on.

    Who was first is decided by one C call, `dict.setdefault`. So it needs no lock: a signal
    handler or a finaliser may set it while its own thread is in the middle of doing so, and Ctrl-C
    can come before or after that call, but not in it.

    Thread safety: all threads.
    """

    __slots__ = ()

    def set(self, value: Any = None) -> bool:
        """Set the value; return whether this call was the first."""
        mine = [value]  # a new object, by which its setter is told from all others
        return self.setdefault(0, mine) is mine

    @property
    def value(self) -> Any:
        """What was set; None before that."""
        held = self.get(0)
        return None if held is None else held[0]
