"""A bar that shows how much is done, in one line of the terminal; elsewhere nothing."""

from __future__ import annotations

import os
import sys
from typing import TextIO

from ._screen import Screen, one_line

__all__ = ["Bar"]

_CELLS = 24  # of the bar itself


class Bar(Screen):
    """A bar on stderr, which goes when it is done. It needs no escape sequences, and no rich."""

    def __init__(self, out: TextIO | None = None) -> None:
        """Show nothing yet."""
        super().__init__(sys.stderr if out is None else out)
        self._is_shown = self._out.isatty()
        self._line = ""

    def progress(self, share: float, what: str = "", more: str = "") -> None:
        """Show what is done, how much of it, from 0 to 1, and more words behind the bar."""
        full = round(min(1.0, max(0.0, share)) * _CELLS)
        bar = f"{'#' * full}{'-' * (_CELLS - full)}"
        self._show(one_line(f"{what} [{bar}] {share:.0%} {more}"))

    def count(self, done: int, what: str, of: int = 0) -> None:
        """Show how many of something are done; of: how many there are, 0 if nobody knows."""
        if of:
            self.progress(done / of, what, f"{done} of {of}")
        else:
            self._show(f"{done} {what}")

    def _show(self, line: str) -> None:
        room = self._columns() - 1  # a longer one would leave its beginning behind
        line = line[:room]
        if not self._is_shown or line == self._line:
            return
        # Noted first: where Ctrl-C comes between the two, the line is taken away all the same.
        before, self._line = self._line, line
        extra = 0 if line else len("^C")
        blanks = " " * min(room - len(line), max(0, len(before) + extra - len(line)))
        print(f"\r{line}{blanks}", end="" if line else "\r", file=self._out, flush=True)

    def _columns(self) -> int:
        try:
            return os.get_terminal_size(self._out.fileno()).columns or 80
        except (OSError, ValueError):
            return 80

    def end(self) -> None:
        """Take the bar away. May be repeated."""
        self._show("")
