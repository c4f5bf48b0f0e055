"""What a batch says at its end."""

from __future__ import annotations

import lmstudio as lms

__all__ = ["told"]


def told(numbers: lms.BatchNumbers, failed_before: int = 0) -> str:
    """Return one line: how many rows are answered, and what that took.

    Args:
        numbers: Those of the batch.
        failed_before: How many of the rows that failed did so in earlier runs.
    """
    count = numbers.done if numbers.total is None else numbers.total
    parts = [
        f"{numbers.done - numbers.failed:,} answered{_earlier(numbers.recorded - failed_before)}",
        f"{numbers.failed:,} failed{_earlier(failed_before)}",
    ]
    if count > numbers.done:
        parts += [f"{count - numbers.done:,} to do"]
    if numbers.retried:
        parts += [f"{numbers.retried:,} tried again"]
    rows = f"{count:,} {'row' if count == 1 else 'rows'}: {', '.join(parts)}."
    tokens = f"{numbers.prompt_tokens:,} tokens read, {numbers.predicted_tokens:,} written, "
    return f"{rows} {tokens if numbers.predicted_tokens else ''}{_time(numbers.seconds)}."


def _earlier(count: int) -> str:
    return f" ({count:,} in earlier runs)" if count > 0 else ""


def _time(seconds: float) -> str:
    for name, size in (("h", 3600), ("min", 60)):
        if seconds >= size:
            return f"{seconds / size:.1f} {name}"
    return f"{seconds:.1f} s"
