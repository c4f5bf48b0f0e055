"""What every blocking call takes: an event that stops it, and its time limits."""

from __future__ import annotations

from types import EllipsisType
from typing import TypeAlias, TypedDict

from .._api.checks import check_seconds
from .._api.public import public
from .._concurrency.cancel_token import CancelEvent

TimeLimit: TypeAlias = float | EllipsisType | None
"""Seconds; None: no limit; ``...``, where it is the default: what the client has been told."""


class CallLimits(TypedDict, total=False):
    """What every blocking call takes.

    Attributes:
        cancel_event: An event, or several, that stop the call: a `threading.Event`, a
            `CancelToken`, or anything with `is_set()`.
        timeout: Seconds for the whole call; None: no limit. Default, and ``...``: the `timeout` of
            the client, which is None unless it was given.
        idle_timeout: Seconds of silence of the server; None: no limit. Default, and ``...``: the
            `idle_timeout` of the client, else that of `set_sync_api_timeout()`.
    """

    cancel_event: CancelEvent
    timeout: TimeLimit
    idle_timeout: TimeLimit


def call_limits(
    cancel_event: CancelEvent, timeout: TimeLimit, idle_timeout: TimeLimit
) -> CallLimits:
    """Return what a method was given as one thing."""
    return {"cancel_event": cancel_event, "timeout": timeout, "idle_timeout": idle_timeout}


_default_idle_timeout: float | None = 60.0


def get_sync_api_timeout() -> float | None:
    """Return how many seconds of silence of the server are allowed by default; None: any."""
    return _default_idle_timeout


def set_sync_api_timeout(timeout: float | None) -> None:
    """Set how many seconds of silence of the server are allowed by default.

    It holds for calls that start from now on, unless the call or its client sets its own
    `idle_timeout`.

    Args:
        timeout: Seconds; None for no limit. The initial value is 60.

    Raises:
        LMStudioValueError: It is negative or not a number.
    """
    global _default_idle_timeout
    _default_idle_timeout = check_seconds(timeout, "timeout")


public(get_sync_api_timeout, set_sync_api_timeout, CallLimits)
