"""Opens a TCP connection: each address of a name gets its chance, the next beside the one before.

After RFC 8305 ("happy eyeballs"): an address that is silent holds up the next one for a moment
only, and one that refuses not at all. All of it in the thread that asks.
"""

from __future__ import annotations

import errno
import itertools
import os
import selectors
import socket
from typing import Any

from .._concurrency.clock import monotonic
from .wire import SLICE, Attempt

_STAGGER = 0.25  # seconds after which the next address is tried as well ...
_LOCAL_STAGGER = 0.05  # ... and behind one of this machine, which answers at once if it does at all
_LOOPBACK = ("::1", "127.0.0.1")
# These say something of this machine, and little of the server.
_UNTELLING = (errno.ENETUNREACH, errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT)
# poll() needs no descriptor of its own; Windows has select() only.
_Selector: Any = getattr(selectors, "PollSelector", selectors.SelectSelector)


def dial(host: str, port: int, attempt: Attempt) -> socket.socket:
    """Return a socket, known to the attempt, that is connected to the first address that answers.

    Raises:
        TimeoutError: No address answers in time.
        OSError: The name cannot be looked up, or all addresses refuse: the most telling refusal.
        LMStudioWebsocketError: The attempt was given up.
    """
    race = _Race(_addresses(host, port), attempt)
    try:
        sock = race.run()
        attempt.adopt(sock)
        race.open.remove(sock)
    finally:
        race.close()
    return sock


def _addresses(host: str, port: int) -> list[tuple[Any, ...]]:
    """Return the addresses of a name, those of IPv6 and IPv4 in turn."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except UnicodeError:
        raise OSError("its name is no name of a host") from None
    families: dict[int, list[tuple[Any, ...]]] = {}
    for address in found:
        families.setdefault(address[0], []).append(address)
    rounds = itertools.zip_longest(*families.values())  # the first family is what the system wants
    return [address for one in rounds for address in one if address is not None]


class _Race:
    """Sockets that are being connected, and the addresses that have not had their chance."""

    def __init__(self, addresses: list[tuple[Any, ...]], attempt: Attempt) -> None:
        self.open: set[socket.socket] = set()
        self._addresses = addresses
        self._attempt = attempt
        self._refusals: list[OSError] = []
        self._selector = _Selector()
        self._next = 0.0  # when the next address has its chance

    def run(self) -> socket.socket:
        """Return the first socket that is connected; it is in `open` like the others."""
        while True:
            seconds = self._attempt.remaining()
            if self._addresses and monotonic() >= self._next:
                self._start(*self._addresses.pop(0))
            elif self.open:
                for key, _ in self._selector.select(self._pause(seconds)):
                    sock: socket.socket = key.fileobj
                    if self._is_connected(sock):
                        return sock
            elif not self._addresses:
                raise self._most_telling()

    def close(self) -> None:
        """Close what is open."""
        self._selector.close()
        for sock in self.open:
            sock.close()

    def _start(self, family: int, kind: int, protocol: int, _: str, address: Any) -> None:
        stagger = _LOCAL_STAGGER if address[0] in _LOOPBACK else _STAGGER
        self._next = monotonic() + stagger
        try:
            sock = socket.socket(family, kind, protocol)
        except OSError as error:  # no such family here, or no descriptor
            self._refuse(error)
            return
        self.open.add(sock)
        sock.setblocking(False)
        try:
            sock.connect(address)
        except (BlockingIOError, InterruptedError):
            pass  # it is under way
        except OSError as error:
            self._refuse(error, sock)
            return
        self._selector.register(sock, selectors.EVENT_WRITE)

    def _refuse(self, error: OSError, sock: socket.socket | None = None) -> None:
        """Note a refusal; the next address need not wait any longer."""
        self._refusals.append(error)
        self._next = 0.0
        if sock is not None:
            self.open.remove(sock)
            sock.close()

    def _pause(self, seconds: float | None) -> float:
        """Seconds until there is something to do."""
        pause = SLICE if seconds is None else min(seconds, SLICE)
        return min(pause, max(0.0, self._next - monotonic())) if self._addresses else pause

    def _is_connected(self, sock: socket.socket) -> bool:
        """Whether a socket that is done with connecting is connected."""
        self._selector.unregister(sock)
        code = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if code:
            words = getattr(socket, "errorTab", {}).get(code) or os.strerror(code)
            self._refuse(OSError(code, words.rstrip(".")), sock)
        return not code

    def _most_telling(self) -> OSError:
        telling = [error for error in self._refusals if error.errno not in _UNTELLING]
        return (telling or self._refusals or [OSError("its name has no address")])[0]
