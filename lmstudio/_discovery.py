"""Finds the server: the host that was given, or the first local port that answers."""

from __future__ import annotations

import json
import queue
import ssl
import threading
from collections.abc import Iterable, Mapping

from ._address import DEFAULT_PORTS, Address, parse_api_host
from ._deadline import Deadline, DeadlinePassed, receiver
from .errors import LMStudioRuntimeError, LMStudioWebsocketError

__all__ = ["Discovery", "find_first", "is_lm_studio"]

_PROBE_SECONDS = 1.0
_MAX_GREETING = 4096  # bytes of an answer that are looked at


class Discovery:
    """Where one client's server is.

    Thread safety: used by several connector threads at once; finding the same place twice does
    no harm.
    """

    def __init__(
        self,
        api_host: str | None,
        headers: Mapping[str, str],
        ssl_context: ssl.SSLContext | None,
    ) -> None:
        """Remember what was given.

        Raises:
            LMStudioValueError: `api_host` cannot be read.
        """
        self.given = None if api_host is None else parse_api_host(api_host)
        self.found: Address | None = self.given
        self._was_checked = False
        self._headers = headers
        self._ssl_context = ssl_context

    def find(self, deadline: Deadline) -> Address:
        """Return the given address as it is; without one, look again at each new connection.

        Raises:
            LMStudioWebsocketError: No server answers.
        """
        if self.given is not None:
            return self.given
        last = [] if self.found is None else [self.found]
        local = [Address("127.0.0.1", port) for port in DEFAULT_PORTS]
        found = find_first(last, deadline) or find_first(local, deadline)
        if found is None:
            ports = ", ".join(map(str, DEFAULT_PORTS))
            raise LMStudioWebsocketError(
                f"LM Studio is not reachable: nothing answered on 127.0.0.1 at the ports {ports}. "
                "Start LM Studio, or pass api_host='host:port' if it is elsewhere."
            )
        self.found = found
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
        if self.given is not None and not is_lm_studio(
            address, deadline, self._headers, self._ssl_context
        ):
            raise LMStudioWebsocketError(
                f"LM Studio is not reachable at {address.api_host}: nothing there answered as "
                "LM Studio does. Is it running, and is its local server on?"
            )
        self._was_checked = True


def is_lm_studio(
    address: Address,
    deadline: Deadline,
    headers: Mapping[str, str] | None = None,
    ssl_context: ssl.SSLContext | None = None,
) -> bool:
    """Return whether an LM Studio greets us there (``GET /lmstudio-greeting``)."""
    import http.client  # not needed by clients that are given a host

    seconds = deadline.at_most(_PROBE_SECONDS).remaining()
    connection = (
        http.client.HTTPSConnection(
            address.host, address.port, timeout=seconds, context=ssl_context
        )
        if address.secure
        else http.client.HTTPConnection(address.host, address.port, timeout=seconds)
    )
    try:
        path = f"{address.prefix}/lmstudio-greeting"
        connection.request("GET", path, headers=dict(headers or {}))
        response = connection.getresponse()
        greeting = json.loads(response.read(_MAX_GREETING))
        return response.status == 200 and greeting.get("lmstudio") is True
    except (OSError, http.client.HTTPException, ValueError, AttributeError):
        return False
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
        answers.put(address if is_lm_studio(address, deadline) else None)

    asked = 0
    for address in addresses:
        thread = threading.Thread(target=probe, args=(address,), name="lmstudio-probe", daemon=True)
        try:
            thread.start()
        except RuntimeError as error:
            raise LMStudioRuntimeError(f"No server can be looked for any more: {error}") from None
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
