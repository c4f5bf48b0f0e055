"""Where a server is: reading what users write as a host, and the URLs that follow from it."""

from __future__ import annotations

import os
import re
import ssl
import uuid
from base64 import b64encode
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote, urlsplit

import attrs

from .._api.shown import shown
from .._concurrency import fork
from ..errors import LMStudioValueError

# The ports on which LM Studio serves its API, in the order in which it tries them.
DEFAULT_PORTS = (41343, 52993, 16141, 39414, 22931)
_PORT_OF_SCHEME = {"": 1234, "http": 80, "ws": 80, "https": 443, "wss": 443}
# What people paste after the host: the REST prefix, or one of our own namespaces.
_PASTED_PATHS = re.compile(r"/(?:api/v\d+|v\d+|llm|embedding|system|files|repository)?/*$")
_LOOPBACK = ("localhost", "127.0.0.1", "::1")
_TOKEN = re.compile(r"sk-lm-([a-zA-Z0-9]{8}):([a-zA-Z0-9]{20})")
_TOKEN_VARIABLES = ("LM_API_TOKEN", "LMSTUDIO_API_TOKEN")


@attrs.frozen
class Address:
    """A server's host, port and path prefix, and whether it is behind TLS."""

    host: str
    port: int
    secure: bool = False
    prefix: str = ""

    @property
    def api_host(self) -> str:
        """The address as a user would write it."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        if self.secure or self.prefix:
            return f"{'https' if self.secure else 'http'}://{host}:{self.port}{self.prefix}"
        return f"{host}:{self.port}"

    def is_same_server(self, other: Address) -> bool:
        """Whether the other address means the same server, however it is written."""
        return self._meaning() == other._meaning()

    def _meaning(self) -> tuple[object, ...]:
        host = self.host.lower().rstrip(".")
        return "" if host in _LOOPBACK else host, self.port, self.secure, self.prefix

    def websocket_url(self, path: str) -> str:
        """The URL of a namespace's websocket."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'wss' if self.secure else 'ws'}://{host}:{self.port}{self.prefix}/{path}"


def parse_api_host(text: str) -> Address:
    """Read ``host:port``, ``host`` or a URL.

    Schemes are http, https, ws and wss. A pasted ``/v1`` or namespace path is cut off, any
    other path is kept as a prefix. Without a scheme the default port is 1234.

    Raises:
        LMStudioValueError: It is none of these.
    """
    if not isinstance(text, str):
        raise LMStudioValueError(
            f"api_host must be a string such as 'localhost:1234': {shown(text)}."
        )
    stripped = text.strip()
    scheme = stripped.partition("://")[0].lower() if "://" in stripped else ""
    try:
        if scheme not in _PORT_OF_SCHEME:
            raise ValueError("its scheme is none of http, https, ws, wss")
        parts = urlsplit(stripped if scheme else f"//{stripped}")
        host, port = parts.hostname, parts.port
        if not host or any(c.isspace() for c in stripped):
            raise ValueError("it names no host")
        if parts.username is not None or parts.password is not None:
            # The text is not repeated: it may hold a password.
            raise LMStudioValueError("api_host must not hold a user name; pass api_token= instead.")
        if parts.query or parts.fragment:
            raise ValueError("it has a query or a fragment")
        if port == 0:
            raise ValueError("its port is 0")
    except LMStudioValueError:
        raise
    except ValueError as error:
        raise LMStudioValueError(
            f"api_host {shown(text)} cannot be used: {error}. "
            "Write 'host:port' (for example 'localhost:1234') or a URL."
        ) from None
    prefix = _PASTED_PATHS.sub("", parts.path).rstrip("/")
    return Address(
        host, port or _PORT_OF_SCHEME[scheme], secure=scheme in ("https", "wss"), prefix=prefix
    )


@attrs.frozen
class Proxy:
    """An HTTP proxy that opens tunnels, and what it wants to be sent. Never shown whole."""

    host: str
    port: int
    headers: dict[str, str] = attrs.field(factory=dict, repr=False)


def parse_proxy(text: str) -> Proxy:
    """Read ``http://[user:password@]host:port``.

    Raises:
        LMStudioValueError: It is something else. (Its text may hold a password: it is not shown.)
    """
    wanted = "proxy must read 'http://host:port' or 'http://user:password@host:port'."
    try:
        parts = urlsplit(text.strip())
        if parts.scheme != "http" or not parts.hostname or not parts.port:
            raise LMStudioValueError(wanted)
        if parts.path not in ("", "/") or parts.query or parts.fragment:
            raise LMStudioValueError(wanted)
    except (ValueError, AttributeError):
        raise LMStudioValueError(wanted) from None
    headers = {}
    if parts.username is not None:
        login = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        headers["Proxy-Authorization"] = f"Basic {b64encode(login.encode()).decode()}"
    return Proxy(parts.hostname, parts.port, headers)


@attrs.frozen(kw_only=True)
class Route:
    """How each connection of a client is made, whatever it is for.

    Attributes:
        headers: Sent with each request, for example for a reverse proxy.
        ssl_context: For https and wss; None: the system's certificates.
        proxy: What opens the tunnel to the server; None: it is reached directly.
    """

    headers: Mapping[str, str] = attrs.field(factory=dict, repr=False)
    ssl_context: ssl.SSLContext | None = None
    proxy: Proxy | None = None


class Identity:
    """Who we are to the server; all namespaces of one client share it. Never shown."""

    __slots__ = ("_guests", "_token", "source")

    def __init__(self, api_token: str | None = None) -> None:
        """Use a token, else the one in ``LM_API_TOKEN`` or ``LMSTUDIO_API_TOKEN``, else be a guest.

        An empty token is that of a guest, whatever the environment has.
        `source` then says where the token came from; None for a guest.

        Raises:
            LMStudioValueError: The token is malformed. (Its text is not repeated.)
        """
        self.source: str | None = None
        self._token: tuple[str, str] | None = None  # identifier and passkey
        self._guests: dict[object, tuple[str, str]] = {}  # by the process: a child is another one
        source = "api_token"
        for variable in _TOKEN_VARIABLES:
            if api_token is None and os.environ.get(variable, "").strip():
                source, api_token = f"The environment variable {variable}", os.environ[variable]
        if api_token is None or api_token == "" or str(api_token).isspace():
            return
        match = _TOKEN.fullmatch(api_token.strip()) if isinstance(api_token, str) else None
        if match is None:
            raise LMStudioValueError(
                f"{source} is not an LM Studio API token. A token reads sk-lm- and 8 letters or "
                "digits, a colon, and 20 more; copy it from LM Studio's Developer page."
            )
        self._token = (match[1], match[2])
        self.source = source

    def is_same(self, other: Identity) -> bool:
        """Whether both have the same token, or are guests."""
        return self._token == other._token

    def __repr__(self) -> str:
        """Show nothing of it."""
        return "Identity(...)"

    def auth_packet(self) -> dict[str, Any]:
        """Return the first message of a connection; a forked child is a guest of its own."""
        if self._token is None:
            # One C call decides: several connector threads may come here at once.
            guest = (f"guest:{uuid.uuid4()}", str(uuid.uuid4()))
            identifier, passkey = self._guests.setdefault(fork.current, guest)
        else:
            identifier, passkey = self._token
        return {"authVersion": 1, "clientIdentifier": identifier, "clientPasskey": passkey}
