"""`Secret`: a value that no traceback with local variables shows."""

from __future__ import annotations

from typing import Generic, NoReturn, TypeVar

T = TypeVar("T")


class Secret(Generic[T]):
    """Holds a token, a password, or what may have one in it.

    Reports of errors show the local variables of every frame. So a function that may raise keeps
    secrets in one of these, deletes the name under which it got the bare value, and leaves looking
    into it to functions that return what they found out, and raise nothing.

    Thread safety: all threads; it never changes.
    """

    __slots__ = ("_value",)

    def __init__(self, value: T) -> None:
        """Wrap a value."""
        self._value = value

    @classmethod
    def of(cls, value: T | Secret[T]) -> Secret[T]:
        """Wrap a value that may be wrapped already."""
        return value if isinstance(value, Secret) else cls(value)

    def reveal(self) -> T:
        """Return the value."""
        return self._value

    def __repr__(self) -> str:
        """Show nothing of it."""
        return "Secret(...)"

    def __reduce__(self) -> NoReturn:
        """Refuse to be copied or pickled."""
        raise TypeError("A secret cannot be pickled.")
