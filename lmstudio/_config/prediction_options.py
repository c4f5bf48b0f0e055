"""The options of predictions: `LlmPredictionConfig`, and the form of a reply.

Each option is declared by its name, its type, the key that LM Studio knows it by, and how its value
is written there; `to_wire` and `from_wire` read that. Below it stands what it does. Names in dicts
may be snake_case, as here, or camelCase.
"""

# Each call of option() declares one field; nothing mutable is shared by instances.
# ruff: noqa: RUF009

from typing import Any

import attrs

from .._api.public import public_module
from .from_user import Config, Reported
from .option import Off, PlainDict, option
from .option_docs import explained


@explained
@attrs.define(kw_only=True, repr=False)
class LlmStructuredPredictionSetting(Config):
    """The form that a reply must have: JSON, or a grammar."""

    type: str
    """What the reply must be: ``json``, ``gbnf`` (it fits a grammar), or ``none`` (any text)."""
    json_schema: PlainDict | None = None
    """With ``json``: a JSON Schema that the reply must fit. None: any JSON."""
    gbnf_grammar: str | None = None
    """With ``gbnf``: a grammar in llama.cpp's GBNF."""


@explained
@attrs.define(kw_only=True, repr=False)
class LlmReasoningParsing(Config):
    """How reasoning is told from the answer: by the texts around it."""

    enabled: bool
    """Whether it is."""
    start_string: str = "<think>"
    """The text that begins the reasoning. Default: ``<think>``."""
    end_string: str = "</think>"
    """The text that ends it. Default: ``</think>``."""


