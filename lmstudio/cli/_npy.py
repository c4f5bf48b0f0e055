"""A file of vectors as numpy.load() reads it, made without numpy."""

from __future__ import annotations

import contextlib
import os
import sys
from array import array
from collections.abc import Sequence
from types import TracebackType

from ._errors import CommandError

__all__ = ["NpyFile"]

_HEADER = 128  # bytes; a multiple of 64, with room for any number of rows


class NpyFile:
    """A table of float32, a row for each vector; it appears under its name when it is whole."""

    def __init__(self, path: str) -> None:
        """Begin a file beside it.

        Raises:
            OSError: It cannot be written.
        """
        self._path = path
        self._part = f"{path}.{os.getpid()}.part"
        try:
            self._file = open(self._part, "wb")  # noqa: SIM115 - closed by leaving `with`
        except OSError as error:
            error.filename = path  # the one that was named
            raise
        self._rows = 0
        self._columns = 0

    def __enter__(self) -> NpyFile:
        """Keep room for the header."""
        self._file.write(b" " * _HEADER)
        return self

    def append(self, vector: Sequence[float]) -> None:
        """Write a row.

        Raises:
            CommandError: It has another length than the first one.
        """
        if self._rows and len(vector) != self._columns:
            raise CommandError(
                f"Vector {self._rows + 1} has {len(vector)} numbers, the others {self._columns}."
            )
        self._columns = len(vector)
        self._rows += 1
        row = array("f", vector)
        if sys.byteorder == "big":
            row.byteswap()
        self._file.write(row.tobytes())

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Give it its header and its name; after an exception there is no file."""
        try:
            if exc is None:
                shape = f"({self._rows}, {self._columns})"
                text = f"{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}"
                head = b"\x93NUMPY\x01\x00" + (_HEADER - 10).to_bytes(2, "little")
                self._file.seek(0)
                self._file.write(head + text.encode().ljust(_HEADER - 11) + b"\n")
            self._file.close()
            if exc is None:
                os.replace(self._part, self._path)
        finally:
            self._file.close()
            with contextlib.suppress(OSError):
                os.unlink(self._part)
