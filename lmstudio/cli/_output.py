"""The output of a batch: one line for each result, which no kill loses and nothing writes twice."""

from __future__ import annotations

import json
import os
import zlib
from array import array
from pathlib import Path
from typing import Any

__all__ = ["Output", "OutputError", "digest_of"]


class OutputError(Exception):
    """The file cannot be used; the text says what to do."""


def digest_of(line: bytes) -> int:
    """Return a number that tells a line of the input from another one; never 0."""
    return zlib.crc32(line.strip()) or 1


class Output:
    """A file to which results are appended, and what it held when it was opened.

    Each result is one write of one line, past all buffers of this process. A last line that is
    not whole (the machine went down) is cut off.
    """

    def __init__(self, path: Path) -> None:
        """Open or make the file, and read which lines of the input are done.

        Raises:
            OutputError: Another program writes it, or it holds something else.
            OSError: It cannot be opened.
        """
        self._done = array("I")  # at each line of the input its digest; 0: not done
        self.count = 0
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o666)
        try:
            self._lock(path)
            self._read(path)
        except BaseException:
            os.close(self._file)
            raise

    def _lock(self, path: Path) -> None:
        try:
            import fcntl
        except ImportError:  # Windows
            return
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise OutputError(
                f"Another batch is writing {path}. Wait for it, or stop it."
            ) from None

    def _read(self, path: Path) -> None:
        whole = 0
        with open(path, "rb") as lines:
            for number, line in enumerate(lines, start=1):
                if not line.endswith(b"\n"):
                    os.ftruncate(self._file, whole)
                    break
                whole += len(line)
                try:
                    record = json.loads(line)
                    self._note(record["line"], int(record["input"], 16))
                except (ValueError, TypeError, KeyError):
                    raise OutputError(
                        f"Line {number} of {path} is no result of a batch. Name another file."
                    ) from None

    def _note(self, line: int, digest: int) -> None:
        if line >= len(self._done):
            self._done.extend([0] * (line + 1 - len(self._done)))
        self.count += not self._done[line]
        self._done[line] = digest

    def is_done(self, line: int, digest: int) -> bool:
        """Return whether the file has the result of a line of the input, counted from 1.

        Raises:
            OutputError: It has the result of another line in that place.
        """
        known = self._done[line] if line < len(self._done) else 0
        if known not in (0, digest):
            raise OutputError(
                f"Line {line} of the input is not the one that was answered before. "
                "Name another output file, or take the input as it was."
            )
        return bool(known)

    def append(self, line: int, digest: int, record: dict[str, Any]) -> None:
        """Write the result of a line of the input."""
        text = json.dumps({"line": line, "input": f"{digest:08x}", **record}, ensure_ascii=False)
        data = text.encode("utf-8", "backslashreplace") + b"\n"
        while data:
            data = data[os.write(self._file, data) :]
        self._note(line, digest)

    def close(self) -> None:
        """Close the file."""
        os.close(self._file)