@explained
@attrs.define(kw_only=True, repr=False, getstate_setstate=False)
class LlmPredictionConfig(Reported):
    """The options of a prediction. None is "not given": the server decides.

    False switches an option off where its type says so. A configuration that a server reported is
    sent as it was, but for what was changed. The defaults that are named here are those of LM
    Studio; a model's own settings there come before them.

    Thread safety: plain data; do not change it while a call reads it.
    """

    # How much, and when to stop.
    max_tokens: int | Off | None = option("llm.prediction.maxPredictedTokens", off=1, means_off=-1)
    """How many tokens to generate at most, from 1 on. False or -1: no limit. Default: no limit.

    A reply that ends here has the stop reason ``maxPredictedTokensReached``.
    """
    stop_strings: list[str] | None = option("llm.prediction.stopStrings")
    """Texts that end the reply, with the stop reason ``stopStringFound``. Default: none."""
    tool_call_stop_strings: list[str] | None = option("llm.prediction.toolCallStopStrings")
    """Texts that end the reply, with the stop reason ``toolCalls``. Default: none."""
    context_overflow_policy: str | None = option("llm.prediction.contextOverflowPolicy")
    """What happens when the chat does not fit into the context. Default: ``truncateMiddle``.

    ``stopAtLimit`` stops, with the stop reason ``contextLengthReached``; ``truncateMiddle`` keeps
    the system prompt and the first user message, and drops what follows them; ``rollingWindow``
    drops the oldest messages.
    """

    # Sampling.
    temperature: float | None = option("llm.prediction.temperature")
    """How random the choice of each token is, from 0 (the most likely one) on. Default: 0.8."""
    seed: int | Off | None = option("llm.prediction.seed", off=-1)
    """The seed of the random choices, to repeat a reply. Default: a new one each time, as False.

    -1 means a new one, too.
    """
    top_k_sampling: float | None = option("llm.prediction.topKSampling")
    """How many of the most likely tokens to choose from, from -1 to 500. Default: 40."""
    top_p_sampling: float | Off | None = option("llm.prediction.topPSampling", off=0.95)
    """Choose from the most likely tokens that add up to this probability, 0 to 1. Default: 0.95.

    False: from all.
    """
    min_p_sampling: float | Off | None = option("llm.prediction.minPSampling", off=0.05)
    """The probability, 0 to 1, below which a token is not chosen. Default: 0.05. False: none.

    It is a share of the probability of the most likely token.
    """
    repeat_penalty: float | Off | None = option("llm.prediction.repeatPenalty", off=1.1)
    """How much to avoid tokens that were there before; 1: not at all. Default: 1.1. False: off.

    The probability of such a token is divided by about this number.
    """
    presence_penalty: float | Off | None = option("llm.prediction.llama.presencePenalty", off=0)
    """How much to avoid tokens that were there at all; 0 is not at all. Default: off, as False."""
    frequency_penalty: float | Off | None = option("llm.prediction.llama.frequencyPenalty", off=0)
    """How much to avoid tokens, each time that they were there. Default: off, as False."""
    xtc_probability: float | Off | None = option("llm.prediction.llama.xtcProbability", off=0)
    """How often to exclude the top choices (XTC), from 0 to 1. Default: never, as False."""
    xtc_threshold: float | Off | None = option("llm.prediction.llama.xtcThreshold", off=0)
    """With `xtc_probability`: how likely a top choice is at least, 0 to 1. Default: off.

    Of the tokens above it, all but the least likely one are excluded.
    """
    mirostat_sampling: PlainDict | None = option("llm.prediction.llama.mirostatSampling")
    """Mirostat: ``{"version": 0, 1 or 2, "learningRate": ..., "targetEntropy": ...}``.

    Default: version 0, which is off, with 0.1 and 5.
    """
    tail_free_sampling: float | Off | None = option(
        "llm.prediction.llama.tailFreeSampling", off=0.95
    )
    """Tail-free sampling: how much to keep of the likely tokens, 0 to 1. Default: off, as False."""
    locally_typical_sampling: float | Off | None = option(
        "llm.prediction.llama.locallyTypicalSampling", off=0.9
    )
    """Typical sampling: the probability that is kept, from 0 to 1. Default: off, as False."""
    logit_bias: list[Any] | None = option("llm.prediction.llama.logitBias")
    """What to add to the logits of tokens: ``[[50256, -1.5], [11, "-inf"]]``. Default: nothing.

    Each pair is a token, as `tokenize()` returns it, and a number, or ``"-inf"`` for never.
    """
    log_probs: int | Off | None = option("llm.prediction.logProbs", off=0)
    """How many likely tokens to report for each token, 0 to 100. Default: none, as False.

    They come with each fragment, as `LlmPredictionFragment.tokens`.
    """

    # The form of the reply, and tools.
    structured: LlmStructuredPredictionSetting | None = option("llm.prediction.structured")
    """The form of the reply; `response_format` of a call is the usual way. Default: any text."""
    raw_tools: PlainDict | None = option("llm.prediction.tools")
    """The tools that the model is told of; `act()` is the usual way. Default: none.

    As LM Studio has it: ``{"type": "toolArray", "tools": [...]}``.
    """
    tool_choice: PlainDict | None = option("llm.prediction.toolChoice")
    """Whether the model must call a tool: ``{"type": "generic", "mode": "required"}``.

    The modes are ``none``, ``auto`` (the model decides, which is the default) and ``required``.
    """
    tool_naming: str | None = option("llm.prediction.toolNaming")
    """How names of tools are changed for the model. Default: ``removeSpecial``.

    ``passThrough`` leaves them as they are; the others are ``snakeCase`` and ``camelCase``.
    """

    # The prompt.
    prompt_template: PlainDict | None = option("llm.prediction.promptTemplate")
    """How a chat becomes a prompt. Default: the model's own template.

    ``{"type": "jinja", "jinjaPromptTemplate": {"template": ...}, "stopStrings": [...]}``, or of the
    type ``manual``.
    """
    system_prompt: str | None = option("llm.prediction.systemPrompt")
    """A system prompt; that of a chat is the usual way. Default: none."""
    context_prefill: list[Any] | None = option("llm.prediction.contextPrefill")
    """Files on the server that begin the context. Default: none.

    Each is ``{"type": "jsonFile" or "yamlFile", "absPath": ...}``.
    """

    # Reasoning.
    enable_thinking: bool | None = option("llm.prediction.reasoning.enableThinking")
    """Whether the model may reason before it answers, where it lets one choose. Default: True."""
    reasoning_budget: int | Off | None = option("llm.prediction.reasoning.budgetTokens", off=1024)
    """How many tokens the model may spend on reasoning. Default: no limit, as False."""
    reasoning_parsing: LlmReasoningParsing | None = option("llm.prediction.reasoning.parsing")
    """How reasoning is told from the answer: an `LlmReasoningParsing`, or a dict like one.

    Default: ``{"enabled": True, "startString": "<think>", "endString": "</think>"}``.
    """

    # Images.
    user_max_image_dimension_pixels: int | Off | None = option(
        "llm.prediction.vision.userMaxImageDimensionPixels", off=1024
    )
    """The longer side, in pixels, to which images are scaled down. Default: 1024. False: as is."""
    ignore_model_preferred_max_image_dimension: bool | None = option(
        "llm.prediction.vision.ignoreModelPreferredMaxImageDimension"
    )
    """Whether images may be bigger than the model prefers. Default: False."""

    # Speed.
    cpu_threads: int | None = option("llm.prediction.llama.cpuThreads")
    """How many CPU threads compute, from 1 on. Default: 4."""
    draft_model: str | None = option("llm.prediction.speculativeDecoding.draftModel")
    """The key of a smaller model that proposes tokens. Default: ``""``, off.

    This is speculative decoding. LM Studio loads that model by itself.
    """
    speculative_decoding_num_draft_tokens_exact: int | None = option(
        "llm.prediction.speculativeDecoding.numDraftTokensExact"
    )
    """How many tokens the draft model proposes at a time, from 1 on. Default: 2."""
    speculative_decoding_min_draft_length_to_consider: int | None = option(
        "llm.prediction.speculativeDecoding.minDraftLengthToConsider"
    )
    """How many proposed tokens are checked at least, from 0 on; fewer are dropped. Default: 0."""
    speculative_decoding_min_continue_drafting_probability: float | None = option(
        "llm.prediction.speculativeDecoding.minContinueDraftingProbability"
    )
    """The draft model goes on while its token is at least this likely, 0 to 1. Default: 0.75."""
    num_reuse_tokens: int | None = option("llm.prediction.speculativeDecoding.numReuseTokens")
    """How many tokens of the draft model's cache are used again, from 1 on. Default: 256."""
    max_tokens_to_draft: int | None = option("llm.prediction.speculativeDecoding.maxTokensToDraft")
    """How many tokens the draft model proposes at most, from 1 on. Default: 16."""

    raw: PlainDict | list[Any] | None = None
    """Settings that have no name here: ``{key: value}``, or ``[{"key": ..., "value": ...}]``.

    The keys are LM Studio's, the values as on the wire. Named options win over it.
    """


public_module(globals())
