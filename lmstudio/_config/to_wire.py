"""Writes configurations as LM Studio takes them: lists of keys and values, in layers."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypeAlias

import attrs

from .._api.numbers import as_number, as_whole
from .._api.shown import shown
from .._json.converter import DictObject, unstructure
from .._json.dereference import dereference
from .._json.json_schema import DictSchema, class_schema
from ..errors import LMStudioValueError
from .from_user import Config, read_config
from .options import (
    EmbeddingLoadModelConfig,
    GpuSetting,
    LlmLoadModelConfig,
    LlmPredictionConfig,
    LlmStructuredPredictionSetting,
)

KvField: TypeAlias = dict[str, Any]
ModelKind: TypeAlias = Literal["llm", "embedding"]
ResponseSchema: TypeAlias = LlmStructuredPredictionSetting | DictSchema | type[Any]

TOOLS_KEY = "llm.prediction.tools"
TOOL_CHOICE_KEY = "llm.prediction.toolChoice"
TOOL_CHOICES = ("auto", "none", "required")
STRUCTURED_KEY = "llm.prediction.structured"
GPU_SPLIT_KEY = "load.gpuSplitConfig"
SPLIT_STRATEGIES = ("evenly", "favorMainGpu", "priorityOrder", "tensor", "custom")
_SCHEMA_TYPES = ("object", "array", "string", "number", "integer", "boolean", "null")
_DRAFTING = (
    "speculative_draft_mtp",
    "speculative_draft_simple",
    "speculative_draft_model",
    "speculative_draft_min_tokens",
    "speculative_draft_max_tokens",
)


def prediction_config_to_kv(
    config: LlmPredictionConfig | DictObject | None,
    response_format: ResponseSchema | None = None,
    is_strict: bool = False,
) -> list[KvField]:
    """Return the fields for a prediction's options.

    Args:
        config: the options, as an object or as a dict with camelCase or snake_case keys.
        response_format: the form of the reply: a JSON Schema as a dict, a class that has
            ``model_json_schema()``, an attrs class, a dataclass, a TypedDict, or an
            ``LlmStructuredPredictionSetting`` (or a dict like it).
        is_strict: an option that does not exist is an error, instead of a warning.

    Raises:
        LMStudioValueError: a value of the wrong type, or the form of the reply given twice.
    """
    options = read_config(config, LlmPredictionConfig, is_strict)
    if response_format is not None:
        if options.structured is not None:
            raise LMStudioValueError(
                "Cannot specify both response_format in the call and structured in its config."
            )
        options.structured = structured_setting(response_format, is_strict)
    if options.structured is not None and options.structured.json_schema is not None:
        options.structured.json_schema = dereference(options.structured.json_schema)
    if options.logit_bias is not None:
        options.logit_bias = [_token_bias(pair) for pair in options.logit_bias]
    return _with_raw(_named_fields(options), options.raw)


def structured_setting(response_format: Any, is_strict: bool) -> LlmStructuredPredictionSetting:
    """Return the form of a reply as an option of the prediction.

    Raises:
        LMStudioValueError: It is none.
    """
    if isinstance(response_format, LlmStructuredPredictionSetting):
        return read_config(response_format, LlmStructuredPredictionSetting, is_strict)
    schema = class_schema(response_format)
    if isinstance(response_format, Mapping):
        keys = set(response_format)
        is_json = response_format.get("type") == "json" and keys & {"jsonSchema", "json_schema"}
        is_gbnf = response_format.get("type") == "gbnf" and keys & {"gbnfGrammar", "gbnf_grammar"}
        if is_json or is_gbnf:
            return read_config(response_format, LlmStructuredPredictionSetting, is_strict)
        if "type" in keys or "$ref" in keys:
            schema = _checked_schema(response_format)
    if schema is not None:
        return LlmStructuredPredictionSetting(type="json", json_schema=schema)
    raise LMStudioValueError(
        f"Failed to parse response format: {shown(response_format)}. It takes a JSON Schema with a "
        "'type', a class with model_json_schema(), an attrs class, a dataclass, a TypedDict, or an "
        "LlmStructuredPredictionSetting."
    )


def load_config_to_kv(
    config: LlmLoadModelConfig | EmbeddingLoadModelConfig | DictObject | None,
    kind: ModelKind,
    is_strict: bool = False,
) -> list[KvField]:
    """Return the fields for the options of loading a model.

    Args:
        config: the options, as an object or as a dict with camelCase or snake_case keys.
        kind: ``llm`` or ``embedding``.
        is_strict: an option that does not exist is an error, instead of a warning.

    Raises:
        LMStudioValueError: a value of the wrong type, or a contradiction.
    """
    if kind == "embedding":
        embedding = read_config(config, EmbeddingLoadModelConfig, is_strict)
        if embedding.gpu and embedding.gpu.num_cpu_expert_layers_ratio is not None:
            raise LMStudioValueError("num_cpu_expert_layers_ratio is for language models only.")
        return _with_raw(_gpu_fields(embedding) | _named_fields(embedding), embedding.raw)
    options = read_config(config, LlmLoadModelConfig, is_strict)
    reported: dict[str, Any] = getattr(config, "_reported", {})
    if options.prompt_template == reported.get("prompt_template"):
        # Only filled in: sent along, it would replace the template of the model itself.
        options.prompt_template = None
    _settle_auto_fit(options, reported)
    _settle_drafting(options, reported)
    return _with_raw(_named_fields(options) | _gpu_fields(options), options.raw)


def config_stack(fields: list[KvField], *, completion: bool = False) -> dict[str, Any]:
    """Return the stack of configuration layers that a request carries.

    Args:
        fields: the fields of the layer that overrides the server's settings.
        completion: continue the prompt as plain text, without a chat template.
    """
    layers = [{"layerName": "apiOverride", "config": {"fields": fields}}]
    if completion:
        # Both old and new servers know this way; the newer endpoint for raw text they do not.
        template = {
            "bosToken": "",
            "eosToken": "",
            "template": "{% for message in messages %}{{ message['content'] }}{% endfor %}",
            "inputConfig": {
                "messagesConfig": {"contentConfig": {"type": "string"}},
                "useTools": False,
            },
        }
        value = {"type": "jinja", "jinjaPromptTemplate": template, "stopStrings": []}
        field = {"key": "llm.prediction.promptTemplate", "value": value}
        layers.append({"layerName": "completeModeFormatting", "config": {"fields": [field]}})
    return {"layers": layers}


def with_tools(fields: list[KvField], definitions: Sequence[DictObject] | None) -> list[KvField]:
    """Return prediction fields that offer these tools instead of any others; None: no tool."""
    values = {field["key"]: field["value"] for field in fields}
    if definitions is not None:
        values[TOOLS_KEY] = {"type": "toolArray", "tools": definitions}
    else:
        values[TOOLS_KEY] = {"type": "none"}
        # A call that is required could not be made; also where a preset or the server requires it.
        values[TOOL_CHOICE_KEY] = {"type": "generic", "mode": "auto"}
    return [{"key": key, "value": value} for key, value in values.items()]


def offer_tools(
    fields: list[KvField], definitions: Sequence[DictObject] | None, choice: str | None
) -> list[KvField]:
    """Return prediction fields that offer these tools; None, and no `choice`: as they are.

    Args:
        fields: the fields.
        definitions: what the model is told of each tool; none at all: no tool is offered.
        choice: ``auto``, ``none`` or ``required``.

    Raises:
        LMStudioValueError: they say so themselves, or the choice is none.
    """
    if definitions is None and choice is None:
        return fields
    keys = {field["key"] for field in fields}
    if definitions is None:
        raise LMStudioValueError(
            "tool_choice says how the model is to use the tools of tools=, and there are none."
        )
    if TOOLS_KEY in keys:
        raise LMStudioValueError(
            "Cannot specify both tools in the call and rawTools in its config."
        )
    if choice is not None and TOOL_CHOICE_KEY in keys:
        raise LMStudioValueError(
            "Cannot specify both tool_choice in the call and toolChoice in its config."
        )
    if choice is not None and choice not in TOOL_CHOICES:
        raise LMStudioValueError(
            f"tool_choice is one of {', '.join(TOOL_CHOICES)}, not {shown(choice)}. LM Studio has "
            "no way to require a certain tool, but that it is the only one."
        )
    if not definitions and choice == "required":
        raise LMStudioValueError("tool_choice='required' needs a tool; tools=[] has none.")
    fields = with_tools(fields, definitions or None)
    if choice is not None and definitions:
        value = {"type": "generic", "mode": choice}
        fields = [*fields, {"key": TOOL_CHOICE_KEY, "value": value}]
    return fields


def wants_structured(fields: list[KvField]) -> bool:
    """Tell whether these prediction fields ask for a reply of a given form."""
    for field in fields:
        if field["key"] == STRUCTURED_KEY and isinstance(field.get("value"), Mapping):
            return field["value"].get("type") in ("json", "gbnf")
    return False


def _token_bias(pair: Any) -> list[Any]:
    """Return the id of a token and what is added to its logit, which may be ``-inf``."""
    token, bias = pair if isinstance(pair, (list, tuple)) and len(pair) == 2 else (None, None)
    token_id, number = as_whole(token), as_number(bias)
    is_never = bias == "-inf" or number == -math.inf
    if token_id is None or not (is_never or (number is not None and math.isfinite(number))):
        raise LMStudioValueError(
            "LlmPredictionConfig.logit_bias takes pairs of a token's id and a number or '-inf', as "
            f"[[50256, '-inf']], not {shown(pair)}. The ids of a text's tokens: "
            "model.tokenize(text)."
        )
    return [token_id, "-inf" if is_never else number]


def _named_fields(config: Config) -> dict[str, Any]:
    fields = {}
    for attribute in attrs.fields(type(config)):
        value = getattr(config, attribute.name)
        if value is not None:
            for key in attribute.metadata.get("keys", ()):
                off = value == attribute.metadata["means_off"]
                fields[key] = _to_wire(False if off else value, attribute.metadata["off"])
    return fields


def _to_wire(value: Any, off: Any) -> Any:
    if isinstance(off, dict):
        return dict(off) if value is False else value
    if off is not None:
        return {"checked": value is not False, "value": off if value is False else value}
    # Only these need the converter, which is slow to import.
    return unstructure(value) if isinstance(value, Config) else value


def _with_raw(fields: dict[str, Any], raw: Any) -> list[KvField]:
    return [{"key": key, "value": value} for key, value in (_raw_fields(raw) | fields).items()]


def _raw_fields(raw: Any) -> dict[str, Any]:
    if isinstance(raw, Mapping) and set(raw) == {"fields"}:
        raw = raw["fields"]
    if raw is None or isinstance(raw, Mapping):
        raw = [{"key": key, "value": value} for key, value in (raw or {}).items()]
    fields = {}
    for field in raw:
        if not isinstance(field, Mapping) or not isinstance(field.get("key"), str):
            raise LMStudioValueError(
                f"A raw setting is {{'key': ..., 'value': ...}}, not {shown(field)}."
            )
        fields[field["key"]] = field.get("value")
    return fields


def _checked_schema(schema: Mapping[str, Any]) -> dict[str, Any]:
    kind = schema.get("type")
    if isinstance(kind, str) and kind not in _SCHEMA_TYPES:
        hint = ""
        if kind == "json_schema" and isinstance(schema.get("json_schema"), Mapping):
            hint = " Pass what is under json_schema and schema."
        elif kind == "json_object":  # OpenAI's JSON mode
            hint = (
                " LM Studio has no mode for JSON of any shape: say what the reply is to hold, by a "
                "JSON Schema such as {'type': 'object', 'properties': {...}} or by a class."
            )
        raise LMStudioValueError(
            f"The response_format is no JSON Schema: {shown(kind)} is none of its types "
            f"({', '.join(_SCHEMA_TYPES)}).{hint}"
        )
    return dict(schema)


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


def _settle_auto_fit(options: LlmLoadModelConfig, reported: dict[str, Any]) -> None:
    """Switch auto_fit off where an option would be of no use with it.

    What a server reported of a model that it fitted is no contradiction: it goes back as it is. But
    an option that was changed since then is meant, like one of a configuration made by hand.
    """
    given = {name: value for name, value in _pinning(options).items() if value is not None}
    if options.auto_fit == reported.get("auto_fit"):
        if any(value != reported.get(name) for name, value in given.items()):
            options.auto_fit = False
    elif given and options.auto_fit:
        raise LMStudioValueError(
            f"auto_fit=True contradicts {', '.join(given)}: the server would choose it itself."
        )
    elif given:
        options.auto_fit = False


def _settle_drafting(options: LlmLoadModelConfig, reported: dict[str, Any]) -> None:
    """Choosing a way of drafting switches the others off, unless they are given too."""
    if all(getattr(options, name) == reported.get(name) for name in _DRAFTING):
        return  # as the server reported it, or nothing of the kind
    if any(getattr(options, name) is not None for name in _DRAFTING[:3]):
        for name in ("draft_dflash_sidecar", "draft_dspark_sidecar", "draft_mtp_sidecar"):
            if getattr(options, name) is None:
                setattr(options, name, False)
    least, most = options.speculative_draft_min_tokens, options.speculative_draft_max_tokens
    if least is not None and most is not None and least > most:
        raise LMStudioValueError(
            f"speculative_draft_min_tokens ({least}) exceeds speculative_draft_max_tokens ({most})."
        )
    if options.speculative_draft_model and options.speculative_draft_simple is False:
        raise LMStudioValueError("speculative_draft_model needs speculative_draft_simple.")


def _gpu_fields(config: LlmLoadModelConfig | EmbeddingLoadModelConfig) -> dict[str, Any]:
    gpu = config.gpu
    if gpu is None:
        return {}
    fields: dict[str, Any] = {}
    for name, key in attrs.fields(type(config)).gpu.metadata["ratios"].items():
        if getattr(gpu, name) is not None:
            fields[key] = getattr(gpu, name)
    if gpu.split_strategy is not None and gpu.split_strategy not in SPLIT_STRATEGIES:
        raise LMStudioValueError(
            f"GpuSetting.split_strategy takes one of {', '.join(SPLIT_STRATEGIES)}, "
            f"not {shown(gpu.split_strategy)}."
        )
    # With a mere ratio the split that the user chose in LM Studio stays in force.
    if gpu.main_gpu is not None or gpu.split_strategy is not None or gpu.disabled_gpus:
        strategy = gpu.split_strategy or "evenly"
        fields[GPU_SPLIT_KEY] = {
            "strategy": "priorityOrder" if strategy == "favorMainGpu" else strategy,
            "disabledGpus": list(gpu.disabled_gpus or ()),
            "priority": [] if gpu.main_gpu is None else [gpu.main_gpu],
            "customRatio": [],
        }
    return fields
