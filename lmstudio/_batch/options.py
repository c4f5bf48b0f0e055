"""What all methods for batches take: `BatchOptions`, and what of it was checked."""

from __future__ import annotations

from collections.abc import Callable
from os import PathLike
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, TypedDict

import lmstudio

from .._api.callbacks import check_callback
from .._api.checks import check_count, check_flag, check_seconds
from .._api.numbers import as_whole
from .._api.public import public
from .._api.shown import shown
from ..errors import LMStudioValueError
from .numbers import BatchNumbers

if TYPE_CHECKING:
    from .journal import BatchJournal

PATIENCE = 300.0  # seconds
PLACES = 4  # where nobody says how many inputs may run at once

BatchProgress: TypeAlias = (
    Literal["rich", "tqdm"]
    | Callable[[BatchNumbers], Any]
    | Callable[[int, int | None], Any]
    | None
)
"""How a batch shows its progress: a bar of rich or tqdm, a function, or None, which is not at all.

A function with one parameter gets the `BatchNumbers`, one with two how many inputs are done and
how many there are, or None.
"""


class BatchOptions(TypedDict, total=False):
    """What all methods for batches take.

    Attributes:
        patience: Seconds that no server may be there before the batch ends with the connection's
            error. Default: 300; 0: at once; None: no limit.
        retries: How often an input is tried again after a server's error, a time limit, or a
            structured reply that does not fit. Default: 0.
        retry_if: Called with the `BatchOutcome` before that; what is not true is not tried again.
        journal: A file, or a `BatchJournal`, that makes the batch resumable. Default: none.
        ahead: How many inputs may be begun beyond the places, while an outcome before them is not
            given. Default: 1,000 if they are ordered, else three for each place.
        to_prompt: Makes what is asked out of an input. Default: that is the input itself.
    """

    patience: float | None
    retries: int
    retry_if: Callable[[lmstudio.BatchOutcome[Any]], Any] | None
    journal: str | PathLike[str] | lmstudio.BatchJournal | None
    ahead: int | None
    to_prompt: Callable[[Any], Any] | None


class BatchSettings:
    """How a batch does its work; all of it is checked."""

    def __init__(
        self,
        *,
        ordered: bool,
        patience: float | None = PATIENCE,
        retries: int = 0,
        retry_if: Callable[[lmstudio.BatchOutcome[Any]], Any] | None = None,
        journal: str | PathLike[str] | lmstudio.BatchJournal | None = None,
        ahead: int | None = None,
        to_prompt: Callable[[Any], Any] | None = None,
        **unknown: Any,
    ) -> None:
        """Check everything.

        Raises:
            LMStudioValueError: A value cannot be used.
            TypeError: An argument does not exist.
        """
        if unknown:
            name = next(iter(unknown))
            raise TypeError(f"{name!r} is no argument of methods for batches.")
        self.ordered: bool = check_flag(ordered, "ordered")
        self.patience: float | None = check_seconds(patience, "patience")
        self.retries: int = _check_retries(retries)
        check_callback("retry_if", retry_if, "outcome")
        check_callback("to_prompt", to_prompt, "input")
        self.retry_if = retry_if
        self.ahead: int | None = check_count(ahead, "ahead")
        self.to_prompt = to_prompt
        self.journal: BatchJournal | None = None
        if journal is not None:
            from .journal import as_journal  # here: most batches need not load it

            self.journal = as_journal(journal)


def _check_retries(value: object) -> int:
    count = as_whole(value)
    if count is None or count < 0:
        raise LMStudioValueError(f"retries must be at least 0; {shown(value)} was given.")
    return count


def check_places(value: object) -> int | None:
    """Return how many inputs may run at once; None: as many as the server says.

    Raises:
        LMStudioValueError: It is no whole number of at least 1.
    """
    places: int | None = check_count(value, "max_parallel")
    return places


public(BatchOptions)
