"""Ctrl-C as a call, not as an exception that may come anywhere."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Callable, Iterator

__all__ = ["on_ctrl_c"]


@contextlib.contextmanager
def on_ctrl_c(stop: Callable[[], object]) -> Iterator[None]:
    """Have the first Ctrl-C call `stop`; a second one raises KeyboardInterrupt, as ever.

    Where Ctrl-C is ignored, as in what runs in the background of a shell script, it stays so.
    """
    usual = signal.getsignal(signal.SIGINT)
    if usual is not signal.default_int_handler:
        yield
        return

    def handle(*_: object) -> None:
        signal.signal(signal.SIGINT, usual)
        stop()

    signal.signal(signal.SIGINT, handle)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, usual)
