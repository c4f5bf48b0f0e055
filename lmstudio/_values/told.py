"""`Told`: what a server has told of a model, as the objects compare that lists of models have."""

from typing import Any


class Told:
    """Base class of what compares by what a server has told of it.

    A class has that as ``_told``, and the ``_session`` in which it was told.

    Thread safety: all threads; nothing changes.
    """

    def __eq__(self, other: object) -> bool:
        """Two are equal if the same client was told the same of them."""
        if not isinstance(other, Told) or type(other) is not type(self):
            return NotImplemented
        mine: Any = self
        its: Any = other
        return mine._session is its._session and bool(mine._told == its._told)

    def __hash__(self) -> int:
        """Agree with equality."""
        return hash(repr(self))
