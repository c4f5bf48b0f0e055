"""Tells the process that made an object from a child forked off it."""

from __future__ import annotations

import os

__all__ = ["check_process", "current"]

# An object stands for a process: comparing it costs no call on the path of a token.
current: object = object()


def _renew() -> None:
    global current
    current = object()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew)


def check_process(owner: object, what: str) -> None:
    """Raise unless this is the process in which `owner` was `current`.

    Raises:
        LMStudioRuntimeError: The object called `what` came here through a fork.
    """
    if owner is not current:
        from ..errors import LMStudioRuntimeError

        raise LMStudioRuntimeError(
            f"This {what} belongs to the parent process and does not work in a forked child. "
            "Make a new lmstudio.Client after the fork."
        )
