"""Files that only their owner may read, written whole or not at all."""

from __future__ import annotations

import contextlib
import os
import tempfile
from pathlib import Path

__all__ = ["append_line", "make_folder", "write_whole"]


def make_folder(folder: Path) -> None:
    """Make a folder of ours, and those above it.

    Raises:
        OSError: It cannot be made.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    folder.mkdir(mode=0o700, exist_ok=True)


def write_whole(path: Path, text: str) -> os.stat_result:
    """Put a text in the place of what a file holds: whoever reads it finds the one or the other.

    Returns:
        What the system says of the new file.

    Raises:
        OSError: It cannot be written; the file is as it was.
    """
    data = text.encode("utf-8", "surrogatepass")
    # mkstemp lets only the owner in, and the same folder is on the same disk.
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".new", dir=path.parent)
    try:
        with open(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
            found = os.fstat(file.fileno())
        os.replace(name, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(name)
        raise
    return found


def append_line(path: Path, line: str) -> None:
    """Append a line to a file of ours, which is made if need be.

    Raises:
        OSError: It cannot be written.
    """
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | getattr(os, "O_BINARY", 0)
    handle = os.open(path, flags, 0o600)
    try:
        os.write(handle, f"{line}\n".encode("utf-8", "surrogatepass"))
    finally:
        os.close(handle)
