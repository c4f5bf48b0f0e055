"""Locks a file against a second writer, in this process or another one; readers are let alone."""

from __future__ import annotations

import sys
from typing import Any

_LOCKED_BYTE = 2**40  # far behind the end: on Windows what is locked can be read by nobody else


def lock(file: Any) -> bool:
    """Lock a file as long as it is open; return False if somebody else has it.

    File systems that know no locks lock nothing.
    """
    try:
        if sys.platform == "win32":
            import msvcrt

            file.seek(_LOCKED_BYTE)
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        # Windows has several numbers for it.
        return sys.platform != "win32" and not isinstance(error, BlockingIOError)
    return True
