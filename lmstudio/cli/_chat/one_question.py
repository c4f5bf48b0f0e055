"""One question from the command line, with the input: the answer on standard output."""

from __future__ import annotations

import sys
from typing import Any, BinaryIO

import lmstudio as lms

from .._errors import FAILED, CommandError, complain
from .._screen import Screen
from .._show import print_json
from .._texts import in_utf8
from .conversation import Conversation, Question
from .images import Images, image_suffix
from .keyboard import quiet_keyboard
from .replies import Asking, Reply, cut_short, speed

__all__ = ["answer_once", "read_input", "tell_odd_bytes"]


class _Silent(Screen):
    """A screen on which the reply is not seen, only how far it is."""

    def __init__(self, screen: Screen) -> None:
        self._screen = screen
        self.progress = screen.progress  # type: ignore[method-assign]
        self.note = screen.note  # type: ignore[method-assign]
        self.end = screen.end  # type: ignore[method-assign]

    def text(self, text: str, *, is_reasoning: bool = False) -> None:
        self._screen.end()


def read_input(stream: BinaryIO, words: str, images: Images) -> Question:
    """Return the question with what the input holds: a text below it, or an image.

    Raises:
        CommandError: It is neither, or there is no question at all.
        LMStudioError: The image cannot be uploaded.
    """
    data = b"" if stream.isatty() else stream.read()
    suffix = image_suffix(data)
    if suffix is not None:
        return Question(words, [images.take_bytes(f"input.{suffix}", data)])
    data = in_utf8(data)
    if b"\0" in data:
        raise CommandError("The input is no text, and no image.", code=2)
    text = data.decode("utf-8-sig", "replace")
    tell_odd_bytes(text)
    parts = [part for part in (words, text) if part.strip()]
    if not parts:
        raise CommandError("There is no question.", code=2)
    return Question("\n\n".join(parts))


def tell_odd_bytes(text: str) -> bool:
    """Say it if a text of the input was no whole UTF-8; whether it was not."""
    is_odd = "\ufffd" in text
    if is_odd:
        complain("The input is no text in UTF-8: what is wrong in it is asked as \ufffd.")
    return is_odd


def answer_once(
    model: lms.LLM,
    conversation: Conversation,
    asking: Asking,
    images: Images,
    screen: Screen,
    *,
    as_json: bool = False,
    shows_stats: bool = False,
) -> int:
    """Answer the question that waits; the answer is added to the conversation.

    Returns:
        The exit code: 0, or what says that there is no whole answer.

    Raises:
        KeyboardInterrupt: Ctrl-C.
    """
    reply = Reply()
    shown = _Silent(screen) if as_json else screen
    try:
        with quiet_keyboard(reads_keys=False):
            asking.show(model, images.to_chat(conversation), shown, reply)
    except lms.LMStudioError as error:
        screen.end()
        return complain(error)
    finally:
        if reply.answer:
            conversation.answer(reply.answer)
    if reply.is_stopped:
        raise KeyboardInterrupt
    result = reply.result
    assert result is not None
    if as_json:
        screen.end()
        print_json(_as_dict(result))
    if shows_stats and (line := speed(result)):
        print(line, file=sys.stderr, flush=True)
    why = cut_short(result)
    if why is not None:
        complain(f"The reply is {why}.")
    is_whole = result.stats.stop_reason not in ("failed", "modelUnloaded")
    return 0 if is_whole and not (asking.schema is not None and result.parsed is None) else FAILED


def _as_dict(result: lms.PredictionResult) -> dict[str, Any]:
    stats = result.stats
    told = {
        "answer": result.answer,
        "reasoning": result.reasoning_content or None,
        "parsed": result.parsed if result.structured else None,
        "model": None if result.model_info is None else result.model_info.identifier,
        "stop_reason": stats.stop_reason,
        "prompt_tokens": stats.prompt_tokens_count,
        "predicted_tokens": stats.predicted_tokens_count,
        "tokens_per_second": stats.tokens_per_second,
        "time_to_first_token": stats.time_to_first_token_sec,
    }
    return {name: value for name, value in told.items() if value is not None}
