"""Who may not come in: web pages, which a browser lets connect to any server of this machine.

WebSockets know no same-origin rule, so a page of any site could run the models behind the server.
A browser says with `Origin` whose page it is; and with `Host` by which name the page has found us,
which is not this machine's when a site has given its own name our address. Programs that are no
browsers send no `Origin`; and this package's client says by which name it goes, which a page cannot
say of itself, so that it may use any name of this machine.
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Sequence
from urllib.parse import urlsplit

from websockets.datastructures import Headers

from .._protocol.origins import normal_origin

_OWN_CLIENT = "lmstudio-python"


def refusal(headers: Headers, allowed: Sequence[str], address: str) -> str | None:
    """Return why a request is refused, None if it is not.

    Args:
        headers: Those of the request.
        allowed: Origins that may come in besides this machine's, such as "https://app.example".
        address: Where the server listens: other computers call it by its address or its name.
    """
    for origin in headers.get_all("Origin"):
        if not (origin in allowed or is_local(_host(origin))):
            return _refused_origin(origin)
    if headers.get_all("User-Agent") == [_OWN_CLIENT]:
        return None
    for name in headers.get_all("Host"):
        host = _host(f"//{name}")
        if not (is_local(host) or host in map(_host, allowed) or _is_own(host, address)):
            return (
                f"The request is for the host {_shown(name)}: this server is only localhost. Call "
                "it by localhost or 127.0.0.1; by its address, if it listens for other computers "
                "(host=, --host)."
            )
    return None


def _refused_origin(origin: str) -> str:
    who = f"The request comes from a web page of {_shown(origin)}"
    try:
        allowed = _shown(normal_origin("the origin", origin))
    except ValueError:
        return (
            f"{who}, which cannot be allowed: any page can come from there. Only pages of "
            "localhost may connect to this server: serve yours from http://localhost."
        )
    return (
        f"{who}: only pages of localhost may connect to this server, unless it has "
        f"allow_origins=[{allowed}], or was started with --allow-origin {allowed}."
    )


def _is_own(host: str, address: str) -> bool:
    """Whether other computers may call a server that listens there so. No site has these names."""
    if is_local(address):
        return False
    if host in (address, socket.gethostname().lower()):
        return True
    try:
        return bool(ipaddress.ip_address(host))
    except ValueError:
        return False


def _host(url: str) -> str:
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""


def is_local(host: str) -> bool:
    """Whether only programs of this machine reach what listens there."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _shown(text: str) -> str:
    return ascii(text[:100])
