"""`BatchOutcome`: what became of one input of a batch; a pair, as loops unpack it, and more."""

from typing import Any, Generic, TypeVar

from .._api.public import public
from ..errors import LMStudioCancelledError, LMStudioError

R = TypeVar("R")


class BatchOutcome(tuple[int, R | LMStudioError], Generic[R]):
    """The pair ``(index, result)`` or ``(index, error)`` of an input, with all that is known of it.

    Attributes:
        input: The input itself, as it came out of the inputs.
        attempts: How often it was sent; 0 if it never was, as one that cannot be sent.
        host: The host that answered or failed last, or None.
        recorded: It was not asked now: the journal had it.

    Thread safety: immutable.
    """

    input: Any
    attempts: int
    host: str | None
    recorded: bool
    _misfit: LMStudioError | None

    def __new__(
        cls,
        index: int,
        outcome: R | LMStudioError,
        input: Any = None,
        attempts: int = 1,
        host: str | None = None,
        recorded: bool = False,
        misfit: LMStudioError | None = None,
    ) -> "BatchOutcome[R]":
        """Make one; batches do, nobody else needs to."""
        self = super().__new__(cls, (index, outcome))
        self.input = input
        self.attempts = attempts
        self.host = host
        self.recorded = recorded
        self._misfit = misfit
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle all of it."""
        more = (self.input, self.attempts, self.host, self.recorded, self._misfit)
        return type(self), (*self, *more)

    @property
    def index(self) -> int:  # type: ignore[override]  # of which nobody needs the tuple's
        """The position of the input, from 0."""
        return self[0]

    @property
    def result(self) -> R | None:
        """The result; None if there is only an error. One that was cancelled has what had come."""
        outcome = self[1]
        return None if isinstance(outcome, LMStudioError) else outcome

    @property
    def error(self) -> LMStudioError | None:
        """What went wrong: the error, or that a structured reply does not fit; None if nothing."""
        outcome = self[1]
        return outcome if isinstance(outcome, LMStudioError) else self._misfit

    @property
    def cancelled(self) -> bool:
        """Whether it was stopped, and so has no whole answer."""
        outcome = self[1]
        if isinstance(outcome, LMStudioError):
            return isinstance(outcome, LMStudioCancelledError)
        return bool(getattr(outcome, "cancelled", False))


public(BatchOutcome)
