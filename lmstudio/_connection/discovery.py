"""Finds the server: the host that was given, or the LM Studio that runs on this machine.

The latter writes its port into a file in its home folder; without that, a few ports are asked.
"""

from __future__ import annotations

import json
import os
import queue
import stat
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NamedTuple

from .._api.numbers import is_whole
from .._concurrency.deadline import Deadline, DeadlinePassed, receiver
from .._concurrency.threads import check_may_wait, start_daemon
from ..errors import LMStudioWebsocketError
from .address import DEFAULT_PORTS, Address
from .http_exchange import Answer, send_request
from .route import Route, reason_of
from .wire import Attempt

_PROBE_SECONDS = 1.0
_REST = Address("127.0.0.1", 1234)  # the usual place of the REST API, where nobody looks unasked
_MAX_ANSWER = 4096  # bytes of an answer that are looked at
_MOST_INFO = 4096  # bytes of a file of LM Studio's


class _Question(NamedTuple):
    """What is asked for over HTTP, and whether the JSON object that comes is that of LM Studio."""

    path: str
    is_answered_by: Callable[[dict[str, Any]], bool]


def _is_status(answer: dict[str, Any]) -> bool:
    return isinstance(answer.get("package"), str) and isinstance(answer.get("version"), str)


_GREETING = _Question("/lmstudio-greeting", lambda answer: answer.get("lmstudio") is True)
_STATUS = _Question("/lms-status", _is_status)


class Discovery:
    """Where one client's server is.

    Thread safety: used by several connector threads at once; finding the same place twice does
    no harm.
    """

    def __init__(self, given: Address | None, route: Route) -> None:
        """Remember what was given; None: the LM Studio that runs on this machine."""
        self.given = given
        self.found: Address | None = given
        self._was_checked = False
        self._route = route

    def find(self, deadline: Deadline) -> Address:
        """Return the given address as it is; without one, look again at each new connection.

        Raises:
            LMStudioWebsocketError: No server answers.
        """
        if self.given is not None:
            return self.given
        found = self.found  # read once: other connector threads may write it
        if found is not None and is_lm_studio(found, deadline):
            return found
        found = self.found = find_local(deadline)
        if found is None:
            raise LMStudioWebsocketError(_nobody(deadline))
        return found

    def forget(self) -> None:
        """Look anew for the server, unless it was given."""
        self.found = self.given
        self._was_checked = False

    def check_once(self, deadline: Deadline) -> None:
        """Do the same as `check`, unless that succeeded before.

        Raises:
            LMStudioWebsocketError: No server answers.
        """
        if not self._was_checked:
            self.check(deadline)

    def check(self, deadline: Deadline) -> None:
        """Make sure that a server answers.

        Raises:
            LMStudioWebsocketError: None does.
            LMStudioRuntimeError: This thread must not wait.
        """
        check_may_wait()
        address = self.find(deadline)
        if self.given is not None:
            greeting, reason = _ask(address, _GREETING.path, deadline, self._route)
            if not _GREETING.is_answered_by(greeting):
                raise LMStudioWebsocketError(
                    f"LM Studio is not reachable at {address.api_host}: "
                    f"{reason or 'what answers there is no LM Studio.'}"
                )
        self._was_checked = True


def _nobody(deadline: Deadline) -> str:
    """Return what to say when no server is found; one may be at the port of the REST API."""
    ports = ", ".join(map(str, DEFAULT_PORTS))
    words = "LM Studio is not reachable at any default port: nothing answered on 127.0.0.1 at "
    words += f"{ports}. "
    rest = _REST.api_host
    if is_lm_studio(_REST, deadline):
        return (
            f"{words}But one answers at {rest}, the usual place of its REST API. Pass "
            f"api_host={rest!r}."
        )
    return (
        f"{words}Start LM Studio, or pass api_host='host:port' if it is elsewhere, as at {rest}, "
        "the usual place of its REST API."
    )


def is_lm_studio(address: Address, deadline: Deadline) -> bool:
    """Return whether an LM Studio greets us there within a second (``GET /lmstudio-greeting``)."""
    return _answers(address, _GREETING, deadline)


def _answers(address: Address, question: _Question, deadline: Deadline) -> bool:
    answer, _ = _ask(address, question.path, deadline.at_most(_PROBE_SECONDS), Route())
    return question.is_answered_by(answer)


def server_version(address: Address, deadline: Deadline) -> str | None:
    """Return the version that an LM Studio says it has, or None."""
    status, _ = _ask(address, _STATUS.path, deadline.at_most(_PROBE_SECONDS), Route())
    version = status.get("version")
    return version if isinstance(version, str) else None


def find_local(deadline: Deadline) -> Address | None:
    """Return the LM Studio that runs on this machine, or None; it has greeted us.

    Raises:
        LMStudioWebsocketError: ``LMS_API_SERVER_INFO_PATH`` names a server that does not answer.
    """
    return _find_local(_GREETING, deadline)


def find_started(deadline: Deadline) -> Address | None:
    """Return the LM Studio that runs on this machine, or None; it has told its status.

    Raises:
        LMStudioWebsocketError: ``LMS_API_SERVER_INFO_PATH`` names a server that does not answer.
    """
    return _find_local(_STATUS, deadline)


