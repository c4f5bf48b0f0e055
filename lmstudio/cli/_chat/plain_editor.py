"""Typed text without prompt_toolkit: by readline where that is, else as the terminal gives it."""

from __future__ import annotations

import os
import select
import sys
from typing import Any

from .keyboard import is_dumb
from .typed import MORE, PROMPT, Typed, goes_on, is_quoted, unfolded
from .typed_lines import TypedLines

__all__ = ["PlainEditor"]

_AT_ONCE = 0.1  # seconds

try:
    import readline as _readline
except ImportError:  # as on Windows
    _readline = None  # type: ignore[assignment]
_READLINE: Any = _readline


class PlainEditor:
    """Reads from the terminal, with a line editor only if readline is there."""

    def __init__(self, lines: TypedLines) -> None:
        """Take what was typed before."""
        self._lines = lines
        # Only there does input() use readline: otherwise the replies go into a file.
        self._readline: Any = None
        if sys.stdout.isatty():
            self._readline = _READLINE
        self.reads_keys = self._readline is not None
        # libedit, which stands in for readline on some Macs, knows no marks around a paste.
        is_gnu = self.reads_keys and "libedit" not in (_READLINE.__doc__ or "")
        self._marks_pastes = is_gnu and not is_dumb()
        if self._marks_pastes:  # a paste is then one text, but Python switches that off
            self._readline.parse_and_bind("set enable-bracketed-paste on")
        if self._readline is not None:
            self._readline.set_auto_history(False)
            for line in lines.lines:
                self._readline.add_history(line)

    def read(self, text: str = "") -> Typed:
        """Return what is typed, which begins as `text` if there is a line editor.

        Raises:
            EOFError: Ctrl-D.
            KeyboardInterrupt: Ctrl-C at an empty prompt, or where it began as `text`. Another
                line that is half typed is only thrown away.
        """
        while True:
            self._has_begun = False
            try:
                typed = self._read(text)
            except KeyboardInterrupt:
                print(file=sys.stderr)
                if text or not (self._has_begun or self._is_half_typed()):
                    raise
                continue
            except EOFError:
                print(file=sys.stderr)
                raise
            self._lines.add(typed.text)
            if self._readline is not None and typed.text.strip():
                self._readline.add_history(typed.text)
            return typed

    def _read(self, text: str) -> Typed:
        typed = self._line(PROMPT, text)
        while not self._marks_pastes and _has_more():
            typed += "\n" + input()
        if "\n" in typed and not is_quoted(typed):
            return Typed(typed, is_pasted=True)
        while goes_on(typed):
            self._has_begun = True
            typed += "\n" + self._line(MORE)
        return Typed(unfolded(typed))

    def _line(self, prompt: str, text: str = "") -> str:
        if not sys.stdout.isatty():  # the replies go into a file, where a prompt does not belong
            print(prompt, end="", file=sys.stderr, flush=True)
            return input()
        if self._readline is not None and text:
            self._readline.set_startup_hook(lambda: self._readline.insert_text(text))
        try:
            return input(prompt)
        finally:
            if self._readline is not None:
                self._readline.set_startup_hook(None)

    def _is_half_typed(self) -> bool:
        return self._readline is not None and bool(self._readline.get_line_buffer())


def _has_more() -> bool:
    """Return whether the next line is there already: nobody types so fast, so it was pasted."""
    if os.name != "posix":
        return False
    return bool(select.select([sys.stdin], [], [], _AT_ONCE)[0])
