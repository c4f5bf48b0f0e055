"""``lmstudio chat``: a conversation at the terminal, or one question in a script."""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
from typing import Any

import lmstudio as lms

from ._chat.commands import show_end
from ._chat.conversation import Question
from ._chat.hangup import Hangup
from ._chat.one_question import answer_once, read_input, tell_odd_bytes
from ._chat.places import typed_lines_file, typed_path
from ._chat.replies import Asking
from ._chat.saved import Folder, unused
from ._chat.session import Session
from ._chat.talk import Talk, make_talk_editor
from ._chat.typed_lines import TypedLines
from ._errors import CommandError, complain
from ._model import get_model
from ._rows import WRONG
from ._schema import read_schema
from ._screen import Screen, make_screen

__all__ = ["run"]


def run(options: argparse.Namespace) -> int:
    """Answer one question, or all until the end of the input.

    Returns:
        0; otherwise what says why there is no answer, as docs/cli.md has it.

    Raises:
        KeyboardInterrupt: Ctrl-C came where no person is.
        SystemExit: The terminal was closed, or the program was told to end.
    """
    is_one = bool(options.question)
    is_talk = not is_one and sys.stdin.isatty()
    if options.json and not is_one:
        return complain(CommandError("--json needs a question: chat --json QUESTION", code=2))
    screen = make_screen(sys.stdout, is_plain=options.plain or options.schema is not None)
    hangup = Hangup()
    with hangup.noticed():
        try:
            asking = _asking(options)
            with lms.Client(options.host) as client:
                session = Session(client, asking, screen, hangup, Folder())
                session.shows_stats = options.stats
                _choose_file(session, options, is_talk)
                _choose_model(session, options, screen)
                if options.system is not None:
                    session.conversation.system = options.system
                session.images = [session.uploads.take(path) for path in options.image]
                if is_one:
                    return _answer_one(session, asking, options)
                if is_talk:
                    return _talk(session, options)
                return _answer_lines(session, asking, options)
        except lms.LMStudioError as error:
            with contextlib.suppress(OSError):
                screen.end()
            return complain(error)
        finally:
            with contextlib.suppress(OSError):  # the terminal may be gone
                screen.end()


def _asking(options: argparse.Namespace) -> Asking:
    config: dict[str, Any] = {}
    if options.temperature is not None:
        config["temperature"] = options.temperature
    if options.max_tokens is not None:
        config["maxTokens"] = options.max_tokens
    if options.schema is None:
        return Asking(config)
    return Asking(config, read_schema(options.schema, WRONG), options.schema)


def _choose_file(session: Session, options: argparse.Namespace, is_talk: bool) -> None:
    """Find the conversation that is gone on with, and where it is kept."""
    own = None if options.save is None else typed_path(options.save).absolute()
    if own is not None and os.path.exists(own):
        hint = f"Go on with it: --resume {options.save}"
        raise CommandError(f"{options.save} exists already.", hint, code=2)
    if own is not None and not os.access(own.parent, os.W_OK | os.X_OK):
        what = f"{options.save}: nothing can be written in the folder {own.parent}."
        raise CommandError(what, "Make it, or name another file.", code=2)
    is_kept = (is_talk or options.resume is not None) and not options.no_history
    if own is None and is_kept and _has_home():
        session.keep_in(session.folder.new_file)
    if options.resume is not None:
        session.load(options.resume, "--resume")
    if own is not None:
        session.keep_in(lambda: unused(own))


def _choose_model(session: Session, options: argparse.Namespace, screen: Screen) -> None:
    """Take the model that is named, else the one of the conversation, else any that is loaded."""
    before = session.conversation.model
    if options.model is None and before is not None:
        try:
            session.use(get_model(session.client, before, screen))
            return
        except CommandError as error:
            screen.note(error.what)
    session.use(get_model(session.client, options.model, screen))


def _answer_one(session: Session, asking: Asking, options: argparse.Namespace) -> int:
    question = read_input(sys.stdin.buffer, " ".join(options.question), session.uploads)
    question.images[:0] = session.images
    return _answer(session, question, asking, options)


def _answer_lines(session: Session, asking: Asking, options: argparse.Namespace) -> int:
    """Answer each line of the input; the exit code says if one of them has no whole answer."""
    code, is_told = 0, False
    for line in sys.stdin:
        if line.strip():
            is_told = is_told or tell_odd_bytes(line)
            question = Question(line.strip(), session.images)
            session.images = []
            code = max(code, _answer(session, question, asking, options))
    return code


def _answer(
    session: Session, question: Question, asking: Asking, options: argparse.Namespace
) -> int:
    session.conversation.ask(question)
    session.keep()
    try:
        return answer_once(
            session.model,
            session.conversation,
            asking,
            session.uploads,
            session.screen,
            as_json=options.json,
            shows_stats=options.stats,
        )
    finally:
        session.keep()


def _talk(session: Session, options: argparse.Namespace) -> int:
    lines = TypedLines(typed_lines_file() if _has_home() and not options.no_history else None)
    editor = make_talk_editor(lines)
    if options.resume is not None:
        show_end(session)
    session.screen.note(f"{session.model.identifier}. /help tells what there is, Ctrl-D leaves.")
    session.reads_keys = editor.reads_keys
    try:
        Talk(session, editor).run()
    finally:
        session.keep()  # once more, if Ctrl-C came into the last time
    return 0


def _has_home() -> bool:
    return os.path.expanduser("~") != "~"
