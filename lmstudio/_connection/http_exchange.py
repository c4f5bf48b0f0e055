"""One HTTP request and its answer, on a wire whose deadline bounds all of it.

It is used for what is asked of a server (the greeting), of a proxy (CONNECT) and for the websocket
handshake. http.client and websocket-client have a time limit for each byte only, and the latter
keeps the cookies of all servers in one place.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from .._api.secret import Secret
from .wire import Wire, lost

USER_AGENT = "lmstudio-python"
_MOST_HEAD = 64 * 1024  # bytes that the head of an answer may have
_CHUNK = 4096
_STATUS = re.compile(rb"HTTP/1\.[01] +([0-9]{3})(?: |$)")
_SIZE = re.compile(rb"[0-9a-fA-F]{1,8}")
_LENGTH = re.compile("[0-9]{1,9}")


def send_request(
    wire: Wire,
    method: str,
    target: str,
    fields: Mapping[str, str],
    secrets: Secret[dict[str, str]],
) -> None:
    """Send a request without a body.

    Args:
        wire: Where to.
        method: As GET.
        target: The path, or what CONNECT names.
        fields: Header fields.
        secrets: More of them, which take the place of others of the same name. All were checked.

    Raises:
        OSError: The connection broke, or the time is over.
    """
    wire.send(_head(method, target, fields, secrets))


def _head(
    method: str, target: str, fields: Mapping[str, str], secrets: Secret[dict[str, str]]
) -> Secret[bytes]:
    more = secrets.reveal()
    names = {name.lower() for name in more}
    fields = {"User-Agent": USER_AGENT, **fields}
    own = {name: value for name, value in fields.items() if name.lower() not in names}
    lines = [f"{name}: {value}" for name, value in {**own, **more}.items()]
    return Secret("\r\n".join([f"{method} {target} HTTP/1.1", *lines, "", ""]).encode("latin-1"))


class Answer:
    """What was answered: the head is read at once, a body when it is asked for.

    Attributes:
        status: The status code.
        fields: The header fields, by their names in small letters.
        rest: What was received behind what was read.
    """

    def __init__(self, wire: Wire) -> None:
        """Read the head.

        Raises:
            OSError: The connection broke, the time is over, or it is no HTTP.
        """
        self.rest = bytearray()
        self._wire = wire
        self.status, self.fields = self._read_head()
        while 100 <= self.status < 200 and self.status != 101:  # a word before the answer
            self.status, self.fields = self._read_head()

    def words(self, name: str) -> list[str]:
        """Return what a field lists, in small letters."""
        return [word.strip() for word in self.fields.get(name, "").lower().split(",")]

    def body(self, most: int) -> bytes:
        """Read the body, or so many bytes of it.

        Raises:
            OSError: The connection broke, or the time is over.
        """
        if "chunked" in self.words("transfer-encoding"):
            return self._read_chunks(most)
        length = self.fields.get("content-length", "")
        return self._take(min(int(length), most) if _LENGTH.fullmatch(length) else most)

    def _read_head(self) -> tuple[int, dict[str, str]]:
        left = _MOST_HEAD
        match = _STATUS.match(self._line(left))
        if match is None:
            raise OSError("what answers there does not speak HTTP")
        fields: dict[str, str] = {}
        while line := self._line(left):
            left -= len(line) + 2
            name, _, value = line.decode("latin-1").partition(":")
            name, value = name.lower(), value.strip()
            fields[name] = f"{fields[name]}, {value}" if name in fields else value
        return int(match[1]), fields

    def _read_chunks(self, most: int) -> bytes:
        body = b""
        while match := _SIZE.match(self._line(_MOST_HEAD)):
            body += self._take(min(int(match[0], 16), most - len(body)))
            if len(body) == most or int(match[0], 16) == 0:
                break
            self._line(2)  # the end of the chunk
        return body

    def _line(self, most: int) -> bytes:
        """Return the next line, without its end."""
        while (end := self.rest.find(b"\n")) < 0:
            if len(self.rest) > most:
                break
            if not self._receive():
                raise lost()
        if not 0 <= end <= most:
            raise OSError("what it answers is too long")
        line = bytes(self.rest[:end])
        del self.rest[: end + 1]
        return line.removesuffix(b"\r")

    def _take(self, count: int) -> bytes:
        """Return so many bytes, fewer at the end."""
        while len(self.rest) < count and self._receive():
            pass
        data = bytes(self.rest[:count])
        del self.rest[:count]
        return data

    def _receive(self) -> bool:
        data = self._wire.receive(_CHUNK)
        self.rest += data
        return bool(data)
