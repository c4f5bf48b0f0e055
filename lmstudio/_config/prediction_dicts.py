"""The options of predictions as dicts, for type checkers: each in camelCase, then in snake_case.

When the program runs nothing of this is looked at: `from_user` reads what is given by the classes
of options. `tests/values/test_option_dicts.py` holds these keys, types and docstrings to those.
"""

from typing import Any, TypedDict

from .._api.public import public_module
from .option import Off, PlainDict
from .prediction_options import LlmReasoningParsing, LlmStructuredPredictionSetting


class _StructuredRequired(TypedDict):
    type: str
    """What the reply must be: ``json``, ``gbnf`` (it fits a grammar), or ``none`` (any text)."""


class LlmStructuredPredictionSettingDict(_StructuredRequired, total=False):
    """``LlmStructuredPredictionSetting`` as a dict, in either spelling.

    ``help(lmstudio.LlmStructuredPredictionSetting)`` says more of each option.
    """

    jsonSchema: PlainDict | None
    """With ``json``: a JSON Schema that the reply must fit. None: any JSON."""
    gbnfGrammar: str | None
    """With ``gbnf``: a grammar in llama.cpp's GBNF."""

    json_schema: PlainDict | None
    """With ``json``: a JSON Schema that the reply must fit. None: any JSON."""
    gbnf_grammar: str | None
    """With ``gbnf``: a grammar in llama.cpp's GBNF."""


class _ParsingRequired(TypedDict):
    enabled: bool
    """Whether it is."""


class LlmReasoningParsingDict(_ParsingRequired, total=False):
    """``LlmReasoningParsing`` as a dict, in either spelling.

    ``help(lmstudio.LlmReasoningParsing)`` says more of each option.
    """

    startString: str
    """The text that begins the reasoning. Default: ``<think>``."""
    endString: str
    """The text that ends it. Default: ``</think>``."""

    start_string: str
    """The text that begins the reasoning. Default: ``<think>``."""
    end_string: str
    """The text that ends it. Default: ``</think>``."""


