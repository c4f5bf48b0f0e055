"""The talk at the prompt: questions, commands, and how to leave."""

from __future__ import annotations

import time
from collections.abc import Callable

from .commands import NAMES, replace_last, run_command
from .conversation import Question
from .editor import Editor, make_editor
from .session import Session
from .typed_lines import TypedLines

__all__ = ["Talk", "make_talk_editor"]

TWICE = 1.0  # seconds in which a second Ctrl-C leaves


def make_talk_editor(lines: TypedLines) -> Editor:
    """Return the editor that completes commands."""
    return make_editor(lines, NAMES)


class Talk:
    """Questions and commands, until /exit, Ctrl-D, or Ctrl-C twice at an empty prompt."""

    def __init__(
        self, session: Session, editor: Editor, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Take what is talked about, and where it is typed; the clock gives seconds."""
        self._session = session
        self._editor = editor
        self._clock = clock
        self._is_interrupted = False
        self._last_ctrl_c = -TWICE
        self._edited: str | None = None  # the question that is being changed

    def run(self) -> None:
        """Talk. Ctrl-C never raises here, whenever it comes."""
        while True:
            try:
                while self._step():
                    pass
                return
            except KeyboardInterrupt:
                self._is_interrupted = True

    def _step(self) -> bool:
        """Read and do one thing; return whether to go on."""
        if self._is_interrupted:
            self._is_interrupted = False
            if self._leaves():
                return False
        edited = self._edited
        try:
            typed = self._editor.read(edited or "")
        except EOFError:
            return False
        self._edited = None
        if not typed.text.strip():
            return True
        if typed.is_command and not typed.text.startswith("//"):
            return self._do(typed.text)
        text = typed.text[1:] if typed.is_command else typed.text
        if edited is not None:
            replace_last(self._session, text)
        else:
            self._session.ask(Question(text, self._session.images))
        return True

    def _leaves(self) -> bool:
        note = self._session.screen.note
        self._session.screen.end()
        now, before = self._clock(), self._last_ctrl_c
        if self._edited is not None:
            self._edited = None
            note("(nothing is changed)")
            return False
        self._last_ctrl_c = now
        if now - before <= TWICE:
            return True
        note("(Ctrl-C again leaves; so do Ctrl-D and /exit)")
        return False

    def _do(self, text: str) -> bool:
        outcome = run_command(self._session, text)
        if outcome.edited is not None:
            replace_last(self._session, outcome.edited)
        elif outcome.edits is not None and self._editor.reads_keys:
            self._edited = outcome.edits
        elif outcome.edits is not None:
            self._session.screen.note("Type it again behind the command: /edit QUESTION")
        return not outcome.leaves
