"""The options of loading a language model, declared like those of `prediction_options`."""

# Each call of option() declares one field; nothing mutable is shared by instances.
# ruff: noqa: RUF009

from typing import Any

import attrs

from .._api.public import public_module
from .from_user import Reported
from .gpu_setting import GpuSetting
from .option import Off, PlainDict, gpu_option, option
from .option_docs import explained

# The server's own default; Jinja turns the escapes into line breaks.
_LOAD_TEMPLATE = (
    "{% for message in messages %}"
    "{% if message['role'] == 'system' %}{{ 'Instruct: ' + message['content'] + '\\n' }}"
    "{% elif message['role'] == 'user' %}{{ 'Human: ' + message['content'] + '\\n' }}"
    "{% elif message['role'] == 'assistant' %}{{ 'AI: ' + message['content'] + '\\n' }}"
    "{% endif %}{% endfor %}{% if add_generation_prompt %}{{ 'AI: ' }}{% endif %}"
)


@explained
@attrs.define(kw_only=True, repr=False, getstate_setstate=False)
class LlmLoadModelConfig(Reported):
    """The options of loading a language model. None is "not given": the server decides.

    False switches an option off where its type says so. ``context_length``,
    ``gpu_strict_vram_cap`` and, in ``gpu``, the ratios, ``main_gpu`` and ``split_strategy`` switch
    ``auto_fit`` off, which could otherwise overrule them. A configuration that a server reported is
    sent as it was, with ``auto_fit`` too; changing one of these options switches it off here as
    well. What is made from the values, by ``attrs.evolve()`` or ``to_dict()``, counts as made by
    hand. The defaults that are named here are those of LM Studio; a model's own settings there come
    before them.

    Thread safety: plain data; do not change it while a call reads it.
    """

    context_length: int | None = option("llm.load.contextLength", default=2048)
    """The size of the context in tokens, for prompt and reply together. Default: 2048."""
    auto_fit: bool | None = option(
        "llm.load.llama.autoFit", "llm.load.mlx.autoFit", "llm.load.yuzu.autoFit", default=True
    )
    """Let the server shrink the context and the GPU share until the model fits. Default: True."""
    auto_fit_min_context_length: int | None = option("llm.load.autoFitMinContextLength", default=0)
    """With `auto_fit`: the least context in tokens that will do. Default: 0."""
    gpu: GpuSetting | None = gpu_option(
        ratio="llm.load.llama.acceleration.offloadRatio",
        num_cpu_expert_layers_ratio="llm.load.numCpuExpertLayersRatio",
    )
    """How the model is spread over GPUs: a `GpuSetting`, or a dict like one."""
    gpu_strict_vram_cap: bool | None = option("load.gpuStrictVramCap", default=False)
    """Put no more on GPUs than fits into the memory that they are known to have. Default: False."""
    max_parallel_predictions: int | None = option("llm.load.numParallelSessions", default=4)
    """How many predictions run at a time, from 1 to 1023; others wait. Default: 4."""
    use_unified_kv_cache: bool | None = option("llm.load.useUnifiedKvCache", default=True)
    """Let predictions that run at a time share one cache, instead of equal parts. Default: True."""
    offload_kv_cache_to_gpu: bool | None = option("llm.load.offloadKVCacheToGpu", default=True)
    """Keep the key-value cache in the memory of GPUs. Default: True."""
    num_experts: int | None = option("llm.load.numExperts", default=0)
    """For mixtures of experts: how many are active; 0: as the model says. Default: 0."""
    seed: int | Off | None = option("llm.load.seed", off=0, default={"checked": False})
    """The seed of the random choices. Default: a new one each time, as False."""
    prompt_template: PlainDict | None = option(
        "llm.load.promptTemplate",
        default={"type": "jinja", "jinjaPromptTemplate": {"template": _LOAD_TEMPLATE}},
    )
    """How a chat becomes a prompt. Default: the model's own template.

    ``{"type": "jinja", "jinjaPromptTemplate": {"template": ...}}``.
    """
    env_vars: PlainDict | None = option("envVars", default={})
    """Environment variables of the engine: ``{"HSA_OVERRIDE_GFX_VERSION": ...}``. Default: none."""

    # llama.cpp.
    rope_frequency_base: float | Off | None = option(
        "llm.load.llama.ropeFrequencyBase", off=0, default={"checked": False}
    )
    """The base frequency of rotary embeddings (RoPE). Default: the model's own, as False."""
    rope_frequency_scale: float | Off | None = option(
        "llm.load.llama.ropeFrequencyScale", off=0, default={"checked": False}
    )
    """The scale of that frequency, for longer contexts. Default: the model's own, as False."""
    eval_batch_size: int | None = option("llm.load.llama.evalBatchSize", default=2048)
    """How many tokens of a prompt are processed together, from 1 on. Default: 2048.

    More is faster, and takes more memory.
    """
    physical_batch_size: int | None = option("llm.load.llama.physicalBatchSize", default=512)
    """How many of those tokens are computed in one step, from 1 on. Default: 512."""
    flash_attention: bool | None = option("llm.load.llama.flashAttention", default=False)
    """Compute attention in the way that takes less memory. Default: False."""
    context_checkpoints: int | None = option("llm.load.llama.contextCheckpoints", default=32)
    """How many earlier states of the context are kept to go back to, from 0 on. Default: 32."""
    reasoning_budget_message: str | None = option(
        "llm.load.llama.reasoningBudgetMessage", default=""
    )
    """What the model is told when its reasoning budget is used up. Default: ``""``, nothing."""
    cpu_thread_pool_size: int | None = option("llm.load.llama.cpuThreadPoolSize", default=4)
    """How many CPU threads the engine has, from 1 on. Default: 4."""
    keep_model_in_memory: bool | None = option("llm.load.llama.keepModelInMemory", default=True)
    """Reserve memory, so that the system never swaps the model out. Default: True."""
    use_fp16_for_kv_cache: bool | None = option("llm.load.llama.useFp16ForKVCache", default=True)
    """Keep the key-value cache in 16 bits instead of 32, in half the memory. Default: True."""
    try_mmap: bool | None = option("llm.load.llama.tryMmap", default=True)
    """Map the model's file into memory, where that can be done: it loads faster. Default: True."""
    try_direct_io: bool | None = option("llm.load.llama.tryDirectIO", default=False)
    """Read the file past the system's cache, where that can be done. Default: False."""
    llama_k_cache_quantization_type: str | Off | None = option(
        "llm.load.llama.kCacheQuantizationType", off="f16", default={"checked": False}
    )
    """How the keys in the cache are quantized. Default: not, as False.

    ``f32``, ``f16``, ``q8_0``, ``q5_1``, ``q5_0``, ``q4_1``, ``q4_0`` or ``iq4_nl``.
    """
    llama_v_cache_quantization_type: str | Off | None = option(
        "llm.load.llama.vCacheQuantizationType", off="f16", default={"checked": False}
    )
    """How the values in the cache are quantized. Default: not, as False.

    It needs `flash_attention`. The types are those of `llama_k_cache_quantization_type`.
    """
    llama_cpp_arguments_override: PlainDict | None = option(
        "llm.load.llama.argumentsOverride",
        default={
            "enabled": False,
            "disabledParameters": [],
            "overrideParameters": [],
            "excludeAllConfig": False,
        },
    )
    """Arguments of llama.cpp that replace those of LM Studio. Default: none.

    ``{"enabled": True, "overrideParameters": [{"key": ..., "value": ...}]}``, with the keys
    ``disabledParameters`` (a list of names) and ``excludeAllConfig`` (True or False) if need be.
    """

    # Speculative decoding in llama.cpp: with the model's own prediction heads (mtp), or with a
    # draft model (simple, and which).
    speculative_draft_mtp: bool | None = option(
        "llm.load.llama.speculativeDecoding.draftMtp", default=False
    )
    """Propose tokens with the model's own prediction heads (MTP). Default: False.

    Not together with `speculative_draft_simple`.
    """
    speculative_draft_simple: bool | None = option(
        "llm.load.llama.speculativeDecoding.draftSimple", default=False
    )
    """Propose tokens with the model that `speculative_draft_model` names. Default: False."""
    speculative_draft_model: str | None = option(
        "llm.load.llama.speculativeDecoding.draftModel", default=""
    )
    """With `speculative_draft_simple`: the key of the model that proposes. Default: ``""``."""
    speculative_draft_max_tokens: int | None = option(
        "llm.load.llama.speculativeDecoding.draftMaxTokens", default=3
    )
    """How many tokens are proposed at most, from 0 on. Default: 3."""
    speculative_draft_min_tokens: int | None = option(
        "llm.load.llama.speculativeDecoding.draftMinTokens", default=0
    )
    """How many tokens are proposed at least, from 0 on. Default: 0."""
    speculative_draft_min_continue_probability: float | None = option(
        "llm.load.llama.speculativeDecoding.draftMinContinueProbability", default=0
    )
    """Proposing goes on while a token is at least this likely, from 0 to 1. Default: 0."""
    draft_dflash_sidecar: bool | None = option(
        "llm.load.llama.speculativeDecoding.draftDflashSidecar", default=False
    )
    """Propose tokens with a DFlash file beside the model. Default: False."""
    draft_dspark_sidecar: bool | None = option(
        "llm.load.llama.speculativeDecoding.draftDsparkSidecar", default=False
    )
    """Propose tokens with a DSpark file beside the model. Default: False."""
    draft_mtp_sidecar: bool | None = option(
        "llm.load.llama.speculativeDecoding.draftMtpSidecar", default=False
    )
    """Propose tokens with a file of prediction heads (MTP) beside the model. Default: False."""

    # MLX.
    mlx_disk_cache: bool | None = option("llm.load.mlx.diskCache", default=True)
    """For MLX: keep the cache of prompts on disk, too. Default: True."""
    mlx_kv_cache_quantization: PlainDict | Off | None = option(
        "llm.load.mlx.kvCacheQuantization",
        off={"enabled": False, "bits": 8, "groupSize": 64, "quantizedStart": 5000},
        default={"enabled": False},
    )
    """For MLX: how the key-value cache is quantized. Default: not, as False.

    ``{"enabled": True, "bits": 8, "groupSize": 64, "quantizedStart": 5000}``: bits are 8, 6, 4, 3
    or 2, the group's size is 32, 64 or 128, and it starts at that token.
    """

    # vLLM.
    gpu_memory_utilization: float | None = option(
        "llm.load.vllm.gpuMemoryUtilization", default=0.92
    )
    """For vLLM: the share of a GPU's memory that it may use, from 0 to 1. Default: 0.92."""
    reasoning_parser: str | None = option("llm.load.vllm.reasoningParser", default="")
    """For vLLM: the name of the parser of reasoning. Default: ``""``, none."""
    tool_call_parser: str | None = option("llm.load.vllm.toolCallParser", default="")
    """For vLLM: the name of the parser of tool calls. Default: ``""``, none."""

    raw: PlainDict | list[Any] | None = None
    """Settings that have no name here: ``{key: value}``, or ``[{"key": ..., "value": ...}]``.

    The keys are LM Studio's, the values as on the wire. Named options win over it.
    """


public_module(globals())
