"""The lines that were typed, kept between sessions for the line editor."""

from __future__ import annotations

import json
from pathlib import Path

from .private_file import append_line, make_folder, write_whole

__all__ = ["TypedLines"]

_MOST = 1000  # that are kept; a text of many lines is one
_LONGEST = 20_000  # characters of one: a pasted book is no line to come back to


class TypedLines:
    """What was typed, oldest first; without a file, what was typed in this session."""

    def __init__(self, path: Path | None) -> None:
        """Read the file, as far as it can be read."""
        self._path = path
        self.lines: list[str] = []
        if path is None:
            return
        try:
            written = path.read_text(encoding="utf-8", errors="replace").splitlines()
        except OSError:
            return
        for line in written[-_MOST:]:
            try:
                text = json.loads(line)
            except (ValueError, RecursionError):
                continue
            if isinstance(text, str):
                self.lines.append(text)
        if len(written) > 2 * _MOST:
            kept = [json.dumps(line) for line in self.lines]
            try:
                write_whole(path, "".join(f"{line}\n" for line in kept))
            except OSError:
                pass  # it grows on

    def add(self, text: str) -> None:
        """Add what was typed, unless it was typed just before."""
        if not text.strip() or self.lines[-1:] == [text] or len(text) > _LONGEST:
            return
        self.lines.append(text)
        if self._path is None:
            return
        try:
            make_folder(self._path.parent)
            append_line(self._path, json.dumps(text))
        except OSError:
            self._path = None  # it is for comfort: the session goes on
