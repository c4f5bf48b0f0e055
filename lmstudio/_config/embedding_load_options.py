"""The options of loading an embedding model, declared like those of `prediction_options`."""

# Each call of option() declares one field; nothing mutable is shared by instances.
# ruff: noqa: RUF009

from typing import Any, TypeAlias

import attrs

from .._api.public import public_module
from .from_user import Reported
from .gpu_setting import GpuSetting
from .llm_load_options import LlmLoadModelConfig
from .option import Off, PlainDict, gpu_option, option
from .option_docs import explained


@explained
@attrs.define(kw_only=True, repr=False, getstate_setstate=False)
class EmbeddingLoadModelConfig(Reported):
    """The options of loading an embedding model. None is "not given": the server decides.

    False switches an option off where its type says so. The defaults that are named here are those
    of LM Studio; a model's own settings there come before them.

    Thread safety: plain data; do not change it while a call reads it.
    """

    context_length: int | None = option("embedding.load.contextLength", default=2048)
    """The longest text that the model takes at once, in tokens. Default: 2048."""
    gpu: GpuSetting | None = gpu_option(ratio="embedding.load.llama.acceleration.offloadRatio")
    """How the model is spread over GPUs: a `GpuSetting`, or a dict like one."""
    seed: int | Off | None = option("embedding.load.seed", off=-1, default={"checked": False})
    """The seed of the random choices. Default: a new one each time, as False."""
    gpu_strict_vram_cap: bool | None = option("load.gpuStrictVramCap", default=False)
    """Put no more on GPUs than fits into the memory that they are known to have. Default: False."""
    eval_batch_size: int | None = option("embedding.load.llama.evalBatchSize", default=2048)
    """How many tokens are processed together, from 1 on. Default: 2048.

    More is faster, and takes more memory.
    """
    rope_frequency_base: float | Off | None = option(
        "embedding.load.llama.ropeFrequencyBase", off=0, default={"checked": False}
    )
    """The base frequency of rotary embeddings (RoPE). Default: the model's own, as False."""
    rope_frequency_scale: float | Off | None = option(
        "embedding.load.llama.ropeFrequencyScale", off=0, default={"checked": False}
    )
    """The scale of that frequency, for longer contexts. Default: the model's own, as False."""
    keep_model_in_memory: bool | None = option(
        "embedding.load.llama.keepModelInMemory", default=True
    )
    """Reserve memory, so that the system never swaps the model out. Default: True."""
    try_mmap: bool | None = option("embedding.load.llama.tryMmap", default=True)
    """Map the model's file into memory, where that can be done: it loads faster. Default: True."""

    raw: PlainDict | list[Any] | None = None
    """Settings that have no name here: ``{key: value}``, or ``[{"key": ..., "value": ...}]``.

    The keys are LM Studio's, the values as on the wire. Named options win over it.
    """


AnyLoadConfig: TypeAlias = EmbeddingLoadModelConfig | LlmLoadModelConfig
"""The options of loading a model of either kind."""

public_module(globals())
