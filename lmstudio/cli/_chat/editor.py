"""The editor for what a person types: the best that is there."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from typing import Protocol

from .keyboard import is_dumb
from .plain_editor import PlainEditor
from .typed import Typed
from .typed_lines import TypedLines

__all__ = ["Editor", "make_editor"]


class Editor(Protocol):
    """Reads a text from the terminal.

    Attributes:
        reads_keys: It is a line editor: a text can be given to begin with.
    """

    reads_keys: bool

    def read(self, text: str = "") -> Typed:
        """Return what is typed, which begins as `text`.

        Raises:
            EOFError: Ctrl-D.
            KeyboardInterrupt: Ctrl-C at an empty prompt, or where it began as `text`.
        """


def make_editor(lines: TypedLines, commands: Sequence[str]) -> Editor:
    """Return an editor; prompt_toolkit's, unless it is not there or the terminal knows nothing."""
    if is_dumb() or importlib.util.find_spec("prompt_toolkit") is None:
        return PlainEditor(lines)
    from .prompt_editor import PromptEditor

    try:
        return PromptEditor(lines, commands)
    except Exception:  # Windows' mintty, for one, is no console for it
        return PlainEditor(lines)
