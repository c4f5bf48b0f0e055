"""The options as dicts, for type checkers: each of `options` in camelCase, then in snake_case.

When the program runs nothing of this is looked at: `from_user` reads what is given by the classes
in `options`. `tests/values/test_option_dicts.py` holds these keys and types to those.
"""

from typing import Any, TypedDict

from .._api.public import public_module
from .options import GpuSetting, LlmStructuredPredictionSetting, Off, PlainDict


class GpuSettingDict(TypedDict, total=False):
    """``GpuSetting`` as a dict, in either spelling."""

    ratio: float | str | None
    numCpuExpertLayersRatio: float | str | None
    mainGpu: int | None
    splitStrategy: str | None
    disabledGpus: list[int] | None

    num_cpu_expert_layers_ratio: float | str | None
    main_gpu: int | None
    split_strategy: str | None
    disabled_gpus: list[int] | None


class _StructuredRequired(TypedDict):
    type: str


class LlmStructuredPredictionSettingDict(_StructuredRequired, total=False):
    """``LlmStructuredPredictionSetting`` as a dict, in either spelling."""

    jsonSchema: PlainDict | None
    gbnfGrammar: str | None

    json_schema: PlainDict | None
    gbnf_grammar: str | None


class LlmPredictionConfigDict(TypedDict, total=False):
    """``LlmPredictionConfig`` as a dict, in either spelling."""

    maxTokens: int | Off | None
    stopStrings: list[str] | None
    toolCallStopStrings: list[str] | None
    contextOverflowPolicy: str | None
    temperature: float | None
    seed: int | Off | None
    topKSampling: float | None
    topPSampling: float | Off | None
    minPSampling: float | Off | None
    repeatPenalty: float | Off | None
    presencePenalty: float | Off | None
    frequencyPenalty: float | Off | None
    xtcProbability: float | Off | None
    xtcThreshold: float | Off | None
    mirostatSampling: PlainDict | None
    tailFreeSampling: float | Off | None
    locallyTypicalSampling: float | Off | None
    logitBias: list[Any] | None
    logProbs: int | Off | None
    structured: LlmStructuredPredictionSetting | LlmStructuredPredictionSettingDict | None
    rawTools: PlainDict | None
    toolChoice: PlainDict | None
    toolNaming: str | None
    promptTemplate: PlainDict | None
    systemPrompt: str | None
    contextPrefill: list[Any] | None
    enableThinking: bool | None
    reasoningBudget: int | Off | None
    reasoningParsing: PlainDict | None
    userMaxImageDimensionPixels: int | Off | None
    ignoreModelPreferredMaxImageDimension: bool | None
    cpuThreads: int | None
    draftModel: str | None
    speculativeDecodingNumDraftTokensExact: int | None
    speculativeDecodingMinDraftLengthToConsider: int | None
    speculativeDecodingMinContinueDraftingProbability: float | None
    numReuseTokens: int | None
    maxTokensToDraft: int | None
    raw: PlainDict | list[Any] | None

    max_tokens: int | Off | None
    stop_strings: list[str] | None
    tool_call_stop_strings: list[str] | None
    context_overflow_policy: str | None
    top_k_sampling: float | None
    top_p_sampling: float | Off | None
    min_p_sampling: float | Off | None
    repeat_penalty: float | Off | None
    presence_penalty: float | Off | None
    frequency_penalty: float | Off | None
    xtc_probability: float | Off | None
    xtc_threshold: float | Off | None
    mirostat_sampling: PlainDict | None
    tail_free_sampling: float | Off | None
    locally_typical_sampling: float | Off | None
    logit_bias: list[Any] | None
    log_probs: int | Off | None
    raw_tools: PlainDict | None
    tool_choice: PlainDict | None
    tool_naming: str | None
    prompt_template: PlainDict | None
    system_prompt: str | None
    context_prefill: list[Any] | None
    enable_thinking: bool | None
    reasoning_budget: int | Off | None
    reasoning_parsing: PlainDict | None
    user_max_image_dimension_pixels: int | Off | None
    ignore_model_preferred_max_image_dimension: bool | None
    cpu_threads: int | None
    draft_model: str | None
    speculative_decoding_num_draft_tokens_exact: int | None
    speculative_decoding_min_draft_length_to_consider: int | None
    speculative_decoding_min_continue_drafting_probability: float | None
    num_reuse_tokens: int | None
    max_tokens_to_draft: int | None


