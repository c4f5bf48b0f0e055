"""Typed text by prompt_toolkit: an editor of several lines, which takes a paste for one text."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Sequence

from prompt_toolkit import PromptSession
from prompt_toolkit.completion import CompleteEvent, Completer, Completion
from prompt_toolkit.document import Document
from prompt_toolkit.history import History
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent
from prompt_toolkit.keys import Keys
from prompt_toolkit.layout.processors import TabsProcessor
from prompt_toolkit.output import create_output
from prompt_toolkit.shortcuts import CompleteStyle

from .typed import MORE, PROMPT, Typed, goes_on, is_quoted, unfolded
from .typed_lines import TypedLines

__all__ = ["PromptEditor"]


class _History(History):
    """What was typed, for prompt_toolkit."""

    def __init__(self, lines: TypedLines) -> None:
        super().__init__()
        self._lines = lines

    def load_history_strings(self) -> Iterable[str]:
        return reversed(self._lines.lines)

    def store_string(self, string: str) -> None:
        self._lines.add(string)


class _Commands(Completer):
    """Completes the name of a command after Tab."""

    def __init__(self, names: Sequence[str]) -> None:
        self._names = names

    def get_completions(
        self, document: Document, complete_event: CompleteEvent
    ) -> Iterable[Completion]:
        text = document.text_before_cursor
        if text.startswith("/") and " " not in text:
            for name in self._names:
                if name.startswith(text):
                    yield Completion(name, start_position=-len(text))


class PromptEditor:
    """Reads from the terminal: Enter sends, Alt+Enter or a backslash goes on, Ctrl-C clears."""

    reads_keys = True

    def __init__(self, lines: TypedLines, commands: Sequence[str]) -> None:
        """Take what was typed before, and the names that Tab completes."""
        self._is_raw = False  # there is a paste in it
        self._is_edit = False
        # Its answer may come when nobody reads it, and then stands in the next text.
        os.environ.setdefault("PROMPT_TOOLKIT_NO_CPR", "1")
        self._session: PromptSession[str] = PromptSession(
            PROMPT,
            multiline=True,
            prompt_continuation=lambda width, number, is_wrapped: "" if is_wrapped else MORE,
            history=_History(lines),
            completer=_Commands(commands),
            complete_while_typing=False,
            complete_style=CompleteStyle.READLINE_LIKE,
            key_bindings=self._keys(),
            input_processors=[TabsProcessor(tabstop=4, char1=" ", char2=" ")],
            enable_suspend=True,
            enable_open_in_editor=True,
            output=create_output(sys.stdout if sys.stdout.isatty() else sys.stderr),
        )

    def read(self, text: str = "") -> Typed:
        """Return what is typed, which begins as `text`.

        Raises:
            EOFError: Ctrl-D.
            KeyboardInterrupt: Ctrl-C at an empty prompt, or where it began as `text`.
        """
        self._is_raw, self._is_edit = False, bool(text)
        typed = self._session.prompt(default=text)
        return Typed(typed, is_pasted=True) if self._is_raw else Typed(unfolded(typed))

    def _keys(self) -> KeyBindings:
        keys = KeyBindings()

        @keys.add("enter")
        def _enter(event: KeyPressEvent) -> None:
            buffer = event.current_buffer
            if not self._is_raw and goes_on(buffer.text):
                buffer.cursor_position = len(buffer.text)
                buffer.insert_text("\n")
            else:
                buffer.validate_and_handle()

        @keys.add("escape", "enter")
        @keys.add("escape", "c-j")
        def _new_line(event: KeyPressEvent) -> None:
            event.current_buffer.insert_text("\n")

        @keys.add("c-j")
        def _typed_ahead(event: KeyPressEvent) -> None:  # a terminal may turn Enter into it
            _enter(event)

        @keys.add(Keys.BracketedPaste)
        def _paste(event: KeyPressEvent) -> None:
            buffer = event.current_buffer
            self._is_raw |= not is_quoted(buffer.text)
            buffer.insert_text(event.data.replace("\r\n", "\n").replace("\r", "\n"))

        @keys.add("c-c")
        @keys.add("<sigint>")
        def _clear(event: KeyPressEvent) -> None:
            self._is_raw = False
            if event.current_buffer.text and not self._is_edit:
                event.current_buffer.reset()
            else:
                event.app.exit(exception=KeyboardInterrupt())

        return keys
