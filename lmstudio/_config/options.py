"""The options of predictions and of loading models: one class each, and they are the tables.

Each option is one line: its name, its type, the key that LM Studio knows it by, and how its value
is written there. `_kv.py` reads these lines in both directions. Names in dicts may be snake_case,
as here, or camelCase.
"""

# Each call of _option() declares one field; nothing mutable is shared by instances.
# ruff: noqa: RUF009

from collections.abc import Mapping
from typing import Any, Literal, TypeAlias

import attrs

from .._api.public import public_module
from .from_user import Config, Reported

Off: TypeAlias = Literal[False]
PlainDict: TypeAlias = Mapping[str, Any]

# The server's own default; Jinja turns the escapes into line breaks.
_LOAD_TEMPLATE = (
    "{% for message in messages %}"
    "{% if message['role'] == 'system' %}{{ 'Instruct: ' + message['content'] + '\\n' }}"
    "{% elif message['role'] == 'user' %}{{ 'Human: ' + message['content'] + '\\n' }}"
    "{% elif message['role'] == 'assistant' %}{{ 'AI: ' + message['content'] + '\\n' }}"
    "{% endif %}{% endfor %}{% if add_generation_prompt %}{{ 'AI: ' }}{% endif %}"
)


def _option(
    *keys: str, off: object = None, means_off: object = None, default: object = None
) -> Any:
    """Declare an option.

    Args:
        keys: the keys it is written to, with the same value.
        off: it has a checkbox: a value is written as ``{"checked": true, "value": value}``, and
            False as unchecked with this value. A dict is itself what False is written as.
        means_off: a value that other programs use for "off", and that is read as False.
        default: what the server uses if the key is absent, as written on the wire.
    """
    metadata = {"keys": keys, "off": off, "means_off": means_off, "default": default}
    return attrs.field(default=None, metadata=metadata)


def _gpu_option(**ratios: str) -> Any:
    """Declare the option ``gpu``, with the keys that its ratios are written to."""
    return attrs.field(default=None, metadata={"ratios": ratios})


@attrs.define(kw_only=True, repr=False)
class GpuSetting(Config):
    """How a model is spread over GPUs.

    Attributes:
        ratio: the share of the layers to put on GPUs, from 0 to 1, or ``max`` or ``off``.
        num_cpu_expert_layers_ratio: the share of expert layers to keep on the CPU, likewise.
        main_gpu: index of the GPU to prefer.
        split_strategy: ``evenly`` or ``favorMainGpu``; also ``tensor`` or ``custom``.
        disabled_gpus: indexes of the GPUs not to use.
    """

    ratio: float | str | None = None
    num_cpu_expert_layers_ratio: float | str | None = None
    main_gpu: int | None = None
    split_strategy: str | None = None
    disabled_gpus: list[int] | None = None


@attrs.define(kw_only=True, repr=False)
class LlmStructuredPredictionSetting(Config):
    """The form that a reply must have.

    Attributes:
        type: ``json``, ``gbnf`` or ``none``.
        json_schema: for ``json``: a JSON Schema; None takes any JSON.
        gbnf_grammar: for ``gbnf``: a grammar in llama.cpp's GBNF.
    """

    type: str
    json_schema: PlainDict | None = None
    gbnf_grammar: str | None = None


