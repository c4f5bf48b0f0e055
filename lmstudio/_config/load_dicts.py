"""The options of loading as dicts, for type checkers: each in camelCase, then in snake_case.

When the program runs nothing of this is looked at: `from_user` reads what is given by the classes
of options. `tests/values/test_option_dicts.py` holds these keys, types and docstrings to those.
"""

from typing import Any, TypedDict

from .._api.public import public_module
from .gpu_setting import GpuSetting
from .option import Off, PlainDict


class GpuSettingDict(TypedDict, total=False):
    """``GpuSetting`` as a dict, in either spelling.

    ``help(lmstudio.GpuSetting)`` says more of each option.
    """

    ratio: float | str | None
    """The share of the layers to put on GPUs: from 0 to 1, ``max`` (1) or ``off`` (0)."""
    numCpuExpertLayersRatio: float | str | None
    """The share of the layers whose experts stay on the CPU: from 0 to 1, ``max`` or ``off``."""
    mainGpu: int | None
    """The index of the GPU to use first."""
    splitStrategy: str | None
    """How to share the work among GPUs: ``evenly``, ``favorMainGpu``, ``tensor`` or ``custom``."""
    disabledGpus: list[int] | None
    """The indexes of the GPUs that are not to be used. Default: none."""

    num_cpu_expert_layers_ratio: float | str | None
    """The share of the layers whose experts stay on the CPU: from 0 to 1, ``max`` or ``off``."""
    main_gpu: int | None
    """The index of the GPU to use first."""
    split_strategy: str | None
    """How to share the work among GPUs: ``evenly``, ``favorMainGpu``, ``tensor`` or ``custom``."""
    disabled_gpus: list[int] | None
    """The indexes of the GPUs that are not to be used. Default: none."""


