"""`GpuSetting`: how a model is spread over GPUs."""

import attrs

from .._api.public import public_module
from .from_user import Config
from .option_docs import explained


@explained
@attrs.define(kw_only=True, repr=False)
class GpuSetting(Config):
    """How a model is spread over GPUs. None is "not given": the server decides."""

    ratio: float | str | None = None
    """The share of the layers to put on GPUs: from 0 to 1, ``max`` (1) or ``off`` (0).

    Default: ``max``.
    """
    num_cpu_expert_layers_ratio: float | str | None = None
    """The share of the layers whose experts stay on the CPU: from 0 to 1, ``max`` or ``off``.

    Default: ``off``. For language models that are mixtures of experts.
    """
    main_gpu: int | None = None
    """The index of the GPU to use first."""
    split_strategy: str | None = None
    """How to share the work among GPUs: ``evenly``, ``favorMainGpu``, ``tensor`` or ``custom``.

    Default: ``evenly``.
    """
    disabled_gpus: list[int] | None = None
    """The indexes of the GPUs that are not to be used. Default: none."""


public_module(globals())