@attrs.define(kw_only=True, repr=False, getstate_setstate=False)
class LlmPredictionConfig(Reported):
    """The options of a prediction. None is "not given": the server decides.

    False switches an option off where its type says so. ``raw`` takes settings that have no name
    here: a dict from key to value, or a list of ``{"key": ..., "value": ...}``; the named options
    win over it. A configuration that a server reported is sent as it was, but for what was changed.

    Thread safety: plain data; do not change it while a call reads it.
    """

    # How much (at least 1; -1 is False), and when to stop.
    max_tokens: int | Off | None = _option("llm.prediction.maxPredictedTokens", off=1, means_off=-1)
    stop_strings: list[str] | None = _option("llm.prediction.stopStrings")
    tool_call_stop_strings: list[str] | None = _option("llm.prediction.toolCallStopStrings")
    # "stopAtLimit", "truncateMiddle" or "rollingWindow".
    context_overflow_policy: str | None = _option("llm.prediction.contextOverflowPolicy")

    # Sampling.
    temperature: float | None = _option("llm.prediction.temperature")
    seed: int | Off | None = _option("llm.prediction.seed", off=-1)
    top_k_sampling: float | None = _option("llm.prediction.topKSampling")
    top_p_sampling: float | Off | None = _option("llm.prediction.topPSampling", off=0.95)
    min_p_sampling: float | Off | None = _option("llm.prediction.minPSampling", off=0.05)
    repeat_penalty: float | Off | None = _option("llm.prediction.repeatPenalty", off=1.1)
    presence_penalty: float | Off | None = _option("llm.prediction.llama.presencePenalty", off=0)
    frequency_penalty: float | Off | None = _option("llm.prediction.llama.frequencyPenalty", off=0)
    xtc_probability: float | Off | None = _option("llm.prediction.llama.xtcProbability", off=0)
    xtc_threshold: float | Off | None = _option("llm.prediction.llama.xtcThreshold", off=0)
    # {"version": 0, 1 or 2, "learningRate": ..., "targetEntropy": ...}
    mirostat_sampling: PlainDict | None = _option("llm.prediction.llama.mirostatSampling")
    tail_free_sampling: float | Off | None = _option(
        "llm.prediction.llama.tailFreeSampling", off=0.95
    )
    locally_typical_sampling: float | Off | None = _option(
        "llm.prediction.llama.locallyTypicalSampling", off=0.9
    )
    # Pairs of a token's id, as tokenize() gives it, and a number or "-inf": [[50256, "-inf"]].
    logit_bias: list[Any] | None = _option("llm.prediction.llama.logitBias")
    # The number of alternatives to report with each token.
    log_probs: int | Off | None = _option("llm.prediction.logProbs", off=0)

    # The form of the reply, and tools.
    structured: LlmStructuredPredictionSetting | None = _option("llm.prediction.structured")
    raw_tools: PlainDict | None = _option("llm.prediction.tools")
    # {"type": "generic", "mode": "none", "auto" or "required"}
    tool_choice: PlainDict | None = _option("llm.prediction.toolChoice")
    # "passThrough", "removeSpecial", "snakeCase" or "camelCase".
    tool_naming: str | None = _option("llm.prediction.toolNaming")

    # The prompt.
    prompt_template: PlainDict | None = _option("llm.prediction.promptTemplate")
    system_prompt: str | None = _option("llm.prediction.systemPrompt")
    context_prefill: list[Any] | None = _option("llm.prediction.contextPrefill")

    # Reasoning.
    enable_thinking: bool | None = _option("llm.prediction.reasoning.enableThinking")
    # In tokens.
    reasoning_budget: int | Off | None = _option("llm.prediction.reasoning.budgetTokens", off=1024)
    # {"enabled": ..., "startString": ..., "endString": ...}
    reasoning_parsing: PlainDict | None = _option("llm.prediction.reasoning.parsing")

    # Images.
    user_max_image_dimension_pixels: int | Off | None = _option(
        "llm.prediction.vision.userMaxImageDimensionPixels", off=1024
    )
    ignore_model_preferred_max_image_dimension: bool | None = _option(
        "llm.prediction.vision.ignoreModelPreferredMaxImageDimension"
    )

    # Speed.
    cpu_threads: int | None = _option("llm.prediction.llama.cpuThreads")
    # The key of a smaller model that proposes tokens; "" is off.
    draft_model: str | None = _option("llm.prediction.speculativeDecoding.draftModel")
    speculative_decoding_num_draft_tokens_exact: int | None = _option(
        "llm.prediction.speculativeDecoding.numDraftTokensExact"
    )
    speculative_decoding_min_draft_length_to_consider: int | None = _option(
        "llm.prediction.speculativeDecoding.minDraftLengthToConsider"
    )
    speculative_decoding_min_continue_drafting_probability: float | None = _option(
        "llm.prediction.speculativeDecoding.minContinueDraftingProbability"
    )
    num_reuse_tokens: int | None = _option("llm.prediction.speculativeDecoding.numReuseTokens")
    max_tokens_to_draft: int | None = _option("llm.prediction.speculativeDecoding.maxTokensToDraft")

    raw: PlainDict | list[Any] | None = None


