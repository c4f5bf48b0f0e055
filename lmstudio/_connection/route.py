"""How a client's connections are made, whatever they are for: headers, TLS, proxy."""

from __future__ import annotations

import re
import socket
import ssl
from base64 import b64encode
from typing import Any
from urllib.parse import unquote, urlsplit

import attrs

from .._api.secret import Secret
from .._concurrency.once import Once
from ..errors import LMStudioValueError
from .address import Address
from .dial import dial
from .http_exchange import Answer, send_request
from .wire import Attempt, Wire

# What TLS says where the peer does not speak it.
_PLAIN = ("WRONG_VERSION_NUMBER", "UNEXPECTED_EOF_WHILE_READING", "HTTP_REQUEST")
_KEEPALIVE = [
    (socket.IPPROTO_TCP, getattr(socket, name), value)
    for name, value in (("TCP_KEEPIDLE", 30), ("TCP_KEEPINTVL", 10), ("TCP_KEEPCNT", 3))
    if hasattr(socket, name)
]
_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # of a header
_VALUE = re.compile(r"[\t\x20-\x7e\x80-\xff]*")
# Of these there is one only, and it is ours.
_WEBSOCKET = ("sec-websocket-key", "sec-websocket-version", "sec-websocket-extensions")
_OURS = ("connection", "upgrade", "content-length", "transfer-encoding", *_WEBSOCKET)


def check_headers(given: Secret[Any]) -> Secret[dict[str, str]]:
    """Return headers as they will be sent.

    Raises:
        LMStudioValueError: A name or a value cannot be sent. (No value is repeated.)
    """
    headers, problem = _read_headers(given)
    if problem:
        raise LMStudioValueError(problem)
    return headers


def _read_headers(given: Secret[Any]) -> tuple[Secret[dict[str, str]], str]:
    """Return the headers, and what is wrong with them."""
    headers: dict[str, str] = {}
    try:
        pairs = dict(given.reveal() or {}).items()
    except Exception:  # whatever was given
        return Secret(headers), "headers must be a dict of names and values, all of them strings."
    for name, value in pairs:
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            problem = (
                "headers has a name that cannot be sent: letters, digits and - only, as in "
                "'X-Api-Key'."
            )
        elif name.lower() in _OURS:
            problem = f"headers must not hold {name!r}: the connection needs its own."
        elif not isinstance(value, str):
            problem = f"headers[{name!r}] must be a string."
        elif not _VALUE.fullmatch(value):
            problem = (
                f"headers[{name!r}] has a line break in it, or another character that no header "
                "may have (was it read from a file? then strip() it)."
            )
        else:
            headers[name] = value.strip(" \t")
            continue
        return Secret(headers), problem
    return Secret(headers), ""


@attrs.frozen
class Proxy:
    """An HTTP proxy that opens tunnels, and what it wants to be sent. Never shown whole."""

    host: str
    port: int
    headers: Secret[dict[str, str]]


def parse_proxy(text: str | Secret[str]) -> Proxy:
    """Read ``http://[user:password@]host:port``.

    Raises:
        LMStudioValueError: It is something else. (Its text may hold a password: it is not shown.)
    """
    secret = Secret.of(text)
    del text
    proxy = _read_proxy(secret)
    if proxy is None:
        raise LMStudioValueError(
            "proxy must read 'http://host:port' or 'http://user:password@host:port'."
        )
    return proxy


def _read_proxy(secret: Secret[str]) -> Proxy | None:
    try:
        text = secret.reveal().strip()
        parts = urlsplit(text)
        host, port = parts.hostname, parts.port
        if parts.scheme != "http" or not host or not port or not text.isprintable():
            return None
        if parts.path not in ("", "/") or parts.query or parts.fragment or " " in text:
            return None
        host = host.replace("%25", "%") if ":" in host else host.encode("idna").decode()
    except (ValueError, AttributeError):
        return None
    headers = {}
    if parts.username is not None:
        login = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        headers["Proxy-Authorization"] = f"Basic {b64encode(login.encode()).decode()}"
    return Proxy(host, port, Secret(headers))


