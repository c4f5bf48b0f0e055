"""What a prediction gives back: fragments, statistics, results, and the fold that makes them."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, TypeAlias

import attrs

from .._config.from_wire import kv_to_load_config, kv_to_prediction_config
from .._config.options import LlmLoadModelConfig, LlmPredictionConfig
from .._json.converter import LMStudioStruct, format_json, structure
from .._json.from_json import ValidationError, from_json
from ..errors import LMStudioProtocolError
from .model_info import LlmInstanceInfo

if TYPE_CHECKING:
    from typing_extensions import Self

AnyPrediction: TypeAlias = Mapping[str, Any] | str | None

# After these a reply is incomplete, so that its text is not the JSON that was asked for.
_CUT_SHORT = frozenset(
    {"maxPredictedTokensReached", "contextLengthReached", "userStopped", "failed", "modelUnloaded"}
)


@attrs.define(weakref_slot=False, repr=False)
class LlmPredictionFragment(LMStudioStruct):
    """A piece of a reply as it streams in, one token or a few.

    Attributes:
        content: the text.
        tokens_count: about how many tokens it holds.
        contains_drafted: some of them were proposed by the draft model.
        reasoning_type: ``none``, ``reasoning``, ``reasoningStartTag``, ``reasoningEndTag``.
        is_structural: markup of the model's reply format, neither answer nor reasoning.
        tokens: the tokens and their log probabilities, if the config asked for ``log_probs``.

    Thread safety: not changed by the library after it was handed out.
    """

    content: str
    tokens_count: int = 1
    contains_drafted: bool = False
    reasoning_type: str = "none"
    is_structural: bool = False
    tokens: list[dict[str, Any]] | None = None


@attrs.frozen(kw_only=True, repr=False)
class LlmPredictionStats(LMStudioStruct):
    """Statistics of a prediction; what the server did not say, or said oddly, is None.

    Attributes:
        stop_reason: why it ended: ``eosFound``, ``stopStringFound``, ``userStopped``,
            ``maxPredictedTokensReached``, ``contextLengthReached``, ``toolCalls``, ``failed``,
            ``modelUnloaded``, or what a newer server may name.
        stop_string: the stop string that was found.
        tokens_per_second: speed of generation.
        num_gpu_layers: layers on the GPU; -1 is all.
        time_to_first_token_sec: seconds until the first token.
        total_time_sec: seconds from start to end.
        prompt_tokens_count: tokens of the prompt.
        predicted_tokens_count: tokens that were generated.
        total_tokens_count: the sum of the two.
        used_draft_model_key: the draft model, with speculative decoding.

    Thread safety: immutable.
    """

    _keeps_defaults: ClassVar[bool] = True
    stop_reason: str
    stop_string: str | None = None
    tokens_per_second: float | None = None
    num_gpu_layers: float | None = None
    time_to_first_token_sec: float | None = None
    total_time_sec: float | None = None
    prompt_tokens_count: int | None = None
    predicted_tokens_count: int | None = None
    total_tokens_count: int | None = None
    used_draft_model_key: str | None = None
    total_draft_tokens_count: int | None = None
    accepted_draft_tokens_count: int | None = None
    rejected_draft_tokens_count: int | None = None
    ignored_draft_tokens_count: int | None = None


@attrs.frozen(kw_only=True, repr=False)
class PredictionResult:
    """The end of a prediction.

    Attributes:
        content: the whole text, reasoning included.
        parsed: the JSON object of a structured reply; None if such a reply was cancelled or cut
            short; otherwise ``content``.
        stats: statistics; after a cancel that the server did not confirm, only the stop reason.
        model_info: the model that answered; None without the server's final message.
        load_config: the configuration it was loaded with; None likewise.
        prediction_config: the configuration it used; None likewise.
        cancelled: it was cancelled, and ``content`` is what had arrived.
        cancel_reason: what the canceller gave as its reason.
        acknowledged: the server's final message arrived.
        reasoning_content: the text that the model marked as reasoning.
        answer: the text without reasoning and markup.
        response_type: the class that was given as ``response_format``, if `typed` can be made
            from it. Copies and pickles lack one that cannot be found by its name.
        structured: ``parsed`` is a JSON object.

    Thread safety: immutable.
    """

    content: str
    parsed: AnyPrediction
    stats: LlmPredictionStats
    model_info: LlmInstanceInfo | None
    load_config: LlmLoadModelConfig | None
    prediction_config: LlmPredictionConfig | None
    cancelled: bool = False
    cancel_reason: object = None
    acknowledged: bool = True
    reasoning_content: str = ""
    answer: str = attrs.field()
    response_type: type | None = attrs.field(default=None, eq=False)
    structured: bool = attrs.field(init=False)
    _typed: dict[int, Any] = attrs.field(init=False, factory=dict, eq=False)  # set once

    @answer.default
    def _(self) -> str:
        return self.content

    @structured.default
    def _(self) -> bool:
        return self.parsed is not None and not isinstance(self.parsed, str)

    @property
    def typed(self) -> Any:
        """The reply as an instance of the class that was given as ``response_format``.

        None without such a class, and for a reply that was cancelled or cut short.

        Raises:
            ValidationError: the reply does not fit the class (an `LMStudioValueError`).
        """
        cls = self.response_type
        if cls is None or self.parsed is None:
            return None
        if not self._typed:
            data = self.parsed if self.structured else _decode(self.answer)
            try:
                self._typed.setdefault(0, from_json(data, cls))
            except ValidationError as exc:
                problem = str(exc).rstrip(".")
                text = f"The reply does not fit {cls.__name__}: {problem}."
                raise ValidationError(text) from exc.__cause__
        return self._typed[0]

    def __repr__(self) -> str:
        return f"{type(self).__name__}(content={self.content!r})"

    def __str__(self) -> str:
        return format_json(self.parsed) if self.structured else self.content

    def _repr_markdown_(self) -> str:
        """Show the reply in a notebook."""
        note = ""
        if self.cancelled:
            reason = "" if self.cancel_reason is None else f": {self.cancel_reason}"
            note = f"stopped{reason}"
        if self.structured:
            return _as_markdown(f"```json\n{self}\n```", self.reasoning_content, note)
        return _as_markdown(self.answer, self.reasoning_content, note)

    def __reduce__(self) -> tuple[Any, ...]:
        names = [field.name for field in attrs.fields(type(self)) if field.init]
        values = {name: getattr(self, name) for name in names}
        if not _is_found_by_name(self.response_type):
            values["response_type"] = None
        return _rebuild, (type(self), values)

    def _to_history_content(self) -> str:
        return self.content


@attrs.frozen(kw_only=True, repr=False)
class PredictionRoundResult(PredictionResult):
    """The end of one prediction among the rounds of ``act()``; rounds are counted from 0."""

    round_index: int

    @classmethod
    def from_result(cls, result: PredictionResult, round_index: int) -> Self:
        """Return ``result`` as the result of the round with this index."""
        names = [field.name for field in attrs.fields(PredictionResult) if field.init]
        return cls(round_index=round_index, **{name: getattr(result, name) for name in names})


@attrs.frozen(kw_only=True)
class ActResult:
    """The end of ``act()``: rounds run, seconds taken, and whether it was cancelled."""

    rounds: int
    total_time_seconds: float
    cancelled: bool = False
    cancel_reason: object = None


class Accumulator:
    """Folds the fragments of one prediction into its result; no I/O, no lock.

    Thread safety: one thread at a time; the stream's lock sees to it.
    """

    __slots__ = ("_content", "_kind", "_runs")

    def __init__(self) -> None:
        self._content: list[str] = []
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
        reasoning_type = get("reasoningType", "none")
        is_structural = get("isStructural", False)
        kind = None if is_structural else reasoning_type
        if kind != self._kind:
            self._begin_run(kind)
        self._content.append(content)
        return LlmPredictionFragment(
            content,
            get("tokensCount", 1),
            get("containsDrafted", False),
            reasoning_type,
            is_structural,
            get("tokens"),
        )

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
        return _as_markdown(self.answer, self.reasoning_content, note)

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
        content, answer = self.content, self.answer
        return PredictionResult(
            content=content,
            parsed=_parse(content, answer, stats.stop_reason) if structured else content,
            cancelled=cancelled,
            cancel_reason=cancel_reason,
            acknowledged=success is not None,
            reasoning_content=self.reasoning_content,
            answer=answer,
            response_type=response_type,
            **final,
        )


def _as_markdown(answer: str, reasoning: str, note: str) -> str:
    parts = []
    if reasoning:
        parts.append(f"<details><summary>Reasoning</summary>\n\n{reasoning}\n\n</details>")
    parts += [answer] if answer else []
    parts += [f"*({note})*"] if note else []
    return "\n\n".join(parts)


def _final_message(success: dict[str, Any] | None) -> dict[str, Any]:
    """Return the typed parts of the server's final message, under the names in the result."""
    if success is None:
        stats = LlmPredictionStats(stop_reason="failed")
        return {"stats": stats, "model_info": None, "load_config": None, "prediction_config": None}
    info = success.get("modelInfo")
    load = success.get("loadModelConfig")
    prediction = success.get("predictionConfig")
    return {
        "stats": structure(success.get("stats"), LlmPredictionStats),
        "model_info": None if info is None else structure(info, LlmInstanceInfo),
        "load_config": None if load is None else kv_to_load_config(load, "llm"),
        "prediction_config": None if prediction is None else kv_to_prediction_config(prediction),
    }


def _parse(content: str, answer: str, stop_reason: str) -> AnyPrediction:
    if stop_reason in _CUT_SHORT:
        return None
    for text in (content, answer):  # a model may reason before it gives its answer
        parsed = _decode(text)
        if isinstance(parsed, dict):
            return parsed
    return content


def _decode(text: str) -> Any:
    """Return the JSON data of a text, or the text: a grammar need not describe JSON."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def _rebuild(cls: type[PredictionResult], values: dict[str, Any]) -> PredictionResult:
    return cls(**values)


def _is_found_by_name(cls: Any) -> bool:
    found: Any = sys.modules.get(getattr(cls, "__module__", ""))
    for name in getattr(cls, "__qualname__", "").split("."):
        found = getattr(found, name, None)
    return found is cls