class LlmLoadModelConfigDict(TypedDict, total=False):
    """``LlmLoadModelConfig`` as a dict, in either spelling.

    ``help(lmstudio.LlmLoadModelConfig)`` says more of each option.
    """

    contextLength: int | None
    """The size of the context in tokens, for prompt and reply together. Default: 2048."""
    autoFit: bool | None
    """Let the server shrink the context and the GPU share until the model fits. Default: True."""
    autoFitMinContextLength: int | None
    """With `auto_fit`: the least context in tokens that will do. Default: 0."""
    gpu: GpuSetting | GpuSettingDict | None
    """How the model is spread over GPUs: a `GpuSetting`, or a dict like one."""
    gpuStrictVramCap: bool | None
    """Put no more on GPUs than fits into the memory that they are known to have. Default: False."""
    maxParallelPredictions: int | None
    """How many predictions run at a time, from 1 to 1023; others wait. Default: 4."""
    useUnifiedKvCache: bool | None
    """Let predictions that run at a time share one cache, instead of equal parts. Default: True."""
    offloadKVCacheToGpu: bool | None
    """Keep the key-value cache in the memory of GPUs. Default: True."""
    numExperts: int | None
    """For mixtures of experts: how many are active; 0: as the model says. Default: 0."""
    seed: int | Off | None
    """The seed of the random choices. Default: a new one each time, as False."""
    promptTemplate: PlainDict | None
    """How a chat becomes a prompt. Default: the model's own template."""
    envVars: PlainDict | None
    """Environment variables of the engine: ``{"HSA_OVERRIDE_GFX_VERSION": ...}``. Default: none."""
    ropeFrequencyBase: float | Off | None
    """The base frequency of rotary embeddings (RoPE). Default: the model's own, as False."""
    ropeFrequencyScale: float | Off | None
    """The scale of that frequency, for longer contexts. Default: the model's own, as False."""
    evalBatchSize: int | None
    """How many tokens of a prompt are processed together, from 1 on. Default: 2048."""
    physicalBatchSize: int | None
    """How many of those tokens are computed in one step, from 1 on. Default: 512."""
    flashAttention: bool | None
    """Compute attention in the way that takes less memory. Default: False."""
    contextCheckpoints: int | None
    """How many earlier states of the context are kept to go back to, from 0 on. Default: 32."""
    reasoningBudgetMessage: str | None
    """What the model is told when its reasoning budget is used up. Default: ``""``, nothing."""
    cpuThreadPoolSize: int | None
    """How many CPU threads the engine has, from 1 on. Default: 4."""
    keepModelInMemory: bool | None
    """Reserve memory, so that the system never swaps the model out. Default: True."""
    useFp16ForKVCache: bool | None
    """Keep the key-value cache in 16 bits instead of 32, in half the memory. Default: True."""
    tryMmap: bool | None
    """Map the model's file into memory, where that can be done: it loads faster. Default: True."""
    tryDirectIO: bool | None
    """Read the file past the system's cache, where that can be done. Default: False."""
    llamaKCacheQuantizationType: str | Off | None
    """How the keys in the cache are quantized. Default: not, as False."""
    llamaVCacheQuantizationType: str | Off | None
    """How the values in the cache are quantized. Default: not, as False."""
    llamaCppArgumentsOverride: PlainDict | None
    """Arguments of llama.cpp that replace those of LM Studio. Default: none."""
    speculativeDraftMtp: bool | None
    """Propose tokens with the model's own prediction heads (MTP). Default: False."""
    speculativeDraftSimple: bool | None
    """Propose tokens with the model that `speculative_draft_model` names. Default: False."""
    speculativeDraftModel: str | None
    """With `speculative_draft_simple`: the key of the model that proposes. Default: ``""``."""
    speculativeDraftMaxTokens: int | None
    """How many tokens are proposed at most, from 0 on. Default: 3."""
    speculativeDraftMinTokens: int | None
    """How many tokens are proposed at least, from 0 on. Default: 0."""
    speculativeDraftMinContinueProbability: float | None
    """Proposing goes on while a token is at least this likely, from 0 to 1. Default: 0."""
    draftDflashSidecar: bool | None
    """Propose tokens with a DFlash file beside the model. Default: False."""
    draftDsparkSidecar: bool | None
    """Propose tokens with a DSpark file beside the model. Default: False."""
    draftMtpSidecar: bool | None
    """Propose tokens with a file of prediction heads (MTP) beside the model. Default: False."""
    mlxDiskCache: bool | None
    """For MLX: keep the cache of prompts on disk, too. Default: True."""
    mlxKvCacheQuantization: PlainDict | Off | None
    """For MLX: how the key-value cache is quantized. Default: not, as False."""
    gpuMemoryUtilization: float | None
    """For vLLM: the share of a GPU's memory that it may use, from 0 to 1. Default: 0.92."""
    reasoningParser: str | None
    """For vLLM: the name of the parser of reasoning. Default: ``""``, none."""
    toolCallParser: str | None
    """For vLLM: the name of the parser of tool calls. Default: ``""``, none."""
    raw: PlainDict | list[Any] | None
    """Settings that have no name here: ``{key: value}``, or ``[{"key": ..., "value": ...}]``."""

    context_length: int | None
    """The size of the context in tokens, for prompt and reply together. Default: 2048."""
    auto_fit: bool | None
    """Let the server shrink the context and the GPU share until the model fits. Default: True."""
    auto_fit_min_context_length: int | None
    """With `auto_fit`: the least context in tokens that will do. Default: 0."""
    gpu_strict_vram_cap: bool | None
    """Put no more on GPUs than fits into the memory that they are known to have. Default: False."""
    max_parallel_predictions: int | None
    """How many predictions run at a time, from 1 to 1023; others wait. Default: 4."""
    use_unified_kv_cache: bool | None
    """Let predictions that run at a time share one cache, instead of equal parts. Default: True."""
    offload_kv_cache_to_gpu: bool | None
    """Keep the key-value cache in the memory of GPUs. Default: True."""
    num_experts: int | None
    """For mixtures of experts: how many are active; 0: as the model says. Default: 0."""
    prompt_template: PlainDict | None
    """How a chat becomes a prompt. Default: the model's own template."""
    env_vars: PlainDict | None
    """Environment variables of the engine: ``{"HSA_OVERRIDE_GFX_VERSION": ...}``. Default: none."""
    rope_frequency_base: float | Off | None
    """The base frequency of rotary embeddings (RoPE). Default: the model's own, as False."""
    rope_frequency_scale: float | Off | None
    """The scale of that frequency, for longer contexts. Default: the model's own, as False."""
    eval_batch_size: int | None
    """How many tokens of a prompt are processed together, from 1 on. Default: 2048."""
    physical_batch_size: int | None
    """How many of those tokens are computed in one step, from 1 on. Default: 512."""
    flash_attention: bool | None
    """Compute attention in the way that takes less memory. Default: False."""
    context_checkpoints: int | None
    """How many earlier states of the context are kept to go back to, from 0 on. Default: 32."""
    reasoning_budget_message: str | None
    """What the model is told when its reasoning budget is used up. Default: ``""``, nothing."""
    cpu_thread_pool_size: int | None
    """How many CPU threads the engine has, from 1 on. Default: 4."""
    keep_model_in_memory: bool | None
    """Reserve memory, so that the system never swaps the model out. Default: True."""
    use_fp16_for_kv_cache: bool | None
    """Keep the key-value cache in 16 bits instead of 32, in half the memory. Default: True."""
    try_mmap: bool | None
    """Map the model's file into memory, where that can be done: it loads faster. Default: True."""
    try_direct_io: bool | None
    """Read the file past the system's cache, where that can be done. Default: False."""
    llama_k_cache_quantization_type: str | Off | None
    """How the keys in the cache are quantized. Default: not, as False."""
    llama_v_cache_quantization_type: str | Off | None
    """How the values in the cache are quantized. Default: not, as False."""
    llama_cpp_arguments_override: PlainDict | None
    """Arguments of llama.cpp that replace those of LM Studio. Default: none."""
    speculative_draft_mtp: bool | None
    """Propose tokens with the model's own prediction heads (MTP). Default: False."""
    speculative_draft_simple: bool | None
    """Propose tokens with the model that `speculative_draft_model` names. Default: False."""
    speculative_draft_model: str | None
    """With `speculative_draft_simple`: the key of the model that proposes. Default: ``""``."""
    speculative_draft_max_tokens: int | None
    """How many tokens are proposed at most, from 0 on. Default: 3."""
    speculative_draft_min_tokens: int | None
    """How many tokens are proposed at least, from 0 on. Default: 0."""
    speculative_draft_min_continue_probability: float | None
    """Proposing goes on while a token is at least this likely, from 0 to 1. Default: 0."""
    draft_dflash_sidecar: bool | None
    """Propose tokens with a DFlash file beside the model. Default: False."""
    draft_dspark_sidecar: bool | None
    """Propose tokens with a DSpark file beside the model. Default: False."""
    draft_mtp_sidecar: bool | None
    """Propose tokens with a file of prediction heads (MTP) beside the model. Default: False."""
    mlx_disk_cache: bool | None
    """For MLX: keep the cache of prompts on disk, too. Default: True."""
    mlx_kv_cache_quantization: PlainDict | Off | None
    """For MLX: how the key-value cache is quantized. Default: not, as False."""
    gpu_memory_utilization: float | None
    """For vLLM: the share of a GPU's memory that it may use, from 0 to 1. Default: 0.92."""
    reasoning_parser: str | None
    """For vLLM: the name of the parser of reasoning. Default: ``""``, none."""
    tool_call_parser: str | None
    """For vLLM: the name of the parser of tool calls. Default: ``""``, none."""


