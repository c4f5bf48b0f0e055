"""Which addresses a host has, and which of them answer; the standard library alone."""

from __future__ import annotations

import queue
import socket
import threading
import time
from collections.abc import Callable
from typing import Any

__all__ = ["look_up_and_try"]


def look_up_and_try(host: str, port: int, seconds: float) -> list[tuple[str, str]]:
    """Return each address as one writes it, and why it does not answer; "" if something does.

    All are tried at once. What has no answer in time, as one of IPv6 that leads nowhere, says so.

    Raises:
        OSError: The name has no address, or nobody answers in time who could know it.
    """
    end = time.monotonic() + seconds
    found = _in_thread(_look_up, host, port)
    try:
        addresses = found.get(timeout=seconds)
    except queue.Empty:
        raise TimeoutError("nobody could say in time which address that is") from None
    if isinstance(addresses, Exception):
        raise OSError(str(addresses)) from None
    answers = [(shown, _in_thread(_try, address, seconds)) for shown, address in addresses.items()]
    results = []
    for shown, answer in answers:
        try:
            results.append((shown, answer.get(timeout=max(0.0, end - time.monotonic()))))
        except queue.Empty:
            results.append((shown, "no answer in time"))
    return results


def _in_thread(function: Callable[..., Any], *arguments: Any) -> queue.SimpleQueue[Any]:
    """Call it in a thread, since name lookups know no time limits."""
    answer: queue.SimpleQueue[Any] = queue.SimpleQueue()

    def run() -> None:
        try:
            answer.put(function(*arguments))
        except Exception as error:
            answer.put(error)

    threading.Thread(target=run, daemon=True, name="lmstudio-doctor").start()
    return answer


def _look_up(host: str, port: int) -> dict[str, Any]:
    """Return the addresses by what one writes for them, in the order in which they are tried."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except UnicodeError:
        raise OSError("that is no name of a host") from None
    return {_shown(entry[4]): entry for entry in found}


def _shown(address: Any) -> str:
    host, port = address[:2]
    return f"[{host}]:{port}" if ":" in str(host) else f"{host}:{port}"


def _try(entry: Any, seconds: float) -> str:
    family, kind, protocol, _, address = entry
    try:
        with socket.socket(family, kind, protocol) as sock:
            sock.settimeout(seconds)
            sock.connect(address)
            return ""
    except TimeoutError:
        return "no answer in time"
    except OSError as error:
        words = str(error.strerror or error)
        return words[:1].lower() + words[1:].rstrip(".")
