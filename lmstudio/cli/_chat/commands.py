"""What can be typed after a slash."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import lmstudio as lms

from .._errors import CommandError, complain, nearest
from .conversation import Question
from .images import paths_in
from .models import show_models
from .places import typed_path
from .private_file import write_whole
from .replies import speed
from .session import Session

__all__ = ["NAMES", "Outcome", "run_command"]


@dataclass
class Outcome:
    """What is to happen after a command.

    Attributes:
        leaves: The session ends.
        edits: The next prompt begins with this text, and replaces the last question.
        edited: This replaces the last question at once.
    """

    leaves: bool = False
    edits: str | None = None
    edited: str | None = None


def run_command(session: Session, text: str) -> Outcome:
    """Do what was typed after a slash; what is wrong with it is told."""
    name, _, argument = text.partition(" ")
    name, argument = name.strip(), argument.strip()
    command = _COMMANDS.get(_OTHER_NAMES.get(name, name))
    try:
        if command is None:
            raise _unknown(name)
        return command.run(session, argument) or Outcome()
    except lms.LMStudioCancelledError:
        session.screen.note("(stopped)")
    except lms.LMStudioError as error:
        session.screen.end()
        complain(error)
    return Outcome()


def _unknown(name: str) -> CommandError:
    near = nearest(name, NAMES)
    hint = "" if near is None else f"Did you mean: {near}"
    return CommandError(
        f"There is no command {name}, and nothing was sent.",
        hint,
        "All commands: /help. A question that begins with a slash: //",
    )


def _help(session: Session, argument: str) -> None:
    for name, command in _COMMANDS.items():
        session.screen.row(f"  {f'{name} {command.argument}'.strip():<16} {command.what}")
    for keys, what in _KEYS:
        session.screen.row(f"  {keys:<16} {what}")


def _exit(session: Session, argument: str) -> Outcome:
    return Outcome(leaves=True)


def _clear(session: Session, argument: str) -> None:
    was_kept = session.path is not None
    session.clear()
    session.screen.note(f"(a new conversation{'; /load has the last one' if was_kept else ''})")


def _model(session: Session, argument: str) -> None:
    if not argument:
        show_models(session.client, session.screen, session.model.identifier)
        return
    session.change_model(argument)
    session.screen.note(f"({session.model.identifier} answers from now on)")


def _system(session: Session, argument: str) -> None:
    conversation = session.conversation
    if argument:
        conversation.system = None if argument in ('""', "''") else argument
        session.keep()
        session.screen.note("(changed)" if conversation.system else "(removed)")
    elif conversation.system:
        session.screen.row(conversation.system)
        session.screen.note('/system TEXT changes it, /system "" removes it.')
    else:
        session.screen.note("There is none. /system TEXT sets one.")


def _load(session: Session, argument: str) -> None:
    if not argument:
        entries = session.folder.entries()
        for number, entry in enumerate(entries, start=1):
            when = time.strftime("%Y-%m-%d %H:%M", time.localtime(entry.time))
            is_this = entry.path == session.path
            here = "(this one) " if is_this else ""
            session.screen.row(f"{number:>4}  {when}  {here}{entry.title}", is_marked=is_this)
        what = "/load NUMBER goes on with it." if entries else "No conversation is saved."
        session.screen.note(what)
        return
    session.load(argument)
    show_end(session)
    model = session.conversation.model
    if model is not None and model != session.model.identifier:
        session.screen.note(f"({session.model.identifier} answers; before it was {model})")
    session.use(session.model)


def show_end(session: Session) -> None:
    """Show where a conversation stands that is gone on with."""
    conversation, screen = session.conversation, session.screen
    if conversation.turns:
        question, answer = conversation.turns[-1]
        screen.row(f"> {question.text}", is_marked=True)
        if answer is not None:
            screen.text(answer)
            screen.end()
    for path in session.uploads.missing(conversation):
        screen.note(f"({path} is not there any more, and is left out)")
    count = len(conversation.turns)
    screen.note(f"({count} {'question' if count == 1 else 'questions'} so far)")
    if conversation.waiting is not None:
        screen.note("(the last question has no answer: /retry asks it again)")


def _save(session: Session, argument: str) -> None:
    if not argument:
        where = session.path
        session.screen.note(
            f"It is kept in {where}" if where is not None else "/save FILE writes it to a file."
        )
        return
    path = typed_path(argument)
    if os.path.exists(path):
        raise CommandError(f"{path} exists already. Choose another name.")
    try:
        write_whole(path.absolute(), session.conversation.to_json())
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or error
        raise CommandError(f"{path}: {why}") from None
    session.screen.note(f"(saved; to go on with it: /load {argument})")


def _retry(session: Session, argument: str) -> None:
    if not session.conversation.turns:
        raise CommandError("There is no question yet.")
    session.answer()


def _edit(session: Session, argument: str) -> Outcome:
    if not session.conversation.turns:
        raise CommandError("There is no question yet.")
    if argument:
        return Outcome(edited=argument)
    return Outcome(edits=session.conversation.turns[-1][0].text)


def _image(session: Session, argument: str) -> None:
    if argument == "off":
        session.images = []
    for path in [] if argument == "off" else paths_in(argument):
        taken = session.uploads.take(path)
        if taken not in session.images:
            session.images.append(taken)
    if session.images:
        names = ", ".join(Path(path).name for path in session.images)
        session.screen.note(f"({names} will go with the next question; /image off: none)")
    else:
        session.screen.note("No image goes with the next question. /image FILE adds one.")


def _stats(session: Session, argument: str) -> None:
    session.shows_stats = not session.shows_stats
    if session.last is not None and (line := speed(session.last)):
        session.screen.note(f"({line})")
    session.screen.note(f"(after each reply: {'on' if session.shows_stats else 'off'})")


class _Command(NamedTuple):
    run: Callable[[Session, str], Outcome | None]
    argument: str
    what: str


_COMMANDS = {
    "/help": _Command(_help, "", "this list"),
    "/exit": _Command(_exit, "", "leave; Ctrl-D does, too"),
    "/clear": _Command(_clear, "", "begin a new conversation"),
    "/model": _Command(_model, "[KEY]", "change the model, or list those that there are"),
    "/system": _Command(_system, "[TEXT]", "change the system prompt, or show it"),
    "/load": _Command(_load, "[NAME]", "go on with a saved conversation, or list them"),
    "/save": _Command(_save, "[FILE]", "write the conversation to a file, too"),
    "/retry": _Command(_retry, "", "ask the last question again"),
    "/edit": _Command(_edit, "", "change the last question, and ask it again"),
    "/image": _Command(_image, "FILE...", "send images with the next question"),
    "/stats": _Command(_stats, "", "tell how quick each reply was, or stop telling"),
}
_OTHER_NAMES = {"/quit": "/exit", "/bye": "/exit", "/?": "/help"}
NAMES = list(_COMMANDS)
_KEYS = [
    ("Alt+Enter", 'a new line; so does \\ at its end, or """ around a text'),
    ("Ctrl-C", "stops a reply, clears what is typed; pressed twice, leaves"),
    ("//...", "a question that begins with a slash"),
]


def replace_last(session: Session, text: str) -> None:
    """Ask another question in the place of the last one, with the same images."""
    last = session.conversation.turns.pop()[0]
    session.ask(Question(text, [*last.images, *session.images]))
