"""Starts the threads of this package: all are daemons, and have names."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from ..errors import LMStudioRuntimeError


def start_daemon(
    function: Callable[..., object], name: str, *arguments: Any, refusal: str
) -> threading.Thread:
    """Run ``function(*arguments)`` in a daemon thread.

    Args:
        function: What is run.
        name: The name of the thread.
        *arguments: Handed to the function.
        refusal: What cannot be done without the thread, as the beginning of an error.

    Raises:
        LMStudioRuntimeError: Python starts no threads any more (it is exiting).
    """
    thread = threading.Thread(target=function, name=name, args=arguments, daemon=True)
    try:
        thread.start()
    except RuntimeError as error:
        raise LMStudioRuntimeError(f"{refusal} any more: {error}") from None
    return thread
