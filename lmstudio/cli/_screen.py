"""What the terminal shows: plain, or with rich bars, Markdown, dimmed reasoning and colours."""

from __future__ import annotations

import errno
import importlib.util
import sys
from typing import TextIO

__all__ = ["ESCAPED", "Screen", "clean", "has_no_reader", "make_screen", "one_line"]

# What JSON leaves as it is, though it steers a terminal.
ESCAPED = {code: f"\\u{code:04x}" for code in range(0x7F, 0xA0)}
_CONTROLS = [*range(0x20), *range(0x7F, 0xA0)]
_KEPT = (ord("\n"), ord("\t"))
_WITHOUT_CONTROLS = {code: None for code in _CONTROLS if code not in _KEPT}


def clean(text: str) -> str:
    """Return a text of a model or server without the characters that would steer the terminal."""
    return text.translate(_WITHOUT_CONTROLS)


def one_line(words: object) -> str:
    """Return what a server or an error says as one line that steers nothing."""
    return " ".join(clean(str(words)).split())


def has_no_reader(error: OSError) -> bool:
    """Return whether it says that nobody reads an output any more; Windows has other words."""
    is_windows = sys.platform == "win32"
    return isinstance(error, BrokenPipeError) or (
        is_windows and error.errno == errno.EINVAL and error.filename is None
    )


class Screen:
    """Plain text: replies as they are, and what we have to say on stderr."""

    def __init__(self, out: TextIO) -> None:
        """Start at the beginning of a line."""
        self._out = out
        self._is_in_line = False
        self._was_reasoning = False
        self._shows_reasoning = out.isatty()  # what is no terminal gets the answer alone

    def progress(self, share: float, what: str = "Processing the prompt") -> None:
        """Show how much of something is done, from 0 to 1."""

    def text(self, text: str, *, is_reasoning: bool = False) -> None:
        """Show the next piece of a reply."""
        text = clean(text)
        if not text or (is_reasoning and not self._shows_reasoning):
            return
        if self._was_reasoning and not is_reasoning:
            self._part(text)
            text = text.lstrip("\n")
        self._was_reasoning = is_reasoning
        if text:
            self._write(text, is_reasoning)
            self._is_in_line = not text.endswith("\n")

    def _part(self, text: str) -> None:
        """Leave a blank line between the reasoning and the answer."""
        self._end_line()
        self._write("\n", False)

    def _write(self, text: str, is_reasoning: bool) -> None:
        print(text, end="", file=self._out, flush=True)

    def _end_line(self) -> None:
        if self._is_in_line:
            print(file=self._out, flush=True)
            self._is_in_line = False

    def end(self) -> None:
        """Finish the reply, or the bar. May be repeated."""
        self._was_reasoning = False
        self._end_line()

    def note(self, text: str) -> None:
        """Show a line of ours."""
        print(one_line(text), file=sys.stderr, flush=True)

    def row(self, text: str, *, is_marked: bool = False) -> None:
        """Show a line of a list, with its blanks; the marked one stands out where colours do."""
        print(clean(text), file=sys.stderr, flush=True)


def make_screen(out: TextIO, *, is_plain: bool = False) -> Screen:
    """Return what suits a stream: bars, colours and Markdown if it is a terminal and rich is there.

    Args:
        out: Gets the replies. If it is no terminal, bars are on stderr if that is one.
        is_plain: The Markdown of replies stays as it is.
    """
    if importlib.util.find_spec("rich") is None:
        return Screen(out)
    if not out.isatty() and not sys.stderr.isatty():
        return Screen(out)  # and rich, which is slow to import, stays where it is
    from ._rich_screen import PlainWithBars, RichScreen

    if not out.isatty():
        return PlainWithBars(out)
    return RichScreen(out, is_plain=is_plain)
