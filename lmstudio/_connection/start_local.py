"""`start_local()`: finds the LM Studio of this machine, or starts it, when a program asks."""

from __future__ import annotations

import logging
import subprocess
from typing import NamedTuple, NoReturn

from .._api.checks import check_seconds
from .._api.public import public
from .._api.shown import worded
from .._concurrency.cancel_token import CancelEvent, attach, check_events
from .._concurrency.deadline import Deadline
from .._concurrency.fork import PerProcess
from .._concurrency.once import Once
from .._concurrency.threads import check_may_wait, start_daemon
from ..errors import LMStudioCancelledError, LMStudioOSError, LMStudioTimeoutError
from .discovery import find_started
from .installation import Installation, find_installation
from .scope import EventToken

logger = logging.getLogger("lmstudio")

_POLL = 0.25  # seconds between two looks whether it answers


class _Process(NamedTuple):
    """What was started."""

    installation: Installation
    process: subprocess.Popen[bytes]

    @property
    def has_ended(self) -> bool:
        return self.process.poll() is not None

    @property
    def has_failed(self) -> bool:
        return self.process.poll() not in (None, 0)  # with 0, it may have started another one

    def __str__(self) -> str:
        command = [str(self.installation.path), *self.installation.arguments]
        return f"{command} (process {self.process.pid})"


class _Starting:
    """What this process has started last, which of that has answered, and which call may start."""

    def __init__(self) -> None:
        self.last: _Process | None = None
        self.answered: _Process | None = None
        self.claim = Once()

    def awaited(self, before: _Process | None) -> _Process | None:
        """Return what a call waits for: not what ended `before` it, or after having answered."""
        last = self.last
        if last is not None and last in (before, self.answered) and last.has_ended:
            return None
        return last


_starting = PerProcess(lambda _: _Starting())


def start_local(timeout: float | None = 60.0, cancel_event: CancelEvent = None) -> str:
    """Return the host of the LM Studio on this machine; if none runs, start it without a window.

    Nothing else in this package starts LM Studio. What is started is what LM Studio's own files
    name, llmster or else the app, as `lms` does; it is logged at INFO. It goes on when this
    program ends: ``Client(host).system.request_shutdown()`` ends it. Where the environment variable
    ``LMS_API_SERVER_INFO_PATH`` names a server, nothing is started.

    Args:
        timeout: Seconds in which it must answer; None: no limit.
        cancel_event: An event, or several, that end the waiting; what was started goes on.

    Returns:
        Its ``host:port``, for `Client`.

    Raises:
        LMStudioOSError: LM Studio is not installed, cannot be started, or ends at once; or other
            users could have changed what would be run (POSIX only).
        LMStudioTimeoutError: It does not answer in time; the message says what goes on.
        LMStudioCancelledError: `cancel_event` was set; the message says what goes on.
        LMStudioWebsocketError: ``LMS_API_SERVER_INFO_PATH`` names a server that does not answer.
        LMStudioValueError: An argument cannot be used.
        LMStudioRuntimeError: This thread must not wait, or an event cannot be watched.

    Thread safety: may be called in any thread; of several at once, one starts something.

    Endpoint: ``GET /lms-status``.
    """
    check_may_wait()
    limit = check_seconds(timeout, "timeout")
    events = check_events(cancel_event)
    stop = EventToken()
    try:
        attach(stop, events)
        return _find_or_start(Deadline(limit), limit, stop)
    finally:
        stop.retire()


def _find_or_start(deadline: Deadline, limit: float | None, stop: EventToken) -> str:
    own = _starting.value
    before = own.last if own.last is not None and own.last.has_ended else None
    try:
        while True:
            last = own.awaited(before)
            if stop.is_set():
                _raise_cancelled(stop, last)
            found = find_started(deadline)
            if found is not None:
                if last is not None:
                    own.answered = last
                return found.api_host
            if deadline.remaining() == 0:
                raise LMStudioTimeoutError(
                    f"LM Studio did not answer within timeout={limit:g} s. {_what_goes_on(last)}"
                )
            if last is None:
                own.claim.set(stop)  # of several calls one starts something, and the others wait
                if own.claim.value is stop and own.awaited(before) is None:
                    own.last = _start()
            elif last.has_failed and last is not own.answered:  # that one may end between two looks
                raise LMStudioOSError(
                    f"LM Studio ended before it answered: {last} was started, and has ended with "
                    f"code {last.process.returncode}. Start it in a terminal to see why."
                )
            left = deadline.remaining()
            stop.wait(_POLL if left is None else min(_POLL, left))
    finally:
        if own.claim.value is stop:
            own.claim.clear()


def _start() -> _Process:
    installation = find_installation()
    command = [str(installation.path), *installation.arguments]
    logger.info("starting LM Studio: %r, named by %r", command, str(installation.named_by))
    process = installation.start()
    # Somebody has to ask for its exit code, or it stays in the list of processes.
    start_daemon(process.wait, "lmstudio-child", refusal="LM Studio cannot be waited for")
    return _Process(installation, process)


def _raise_cancelled(stop: EventToken, last: _Process | None) -> NoReturn:
    stop.check_events()
    words = "" if stop.reason is None else f": {worded(stop.reason)}"
    raise LMStudioCancelledError(
        f"Waiting for LM Studio was cancelled{words}. {_what_goes_on(last)}", stop.reason
    )


def _what_goes_on(last: _Process | None) -> str:
    if last is None:
        return "Nothing was started."
    if last.has_ended:
        return (
            f"{last} was started, and has ended with code {last.process.returncode}. Start it in a "
            "terminal to see what it says."
        )
    return f"{last} was started, and goes on; call start_local() again to wait for it."


public(start_local)
