"""Finds the server: the host that was given, or the LM Studio that runs on this machine.

The latter writes its port into a file in its home folder; without that, a few ports are asked.
"""

from __future__ import annotations

import json
import os
import queue
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from .._api.numbers import is_whole
from .._concurrency.deadline import Deadline, DeadlinePassed, receiver
from .._concurrency.threads import start_daemon
from ..errors import LMStudioWebsocketError
from .address import DEFAULT_PORTS, Address, Route, parse_api_host
from .connect import reason_of

_PROBE_SECONDS = 1.0
_GREETING = "/lmstudio-greeting"
_MAX_ANSWER = 4096  # bytes of an answer that are looked at
_REFUSAL = "No server can be looked for"
_LOCAL = Route()  # to a server on this machine


class Discovery:
    """Where one client's server is.

    Thread safety: used by several connector threads at once; finding the same place twice does
    no harm.
    """

    def __init__(self, api_host: str | None, route: Route = _LOCAL) -> None:
        """Remember what was given.

        Raises:
            LMStudioValueError: `api_host` cannot be read.
        """
        self.given = None if api_host is None else parse_api_host(api_host)
        self.found: Address | None = self.given
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
            ports = ", ".join(map(str, DEFAULT_PORTS))
            raise LMStudioWebsocketError(
                f"LM Studio is not reachable at any default port: nothing answered on 127.0.0.1 at "
                f"{ports}. "
                "Start LM Studio, or pass api_host='host:port' if it is elsewhere, as at "
                "127.0.0.1:1234, the usual place of its REST API."
            )
        return found

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
        """
        address = self.find(deadline)
        if self.given is not None:
            greeting, error = _ask(address, _GREETING, deadline, self._route)
            if greeting.get("lmstudio") is not True:
                reason = (
                    "what answers there is no LM Studio." if error is None else reason_of(error)
                )
                raise LMStudioWebsocketError(
                    f"LM Studio is not reachable at {address.api_host}: {reason}"
                )
        self._was_checked = True


def is_lm_studio(address: Address, deadline: Deadline) -> bool:
    """Return whether an LM Studio greets us there within a second (``GET /lmstudio-greeting``)."""
    greeting, _ = _ask(address, _GREETING, deadline.at_most(_PROBE_SECONDS))
    return greeting.get("lmstudio") is True


def server_version(address: Address, deadline: Deadline) -> str | None:
    """Return the version that an LM Studio says it has, or None."""
    status, _ = _ask(address, "/lms-status", deadline.at_most(_PROBE_SECONDS))
    version = status.get("version")
    return version if isinstance(version, str) else None


def find_local(deadline: Deadline) -> Address | None:
    """Return the LM Studio that runs on this machine, or None.

    Raises:
        LMStudioWebsocketError: ``LMS_API_SERVER_INFO_PATH`` names a server that does not answer.
    """
    chosen = os.environ.get("LMS_API_SERVER_INFO_PATH")
    hint = _read_info_file(Path(chosen) if chosen else _home() / ".internal" / "http-server.json")
    if hint is not None:
        status, _ = _ask(hint, "/lms-status", deadline.at_most(_PROBE_SECONDS))
        if isinstance(status.get("package"), str) and isinstance(status.get("version"), str):
            return hint
    if chosen:
        raise LMStudioWebsocketError(
            "LM Studio is not reachable: the environment variable LMS_API_SERVER_INFO_PATH names "
            f"{chosen!r}, and no LM Studio answers where that file says. Start it, or unset the "
            "variable."
        )
    return find_first([Address("127.0.0.1", port) for port in DEFAULT_PORTS], deadline)


def _home() -> Path:
    """LM Studio's home folder."""
    user = Path.home().resolve()
    try:
        pointed = (user / ".lmstudio-home-pointer").read_text(encoding="utf-8").strip()
        if pointed:
            return Path(pointed)
    except (OSError, ValueError):
        pass
    old = user / ".cache" / "lm-studio"
    return old if old.exists() else user / ".lmstudio"


def _read_info_file(path: Path) -> Address | None:
    """Return where the file says the server is; None for anything that does not say it."""
    try:
        port = json.loads(path.read_text(encoding="utf-8"))["port"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return Address("127.0.0.1", port) if is_whole(port) and 1 <= port <= 65535 else None


def _ask(
    address: Address, path: str, deadline: Deadline, route: Route = _LOCAL
) -> tuple[dict[str, Any], Exception | None]:
    """Return the JSON object that is served there, or an empty one and what went wrong.

    A thread of its own does it: name lookups, and peers that send a byte now and then, know no
    time limits.
    """
    answers: queue.SimpleQueue[tuple[dict[str, Any], Exception | None]] = queue.SimpleQueue()
    seconds = deadline.remaining()

    def probe() -> None:
        # May block in name lookup, connect and recv; after the deadline nobody waits for it.
        answers.put(_get_json(address, path, seconds, route))

    start_daemon(probe, "lmstudio-probe", refusal=_REFUSAL)
    try:
        answer: tuple[dict[str, Any], Exception | None] = receiver(answers, deadline)()
        return answer
    except DeadlinePassed:
        return {}, TimeoutError()


def _get_json(
    address: Address, path: str, seconds: float | None, route: Route
) -> tuple[dict[str, Any], Exception | None]:
    import http.client  # not needed by clients that are given a host

    proxy = route.proxy
    host, port = (address.host, address.port) if proxy is None else (proxy.host, proxy.port)
    connection = (
        http.client.HTTPSConnection(host, port, timeout=seconds, context=route.ssl_context)
        if address.secure
        else http.client.HTTPConnection(host, port, timeout=seconds)
    )
    if proxy is not None:
        connection.set_tunnel(address.host, address.port, headers=proxy.headers)
    try:
        connection.request("GET", address.prefix + path, headers=dict(route.headers))
        response = connection.getresponse()
        answer = json.loads(response.read(_MAX_ANSWER))
        return (answer if response.status == 200 and isinstance(answer, dict) else {}), None
    except (OSError, http.client.HTTPException) as error:
        return {}, error
    except ValueError:  # no JSON (a certificate that is refused is a ValueError as well)
        return {}, None
    finally:
        connection.close()


def find_first(addresses: Iterable[Address], deadline: Deadline) -> Address | None:
    """Return the first of these local addresses that answers; all are asked at once.

    Raises:
        LMStudioRuntimeError: Python starts no threads any more (it is exiting).
    """
    answers: queue.SimpleQueue[Address | None] = queue.SimpleQueue()

    def probe(address: Address) -> None:
        # May block in connect and recv, for at most the probe's time limit each.
        greeting, _ = _get_json(address, _GREETING, _PROBE_SECONDS, _LOCAL)
        answers.put(address if greeting.get("lmstudio") is True else None)

    asked = 0
    for address in addresses:
        start_daemon(probe, "lmstudio-probe", address, refusal=_REFUSAL)
        asked += 1
    receive = receiver(answers, deadline.at_most(2 * _PROBE_SECONDS))
    try:
        for _ in range(asked):
            answer: Address | None = receive()
            if answer is not None:
                return answer
    except DeadlinePassed:
        pass
    return None
