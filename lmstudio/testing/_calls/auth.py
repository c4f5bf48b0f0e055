"""The handshake of a connection: who may come in."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from .._core.connection import Connection
from .._core.options import Options

_LONGEST = 256
_TOKEN_PREFIX = "sk-lm-"
_GUEST_PREFIX = "guest:"  # of the names that clients make up who have none


class Doorkeeper:
    """Knows the tokens, and who is inside. Loop thread alone."""

    def __init__(self, options: Options) -> None:
        self._options = options
        self._tokens = {tuple(token[len(_TOKEN_PREFIX) :].split(":")) for token in options.tokens}
        self._inside: dict[str, tuple[str, int]] = {}
        self._gone: set[str] = set()

    async def let_in(self, connection: Connection) -> bool:
        """Wait for a good authentication packet and answer it; False if the client must go."""
        try:
            packet = await asyncio.wait_for(_packet(connection), self._options.auth_timeout)
        except asyncio.TimeoutError:
            return _refuse(connection, "Authentication timed out")
        if packet is None:
            return False
        identifier, passkey = packet["clientIdentifier"], packet["clientPasskey"]
        connection.identify(identifier)
        if self._options.auth == "silent":
            while await connection.read() is not None:
                pass
            return False
        problem = self._problem(identifier, passkey)
        if problem is not None:
            return _refuse(connection, problem)
        self._inside[identifier] = (passkey, self._inside.get(identifier, ("", 0))[1] + 1)
        connection.post({"success": True})
        return True

    def let_out(self, connection: Connection) -> None:
        """Note that a connection has ended; a client without connections is forgotten.

        But for guests: as in LM Studio's public server classes, none comes back under its name. Who
        has an API token has no other name, so he may.
        """
        identifier = connection.client_identifier
        if identifier in self._inside:
            passkey, count = self._inside[identifier]
            if count > 1:
                self._inside[identifier] = (passkey, count - 1)
            else:
                del self._inside[identifier]
                if identifier.startswith(_GUEST_PREFIX):
                    self._gone.add(identifier)

    def _problem(self, identifier: str, passkey: str) -> str | None:
        if self._options.auth == "refuse":
            return "Failed to validate client: this server refuses all clients"
        if self._tokens and (identifier, passkey) not in self._tokens:
            return "Failed to validate client: this server asks for a valid API token"
        if identifier in self._gone:
            return "Client is already released!"
        if identifier in self._inside and self._inside[identifier][0] != passkey:
            return (
                "Failed to validate client: "
                f"Invalid client passkey for client {json.dumps(identifier)}"
            )
        return None


def _refuse(connection: Connection, problem: str) -> bool:
    connection.post({"success": False, "error": problem})
    return False


async def _packet(connection: Connection) -> dict[str, Any] | None:
    """Read until a packet has the right form; whatever else comes is ignored in silence."""
    while (frame := await connection.read()) is not None:
        try:
            packet = json.loads(frame)
        except (ValueError, RecursionError):
            continue
        if (
            isinstance(packet, dict)
            and packet.get("authVersion") == 1
            and all(
                isinstance(packet.get(name), str) and len(packet[name]) <= _LONGEST
                for name in ("clientIdentifier", "clientPasskey")
            )
        ):
            return packet
    return None