@attrs.frozen(kw_only=True)
class Route:
    """How each connection of a client is made.

    Thread safety: all threads.

    Attributes:
        headers: Sent with each request, for example for a reverse proxy.
        ssl_context: For https and wss; None: the system's certificates.
        proxy: What opens the tunnel to the server; None: it is reached directly.
    """

    headers: Secret[dict[str, str]] = attrs.field(factory=lambda: Secret({}))
    ssl_context: ssl.SSLContext | None = None
    proxy: Proxy | None = None
    _own_context: Once = attrs.field(factory=Once, repr=False, init=False)

    @property
    def tls_context(self) -> ssl.SSLContext:
        """The context for TLS, the same one every time."""
        if self.ssl_context is not None:
            return self.ssl_context
        if not self._own_context:
            self._own_context.set(_verifying_context())
        context: ssl.SSLContext = self._own_context.value
        return context

    def open(self, address: Address, attempt: Attempt) -> Wire:
        """Open a connection, through the proxy if there is one, with TLS if the address has it.

        Raises:
            OSError: It cannot be opened.
            LMStudioWebsocketError: The attempt was given up.
        """
        # By ourselves: variables of the environment for proxies would capture even 127.0.0.1.
        first: Address | Proxy = self.proxy or address
        sock = dial(first.host, first.port, attempt)
        try:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            for option in _KEEPALIVE:
                sock.setsockopt(*option)
            if self.proxy is not None:
                _open_tunnel(Wire(sock, attempt), self.proxy, address)
            if address.secure:
                sock = self._start_tls(sock, address, attempt)
        except BaseException:
            sock.close()
            raise
        return Wire(sock, attempt)

    def _start_tls(self, plain: socket.socket, address: Address, attempt: Attempt) -> ssl.SSLSocket:
        context = self.tls_context
        plain.settimeout(attempt.remaining())
        sock = context.wrap_socket(
            plain, server_hostname=address.server_name, do_handshake_on_connect=False
        )
        try:
            attempt.adopt(sock)  # it has taken the place of the other
            attempt.run(sock, sock.do_handshake)
        except BaseException:
            sock.close()
            raise
        return sock


def _verifying_context() -> ssl.SSLContext:
    """Return a context that verifies, also where a program has replaced Python's default one."""
    context = ssl.create_default_context()
    context.verify_mode = ssl.CERT_REQUIRED
    context.check_hostname = True
    return context


def _open_tunnel(wire: Wire, proxy: Proxy, address: Address) -> None:
    host = f"[{address.host}]" if ":" in address.host else address.host
    place = f"{host}:{address.port}"
    send_request(wire, "CONNECT", place, {"Host": place}, proxy.headers)
    answer = Answer(wire)
    if answer.status != 200:
        hint = ": proxy='http://user:password@...' names you" if answer.status == 407 else ""
        raise OSError(f"the proxy answered with HTTP status {answer.status}{hint}")
    if answer.rest:
        raise OSError("the proxy sent more than its answer")


def reason_of(error: BaseException) -> str:
    """Return in a sentence why no connection was opened, and what to do."""
    if isinstance(error, ssl.SSLError):
        words = getattr(error, "verify_message", None) or error.reason or str(error)
        is_plain = error.reason in _PLAIN
        hint = " Does that port speak TLS? LM Studio itself does not: try http://."
        return f"the TLS handshake failed: {words}.{hint if is_plain else ''}"
    if not isinstance(error, OSError):
        return f"{error!r}."
    words = error.strerror or str(error) or type(error).__name__
    if isinstance(error, TimeoutError):
        words = "it did not answer in time"
    question = " Is LM Studio running? Is its local server on?"
    has_question = isinstance(error, (ConnectionError, TimeoutError))
    return f"{words[0].lower()}{words[1:]}.{question if has_question else ''}"


def check_ssl_context(context: Any) -> ssl.SSLContext | None:
    """Return a context for TLS, or None.

    Raises:
        LMStudioValueError: It is neither.
    """
    if context is not None and not hasattr(context, "wrap_socket"):
        raise LMStudioValueError(
            f"ssl_context must be an ssl.SSLContext; a {type(context).__name__} was given."
        )
    return context  # type: ignore[no-any-return]
