"""Where a server is, as users write it, and the URLs that follow from it; and who we are to it."""

from __future__ import annotations

import os
import re
import uuid
from typing import Any
from urllib.parse import SplitResult, quote, urlsplit

import attrs

from .._api.secret import Secret
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
_EXAMPLE = "Write 'host:port' (for example 'localhost:1234') or a URL."
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
        host = _in_url(self.host)
        if self.secure or self.prefix:
            return f"{'https' if self.secure else 'http'}://{host}:{self.port}{self.prefix}"
        return f"{host}:{self.port}"

    @property
    def host_field(self) -> str:
        """What HTTP's ``Host`` says."""
        host = _in_url(self.server_name)
        return host if self.port == (443 if self.secure else 80) else f"{host}:{self.port}"

    @property
    def server_name(self) -> str:
        """The host as the server knows it: without the zone of an IPv6 address, which is ours."""
        return self.host.partition("%")[0]

    def is_same_server(self, other: Address) -> bool:
        """Whether the other address means the same server, however it is written."""
        return self._meaning() == other._meaning()

    def _meaning(self) -> tuple[object, ...]:
        host = self.host.lower().rstrip(".")
        return "" if host in _LOOPBACK else host, self.port, self.secure, self.prefix

    def websocket_url(self, path: str) -> str:
        """The URL of a namespace's websocket."""
        scheme = "wss" if self.secure else "ws"
        return f"{scheme}://{_in_url(self.host)}:{self.port}{self.prefix}/{path}"


def _in_url(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def parse_api_host(text: str | Secret[str]) -> Address:
    """Read ``host:port``, ``host`` or a URL.

    Schemes are http, https, ws and wss. A pasted ``/v1`` or namespace path is cut off, any
    other path is kept as a prefix. Without a scheme the default port is 1234.

    Raises:
        LMStudioValueError: It is none of these.
    """
    secret = Secret.of(text)  # there may be a password in it
    del text
    found = _read_host(secret)
    if isinstance(found, str):
        raise LMStudioValueError(found)
    return found


def _read_host(secret: Secret[Any]) -> Address | str:
    """Return the address, or what is wrong with it."""
    text = secret.reveal()
    if not isinstance(text, str):
        return (
            "api_host must be a string such as 'localhost:1234'; "
            f"something of type {type(text).__name__} was given."
        )
    stripped = text.strip()
    if not stripped.isprintable():
        return f"api_host has line breaks or other characters in it that are not seen. {_EXAMPLE}"
    if "sk-lm-" in stripped:
        return "api_host must not hold an API token; pass api_token= instead."
    scheme = stripped.partition("://")[0].lower() if "://" in stripped else ""
    try:
        if scheme not in _PORT_OF_SCHEME:
            raise ValueError("its scheme is none of http, https, ws, wss")
        parts = urlsplit(stripped if scheme else f"//{stripped}")
        if any(c.isspace() for c in stripped):
            raise ValueError("it has a space in it")
        host, port = parts.hostname, _port_of(parts)
        if not host:
            raise ValueError("it names no host")
        if parts.username is not None or parts.password is not None:
            raise ValueError("it has a user name")
        if parts.query or parts.fragment:
            raise ValueError("it has a query or a fragment")
        if ":" in host:
            host = host.replace("%25", "%")  # a zone, as URLs write it
        elif not host.isascii():
            host = host.encode("idna").decode()
    except ValueError as error:
        if "@" in stripped:  # the text is not repeated: it may hold a password
            return "api_host must not hold a user name; pass api_token= instead."
        return f"api_host {shown(text)} cannot be used: {error}. {_EXAMPLE}"
    prefix = quote(_PASTED_PATHS.sub("", parts.path).rstrip("/"), safe="/%:@!$&'()*+,;=~")
    return Address(
        host, port or _PORT_OF_SCHEME[scheme], secure=scheme in ("https", "wss"), prefix=prefix
    )


def _port_of(parts: SplitResult) -> int | None:
    try:
        port = parts.port
    except ValueError:  # in the words of urllib
        port = 0
    if port == 0:
        raise ValueError("its port is no number from 1 to 65535")
    return port


class Identity:
    """Who we are to the server; all namespaces of one client share it. Never shown."""

    __slots__ = ("_given", "_guests", "_token", "source")

    def __init__(self, api_token: str | Secret[str | None] | None = None) -> None:
        """Use a token, else the one in ``LM_API_TOKEN`` or ``LMSTUDIO_API_TOKEN``, else be a guest.

        An empty token is that of a guest, whatever the environment has.
        `source` then says where the token came from; None for a guest.

        Raises:
            LMStudioValueError: The token is malformed. (Its text is not repeated.)
        """
        self._given = Secret.of(api_token)
        del api_token  # no traceback shows it
        self.read_again()

    def read_again(self) -> None:
        """Look at the environment anew, unless a token was given; a guest is another one then.

        Raises:
            LMStudioValueError: The token is malformed.
        """
        secret = self._given
        self.source: str | None = None
        # By the process, since a child is another guest; and by the guest whose place one took.
        self._guests: dict[object, tuple[str, str]] = {}
        source = "api_token"
        for variable in _TOKEN_VARIABLES:
            if secret.reveal() is None and os.environ.get(variable, "").strip():
                source = f"The environment variable {variable}"
                secret = Secret(os.environ[variable])
        is_well, self._token = _read_token(secret)  # identifier and passkey; None for a guest
        if not is_well:
            raise LMStudioValueError(
                f"{source} is not an LM Studio API token. A token reads sk-lm- and 8 letters or "
                "digits, a colon, and 20 more; copy it from LM Studio's Developer page."
            )
        if self._token.reveal() is not None:
            self.source = source

    def is_same(self, other: Identity) -> bool:
        """Whether both have the same token, or are guests."""
        return self._token.reveal() == other._token.reveal()

    def __repr__(self) -> str:
        """Show nothing of it."""
        return "Identity(...)"

    @property
    def client_identifier(self) -> str:
        """The name under which the server knows us now, and keeps our files."""
        return self._current()[0]

    def auth_packet(self) -> dict[str, Any]:
        """Return the first message of a connection; a forked child is a guest of its own."""
        identifier, passkey = self._current()
        return {"authVersion": 1, "clientIdentifier": identifier, "clientPasskey": passkey}

    def renew(self, refused: dict[str, Any]) -> None:
        """Be another guest than the one of this packet, unless somebody has seen to it already.

        A server lets no guest in again whose last connection has closed.
        """
        gone = (refused["clientIdentifier"], refused["clientPasskey"])
        self._guests[fork.current] = self._guests.setdefault(gone, _new_guest())

    def _current(self) -> tuple[str, str]:
        token = self._token.reveal()
        if token is None:
            # One C call decides: several connector threads may come here at once.
            token = self._guests.setdefault(fork.current, _new_guest())
            while token in self._guests:  # somebody slow has put back one that was gone
                token = self._guests[token]
        return token


def _new_guest() -> tuple[str, str]:
    return f"guest:{uuid.uuid4()}", str(uuid.uuid4())


def _read_token(secret: Secret[str | None]) -> tuple[bool, Secret[tuple[str, str] | None]]:
    """Return whether a token can be used, and its identifier and passkey; None for a guest."""
    text = secret.reveal()
    if text is None or (isinstance(text, str) and not text.strip()):
        return True, Secret(None)
    match = _TOKEN.fullmatch(text.strip()) if isinstance(text, str) else None
    return match is not None, Secret(None if match is None else (match[1], match[2]))