class LlmPredictionConfigDict(TypedDict, total=False):
    """``LlmPredictionConfig`` as a dict, in either spelling.

    ``help(lmstudio.LlmPredictionConfig)`` says more of each option.
    """

    maxTokens: int | Off | None
    """How many tokens to generate at most, from 1 on. False or -1: no limit. Default: no limit."""
    stopStrings: list[str] | None
    """Texts that end the reply, with the stop reason ``stopStringFound``. Default: none."""
    toolCallStopStrings: list[str] | None
    """Texts that end the reply, with the stop reason ``toolCalls``. Default: none."""
    contextOverflowPolicy: str | None
    """What happens when the chat does not fit into the context. Default: ``truncateMiddle``."""
    temperature: float | None
    """How random the choice of each token is, from 0 (the most likely one) on. Default: 0.8."""
    seed: int | Off | None
    """The seed of the random choices, to repeat a reply. Default: a new one each time, as False."""
    topKSampling: float | None
    """How many of the most likely tokens to choose from, from -1 to 500. Default: 40."""
    topPSampling: float | Off | None
    """Choose from the most likely tokens that add up to this probability, 0 to 1. Default: 0.95."""
    minPSampling: float | Off | None
    """The probability, 0 to 1, below which a token is not chosen. Default: 0.05. False: none."""
    repeatPenalty: float | Off | None
    """How much to avoid tokens that were there before; 1: not at all. Default: 1.1. False: off."""
    presencePenalty: float | Off | None
    """How much to avoid tokens that were there at all; 0 is not at all. Default: off, as False."""
    frequencyPenalty: float | Off | None
    """How much to avoid tokens, each time that they were there. Default: off, as False."""
    xtcProbability: float | Off | None
    """How often to exclude the top choices (XTC), from 0 to 1. Default: never, as False."""
    xtcThreshold: float | Off | None
    """With `xtc_probability`: how likely a top choice is at least, 0 to 1. Default: off."""
    mirostatSampling: PlainDict | None
    """Mirostat: ``{"version": 0, 1 or 2, "learningRate": ..., "targetEntropy": ...}``."""
    tailFreeSampling: float | Off | None
    """Tail-free sampling: how much to keep of the likely tokens, 0 to 1. Default: off, as False."""
    locallyTypicalSampling: float | Off | None
    """Typical sampling: the probability that is kept, from 0 to 1. Default: off, as False."""
    logitBias: list[Any] | None
    """What to add to the logits of tokens: ``[[50256, -1.5], [11, "-inf"]]``. Default: nothing."""
    logProbs: int | Off | None
    """How many likely tokens to report for each token, 0 to 100. Default: none, as False."""
    structured: LlmStructuredPredictionSetting | LlmStructuredPredictionSettingDict | None
    """The form of the reply; `response_format` of a call is the usual way. Default: any text."""
    rawTools: PlainDict | None
    """The tools that the model is told of; `act()` is the usual way. Default: none."""
    toolChoice: PlainDict | None
    """Whether the model must call a tool: ``{"type": "generic", "mode": "required"}``."""
    toolNaming: str | None
    """How names of tools are changed for the model. Default: ``removeSpecial``."""
    promptTemplate: PlainDict | None
    """How a chat becomes a prompt. Default: the model's own template."""
    systemPrompt: str | None
    """A system prompt; that of a chat is the usual way. Default: none."""
    contextPrefill: list[Any] | None
    """Files on the server that begin the context. Default: none."""
    enableThinking: bool | None
    """Whether the model may reason before it answers, where it lets one choose. Default: True."""
    reasoningBudget: int | Off | None
    """How many tokens the model may spend on reasoning. Default: no limit, as False."""
    reasoningParsing: LlmReasoningParsing | LlmReasoningParsingDict | None
    """How reasoning is told from the answer: an `LlmReasoningParsing`, or a dict like one."""
    userMaxImageDimensionPixels: int | Off | None
    """The longer side, in pixels, to which images are scaled down. Default: 1024. False: as is."""
    ignoreModelPreferredMaxImageDimension: bool | None
    """Whether images may be bigger than the model prefers. Default: False."""
    cpuThreads: int | None
    """How many CPU threads compute, from 1 on. Default: 4."""
    draftModel: str | None
    """The key of a smaller model that proposes tokens. Default: ``""``, off."""
    speculativeDecodingNumDraftTokensExact: int | None
    """How many tokens the draft model proposes at a time, from 1 on. Default: 2."""
    speculativeDecodingMinDraftLengthToConsider: int | None
    """How many proposed tokens are checked at least, from 0 on; fewer are dropped. Default: 0."""
    speculativeDecodingMinContinueDraftingProbability: float | None
    """The draft model goes on while its token is at least this likely, 0 to 1. Default: 0.75."""
    numReuseTokens: int | None
    """How many tokens of the draft model's cache are used again, from 1 on. Default: 256."""
    maxTokensToDraft: int | None
    """How many tokens the draft model proposes at most, from 1 on. Default: 16."""
    raw: PlainDict | list[Any] | None
    """Settings that have no name here: ``{key: value}``, or ``[{"key": ..., "value": ...}]``."""

    max_tokens: int | Off | None
    """How many tokens to generate at most, from 1 on. False or -1: no limit. Default: no limit."""
    stop_strings: list[str] | None
    """Texts that end the reply, with the stop reason ``stopStringFound``. Default: none."""
    tool_call_stop_strings: list[str] | None
    """Texts that end the reply, with the stop reason ``toolCalls``. Default: none."""
    context_overflow_policy: str | None
    """What happens when the chat does not fit into the context. Default: ``truncateMiddle``."""
    top_k_sampling: float | None
    """How many of the most likely tokens to choose from, from -1 to 500. Default: 40."""
    top_p_sampling: float | Off | None
    """Choose from the most likely tokens that add up to this probability, 0 to 1. Default: 0.95."""
    min_p_sampling: float | Off | None
    """The probability, 0 to 1, below which a token is not chosen. Default: 0.05. False: none."""
    repeat_penalty: float | Off | None
    """How much to avoid tokens that were there before; 1: not at all. Default: 1.1. False: off."""
    presence_penalty: float | Off | None
    """How much to avoid tokens that were there at all; 0 is not at all. Default: off, as False."""
    frequency_penalty: float | Off | None
    """How much to avoid tokens, each time that they were there. Default: off, as False."""
    xtc_probability: float | Off | None
    """How often to exclude the top choices (XTC), from 0 to 1. Default: never, as False."""
    xtc_threshold: float | Off | None
    """With `xtc_probability`: how likely a top choice is at least, 0 to 1. Default: off."""
    mirostat_sampling: PlainDict | None
    """Mirostat: ``{"version": 0, 1 or 2, "learningRate": ..., "targetEntropy": ...}``."""
    tail_free_sampling: float | Off | None
    """Tail-free sampling: how much to keep of the likely tokens, 0 to 1. Default: off, as False."""
    locally_typical_sampling: float | Off | None
    """Typical sampling: the probability that is kept, from 0 to 1. Default: off, as False."""
    logit_bias: list[Any] | None
    """What to add to the logits of tokens: ``[[50256, -1.5], [11, "-inf"]]``. Default: nothing."""
    log_probs: int | Off | None
    """How many likely tokens to report for each token, 0 to 100. Default: none, as False."""
    raw_tools: PlainDict | None
    """The tools that the model is told of; `act()` is the usual way. Default: none."""
    tool_choice: PlainDict | None
    """Whether the model must call a tool: ``{"type": "generic", "mode": "required"}``."""
    tool_naming: str | None
    """How names of tools are changed for the model. Default: ``removeSpecial``."""
    prompt_template: PlainDict | None
    """How a chat becomes a prompt. Default: the model's own template."""
    system_prompt: str | None
    """A system prompt; that of a chat is the usual way. Default: none."""
    context_prefill: list[Any] | None
    """Files on the server that begin the context. Default: none."""
    enable_thinking: bool | None
    """Whether the model may reason before it answers, where it lets one choose. Default: True."""
    reasoning_budget: int | Off | None
    """How many tokens the model may spend on reasoning. Default: no limit, as False."""
    reasoning_parsing: LlmReasoningParsing | LlmReasoningParsingDict | None
    """How reasoning is told from the answer: an `LlmReasoningParsing`, or a dict like one."""
    user_max_image_dimension_pixels: int | Off | None
    """The longer side, in pixels, to which images are scaled down. Default: 1024. False: as is."""
    ignore_model_preferred_max_image_dimension: bool | None
    """Whether images may be bigger than the model prefers. Default: False."""
    cpu_threads: int | None
    """How many CPU threads compute, from 1 on. Default: 4."""
    draft_model: str | None
    """The key of a smaller model that proposes tokens. Default: ``""``, off."""
    speculative_decoding_num_draft_tokens_exact: int | None
    """How many tokens the draft model proposes at a time, from 1 on. Default: 2."""
    speculative_decoding_min_draft_length_to_consider: int | None
    """How many proposed tokens are checked at least, from 0 on; fewer are dropped. Default: 0."""
    speculative_decoding_min_continue_drafting_probability: float | None
    """The draft model goes on while its token is at least this likely, 0 to 1. Default: 0.75."""
    num_reuse_tokens: int | None
    """How many tokens of the draft model's cache are used again, from 1 on. Default: 256."""
    max_tokens_to_draft: int | None
    """How many tokens the draft model proposes at most, from 1 on. Default: 16."""


public_module(globals())
