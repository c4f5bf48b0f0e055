"""The rules between options of loading: what follows from one, and what contradicts another."""

from __future__ import annotations

from typing import Any

from ..errors import LMStudioValueError
from .gpu_setting import GpuSetting
from .llm_load_options import LlmLoadModelConfig

_DRAFTING = (
    "speculative_draft_mtp",
    "speculative_draft_simple",
    "speculative_draft_model",
    "speculative_draft_min_tokens",
    "speculative_draft_max_tokens",
)


def ruled_values(options: LlmLoadModelConfig) -> dict[str, Any]:
    """Return the values that the rules between options are about, by name."""
    return {
        "auto_fit": options.auto_fit,
        **_pinning(options),
        **{name: getattr(options, name) for name in _DRAFTING},
    }


def _pinning(options: LlmLoadModelConfig) -> dict[str, Any]:
    gpu = options.gpu or GpuSetting()
    return {
        "context_length": options.context_length,
        "gpu_strict_vram_cap": options.gpu_strict_vram_cap,
        "gpu.ratio": gpu.ratio,
        "gpu.num_cpu_expert_layers_ratio": gpu.num_cpu_expert_layers_ratio,
        "gpu.main_gpu": gpu.main_gpu,
        "gpu.split_strategy": gpu.split_strategy,
    }


def settle(options: LlmLoadModelConfig, reported: dict[str, Any]) -> None:
    """Set options that follow from others.

    Args:
        options: the options, which are changed.
        reported: those of `ruled_values` that a server reported: it knows what it does.

    Raises:
        LMStudioValueError: two options contradict each other; the reasons are those of the
            JavaScript client.
    """
    _settle_auto_fit(options, reported)
    _settle_drafting(options, reported)


def _settle_auto_fit(options: LlmLoadModelConfig, reported: dict[str, Any]) -> None:
    """Switch auto_fit off where an option would be of no use with it.

    What a server reported of a model that it fitted is no contradiction: it goes back as it is. But
    an option that was changed since then is meant, like one of a configuration made by hand.
    """
    given = {name: value for name, value in _pinning(options).items() if value is not None}
    if options.auto_fit == reported.get("auto_fit"):
        if any(value != reported.get(name) for name, value in given.items()):
            options._overrule("auto_fit", False)
    elif given and options.auto_fit:
        raise LMStudioValueError(
            f"auto_fit=True contradicts {', '.join(given)}: the server would choose it itself."
        )
    elif given:
        options._overrule("auto_fit", False)


def _settle_drafting(options: LlmLoadModelConfig, reported: dict[str, Any]) -> None:
    """Choosing a way of drafting switches the others off, unless they are given too."""
    if all(getattr(options, name) == reported.get(name) for name in _DRAFTING):
        return  # as the server reported it, or nothing of the kind
    if any(getattr(options, name) is not None for name in _DRAFTING[:3]):
        for name in ("draft_dflash_sidecar", "draft_dspark_sidecar", "draft_mtp_sidecar"):
            if getattr(options, name) is None:
                options._overrule(name, False)
    model, simple = options.speculative_draft_model, options.speculative_draft_simple
    if options.speculative_draft_mtp and simple:
        raise LMStudioValueError(
            "speculative_draft_mtp and speculative_draft_simple cannot both be enabled."
        )
    if simple and not model:
        raise LMStudioValueError(
            "speculative_draft_simple requires a non-empty speculative_draft_model."
        )
    if model and not simple:
        raise LMStudioValueError(
            "speculative_draft_model requires an explicit supported draft type; use "
            "speculative_draft_simple for Draft Simple."
        )
    least, most = options.speculative_draft_min_tokens, options.speculative_draft_max_tokens
    if least is not None and most is not None and least > most:
        raise LMStudioValueError(
            f"speculative_draft_min_tokens ({least}) must be less than or equal to "
            f"speculative_draft_max_tokens ({most})."
        )
