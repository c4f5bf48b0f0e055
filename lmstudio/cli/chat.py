"""``python -m lmstudio chat``: a conversation at the terminal. Ctrl-C stops a reply, or leaves."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from contextlib import suppress

import lmstudio as lms

from ._ctrl_c import on_ctrl_c
from ._errors import complain
from ._model import get_model
from ._screen import Screen, make_screen

__all__ = ["run"]

PROMPT = "> "


def run(options: argparse.Namespace) -> int:
    """Talk until the end of the input, or until Ctrl-C at the prompt.

    Returns:
        0; 1 if there is nobody to talk with, or if a reply failed and no person saw it.

    Raises:
        KeyboardInterrupt: Ctrl-C came where no person is, or again while it was being handled.
    """
    screen = make_screen(sys.stdout)
    is_person = sys.stdin.isatty()
    try:
        with lms.Client(options.host) as client:
            model = get_model(client, options.model, screen)
            if is_person:
                screen.note(f"{model.identifier}. Ctrl-C stops a reply, and leaves at the prompt.")
            failures = _talk(model, lms.Chat(options.system), screen)
    except lms.LMStudioError as error:
        complain(error)
        return 1
    finally:
        screen.end()
    return int(failures > 0 and not is_person)


def _talk(model: lms.LLM, chat: lms.Chat, screen: Screen) -> int:
    """Answer all questions; return how many replies failed."""
    failures = 0
    for question in _questions():
        attempt = chat.copy()
        attempt.add_user_message(question)
        answer: lms.PredictionResult | None
        try:
            answer = _answer(model, attempt, screen)
        except lms.LMStudioError as error:
            screen.end()
            complain(error)
            failures += 1
            answer = error.partial
        if answer is not None and answer.cancelled and not sys.stdin.isatty():
            raise KeyboardInterrupt  # nobody is at a prompt, so this was not about one reply
        if answer is not None and answer.content:
            attempt.add_assistant_response(answer)
            chat = attempt  # otherwise the question is forgotten, so that roles alternate
    return failures


def _questions() -> Iterator[str]:
    """Give what a person types, or each line of the input."""
    lines = _typed_lines() if sys.stdin.isatty() else sys.stdin
    return (question for line in lines if (question := line.strip()))


def _typed_lines() -> Iterator[str]:
    with suppress(ImportError):
        import readline  # noqa: F401 - gives input() its line editor
    prompt = PROMPT if sys.stdout.isatty() else ""
    while True:
        if not prompt:  # the replies go into a file, where it does not belong
            print(PROMPT, end="", file=sys.stderr, flush=True)
        try:
            line = input(prompt)
        except (EOFError, KeyboardInterrupt):
            print(file=sys.stderr)
            return
        yield line


def _answer(model: lms.LLM, chat: lms.Chat, screen: Screen) -> lms.PredictionResult:
    """Show a reply, and return what there is of it.

    Raises:
        LMStudioError: It failed.
        KeyboardInterrupt: Ctrl-C came once more while the server was slow to stop.
    """
    stream = model.respond_stream(chat, on_prompt_processing_progress=screen.progress)
    with on_ctrl_c(lambda: stream.cancel("Ctrl-C")):
        for fragment in stream:
            screen.text(fragment.content, is_reasoning=fragment.reasoning_type != "none")
        screen.end()
        if stream.cancelled():
            screen.note("(stopped)")
        return stream.result()