@attrs.define(kw_only=True, repr=False, getstate_setstate=False)
class LlmLoadModelConfig(Reported):
    """The options of loading a language model. None is "not given": the server decides.

    False and ``raw`` are as in ``LlmPredictionConfig``. ``context_length``, ``gpu_strict_vram_cap``
    and, in ``gpu``, the ratios, ``main_gpu`` and ``split_strategy`` switch ``auto_fit`` off, which
    could otherwise overrule them. A configuration that a server reported is sent as it was, with
    ``auto_fit`` too; changing one of these options switches it off here as well. What is made from
    the values, by ``attrs.evolve()`` or ``to_dict()``, counts as made by hand.

    Thread safety: plain data; do not change it while a call reads it.
    """

    # In tokens.
    context_length: int | None = _option("llm.load.contextLength", default=2048)
    # Let the server shrink the context and the GPU share until the model fits.
    auto_fit: bool | None = _option(
        "llm.load.llama.autoFit", "llm.load.mlx.autoFit", "llm.load.yuzu.autoFit", default=True
    )
    auto_fit_min_context_length: int | None = _option("llm.load.autoFitMinContextLength", default=0)
    gpu: GpuSetting | None = _gpu_option(
        ratio="llm.load.llama.acceleration.offloadRatio",
        num_cpu_expert_layers_ratio="llm.load.numCpuExpertLayersRatio",
    )
    gpu_strict_vram_cap: bool | None = _option("load.gpuStrictVramCap", default=False)
    max_parallel_predictions: int | None = _option("llm.load.numParallelSessions", default=4)
    use_unified_kv_cache: bool | None = _option("llm.load.useUnifiedKvCache", default=True)
    offload_kv_cache_to_gpu: bool | None = _option("llm.load.offloadKVCacheToGpu", default=True)
    num_experts: int | None = _option("llm.load.numExperts", default=0)
    seed: int | Off | None = _option("llm.load.seed", off=0, default={"checked": False})
    prompt_template: PlainDict | None = _option(
        "llm.load.promptTemplate",
        default={"type": "jinja", "jinjaPromptTemplate": {"template": _LOAD_TEMPLATE}},
    )
    env_vars: PlainDict | None = _option("envVars", default={})

    # llama.cpp.
    rope_frequency_base: float | Off | None = _option(
        "llm.load.llama.ropeFrequencyBase", off=0, default={"checked": False}
    )
    rope_frequency_scale: float | Off | None = _option(
        "llm.load.llama.ropeFrequencyScale", off=0, default={"checked": False}
    )
    eval_batch_size: int | None = _option("llm.load.llama.evalBatchSize", default=2048)
    physical_batch_size: int | None = _option("llm.load.llama.physicalBatchSize", default=512)
    flash_attention: bool | None = _option("llm.load.llama.flashAttention", default=False)
    context_checkpoints: int | None = _option("llm.load.llama.contextCheckpoints", default=32)
    reasoning_budget_message: str | None = _option(
        "llm.load.llama.reasoningBudgetMessage", default=""
    )
    cpu_thread_pool_size: int | None = _option("llm.load.llama.cpuThreadPoolSize", default=4)
    keep_model_in_memory: bool | None = _option("llm.load.llama.keepModelInMemory", default=True)
    use_fp16_for_kv_cache: bool | None = _option("llm.load.llama.useFp16ForKVCache", default=True)
    try_mmap: bool | None = _option("llm.load.llama.tryMmap", default=True)
    try_direct_io: bool | None = _option("llm.load.llama.tryDirectIO", default=False)
    # "f32", "f16", "q8_0", "q5_1", "q5_0", "q4_1", "q4_0" or "iq4_nl".
    llama_k_cache_quantization_type: str | Off | None = _option(
        "llm.load.llama.kCacheQuantizationType", off="f16", default={"checked": False}
    )
    llama_v_cache_quantization_type: str | Off | None = _option(
        "llm.load.llama.vCacheQuantizationType", off="f16", default={"checked": False}
    )
    llama_cpp_arguments_override: PlainDict | None = _option(
        "llm.load.llama.argumentsOverride",
        default={
            "enabled": False,
            "disabledParameters": [],
            "overrideParameters": [],
            "excludeAllConfig": False,
        },
    )

    # Speculative decoding in llama.cpp: with the model's own prediction heads (mtp), or with a
    # draft model (simple, and which).
    speculative_draft_mtp: bool | None = _option(
        "llm.load.llama.speculativeDecoding.draftMtp", default=False
    )
    speculative_draft_simple: bool | None = _option(
        "llm.load.llama.speculativeDecoding.draftSimple", default=False
    )
    speculative_draft_model: str | None = _option(
        "llm.load.llama.speculativeDecoding.draftModel", default=""
    )
    speculative_draft_max_tokens: int | None = _option(
        "llm.load.llama.speculativeDecoding.draftMaxTokens", default=3
    )
    speculative_draft_min_tokens: int | None = _option(
        "llm.load.llama.speculativeDecoding.draftMinTokens", default=0
    )
    speculative_draft_min_continue_probability: float | None = _option(
        "llm.load.llama.speculativeDecoding.draftMinContinueProbability", default=0
    )
    draft_dflash_sidecar: bool | None = _option(
        "llm.load.llama.speculativeDecoding.draftDflashSidecar", default=False
    )
    draft_dspark_sidecar: bool | None = _option(
        "llm.load.llama.speculativeDecoding.draftDsparkSidecar", default=False
    )
    draft_mtp_sidecar: bool | None = _option(
        "llm.load.llama.speculativeDecoding.draftMtpSidecar", default=False
    )

    # MLX.
    mlx_disk_cache: bool | None = _option("llm.load.mlx.diskCache", default=True)
    # {"enabled": ..., "bits": ..., "groupSize": ..., "quantizedStart": ...}
    mlx_kv_cache_quantization: PlainDict | Off | None = _option(
        "llm.load.mlx.kvCacheQuantization",
        off={"enabled": False, "bits": 8, "groupSize": 64, "quantizedStart": 5000},
        default={"enabled": False},
    )

    # vLLM.
    gpu_memory_utilization: float | None = _option(
        "llm.load.vllm.gpuMemoryUtilization", default=0.92
    )
    reasoning_parser: str | None = _option("llm.load.vllm.reasoningParser", default="")
    tool_call_parser: str | None = _option("llm.load.vllm.toolCallParser", default="")

    raw: PlainDict | list[Any] | None = None


