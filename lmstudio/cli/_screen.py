"""What the terminal shows of a reply: plain, or with rich a bar, dimmed reasoning and colours."""

from __future__ import annotations

import importlib.util
import sys
from typing import Any

__all__ = ["Screen", "clean", "make_screen"]

_CONTROLS = [*range(0x20), *range(0x7F, 0xA0)]
_KEPT = (ord("\n"), ord("\t"))
_WITHOUT_CONTROLS = {code: None for code in _CONTROLS if code not in _KEPT}


def clean(text: str) -> str:
    """Return a model's text without the characters that would steer the terminal."""
    return text.translate(_WITHOUT_CONTROLS)


class Screen:
    """Plain text."""

    def __init__(self) -> None:
        """Start at the beginning of a line."""
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
        print(text, end="", flush=True)

    def end(self, note: str = "") -> None:
        """Finish the reply, with a note below it."""
        if self._is_in_line:
            print()
            self._is_in_line = False
        if note:
            self.note(note)

    def note(self, text: str) -> None:
        """Show a line of ours."""
        print(text, flush=True)


class _RichScreen(Screen):
    def __init__(self) -> None:
        from rich import console

        super().__init__()
        self._console = console.Console(highlight=False)
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

    def end(self, note: str = "") -> None:
        self._remove_bar()
        super().end(note)

    def note(self, text: str) -> None:
        from rich.text import Text

        self._console.print(Text(text, style="italic"))


def make_screen() -> Screen:
    """Return what suits the standard output."""
    is_rich = sys.stdout.isatty() and importlib.util.find_spec("rich") is not None
    return _RichScreen() if is_rich else Screen()
