"""One reply: asked for, shown as it comes, stopped by Ctrl-C, and what there is of it."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import lmstudio as lms

from .._ctrl_c import on_ctrl_c
from .._rows import WRONG
from .._schema import in_terms_of_schema
from .._screen import Screen

__all__ = ["Asking", "Reply", "cut_short", "speed"]

# Why a reply ended too early, and what to do then.
_CUT_SHORT = {
    "maxPredictedTokensReached": "cut off at the greatest number of tokens",
    "contextLengthReached": "cut off: the context of the model is full",
    "modelUnloaded": "cut off: the model was unloaded",
    "failed": "cut off: the model failed",
}


@dataclass
class Reply:
    """What there is of a reply, also of one that was stopped or failed."""

    answer: str = ""
    result: lms.PredictionResult | None = None
    is_stopped: bool = False


@dataclass
class Asking:
    """How is asked: options of the prediction, a JSON schema that replies follow, and its file."""

    config: dict[str, Any]
    schema: dict[str, Any] | None = None
    schema_path: str | None = None

    def show(self, model: lms.LLM, chat: lms.Chat, screen: Screen, reply: Reply) -> None:
        """Ask, and show what comes. `reply` holds it at any time, whatever this raises.

        Raises:
            LMStudioError: It failed.
            KeyboardInterrupt: Ctrl-C came while nothing could be stopped.
        """
        try:
            stream = model.respond_stream(
                chat,
                response_format=self.schema,
                config=self.config or None,  # type: ignore[arg-type]
                on_prompt_processing_progress=screen.progress,
            )
        except lms.LMStudioValueError as error:
            raise in_terms_of_schema(error, self.schema_path, WRONG) from None
        with on_ctrl_c(lambda: stream.cancel("Ctrl-C")):
            try:
                for fragment in stream:
                    kind = fragment.reasoning_type
                    if kind == "none" and not fragment.is_structural:
                        reply.answer += fragment.content
                        screen.text(fragment.content)
                    elif kind == "reasoning":
                        screen.text(fragment.content, is_reasoning=True)
            finally:
                reply.is_stopped = stream.cancelled()
            screen.end()
            if reply.is_stopped:
                screen.note("(stopped)")
                # Whoever presses Ctrl-C again does not wait for the server's last word.
                with suppress(KeyboardInterrupt):
                    reply.result = stream.result()
            else:
                reply.result = stream.result()


def cut_short(result: lms.PredictionResult) -> str | None:
    """Return why a reply ended too early; None if it did not, or if it was stopped."""
    return _CUT_SHORT.get(result.stats.stop_reason)


def speed(result: lms.PredictionResult) -> str | None:
    """Return how quick a reply was, in a line; None if the server did not say."""
    stats = result.stats
    told = []
    if stats.tokens_per_second is not None:
        told.append(f"{stats.tokens_per_second:.1f} tokens/s")
    if stats.predicted_tokens_count is not None:
        told.append(f"{stats.predicted_tokens_count} tokens")
    if stats.prompt_tokens_count is not None:
        told.append(f"prompt {stats.prompt_tokens_count} tokens")
    if stats.time_to_first_token_sec is not None:
        told.append(f"first after {stats.time_to_first_token_sec:.2f} s")
    return ", ".join(told) or None