@attrs.define(kw_only=True, repr=False, getstate_setstate=False)
class EmbeddingLoadModelConfig(Reported):
    """The options of loading an embedding model. None is "not given": the server decides.

    False and ``raw`` are as in ``LlmPredictionConfig``.

    Thread safety: plain data; do not change it while a call reads it.
    """

    # In tokens.
    context_length: int | None = _option("embedding.load.contextLength", default=2048)
    gpu: GpuSetting | None = _gpu_option(ratio="embedding.load.llama.acceleration.offloadRatio")
    seed: int | Off | None = _option("embedding.load.seed", off=-1, default={"checked": False})
    gpu_strict_vram_cap: bool | None = _option("load.gpuStrictVramCap", default=False)
    eval_batch_size: int | None = _option("embedding.load.llama.evalBatchSize", default=2048)
    rope_frequency_base: float | Off | None = _option(
        "embedding.load.llama.ropeFrequencyBase", off=0, default={"checked": False}
    )
    rope_frequency_scale: float | Off | None = _option(
        "embedding.load.llama.ropeFrequencyScale", off=0, default={"checked": False}
    )
    keep_model_in_memory: bool | None = _option(
        "embedding.load.llama.keepModelInMemory", default=True
    )
    try_mmap: bool | None = _option("embedding.load.llama.tryMmap", default=True)

    raw: PlainDict | list[Any] | None = None


AnyLoadConfig: TypeAlias = EmbeddingLoadModelConfig | LlmLoadModelConfig

public_module(globals())
