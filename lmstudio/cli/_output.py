"""The output of a batch: one line for each result, which no kill loses and nothing writes twice."""

from __future__ import annotations

import json
import sys
import zlib
from array import array
from pathlib import Path
from typing import Any

__all__ = ["FileError", "Output", "digest_of"]

_BEGINNING = b'{"line": '  # of each line, so that half a line is known for one
_LOCKED_BYTE = 2**40


class FileError(Exception):
    """A file cannot be used; the text says what to do."""


def digest_of(line: bytes, schema: bytes = b"") -> int:
    """Return a number that tells a line and its schema from others; never 0."""
    return zlib.crc32(line.strip(), zlib.crc32(schema)) or 1


class Output:
    """A file to which results are appended, and what it held when it was opened.

    Each result is one write of one line, past all buffers of this process. A last line that is
    not whole (the disk was full, the machine went down) is cut off.
    """

    def __init__(self, path: Path) -> None:
        """Open or make the file, and read which lines of the input are done.

        Raises:
            FileError: Another program writes it, or it holds something else.
            OSError: It cannot be opened.
        """
        self._path = path
        self._done = array("I", [0])  # at each line of the input its digest; 0: not done
        self.count = 0
        if path.exists() and not path.is_file():
            raise FileError(f"{path} is no file: a run that is to go on later needs one.")
        self._file = path.open("a+b", buffering=0)
        try:
            self._lock()
            self._read()
        except BaseException:
            self._file.close()
            raise

    @property
    def last(self) -> int:
        """The last line of the input that is done; 0 if none is."""
        return len(self._done) - 1

    def _lock(self) -> None:
        try:
            if sys.platform == "win32":
                import msvcrt

                # Far behind the end: what is locked cannot be read by anybody else there.
                self._file.seek(_LOCKED_BYTE)
                msvcrt.locking(self._file.fileno(), msvcrt.LK_NBLCK, 1)
            else:
                import fcntl

                fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            # Windows has several numbers for it. Elsewhere, some file systems know no locks.
            if sys.platform == "win32" or isinstance(error, BlockingIOError):
                raise FileError(
                    f"Another batch is writing {self._path}. Wait for it, or stop it."
                ) from None

    def _read(self) -> None:
        end = 0  # of the last line that is whole
        with self._path.open("rb") as lines:
            for number, line in enumerate(lines, start=1):
                try:
                    record = json.loads(line)
                    self._note(record["line"], int(record["input"], 16))
                except (ValueError, TypeError, KeyError, OverflowError, RecursionError):
                    is_half = line.startswith(_BEGINNING) or _BEGINNING.startswith(line)
                    if line.endswith(b"\n") or not is_half:
                        raise FileError(
                            f"Line {number} of {self._path} is no result of a batch. "
                            "Name another file."
                        ) from None
                    self._file.truncate(end)
                    return
                end += len(line)
        if end and not line.endswith(b"\n"):
            self._file.write(b"\n")  # an editor may have taken it

    def _note(self, line: int, digest: int) -> None:
        if line < 1:
            raise ValueError("lines are counted from 1")
        if line > self.last:
            self._done.extend([0] * (line - self.last))
        self.count += not self._done[line]
        self._done[line] = digest

    def is_done(self, line: int, digest: int) -> bool:
        """Return whether the file has the result of a line of the input, counted from 1.

        Raises:
            FileError: It has the result of another line in that place.
        """
        known = self._done[line] if line <= self.last else 0
        if known not in (0, digest):
            raise FileError(
                f"Line {line} of the input, or the schema, is not the one that was answered "
                "before. Name another output file, or take what it was."
            )
        return bool(known)

    def append(self, line: int, digest: int, record: dict[str, Any]) -> None:
        """Write the result of a line of the input."""
        text = json.dumps({"line": line, "input": f"{digest:08x}", **record}, ensure_ascii=False)
        data = text.encode("utf-8", "backslashreplace") + b"\n"
        while data:
            data = data[self._file.write(data) :]
        self._note(line, digest)

    def close(self) -> None:
        """Close the file."""
        self._file.close()
