"""An engine for load tests: endless text at a given rate."""

from __future__ import annotations

from collections.abc import Iterator

from .._protocol import argument_checks as checks
from .._protocol.clock import monotonic
from .._protocol.public import public
from .engine import Engine, Event, GenerationRequest, split_tokens


@checks.names_checked
@public
class GeneratedEngine(Engine):
    """Generates numbered words until it is stopped, or the client's limit is reached.

    Args:
        rate: Tokens per second; None for as fast as the connection takes them.
        prefill: Seconds of prompt processing, with progress packets.
        tokens: Number of tokens after which a reply ends; None for never.

    Raises:
        TypeError: An argument is of the wrong type.
        ValueError: An argument has no meaning.

    Thread safety:
        Any thread.
    """

    def __init__(
        self, rate: float | None = None, prefill: float = 0.0, tokens: int | None = None
    ) -> None:
        checks.optional(checks.number())("rate", rate)
        if rate is not None and rate <= 0:
            raise ValueError(f"rate must be above 0 tokens per second, got {rate}")
        checks.number()("prefill", prefill)
        checks.optional(checks.whole(1))("tokens", tokens)
        self._rate = rate
        self._prefill = prefill
        self._tokens = tokens

    def generate(self, request: GenerationRequest) -> Iterator[Event]:
        """Yield words without end."""
        total = len(split_tokens(request.prompt))
        request.report_progress(0, total, 0)
        if self._prefill > 0 and request.stop.wait(self._prefill):
            return
        request.report_progress(total, total, 0)
        due = monotonic()
        count = 0
        while count != self._tokens and not request.stop.is_set():
            if self._rate is not None:
                # Against a schedule, so that the rate holds whatever a token costs.
                due += 1.0 / self._rate
                wait = due - monotonic()
                if wait > 0 and request.stop.wait(wait):
                    return
            yield f" word{count}" if count else "word0"
            count += 1