class EmbeddingLoadModelConfigDict(TypedDict, total=False):
    """``EmbeddingLoadModelConfig`` as a dict, in either spelling.

    ``help(lmstudio.EmbeddingLoadModelConfig)`` says more of each option.
    """

    contextLength: int | None
    """The longest text that the model takes at once, in tokens. Default: 2048."""
    gpu: GpuSetting | GpuSettingDict | None
    """How the model is spread over GPUs: a `GpuSetting`, or a dict like one."""
    seed: int | Off | None
    """The seed of the random choices. Default: a new one each time, as False."""
    gpuStrictVramCap: bool | None
    """Put no more on GPUs than fits into the memory that they are known to have. Default: False."""
    evalBatchSize: int | None
    """How many tokens are processed together, from 1 on. Default: 2048."""
    ropeFrequencyBase: float | Off | None
    """The base frequency of rotary embeddings (RoPE). Default: the model's own, as False."""
    ropeFrequencyScale: float | Off | None
    """The scale of that frequency, for longer contexts. Default: the model's own, as False."""
    keepModelInMemory: bool | None
    """Reserve memory, so that the system never swaps the model out. Default: True."""
    tryMmap: bool | None
    """Map the model's file into memory, where that can be done: it loads faster. Default: True."""
    raw: PlainDict | list[Any] | None
    """Settings that have no name here: ``{key: value}``, or ``[{"key": ..., "value": ...}]``."""

    context_length: int | None
    """The longest text that the model takes at once, in tokens. Default: 2048."""
    gpu_strict_vram_cap: bool | None
    """Put no more on GPUs than fits into the memory that they are known to have. Default: False."""
    eval_batch_size: int | None
    """How many tokens are processed together, from 1 on. Default: 2048."""
    rope_frequency_base: float | Off | None
    """The base frequency of rotary embeddings (RoPE). Default: the model's own, as False."""
    rope_frequency_scale: float | Off | None
    """The scale of that frequency, for longer contexts. Default: the model's own, as False."""
    keep_model_in_memory: bool | None
    """Reserve memory, so that the system never swaps the model out. Default: True."""
    try_mmap: bool | None
    """Map the model's file into memory, where that can be done: it loads faster. Default: True."""


public_module(globals())
