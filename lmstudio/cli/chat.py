"""``python -m lmstudio chat``: a conversation at the terminal. Ctrl-C stops a reply, or leaves."""

from __future__ import annotations

import argparse
import sys
from contextlib import suppress

import lmstudio as lms

from ._screen import Screen, make_screen

__all__ = ["get_model", "run"]

PROMPT = "> "


def run(options: argparse.Namespace) -> int:
    """Talk until the end of the input, or until Ctrl-C at the prompt."""
    screen = make_screen()
    try:
        with lms.Client(options.host) as client:
            model = get_model(client, options.model, screen)
            if sys.stdin.isatty():
                screen.note(f"{model.identifier}. Ctrl-C stops a reply, and leaves at the prompt.")
            _talk(model, lms.Chat(options.system), screen)
    except lms.LMStudioError as error:
        screen.end()
        print(f"lmstudio: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        screen.end()
        return 130
    return 0


def get_model(client: lms.Client, key: str | None, screen: Screen) -> lms.LLM:
    """Return the model of that key, loading it if need be; None: any that is loaded."""
    if key is None:
        return client.llm.model()

    def show(share: float) -> None:
        screen.progress(share, "Loading the model")

    try:
        return client.llm.model(key, on_load_progress=show)
    finally:
        screen.end()


def _talk(model: lms.LLM, chat: lms.Chat, screen: Screen) -> None:
    while True:
        try:
            question = _read_question()
        except (EOFError, KeyboardInterrupt):
            if sys.stdin.isatty():
                print()
            return
        if not question.strip():
            continue
        attempt = chat.copy()
        attempt.add_user_message(question)
        answer = _answer(model, attempt, screen)
        if answer is not None and answer.content:
            attempt.add_assistant_response(answer)
            chat = attempt  # otherwise the question is forgotten, so that roles alternate


def _read_question() -> str:
    if not sys.stdin.isatty():
        line = sys.stdin.readline()
        if not line:
            raise EOFError
        return line
    with suppress(ImportError):
        import readline  # noqa: F401 - gives input() its line editor
    return input(PROMPT)


def _answer(model: lms.LLM, chat: lms.Chat, screen: Screen) -> lms.PredictionResult | None:
    """Show a reply, and return what there is of it."""
    stream = model.respond_stream(chat, on_prompt_processing_progress=screen.progress)
    try:
        for fragment in stream:
            is_reasoning = fragment.reasoning_type != "none"
            screen.text(fragment.content, is_reasoning=is_reasoning)
        screen.end()
    except KeyboardInterrupt:
        stream.cancel("Ctrl-C")
        screen.end("(stopped)")
    except lms.LMStudioError as error:
        screen.end(f"(failed: {error})")
        return error.partial
    return stream.result()  # another Ctrl-C while the server is slow to stop leaves the program
