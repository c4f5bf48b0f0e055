"""What several test files use."""

import contextlib
import errno
import itertools
import os
import random
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from lmstudio.errors import LMStudioError
from lmstudio.testing import Server

WINDOWS = sys.platform == "win32"
needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
needs_signals = pytest.mark.skipif(
    WINDOWS, reason="Windows sends a process no signal that it could handle"
)
needs_full_disk = pytest.mark.skipif(
    WINDOWS or not os.path.exists("/dev/full"), reason="there is no full disk"
)
needs_terminal = pytest.mark.skipif(WINDOWS, reason="Windows has no pseudo-terminals as POSIX has")
HOME = "USERPROFILE" if WINDOWS else "HOME"  # the variable with the path of the user's folder
NO_FILE = "No such file|cannot find|not found"  # the systems' words for it


_random = random.SystemRandom()  # and not what Hypothesis seeds


class Sequencer:
    """Forces an order on steps of several threads: ``with order(2):`` waits until 0 and 1 are done.

    A step that fails, or does not come in time, fails all that wait for it: nothing hangs.
    """

    def __init__(self, timeout: float = 10.0) -> None:
        self._timeout = timeout
        self._changed = threading.Condition()
        self._done = 0
        self._failed = False

    @contextlib.contextmanager
    def __call__(self, step: int) -> Iterator[None]:
        with self._changed:
            self._changed.wait_for(lambda: self._failed or self._done >= step, self._timeout)
            assert not self._failed, f"step {step}: an earlier step failed"
            assert self._done == step, f"step {step}: it is the turn of step {self._done}"
        ended_well = False
        try:
            yield
            ended_well = True
        finally:
            with self._changed:
                self._done += ended_well
                self._failed = not ended_well
                self._changed.notify_all()


def let_in(server: Any, path: str) -> list[Any]:
    """Return the connections of a namespace that were let in, in order.

    A guest whose only connection is lost is refused once, and comes as another one.
    """
    answers = [(one, one.sent[0]) for one in server.connections if one.path == path and one.sent]
    return [one for one, answer in answers if answer.get("success")]


class Worker(threading.Thread):
    """Runs a function in a thread and gives back what it returned or raised."""

    def __init__(self, function: Callable[..., Any], *arguments: Any) -> None:
        super().__init__(name="worker", daemon=True)
        self._function, self._arguments = function, arguments
        self._outcome: tuple[Any, BaseException | None] = (None, None)
        self.start()

    def run(self) -> None:
        try:
            self._outcome = (self._function(*self._arguments), None)
        except BaseException as error:
            self._outcome = (None, error)

    def result(self, timeout: float = 10.0) -> Any:
        """What the function returned, or raise what it raised."""
        self.join(timeout)
        assert not self.is_alive(), "the worker did not end"
        value, error = self._outcome
        if error is not None:
            raise error
        return value

    def error(self, timeout: float = 10.0) -> BaseException:
        """What the function raised."""
        self.join(timeout)
        assert not self.is_alive(), "the worker did not end"
        value, error = self._outcome
        assert error is not None, f"it returned {value!r}"
        return error


class BreakableEvent:
    """An event of another type, whose `is_set()` raises once it is broken."""

    def __init__(self) -> None:
        self.is_broken = False

    def is_set(self) -> bool:
        if self.is_broken:
            raise OSError("the other process is gone")
        return False


def eventually(condition: Callable[[], Any], timeout: float = 10.0) -> None:
    """Return once a condition holds of which nothing can tell us; fail if it does not in time."""
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline, "the condition never held"
        time.sleep(0.001)


def in_io_thread(client: Any, function: Callable[[], Any]) -> None:
    """Have a client's I/O thread do something, after what that does just now."""
    done = threading.Event()
    client._session.dispatcher.reactor.post(lambda: (function(), done.set()))
    assert done.wait(10)


def time_passes(client: Any, seconds: float) -> None:
    """Forged: that long ago each open call was started, sent and heard of."""
    dispatcher = client._session.dispatcher

    def pass_by() -> None:
        for call in dispatcher.open.values():
            call.started -= seconds
            call.sent -= seconds
            call.heard -= seconds
        dispatcher._heard_models.forget()
        dispatcher.reactor.sweep_at = 0.0  # look at once

    in_io_thread(client, pass_by)


def free_port() -> int:
    """A port of this machine on which nobody listens.

    It is none that the system gives to whoever asks for any, so nobody will for a while.
    """
    while True:
        port = _random.randrange(23_000, 30_000)
        with contextlib.suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port


def server_again(port: int, **options: Any) -> Server:
    """A server at the port of one that has ended; another program may have it for a moment."""
    made = []

    def make() -> list[Server]:
        try:
            made.append(Server(port=port, **options))
        except OSError as problem:
            if problem.errno != errno.EADDRINUSE:
                raise
        return made

    eventually(make)
    return made[0]


def found_by_programs(server: Any, folder: Path) -> tuple[str, str]:
    """The environment variable, and its value, by which programs find a server as the default."""
    path = folder / "http-server.json"
    path.write_text(f'{{"port": {server.port}}}')
    return "LMS_API_SERVER_INFO_PATH", str(path)


def end_session(process: Any, timeout: float) -> None:
    """End what still runs of a process that has a session of its own, with its children."""
    if process.poll() is None:
        if WINDOWS:
            process.kill()
        else:
            os.killpg(process.pid, signal.SIGKILL)
    process.communicate(timeout=timeout)


def creates(server: Any) -> list[dict[str, Any]]:
    """The requests for predictions that the server got."""
    return server.received(type="channelCreate", endpoint="predict")


def cancels(server: Any) -> list[dict[str, Any]]:
    """What clients sent into running calls: a cancel is all they may send."""
    sent = server.received(type="channelSend")
    assert all(message["message"] == {"type": "cancel"} for message in sent)
    return sent


def outcome(read: Callable[[], Any]) -> Any:
    """What a reader got: "ended", or the error."""
    try:
        read()
    except LMStudioError as error:
        return error
    return "ended"


def assert_usable(server: Any, model: Any) -> None:
    """The same client and model answer the next question."""
    server.hold("predict")
    worker = Worker(model.respond, "again")
    call = server.expect("predict")
    call.fragment("fine")
    call.success()
    assert worker.result().content == "fine"


def valid_chat(chat: Any) -> bool:
    """Whether every tool call of a chat is answered, in order, by the message after it."""
    messages = list(chat)
    for at, message in enumerate(messages):
        if message.role == "assistant":
            wanted = [
                p.tool_call_request.id for p in message.content if p.type == "toolCallRequest"
            ]
            follows = messages[at + 1] if at + 1 < len(messages) else None
            is_answer = follows is not None and follows.role == "tool"
            given = [part.tool_call_id for part in follows.content] if is_answer else []
            if wanted != given:
                return False
    return all(a.role != b.role for a, b in itertools.pairwise(messages))
