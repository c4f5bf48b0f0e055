"""What the end of one input means: for the input, for its host, and whether it is tried again."""

from __future__ import annotations

from enum import Enum, auto
from typing import TYPE_CHECKING, Any

from ..errors import (
    LMStudioConnectionLostError,
    LMStudioError,
    LMStudioModelNotFoundError,
    LMStudioPresetNotFoundError,
    LMStudioProtocolError,
    LMStudioServerError,
    LMStudioTimeoutError,
    LMStudioWebsocketError,
)

if TYPE_CHECKING:
    from .._connection.call import Call


class Verdict(Enum):
    """What an end means."""

    ANSWERED = auto()  # an outcome, good or bad, that another try would not change
    FAILED = auto()  # the host is there; another try may do better
    LOST = auto()  # the connection broke while it ran, or the model went away: not its outcome
    ABSENT = auto()  # the host cannot be reached: it was not tried at all
    REFUSED = auto()  # this host will refuse all others, too


def judge(outcome: Any, misfit: Exception | None, call: Call) -> Verdict:
    """Return what an end means.

    Args:
        outcome: The result or the error.
        misfit: Why a structured reply does not fit, if it does not.
        call: What has ended.
    """
    if not isinstance(outcome, Exception):
        stats = getattr(outcome, "stats", None)
        if getattr(stats, "stop_reason", None) == "modelUnloaded":
            return Verdict.LOST
        return Verdict.ANSWERED if misfit is None else Verdict.FAILED
    if isinstance(outcome, LMStudioConnectionLostError):
        return Verdict.LOST
    if isinstance(outcome, LMStudioWebsocketError):
        return Verdict.ABSENT
    if isinstance(outcome, (LMStudioModelNotFoundError, LMStudioPresetNotFoundError)):
        return Verdict.REFUSED
    if isinstance(outcome, LMStudioError) and outcome._lets_nobody_in:
        return Verdict.REFUSED
    if isinstance(outcome, LMStudioServerError):
        return Verdict.FAILED
    # Either may come while connecting: so does what a server says that is just being closed.
    if isinstance(outcome, (LMStudioTimeoutError, LMStudioProtocolError)):
        return Verdict.FAILED if call.is_sent else Verdict.ABSENT
    return Verdict.ANSWERED  # the input itself, a cancel
