"""Folds what arrives of one prediction into its result. Pure: no I/O, no lock, no clock."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs

from .._api.numbers import is_whole
from .._config.from_wire import kv_to_load_config, kv_to_prediction_config
from .._json.converter import structure
from .._values.messages import ToolCallRequest
from .._values.model_info import LlmInstanceInfo
from .._values.results import (
    AnyPrediction,
    LlmPredictionFragment,
    LlmPredictionStats,
    PredictionResult,
    PromptProcessingDetails,
    as_markdown,
    decode,
)
from ..errors import LMStudioProtocolError
from .halves import Halves

# After these a reply is incomplete, so that its text is not the JSON that was asked for.
_CUT_SHORT = frozenset(
    {"maxPredictedTokensReached", "contextLengthReached", "userStopped", "failed", "modelUnloaded"}
)


class Accumulator:
    """Folds the fragments of one prediction into its result; no I/O, no lock.

    Thread safety: one thread at a time; the stream's lock sees to it.
    """

    __slots__ = (
        "_content",
        "_halves",
        "_kind",
        "_more_tokens",
        "_runs",
        "prompt_details",
        "tool_calls",
    )

    def __init__(self) -> None:
        self.prompt_details: PromptProcessingDetails | None = None  # the last ones
        self.tool_calls: list[ToolCallRequest] = []  # those that are whole
        self._content: list[str] = []
        self._halves = Halves()  # of a character
        self._more_tokens = 0  # than fragments
        self._kind = "none"  # the reasoning type of the last fragment; None: markup
        self._runs: list[tuple[int, Any]] = [(0, "none")]  # where in _content each kind begins

    def fragment(self, packet: dict[str, Any]) -> LlmPredictionFragment:
        """Take the ``fragment`` object of one message, keep its text, and return it typed.

        Raises:
            LMStudioProtocolError: it has no text.
        """
        # Once per token: no converter here, and no call that can be spared.
        try:
            content = packet["content"]
            get = packet.get
        except (KeyError, TypeError, AttributeError):
            content = None
        if content.__class__ is not str:
            raise LMStudioProtocolError("Unexpected data: LlmPredictionFragment without content.")
        if not content.isascii() or self._halves.held:
            content = self._halves.join(content)
        reasoning_type = get("reasoningType", "none")
        is_structural = get("isStructural", False)
        kind = None if is_structural else reasoning_type
        if kind != self._kind:
            self._begin_run(kind)
        self._content.append(content)
        tokens_count = get("tokensCount", 1)
        if tokens_count != 1:
            self._count(tokens_count)
        return LlmPredictionFragment(
            content,
            tokens_count,
            get("containsDrafted", False),
            reasoning_type,
            is_structural,
            packet["tokens"] if "tokens" in packet else None,  # noqa: SIM401  # no call
        )

    def _count(self, tokens: Any) -> None:
        if is_whole(tokens):
            self._more_tokens += tokens - 1

    @property
    def tokens_count(self) -> int:
        """How many tokens there are so far, about."""
        return len(self._content) + self._more_tokens

    def _begin_run(self, kind: Any) -> None:
        self._runs.append((len(self._content), kind))
        self._kind = kind

    def _text_of(self, kind: str) -> str:
        ends = [start for start, _ in self._runs[1:]] + [len(self._content)]
        runs = zip(self._runs, ends, strict=True)
        return "".join(
            text for (start, of), end in runs if of == kind for text in self._content[start:end]
        )

    @property
    def content(self) -> str:
        """All text so far, reasoning and markup included."""
        return "".join(self._content)

    @property
    def reasoning_content(self) -> str:
        """The reasoning so far."""
        return self._text_of("reasoning")

    @property
    def answer(self) -> str:
        """The text so far without reasoning and markup."""
        return self._text_of("none")

    def markdown(self, note: str) -> str:
        """The text so far, for a notebook, with a note below it."""
        return as_markdown(self.answer, self.reasoning_content, note)

    def result(
        self,
        *,
        success: dict[str, Any] | None,
        cancelled: bool,
        cancel_reason: object,
        structured: bool,
        response_type: type | None = None,
        stop_reason: str | None = None,
    ) -> PredictionResult:
        """Return the result as of now.

        Args:
            success: the server's final message, or None if it did not come.
            cancelled: the prediction was cancelled; its stop reason is then ``userStopped``.
            cancel_reason: what the canceller gave as its reason.
            structured: a JSON reply was asked for.
            response_type: the class that such a reply becomes.
            stop_reason: the stop reason when ``success`` is None, such as ``failed``.

        Raises:
            LMStudioProtocolError: the server's final message is malformed.
        """
        try:
            final = _final_message(success)
        except LMStudioProtocolError:
            # A cancelled prediction ends without an exception, whatever the server said last.
            if not cancelled:
                raise
            success, final = None, _final_message(None)
        stats: LlmPredictionStats = final["stats"]
        if cancelled:
            final["stats"] = stats = attrs.evolve(stats, stop_reason="userStopped")
        elif success is None:
            final["stats"] = stats = attrs.evolve(stats, stop_reason=stop_reason or "failed")
        content, answer, reasoning = texts = self.content, self.answer, self.reasoning_content
        return PredictionResult(
            content=content,
            parsed=_parse(texts, stats.stop_reason) if structured else content,
            cancelled=cancelled,
            cancel_reason=cancel_reason,
            acknowledged=success is not None,
            reasoning_content=reasoning,
            answer=answer,
            response_type=response_type,
            prompt_details=self.prompt_details,
            tool_calls=list(self.tool_calls),
            **final,
        )


def _final_message(success: dict[str, Any] | None) -> dict[str, Any]:
    """Return the typed parts of the server's final message, under the names in the result."""
    if success is None:
        stats = LlmPredictionStats(stop_reason="failed")
        return {"stats": stats, "model_info": None, "load_config": None, "prediction_config": None}
    read: tuple[tuple[str, str, Callable[[Any], Any]], ...] = (
        ("model_info", "modelInfo", lambda info: structure(info, LlmInstanceInfo)),
        ("load_config", "loadModelConfig", lambda fields: kv_to_load_config(fields, "llm")),
        ("prediction_config", "predictionConfig", kv_to_prediction_config),
    )
    final: dict[str, Any] = {"stats": structure(success.get("stats"), LlmPredictionStats)}
    for name, key, reads in read:
        try:
            final[name] = None if success.get(key) is None else reads(success[key])
        except LMStudioProtocolError:  # it only informs: the reply is whole
            final[name] = None
    return final


def _parse(texts: tuple[str, str, str], stop_reason: str) -> AnyPrediction:
    """Return the JSON object in one of a reply's texts: the whole, its answer, its reasoning.

    A model may reason before it gives its answer, and one that never says that it has done so gives
    it in there.
    """
    if stop_reason in _CUT_SHORT:
        return None
    for text in texts:
        parsed = decode(text)
        if isinstance(parsed, dict):
            return parsed
    answer = texts[1]
    if stop_reason == "stopStringFound" and answer.lstrip()[:1] in ("{", "["):
        return None if decode(answer) is answer else texts[0]  # the stop string has cut it
    return texts[0]
