"""What the terminal shows: plain, or with rich a bar, dimmed reasoning and colours."""

from __future__ import annotations

import errno
import importlib.util
import sys
from typing import Any, TextIO

__all__ = ["Screen", "clean", "complain", "has_no_reader", "make_screen", "one_line"]

_CONTROLS = [*range(0x20), *range(0x7F, 0xA0)]
_KEPT = (ord("\n"), ord("\t"))
_WITHOUT_CONTROLS = {code: None for code in _CONTROLS if code not in _KEPT}


def clean(text: str) -> str:
    """Return a text of a model or server without the characters that would steer the terminal."""
    return text.translate(_WITHOUT_CONTROLS)


def one_line(words: object) -> str:
    """Return what a server or an error says as one line that steers nothing."""
    return " ".join(clean(str(words)).split())


def complain(words: object) -> None:
    """Say on stderr what is wrong."""
    print(f"lmstudio: {one_line(words)}", file=sys.stderr, flush=True)


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

    def progress(self, share: float, what: str = "Processing the prompt") -> None:
        """Show how much of something is done, from 0 to 1."""

    def text(self, text: str, *, is_reasoning: bool = False) -> None:
        """Show the next piece of a reply."""
        text = clean(text)
        if text:
            self._write(text, is_reasoning)
            self._is_in_line = not text.endswith("\n")

    def _write(self, text: str, is_reasoning: bool) -> None:
        print(text, end="", file=self._out, flush=True)

    def end(self) -> None:
        """Finish the reply, or the bar. May be repeated."""
        if self._is_in_line:
            print(file=self._out, flush=True)
            self._is_in_line = False

    def note(self, text: str) -> None:
        """Show a line of ours."""
        print(one_line(text), file=sys.stderr, flush=True)


class _RichScreen(Screen):
    def __init__(self, out: TextIO) -> None:
        from rich import console

        super().__init__(out)
        self._console = console.Console(file=out, highlight=False)
        self._bar: Any = None

    def progress(self, share: float, what: str = "Processing the prompt") -> None:
        from rich import progress

        if share >= 1:
            self._remove_bar()
            return
        if self._bar is None:
            columns = (progress.BarColumn(), progress.TaskProgressColumn())
            self._bar = progress.Progress(
                what,
                *columns,
                console=self._console,
                transient=True,
                auto_refresh=False,
            )
            self._bar.add_task("", total=1.0)
            self._bar.start()
        self._bar.update(0, completed=share, refresh=True)

    def _remove_bar(self) -> None:
        bar, self._bar = self._bar, None
        if bar is not None:
            bar.stop()

    def _write(self, text: str, is_reasoning: bool) -> None:
        from rich.text import Text

        self._remove_bar()
        style = "dim" if is_reasoning else ""
        self._console.print(Text(text, style=style), end="", soft_wrap=True)

    def end(self) -> None:
        self._remove_bar()
        super().end()

    def note(self, text: str) -> None:
        from rich.text import Text

        self._console.print(Text(one_line(text), style="italic"))


def make_screen(out: TextIO) -> Screen:
    """Return what suits a stream: bars and colours if it is a terminal and rich is there."""
    is_rich = out.isatty() and importlib.util.find_spec("rich") is not None
    return _RichScreen(out) if is_rich else Screen(out)
