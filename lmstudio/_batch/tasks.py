"""`Task`: one input of a batch on its way to its outcome, and what runs of it at a host."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

from .outcome import BatchOutcome

if TYPE_CHECKING:
    from .._connection.call import Call
    from .hosts import Host

R_co = TypeVar("R_co", covariant=True)
R = TypeVar("R")


class Running(Protocol[R_co]):
    """What was begun for an input. Thread safety: all threads."""

    @property
    def call(self) -> Call:
        """The call to the server."""
        ...

    def tell(self, told: Callable[[Any], None]) -> None:
        """Have `told` called with something once it has ended; what is not started is started."""
        ...

    def done(self) -> bool:
        """Whether `outcome` would not wait."""
        ...

    def outcome(self) -> R_co | BaseException:
        """Return the result or the error, once it is done."""
        ...


class Task(Generic[R]):
    """One input. It belongs to the thread that iterates.

    Attributes:
        index: Its place among the inputs.
        input: What came out of the inputs.
        prompt: What is asked, made out of it.
        key: Its place in the journal, if there is one.
        running: What runs of it now.
        host: Where it runs, or ran last.
        epoch: Which of the host's times without a loss that is.
        attempts: How often it was sent.
        failures: How often that failed, but for losses.
        losses: How often the connection was lost while it ran.
        outcome: What became of it; an exception that is none of ours is raised.
    """

    __slots__ = (
        "attempts",
        "epoch",
        "failures",
        "host",
        "index",
        "input",
        "key",
        "losses",
        "outcome",
        "prompt",
        "running",
    )

    def __init__(self, index: int, input: Any) -> None:
        """Take an input."""
        self.index = index
        self.input = input
        self.prompt: Any = None
        self.key: Any = None
        self.running: Running[R] | None = None
        self.host: Host[R] | None = None
        self.epoch = 0
        self.attempts = 0
        self.failures = 0
        self.losses = 0
        self.outcome: BatchOutcome[R] | BaseException | None = None
