"""A reply as Markdown while it streams, with rich."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import ClassVar

from markdown_it import MarkdownIt
from rich.console import Console, ConsoleOptions, RenderResult
from rich.live import Live
from rich.markdown import Heading, Markdown
from rich.segment import Segment

from ._screen import clean

__all__ = ["MarkdownStream"]

# Without HTML, which a terminal would leave out: List<str> stays what it is.
_PARSER = MarkdownIt("commonmark", {"html": False}).enable("strikethrough").enable("table")
_PER_SECOND = 12
_SETTLED = 0.2  # seconds until it is looked again for what is final
_ABOVE = 3  # lines of the terminal that the moving part leaves free


class _LeftHeading(Heading):
    """A heading at the left, where the text is."""

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        self.text.justify = "left"
        self.text.stylize("bold")
        yield self.text


class _Markdown(Markdown):
    """Markdown as models write it: their line breaks are meant."""

    elements: ClassVar = {**Markdown.elements, "heading_open": _LeftHeading}

    def __init__(self, text: str) -> None:
        super().__init__(text, code_theme="ansi_dark", hyperlinks=False)
        self.parsed = _PARSER.parse(text)
        for token in self.parsed:
            for child in token.children or ():
                if child.type == "softbreak":
                    child.type = "hardbreak"


class MarkdownStream:
    """Renders what comes: the last block again and again, what is above it once for all.

    A block that outgrows the terminal scrolls: its upper lines are final when they leave.
    """

    def __init__(self, console: Console) -> None:
        """Take the console; nothing is shown yet."""
        self._console = console
        self._live: Live | None = None
        self._settled = 0.0
        self._follows = False  # something of this reply is final, so a blank line parts
        # What is not final, and how many of its lines are: one object, as a thread reads it.
        self._state = ("", 0)

    def feed(self, text: str) -> None:
        """Show the next piece."""
        tail, final = self._state
        tail += text
        if self._live is None:
            tail = tail.lstrip("\n")
        self._state = (tail, final)
        if not tail.strip():
            return
        if self._live is None:
            self._live = Live(
                self,
                console=self._console,
                transient=True,
                refresh_per_second=_PER_SECOND,
                vertical_overflow="visible",
                redirect_stdout=False,
                redirect_stderr=False,
            )
            self._live.start()
        now = time.monotonic()
        if "\n" in text and now - self._settled > _SETTLED:
            self._settled = now
            self._settle_blocks()
            self._settle_lines()

    def finish(self) -> bool:
        """Make all final; return whether there was anything."""
        live, self._live = self._live, None
        if live is not None:
            live.stop()  # it renders once more, so the text must still be there
        (tail, final), self._state = self._state, ("", 0)
        if live is None:
            return False
        self._print(self._lines(tail)[final:])
        self._follows = False
        return True

    def _settle_blocks(self) -> None:
        tail, final = self._state
        end = _start_of_last_block(tail)
        if end:
            lines = self._lines(tail[:end])[final:]
            self._state = (tail[end:], 0)
            self._follows = True
            self._print(lines)

    def _settle_lines(self) -> None:
        tail, final = self._state
        lines = self._lines(tail)
        over = len(lines) - final - self._room()
        if over > 0:
            self._state = (tail, final + over)
            self._print(lines[final : final + over])

    def _room(self) -> int:
        return max(1, self._console.height - _ABOVE)

    def _lines(self, text: str) -> list[list[Segment]]:
        markdown = _Markdown(text)
        lines = self._console.render_lines(markdown, pad=False)
        while lines and not _text_of(lines[-1]).strip():
            lines.pop()
        while lines and not _text_of(lines[0]).strip():
            lines.pop(0)
        blank = [[Segment("")]] if self._follows and lines else []
        return blank + [list(_cleaned(line)) for line in lines]

    def _print(self, lines: list[list[Segment]]) -> None:
        if lines:
            self._console.print(_Lines(lines), end="")

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        tail, final = self._state
        lines = self._lines(tail)[final:]
        return _Lines(lines[-self._room() :]).__rich_console__(console, options)


class _Lines:
    """Lines that are rendered already."""

    def __init__(self, lines: list[list[Segment]]) -> None:
        self._lines = lines

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        for line in self._lines:
            yield from line
            yield Segment.line()


def _start_of_last_block(text: str) -> int:
    """Return where the last block begins; 0 if there is but one."""
    starts = [token.map[0] for token in _PARSER.parse(text) if token.level == 0 and token.map]
    if not starts or not starts[-1]:
        return 0
    at = 0
    for _ in range(starts[-1]):
        at = text.index("\n", at) + 1
    return at


def _text_of(line: list[Segment]) -> str:
    return "".join(segment.text for segment in line)


def _cleaned(line: list[Segment]) -> Iterator[Segment]:
    """Take the controls out once more: Markdown has its own ways to write a character."""
    for text, style, control in line:
        if not control:
            yield Segment(clean(text).replace("\n", " "), style)
