"""`BatchNumbers`: how far a batch is, how fast, and how long it will take."""

from typing import Any

import attrs

from .._api.public import public_module
from .._concurrency.clock import monotonic
from .outcome import BatchOutcome


@attrs.frozen(kw_only=True)
class BatchNumbers:
    """How far a batch is. What the journal had from an earlier run costs no time, and no tokens.

    Attributes:
        total: How many inputs there are; None if nobody knows.
        done: Inputs that have an outcome, those that failed and those of the journal included.
        failed: Those of them that have an error, or a structured reply that does not fit.
        retried: How often an input was sent again, for whatever reason.
        recorded: Those of `done` that the journal had.
        prompt_tokens: Tokens of the prompts that were answered.
        predicted_tokens: Tokens that were generated for them.
        unmatched: Records of the journal that no input belongs to (so far): the inputs were taken
            away, or changed.
        seconds: Since the first input was asked for, until now or the end.
        ended: The batch has ended or was stopped, so there is no time left.

    Thread safety: immutable.
    """

    total: int | None = None
    done: int = 0
    failed: int = 0
    retried: int = 0
    recorded: int = 0
    prompt_tokens: int = 0
    predicted_tokens: int = 0
    unmatched: int = 0
    seconds: float = 0.0
    ended: bool = False

    @property
    def items_per_second(self) -> float:
        """How many inputs are done in a second."""
        return (self.done - self.recorded) / self.seconds if self.seconds else 0.0

    @property
    def tokens_per_second(self) -> float:
        """How many tokens are generated in a second, by all places together."""
        return self.predicted_tokens / self.seconds if self.seconds else 0.0

    @property
    def seconds_left(self) -> float | None:
        """How long it will take from now, if it goes on like this; None if nobody can say.

        Also None if the batch was stopped before all were done.
        """
        if self.total is None:
            return None
        left = max(0, self.total - self.done)
        if not left:
            return 0.0
        if self.ended:
            return None
        return left / self.items_per_second if self.items_per_second else None

    def __str__(self) -> str:
        """Say it in one line."""
        parts = [f"{self.done:,}" if self.total is None else f"{self.done:,} of {self.total:,}"]
        parts += [f"{self.failed:,} failed"] if self.failed else []
        parts += [f"{self.retried:,} retried"] if self.retried else []
        parts += [f"{self.predicted_tokens:,} tokens"] if self.predicted_tokens else []
        parts += [f"{self.tokens_per_second:.0f} tokens/s"] if self.predicted_tokens else []
        parts += [f"{self.items_per_second:.1f}/s"] if self.done > self.recorded else []
        left = self.seconds_left
        parts += [f"{_time(left)} left"] if left else []
        return ", ".join(parts)


class Tally:
    """Adds up outcomes. It belongs to the thread that iterates; anybody may ask for `numbers`."""

    def __init__(self, total: int | None) -> None:
        """Nothing is done yet."""
        self._total = total
        self._begun: float | None = None
        self._ended: float | None = None
        # Replaced as a whole, with the index that was counted last: Ctrl-C counts nothing twice.
        self._sums = (-1, 0, 0, 0, 0, 0, 0)

    @property
    def done(self) -> int:
        """How many inputs have an outcome."""
        return self._sums[1]

    def begin(self) -> bool:
        """Start the clock; return whether this was the first time."""
        is_first = self._begun is None
        if is_first:
            self._begun = monotonic()
        return is_first

    def end(self) -> None:
        """Stop the clock, once."""
        if self._ended is None:
            self._ended = monotonic()

    def add(self, outcome: BatchOutcome[Any]) -> None:
        """Count an outcome. May be repeated for the one that was counted last."""
        last, done, failed, retried, recorded, prompt, predicted = self._sums
        if last == outcome.index:
            return
        if outcome.cancelled:
            return
        stats = None if outcome.recorded else getattr(outcome.result, "stats", None)
        self._sums = (
            outcome.index,
            done + 1,
            failed + (outcome.error is not None),
            retried + (0 if outcome.recorded else max(0, outcome.attempts - 1)),
            recorded + outcome.recorded,
            prompt + (getattr(stats, "prompt_tokens_count", None) or 0),
            predicted + (getattr(stats, "predicted_tokens_count", None) or 0),
        )

    def numbers(self, unmatched: int = 0, *, is_stopped: bool = False) -> BatchNumbers:
        """Return all of it, as of now."""
        _, done, failed, retried, recorded, prompt, predicted = self._sums
        until = monotonic() if self._ended is None else self._ended
        return BatchNumbers(
            total=self._total,
            done=done,
            failed=failed,
            retried=retried,
            recorded=recorded,
            prompt_tokens=prompt,
            predicted_tokens=predicted,
            unmatched=unmatched,
            seconds=0.0 if self._begun is None else until - self._begun,
            ended=is_stopped or self._ended is not None,
        )


def _time(seconds: float) -> str:
    for name, size in (("h", 3600), ("min", 60)):
        if seconds >= size:
            return f"{seconds / size:.1f} {name}"
    return f"{seconds:.0f} s"


public_module({"__name__": __name__, "BatchNumbers": BatchNumbers})
