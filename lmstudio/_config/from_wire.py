"""Reads configurations as LM Studio reports them: lists of keys and values, back into options."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any, Literal, TypeVar, overload

import attrs

from ..errors import LMStudioProtocolError
from .embedding_load_options import AnyLoadConfig, EmbeddingLoadModelConfig
from .from_user import Config, Reported, fits
from .gpu_setting import GpuSetting
from .llm_load_options import LlmLoadModelConfig
from .load_rules import ruled_values
from .prediction_options import (
    LlmPredictionConfig,
    LlmReasoningParsing,
    LlmStructuredPredictionSetting,
)
from .to_wire import (
    GPU_SPLIT_KEY,
    REASONING_KEY,
    SPLIT_STRATEGIES,
    STRUCTURED_KEY,
    ModelKind,
    gpu_split,
    said_by,
)

C = TypeVar("C", bound=Reported)
_PARSING = {"enabled", "startString", "endString"}  # what is said of the parsing of reasoning

_ENGINES = ("llama", "mlx", "yuzu", "vllm")
_GPU_DEFAULTS = {"ratio": "max", "num_cpu_expert_layers_ratio": "off"}


def kv_to_prediction_config(kv_config: object) -> LlmPredictionConfig:
    """Return the prediction options that a server's list of fields means.

    Keys without a name here go to ``raw``, and so do values of an unexpected type. What an option
    does not say of its value is kept beside it, so that nothing is lost on the way back.

    Raises:
        LMStudioProtocolError: it is no such list.
    """
    values = kv_by_key(kv_config)
    return _read_back(values, LlmPredictionConfig, set(values))


@overload
def kv_to_load_config(
    kv_config: object, kind: Literal["llm"], *, defaults: bool = False
) -> LlmLoadModelConfig: ...
@overload
def kv_to_load_config(
    kv_config: object, kind: Literal["embedding"], *, defaults: bool = False
) -> EmbeddingLoadModelConfig: ...
@overload
def kv_to_load_config(
    kv_config: object, kind: ModelKind, *, defaults: bool = False
) -> AnyLoadConfig: ...
def kv_to_load_config(
    kv_config: object, kind: ModelKind, *, defaults: bool = False
) -> AnyLoadConfig:
    """Return the load options that a server's list of fields means.

    Keys without a name here go to ``raw``, and so do values of an unexpected type. The result can
    be used for loading a model again: a configuration knows what of it was reported, also what an
    option does not say of its value.

    Args:
        kv_config: ``{"fields": [{"key": ..., "value": ...}, ...]}``.
        kind: ``llm`` or ``embedding``.
        defaults: fill what the server left out with the server's defaults (those of another
            engine than the model's stay None).

    Raises:
        LMStudioProtocolError: it is no such list.
    """
    cls: type[AnyLoadConfig]
    cls = EmbeddingLoadModelConfig if kind == "embedding" else LlmLoadModelConfig
    values = kv_by_key(kv_config)
    given = set(values)
    if defaults:
        # Those reported come first: of several keys of one option the first counts.
        values = values | _defaults(cls, values) | values
    gpu = _read_gpu(values, cls)
    config = _read_back(values, cls, given)
    config.gpu = gpu
    if isinstance(config, LlmLoadModelConfig):
        config._reported = ruled_values(config)
        if "llm.load.promptTemplate" not in given:
            config._reported["prompt_template"] = copy.deepcopy(config.prompt_template)
    return config


def kv_by_key(kv_config: object) -> dict[str, Any]:
    """Return the values in a server's list of fields, by key.

    Raises:
        LMStudioProtocolError: it is no such list.
    """
    fields = kv_config.get("fields") if isinstance(kv_config, Mapping) else None
    if not isinstance(fields, (list, tuple)):  # a text would be a sequence, too
        raise LMStudioProtocolError("Unexpected data: a configuration without a list of fields.")
    return {
        field["key"]: copy.deepcopy(field.get("value"))
        for field in fields
        if isinstance(field, Mapping) and isinstance(field.get("key"), str)
    }


def _attributes_by_key(cls: type[Config]) -> dict[str, Any]:
    return {key: a for a in attrs.fields(cls) for key in a.metadata.get("keys", ())}


def _ratio_keys(cls: type[AnyLoadConfig]) -> dict[str, str]:
    keys: dict[str, str] = attrs.fields(cls).gpu.metadata["ratios"]
    return keys


def _read_back(values: dict[str, Any], cls: type[C], given: set[str]) -> C:
    """Return a configuration; what was `given` by the server is remembered if it says more."""
    config = cls()
    attributes = _attributes_by_key(cls)
    raw, originals = {}, {}
    for key, value in values.items():
        attribute = attributes.get(key)
        option = attribute and _from_wire(key, value, attribute.metadata["off"])
        if attribute is None or not (option is None or fits(attribute.name, option, cls)):
            raw[key] = value
            continue
        if getattr(config, attribute.name) is None:
            setattr(config, attribute.name, option)
        option = getattr(config, attribute.name)
        is_simple = option is value and not isinstance(value, (Mapping, list))
        is_said = is_simple or _is_in(value, said_by(attribute, option))
        # Of several keys of one option, it matters which were reported.
        if key in given and (not is_said or len(attribute.metadata["keys"]) > 1):
            # Copies, where the option has parts that may be changed.
            originals[key] = (attribute.name, copy.deepcopy(option), copy.deepcopy(value))
    if raw:
        config.raw = raw  # type: ignore[attr-defined]
    if originals:
        config._originals = originals
    return config


def _is_in(value: Any, whole: Any) -> bool:
    """Tell whether a value is all there; of an object, there may be more."""
    if value == whole:
        return True
    if isinstance(value, Mapping) and isinstance(whole, Mapping):
        return all(key in whole and _is_in(part, whole[key]) for key, part in value.items())
    return False


def _from_wire(key: str, value: Any, off: Any) -> Any:
    if off is not None and isinstance(value, Mapping):
        if isinstance(off, dict):
            return value if value.get("enabled") else False
        return value.get("value") if value.get("checked") else False
    if key == STRUCTURED_KEY and isinstance(value, Mapping):
        return LlmStructuredPredictionSetting(
            type=value.get("type", "none"),
            json_schema=value.get("jsonSchema"),
            gbnf_grammar=value.get("gbnfGrammar"),
        )
    if key == REASONING_KEY and isinstance(value, Mapping) and value.keys() >= _PARSING:
        return LlmReasoningParsing(
            enabled=value["enabled"],
            start_string=value["startString"],
            end_string=value["endString"],
        )
    return value


def _defaults(cls: type[AnyLoadConfig], values: dict[str, Any]) -> dict[str, Any]:
    defaults = {
        key: copy.deepcopy(attribute.metadata["default"])
        for key, attribute in _attributes_by_key(cls).items()
        if attribute.metadata["default"] is not None
    }
    for name, key in _ratio_keys(cls).items():
        defaults[key] = _GPU_DEFAULTS[name]
    defaults[GPU_SPLIT_KEY] = {"strategy": "evenly"}
    # The keys that the server sent tell the engine; the options of the others mean nothing.
    engine = max(_ENGINES, key=lambda name: sum(_is_of(name, key) for key in values))
    foreign = [name for name in _ENGINES if name != engine]
    return {
        key: value
        for key, value in defaults.items()
        if not any(_is_of(name, key) for name in foreign)
    }


def _is_of(engine: str, key: str) -> bool:
    return f".load.{engine}." in key


def _read_gpu(values: dict[str, Any], cls: type[AnyLoadConfig]) -> GpuSetting | None:
    """Take the GPU keys out of ``values``; a split that cannot be expressed stays there."""
    gpu = GpuSetting()
    for name, key in _ratio_keys(cls).items():
        if fits(name, values.get(key), GpuSetting):
            setattr(gpu, name, values.pop(key, None))
    split = values.get(GPU_SPLIT_KEY)
    if isinstance(split, Mapping) and not split.get("customRatio"):
        strategy = split.get("strategy")
        strategy = "favorMainGpu" if strategy == "priorityOrder" else strategy
        priority, disabled = split.get("priority") or [], split.get("disabledGpus") or []
        if strategy in SPLIT_STRATEGIES and all(
            fits("disabled_gpus", gpus, GpuSetting) for gpus in (priority, disabled)
        ):
            read = GpuSetting(
                split_strategy=strategy,
                main_gpu=next(iter(priority), None),
                disabled_gpus=disabled,
            )
            if _is_in(split, gpu_split(read)):
                del values[GPU_SPLIT_KEY]
                gpu = attrs.evolve(
                    read,
                    ratio=gpu.ratio,
                    num_cpu_expert_layers_ratio=gpu.num_cpu_expert_layers_ratio,
                )
    return gpu if gpu != GpuSetting() else None
