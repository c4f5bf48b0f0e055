"""The screen with rich: bars, Markdown, dimmed reasoning; NO_COLOR takes the colours away."""

from __future__ import annotations

import sys
from typing import TextIO

from rich import console as rich_console
from rich import progress
from rich.text import Text
from rich.theme import Theme

from ._markdown import MarkdownStream
from ._screen import Screen, clean, one_line

__all__ = ["PlainWithBars", "RichScreen"]

_THEME = Theme({"markdown.code": "bold cyan"})  # without the background, which may be a light one


class _Bar:
    """A bar that is there from its first share to 1, or until it is removed."""

    def __init__(self, console: rich_console.Console) -> None:
        self._console = console
        self._bar: progress.Progress | None = None
        self._what = ""

    def show(self, share: float, what: str) -> None:
        if share >= 1 or what != self._what:
            self.remove()
        if share >= 1:
            return
        if self._bar is None:
            self._bar = progress.Progress(
                progress.TextColumn("{task.description}", markup=False),
                progress.BarColumn(),
                progress.TaskProgressColumn(),
                console=self._console,
                transient=True,
                auto_refresh=False,
                redirect_stdout=False,
                redirect_stderr=False,
            )
            self._bar.add_task(one_line(what), total=1.0)
            self._bar.start()
            self._what = what
        self._bar.update(progress.TaskID(0), completed=share, refresh=True)

    def remove(self) -> None:
        bar, self._bar = self._bar, None
        if bar is not None:
            bar.stop()


class PlainWithBars(Screen):
    """Plain text into a file or a pipe, and bars on stderr, which is a terminal."""

    def __init__(self, out: TextIO) -> None:
        """Take the stream of the replies."""
        super().__init__(out)
        self._bar = _Bar(rich_console.Console(file=sys.stderr, highlight=False))

    def progress(self, share: float, what: str = "Processing the prompt") -> None:
        """Show how much of something is done, from 0 to 1."""
        self._bar.show(share, what)

    def _write(self, text: str, is_reasoning: bool) -> None:
        self._bar.remove()
        super()._write(text, is_reasoning)

    def end(self) -> None:
        """Finish the reply, or the bar. May be repeated."""
        self._bar.remove()
        super().end()


class RichScreen(Screen):
    """A terminal: bars, Markdown as it streams, reasoning dimmed."""

    def __init__(self, out: TextIO, *, is_plain: bool = False) -> None:
        """Take the terminal."""
        super().__init__(out)
        self._console = rich_console.Console(file=out, highlight=False, theme=_THEME)
        self._bar = _Bar(self._console)
        self._markdown = None if is_plain else MarkdownStream(self._console)

    def progress(self, share: float, what: str = "Processing the prompt") -> None:
        """Show how much of something is done, from 0 to 1."""
        self._bar.show(share, what)

    def _write(self, text: str, is_reasoning: bool) -> None:
        self._bar.remove()
        if self._markdown is not None and not is_reasoning:
            self._markdown.feed(text)
            return
        style = "dim" if is_reasoning else ""
        self._console.print(Text(text, style=style), end="", soft_wrap=True)

    def _part(self, text: str) -> None:
        self._end_line()
        self._console.print()

    def _end_line(self) -> None:
        if self._markdown is not None and self._markdown.finish():
            self._is_in_line = False
        super()._end_line()

    def end(self) -> None:
        """Finish the reply, or the bar. May be repeated."""
        self._bar.remove()
        super().end()

    def note(self, text: str) -> None:
        """Show a line of ours."""
        self._console.print(Text(one_line(text), style="italic"))

    def row(self, text: str, *, is_marked: bool = False) -> None:
        """Show a line of a list, with its blanks; the marked one stands out where colours do."""
        self._console.print(Text(clean(text), style="bold" if is_marked else ""))