def _find_local(question: _Question, deadline: Deadline) -> Address | None:
    chosen = os.environ.get("LMS_API_SERVER_INFO_PATH")
    hint = _read_info_file(chosen)
    if hint is not None and _answers(hint, question, deadline):
        return hint
    if chosen:
        raise LMStudioWebsocketError(
            "LM Studio is not reachable: the environment variable LMS_API_SERVER_INFO_PATH names "
            f"{chosen!r}, and no LM Studio answers where that file says. Start it, or unset the "
            "variable."
        )
    places = [Address("127.0.0.1", port) for port in DEFAULT_PORTS]
    return _find_first(places, question, deadline)


def home_pointer() -> Path:
    """Return where LM Studio may have noted its home folder.

    Raises:
        OSError: The user's home folder leads nowhere.
        RuntimeError: Nobody knows it.
    """
    return Path.home().resolve() / ".lmstudio-home-pointer"


def lm_studio_home() -> Path:
    """Return LM Studio's home folder; raises as `home_pointer` does."""
    pointer = home_pointer()
    pointed = read_small_file(pointer).strip()
    if pointed:
        return Path(pointed)
    old = pointer.parent / ".cache" / "lm-studio"
    return old if os.path.exists(old) else pointer.parent / ".lmstudio"


def _read_info_file(chosen: str | None) -> Address | None:
    """Return where LM Studio's file says the server is; None if there is none that says it."""
    try:
        path = Path(chosen) if chosen else lm_studio_home() / ".internal" / "http-server.json"
        port = json.loads(read_small_file(path))["port"]
    # A home folder may be another user's, go round in circles, or be known to nobody.
    except (OSError, RuntimeError, ValueError, KeyError, TypeError):
        return None
    return Address("127.0.0.1", port) if is_whole(port) and 1 <= port <= 65535 else None


def read_small_file(path: Path) -> str:
    """Return the text of a file, or nothing if it is no file, cannot be read, or is big."""
    try:
        fd = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))  # a pipe would be waited for
        try:
            is_file = stat.S_ISREG(os.fstat(fd).st_mode)
            data = os.read(fd, _MOST_INFO + 1) if is_file else b""
        finally:
            os.close(fd)
        return data.decode() if len(data) <= _MOST_INFO else ""
    except (OSError, ValueError):
        return ""


def _ask(
    address: Address, path: str, deadline: Deadline, route: Route
) -> tuple[dict[str, Any], str]:
    """Return the JSON object that is served there, or an empty one and why there is no answer.

    A thread of its own does it: name lookups know no time limits.
    """
    answers: queue.SimpleQueue[tuple[dict[str, Any], str]] = queue.SimpleQueue()
    attempt = Attempt(deadline.remaining())
    _start_probe(_probe, address, path, route, attempt, answers)
    try:
        answer: tuple[dict[str, Any], str] = receiver(answers, deadline)()
        return answer
    except DeadlinePassed:
        return {}, reason_of(TimeoutError())
    finally:
        attempt.abort()


def _start_probe(probe: Callable[..., None], *arguments: Any) -> None:
    refusal = "No server can be looked for"
    start_daemon(probe, "lmstudio-probe", *arguments, refusal=refusal, may_wait=False)


def _probe(
    address: Address,
    path: str,
    route: Route,
    attempt: Attempt,
    answers: queue.SimpleQueue[tuple[dict[str, Any], str]],
) -> None:
    """Answer, whatever happens. May block in name lookup; all else ends with the attempt."""
    answer: tuple[dict[str, Any], str] = {}, ""
    try:
        answer = _get_json(address, path, route, attempt), ""
    except BaseException as error:  # such as: no memory, no descriptor
        answer = {}, reason_of(error)
    finally:
        answers.put(answer)


def _get_json(address: Address, path: str, route: Route, attempt: Attempt) -> dict[str, Any]:
    """Return the JSON object that is served there, or an empty one for any other answer."""
    wire = route.open(address, attempt)
    try:
        fields = {"Host": address.host_field, "Accept-Encoding": "identity", "Connection": "close"}
        send_request(wire, "GET", address.prefix + path, fields, route.headers)
        answer = Answer(wire)
        body = answer.body(_MAX_ANSWER) if answer.status == 200 else b""
    finally:
        wire.close()
    try:
        value = json.loads(body.decode())
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def _find_first(
    addresses: Iterable[Address], question: _Question, deadline: Deadline
) -> Address | None:
    """Return the first of these local addresses where an LM Studio answers; asks all at once.

    Raises:
        LMStudioRuntimeError: Python starts no threads any more (it is exiting).
    """
    answers: queue.SimpleQueue[Address | None] = queue.SimpleQueue()
    limit = deadline.at_most(_PROBE_SECONDS)
    attempts: list[Attempt] = []
    try:
        for address in addresses:
            attempts.append(Attempt(limit.remaining()))
            _start_probe(_probe_port, address, question, attempts[-1], answers)
        receive = receiver(answers, limit)
        for _ in attempts:
            answer: Address | None = receive()
            if answer is not None:
                return answer
    except DeadlinePassed:
        pass
    finally:
        for attempt in attempts:
            attempt.abort()
    return None


def _probe_port(
    address: Address,
    question: _Question,
    attempt: Attempt,
    answers: queue.SimpleQueue[Address | None],
) -> None:
    """Answer, whatever happens; ends with the attempt."""
    answer: Address | None = None
    try:
        if question.is_answered_by(_get_json(address, question.path, Route(), attempt)):
            answer = address
    except BaseException:  # as good as no answer
        pass
    finally:
        answers.put(answer)