class LlmLoadModelConfigDict(TypedDict, total=False):
    """``LlmLoadModelConfig`` as a dict, in either spelling."""

    contextLength: int | None
    autoFit: bool | None
    autoFitMinContextLength: int | None
    gpu: GpuSetting | GpuSettingDict | None
    gpuStrictVramCap: bool | None
    maxParallelPredictions: int | None
    useUnifiedKvCache: bool | None
    offloadKVCacheToGpu: bool | None
    numExperts: int | None
    seed: int | Off | None
    promptTemplate: PlainDict | None
    envVars: PlainDict | None
    ropeFrequencyBase: float | Off | None
    ropeFrequencyScale: float | Off | None
    evalBatchSize: int | None
    physicalBatchSize: int | None
    flashAttention: bool | None
    contextCheckpoints: int | None
    reasoningBudgetMessage: str | None
    cpuThreadPoolSize: int | None
    keepModelInMemory: bool | None
    useFp16ForKVCache: bool | None
    tryMmap: bool | None
    tryDirectIO: bool | None
    llamaKCacheQuantizationType: str | Off | None
    llamaVCacheQuantizationType: str | Off | None
    llamaCppArgumentsOverride: PlainDict | None
    speculativeDraftMtp: bool | None
    speculativeDraftSimple: bool | None
    speculativeDraftModel: str | None
    speculativeDraftMaxTokens: int | None
    speculativeDraftMinTokens: int | None
    speculativeDraftMinContinueProbability: float | None
    draftDflashSidecar: bool | None
    draftDsparkSidecar: bool | None
    draftMtpSidecar: bool | None
    mlxDiskCache: bool | None
    mlxKvCacheQuantization: PlainDict | Off | None
    gpuMemoryUtilization: float | None
    reasoningParser: str | None
    toolCallParser: str | None
    raw: PlainDict | list[Any] | None

    context_length: int | None
    auto_fit: bool | None
    auto_fit_min_context_length: int | None
    gpu_strict_vram_cap: bool | None
    max_parallel_predictions: int | None
    use_unified_kv_cache: bool | None
    offload_kv_cache_to_gpu: bool | None
    num_experts: int | None
    prompt_template: PlainDict | None
    env_vars: PlainDict | None
    rope_frequency_base: float | Off | None
    rope_frequency_scale: float | Off | None
    eval_batch_size: int | None
    physical_batch_size: int | None
    flash_attention: bool | None
    context_checkpoints: int | None
    reasoning_budget_message: str | None
    cpu_thread_pool_size: int | None
    keep_model_in_memory: bool | None
    use_fp16_for_kv_cache: bool | None
    try_mmap: bool | None
    try_direct_io: bool | None
    llama_k_cache_quantization_type: str | Off | None
    llama_v_cache_quantization_type: str | Off | None
    llama_cpp_arguments_override: PlainDict | None
    speculative_draft_mtp: bool | None
    speculative_draft_simple: bool | None
    speculative_draft_model: str | None
    speculative_draft_max_tokens: int | None
    speculative_draft_min_tokens: int | None
    speculative_draft_min_continue_probability: float | None
    draft_dflash_sidecar: bool | None
    draft_dspark_sidecar: bool | None
    draft_mtp_sidecar: bool | None
    mlx_disk_cache: bool | None
    mlx_kv_cache_quantization: PlainDict | Off | None
    gpu_memory_utilization: float | None
    reasoning_parser: str | None
    tool_call_parser: str | None


class EmbeddingLoadModelConfigDict(TypedDict, total=False):
    """``EmbeddingLoadModelConfig`` as a dict, in either spelling."""

    contextLength: int | None
    gpu: GpuSetting | GpuSettingDict | None
    seed: int | Off | None
    gpuStrictVramCap: bool | None
    evalBatchSize: int | None
    ropeFrequencyBase: float | Off | None
    ropeFrequencyScale: float | Off | None
    keepModelInMemory: bool | None
    tryMmap: bool | None
    raw: PlainDict | list[Any] | None

    context_length: int | None
    gpu_strict_vram_cap: bool | None
    eval_batch_size: int | None
    rope_frequency_base: float | Off | None
    rope_frequency_scale: float | Off | None
    keep_model_in_memory: bool | None
    try_mmap: bool | None


public_module(globals())
