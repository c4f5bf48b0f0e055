"""What a prediction gives back: fragments, statistics, results."""

import json
import sys
from collections.abc import Mapping
from typing import Any, ClassVar, Generic, Literal, TypeAlias

import attrs

from .._api.backports import Self, TypeVar
from .._api.public import public_module
from .._api.shown import worded
from .._concurrency.once import Once
from .._config.llm_load_options import LlmLoadModelConfig
from .._config.prediction_options import LlmPredictionConfig
from .._json.converter import LMStudioStruct, format_json
from .._json.from_json import ValidationError, from_json
from .._json.whole import whole
from .messages import ToolCallRequest
from .model_info import LlmInstanceInfo

AnyPrediction: TypeAlias = Mapping[str, Any] | str | None
"""What a structured reply is parsed to; the text, where there is no structure; or None."""
# The class that was given as `response_format`; None: there was none.
T_co = TypeVar("T_co", covariant=True, default=Any)


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

    def __str__(self) -> str:
        """Return the text."""
        return self.content


ANSWER, REASONING = "none", "reasoning"  # kinds of text; all others are markup


def kind_of(fragment: LlmPredictionFragment) -> str | None:
    """Return the kind of a fragment's text; None: markup of the model's reply format."""
    return None if fragment.is_structural else fragment.reasoning_type


@attrs.frozen(kw_only=True, repr=False)
class PromptProcessingDetails(LMStudioStruct):
    """How far the model has come with the prompt, in tokens.

    Attributes:
        cached_token_count: those that it knew from an earlier prediction, and need not process.
        total_prompt_token_count: the whole prompt.
        processed_prompt_token_count: those that are processed.
        unprocessed_prompt_token_count: those that are not yet.

    Thread safety: immutable.
    """

    cached_token_count: int
    total_prompt_token_count: int
    processed_prompt_token_count: int
    unprocessed_prompt_token_count: int


LlmPredictionStopReason: TypeAlias = Literal[
    "userStopped",
    "modelUnloaded",
    "failed",
    "eosFound",
    "stopStringFound",
    "toolCalls",
    "maxPredictedTokensReached",
    "contextLengthReached",
]
"""Why a prediction ended, as far as it is known here: a newer server may say another word."""


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
        total_draft_tokens_count: tokens that it proposed.
        accepted_draft_tokens_count: those of them that became part of the reply.
        rejected_draft_tokens_count: those that did not.
        ignored_draft_tokens_count: those that were not even checked.

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


# What is pickled names only this class: see __getstate__.
@attrs.frozen(kw_only=True, repr=False, getstate_setstate=False)
class PredictionResult(Generic[T_co]):
    """The end of a prediction: ``PredictionResult[Person]`` if it was asked for a ``Person``.

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
        prompt_details: how many tokens of the prompt were known from earlier predictions, and how
            many were processed, as the server said last; None if it did not.
        tool_calls: the calls of tools that the model asked for, those that were whole in time.
            In ``respond()`` they are yours to make; ``act()`` makes them.
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
    prompt_details: PromptProcessingDetails | None = None
    tool_calls: list[ToolCallRequest] = attrs.field(factory=list, hash=False)
    structured: bool = attrs.field(init=False)
    _typed: Once = attrs.field(init=False, factory=Once, eq=False)

    @answer.default
    def _(self) -> str:
        return self.content

    @structured.default
    def _(self) -> bool:
        return self.parsed is not None and not isinstance(self.parsed, str)

    @property
    def typed(self) -> T_co | None:
        """The reply as an instance of the class that was given as ``response_format``.

        None without such a class, and for a reply that was cancelled or cut short.

        Raises:
            ValidationError: the reply does not fit the class (an `LMStudioValueError`).
        """
        cls = self.response_type
        if cls is None or self.parsed is None:
            return None
        if not self._typed:
            data = self.parsed if self.structured else decode(self.answer)
            try:
                self._typed.set(from_json(data, cls))
            except ValidationError as exc:
                problem = str(exc).rstrip(".")
                text = f"The reply does not fit {cls.__name__}: {problem}."
                raise ValidationError(text) from exc.__cause__
        typed: T_co = self._typed.value
        return typed

    def __repr__(self) -> str:
        return f"{type(self).__name__}(content={self.content!r})"

    def __str__(self) -> str:
        return format_json(self.parsed) if self.structured else self.content

    def _repr_markdown_(self) -> str:
        """Show the reply in a notebook."""
        note = ""
        if self.cancelled:
            reason = "" if self.cancel_reason is None else f": {worded(self.cancel_reason)}"
            note = f"stopped{reason}"
        if self.structured:
            return as_markdown(f"```json\n{self}\n```", self.reasoning_content, note)
        return as_markdown(self.answer, self.reasoning_content, note)

    def __getstate__(self) -> dict[str, Any]:
        names = [field.name for field in attrs.fields(type(self)) if field.name != "_typed"]
        state = {name: getattr(self, name) for name in names}
        if not _is_found_by_name(self.response_type):
            state["response_type"] = None
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        for name, value in {**state, "_typed": Once()}.items():
            object.__setattr__(self, name, value)

    def _to_history_content(self, reasoning: bool = True) -> str:
        if reasoning or self.answer == self.content:
            return self.content
        return self.answer.lstrip("\n")  # they follow the reasoning, and mean nothing without it


@attrs.frozen(kw_only=True, repr=False, getstate_setstate=False)
class PredictionRoundResult(PredictionResult):
    """The end of one prediction among the rounds of ``act()``.

    Attributes:
        round_index: which round it was, counted from 0.
    """

    round_index: int

    @classmethod
    def from_result(cls, result: PredictionResult, round_index: int) -> Self:
        """Return ``result`` as the result of the round with this index."""
        names = [field.name for field in attrs.fields(PredictionResult) if field.init]
        return cls(round_index=round_index, **{name: getattr(result, name) for name in names})


@attrs.frozen(kw_only=True)
class ActResult:
    """The end of ``act()``.

    Attributes:
        rounds: predictions made.
        total_time_seconds: seconds taken.
        cancelled: it was cancelled.
        cancel_reason: what the canceller gave as its reason.
        pending_tool_calls: the calls of tools without an implementation, which ended the loop, as
            the model asked for them (or as the guard has changed them). With their results in the
            chat, another ``act()`` goes on. None are left open by a cancel.
    """

    rounds: int
    total_time_seconds: float
    cancelled: bool = False
    cancel_reason: object = None
    pending_tool_calls: list[ToolCallRequest] = attrs.field(factory=list, hash=False)


def as_markdown(answer: str, reasoning: str, note: str) -> str:
    parts = []
    if reasoning:
        parts.append(f"<details><summary>Reasoning</summary>\n\n{reasoning}\n\n</details>")
    parts += [answer] if answer else []
    parts += [f"*({note})*"] if note else []
    return "\n\n".join(parts)


def decode(text: str) -> Any:
    """Return the JSON data of a text, or the text: a grammar need not describe JSON."""
    try:
        data = json.loads(text)
        return whole(data) if "\\u" in text else data  # an escape may be half a character
    except (ValueError, RecursionError):
        return text


def _is_found_by_name(cls: Any) -> bool:
    found: Any = sys.modules.get(getattr(cls, "__module__", ""))
    for name in getattr(cls, "__qualname__", "").split("."):
        found = getattr(found, name, None)
    return found is cls


public_module(globals())
