"""Starts the threads of this package: all are daemons, have names, and nobody waits for the start.

Some of them bring what others wait for, and so must never wait themselves. None of their code does,
but Python may collect garbage there, and run a finaliser of the user's that makes a call.

At exit Python frees what belongs to the other threads. One that has not begun by then uses it all
the same (up to Python 3.11), which ends the program with a segmentation fault. So the exit waits
for those that begin just now, and no more are started, as Python itself has it from 3.12 on.
"""

from __future__ import annotations

import logging
import threading
from _thread import get_ident
from collections.abc import Callable
from sys import is_finalizing
from typing import Any

from .._api.program_end import at_program_end
from ..errors import LMStudioRuntimeError
from . import fork
from .clock import monotonic, sleep
from .once import Once

logger = logging.getLogger(__name__)

_waitless: set[int] = set()  # the numbers of the threads that must not wait
fork.in_child(_waitless.clear)

_AT_EXIT = 1.0  # seconds that the exit waits for threads to begin
_LOOK_AGAIN = 0.001  # seconds
_beginning: set[threading.Thread] = set()  # started, and still to run their first line
fork.in_child(_beginning.clear)
_is_ending = Once()  # no thread is started any more
fork.in_child(_is_ending.clear)


class _AtOnce(threading.Event):
    """Stands for the news that a thread runs, for which `Thread.start` waits with no limit."""

    def wait(self, timeout: float | None = None) -> bool:
        """Do not wait: whatever the new thread runs first may take its time."""
        return True


class _Daemon(threading.Thread):
    """A daemon thread whose start does not wait until it runs."""

    def __init__(self, function: Callable[[], object], name: str) -> None:
        super().__init__(target=function, name=name, daemon=True)
        self._started = _AtOnce()
        self._process = fork.current

    def join(self, timeout: float | None = None) -> None:
        """Wait as `Thread.join` does, which refuses a thread that was started and does not run yet.

        Programs join what `threading.enumerate()` lists, and such a thread is in that list.
        """
        if self._process is not fork.current and not self.is_alive():
            return  # it ended with the fork, perhaps before it ran
        begin = monotonic()
        has_begun = threading.Event.wait(self._started, timeout)
        if has_begun:
            super().join(None if timeout is None else max(0.0, timeout - (monotonic() - begin)))


def start_daemon(
    function: Callable[..., object],
    name: str,
    *arguments: Any,
    refusal: str,
    may_wait: bool = True,
) -> threading.Thread:
    """Run ``function(*arguments)`` in a daemon thread. It may run a little after this returns.

    Args:
        function: What is run.
        name: The name of the thread.
        *arguments: Handed to the function.
        refusal: What cannot be done without the thread, as the beginning of an error.
        may_wait: Whether what runs there may make calls that wait; see `check_may_wait`.

    Raises:
        LMStudioRuntimeError: Python starts no threads any more (it is exiting).
    """

    def run() -> None:
        _beginning.discard(thread)
        me = get_ident()
        try:
            if not may_wait:
                _waitless.add(me)
            function(*arguments)
        finally:
            _waitless.discard(me)

    thread = _Daemon(run, name)
    try:
        # Added first, looked at second; the main thread at exit does it in the other order.
        _beginning.add(thread)
        if _is_ending:
            raise RuntimeError("Python is exiting")
        thread.start()
    except BaseException as error:  # Ctrl-C, too: the exit must not wait for it
        _beginning.discard(thread)
        if isinstance(error, RuntimeError):
            raise LMStudioRuntimeError(f"{refusal} any more: {error}") from None
        raise
    return thread


def may_wait() -> bool:
    """Return whether the current thread may wait for another one.

    While Python takes itself apart, where finalisers run, there is no other thread any more.
    """
    return get_ident() not in _waitless and not is_finalizing()


def check_may_wait() -> None:
    """Refuse to wait where that would never end.

    Raises:
        LMStudioRuntimeError: The current thread is one of this package that brings what others wait
            for, whose name is told; or Python is exiting.
    """
    if is_finalizing():
        raise LMStudioRuntimeError("Nothing can be waited for any more: Python is exiting.")
    if not may_wait():
        name = threading.current_thread().name
        logger.debug("a call that waits was refused in the thread %s", name)
        raise LMStudioRuntimeError(
            f"A call that waits for the server was made in the thread {name!r}, which must not "
            "wait. Python's garbage collector runs finalisers (`__del__`) in any thread: let "
            "yours call cancel() or close(), or leave the call to a thread of your own."
        )


@at_program_end
def _wait_for_beginners() -> None:
    """Wait until the threads that were started have begun; the main thread, at exit."""
    _is_ending.set()
    end = monotonic() + _AT_EXIT
    try:
        while _beginning and monotonic() < end:
            sleep(_LOOK_AGAIN)
    except (KeyboardInterrupt, SystemExit):  # of a signal handler: the program is exiting as it is
        pass
