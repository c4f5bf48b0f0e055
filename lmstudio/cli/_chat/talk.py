"""The talk at the prompt: questions, commands, and how to leave."""

from __future__ import annotations

import time
from collections.abc import Callable

from .commands import NAMES, replace_last, run_command
from .conversation import Question
from .editor import Editor, make_editor
from .session import Session
from .typed_lines import TypedLines

__all__ = ["make_talk_editor", "talk"]

TWICE = 1.0  # seconds in which a second Ctrl-C leaves


def make_talk_editor(lines: TypedLines) -> Editor:
    """Return the editor that completes commands."""
    return make_editor(lines, NAMES)


def talk(session: Session, editor: Editor, clock: Callable[[], float] = time.monotonic) -> None:
    """Talk until /exit, Ctrl-D, or Ctrl-C twice at an empty prompt."""
    last_ctrl_c = -TWICE
    beginning: str | None = None  # the text of a question that is being edited
    while True:
        try:
            typed = editor.read(beginning or "")
        except EOFError:
            return
        except KeyboardInterrupt:
            now = clock()
            if now - last_ctrl_c <= TWICE:
                return
            last_ctrl_c = now
            was_editing, beginning = beginning is not None, None
            session.screen.note(
                "(nothing is changed)"
                if was_editing
                else "(Ctrl-C again leaves; so do Ctrl-D and /exit)"
            )
            continue
        was_editing, beginning = beginning is not None, None
        try:
            if not typed.text.strip():
                continue
            if typed.is_command and not typed.text.startswith("//"):
                outcome = run_command(session, typed.text)
                if outcome.leaves:
                    return
                if outcome.edits is not None and not editor.can_begin:
                    session.screen.note("Type it again behind the command: /edit QUESTION")
                else:
                    beginning = outcome.edits
                if outcome.edited is not None:
                    replace_last(session, outcome.edited)
                continue
            text = typed.text[1:] if typed.is_command else typed.text
            if was_editing:
                replace_last(session, text)
            else:
                session.ask(Question(text, session.images))
        except KeyboardInterrupt:  # where nothing that could be stopped was waited for
            session.screen.end()
            session.screen.note("(stopped)")
