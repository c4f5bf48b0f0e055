"""Origins of web pages, as browsers write them in the header `Origin`."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import urlsplit

from . import argument_checks as checks

_EXAMPLE = "an origin, as 'https://app.example' or 'http://192.168.1.5:8080'"
_DEFAULT_PORTS = {"http": 80, "https": 443}


def normal_origin(name: str, value: Any) -> str:
    """Return an origin as a browser writes it: in small letters, without the usual port.

    Raises:
        TypeError: It is no text.
        ValueError: No browser sends such a thing; the text says why.
    """
    text = checks.text(name, value)
    problem, hint = _problem(text), f"{name} must be {_EXAMPLE}, got {value!r}"
    if problem is not None:
        raise ValueError(f"{hint}: {problem}")
    scheme, _, rest = text.partition("://")
    if scheme.lower() not in _DEFAULT_PORTS:
        return f"{scheme.lower()}://{rest}"  # an app's own, which no browser changes
    try:
        host = _ascii_host(rest)
        port = urlsplit(text).port
    except ValueError as wrong:
        raise ValueError(f"{hint}: {wrong}") from None
    usual = port in (None, _DEFAULT_PORTS[scheme.lower()])
    return f"{scheme.lower()}://{host}" + ("" if usual else f":{port}")


def _problem(text: str) -> str | None:
    if text == "null":
        return (
            "any page can make itself one without an origin, so it cannot be allowed; serve your "
            "page from http://localhost"
        )
    if "*" in text:
        return "there are no wildcards; name each origin"
    if not re.match(r"[A-Za-z][A-Za-z0-9+.-]*://", text):
        return "it needs a scheme, as https://"
    rest = text.partition("://")[2]
    if not rest:
        return "it needs a host"
    if re.search(r"[/?#\\]", rest):
        return "what follows the host and the port is no part of an origin"
    if "@" in rest or re.search(r"\s", rest):
        return "a host has no such characters"
    return None


def _ascii_host(rest: str) -> str:
    """Return the host in small letters; one of another alphabet as it stands in the DNS."""
    host = urlsplit(f"//{rest}").hostname or ""
    if not host:
        raise ValueError("it needs a host")
    if ":" in host:
        return f"[{host}]"
    try:
        return host if host.isascii() else host.encode("idna").decode()
    except UnicodeError:
        raise ValueError("this is no host") from None
