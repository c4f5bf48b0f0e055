"""Writes configurations as LM Studio takes them: lists of keys and values, in layers."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypeAlias, get_origin

import attrs

from .._api.numbers import as_number, as_whole
from .._api.shown import shown
from .._json.annotations import has_fields
from .._json.converter import DictObject, camel_case, camel_keys, unstructure
from .._json.dereference import dereference
from .._json.json_schema import DictSchema, class_schema
from ..errors import LMStudioValueError
from .embedding_load_options import EmbeddingLoadModelConfig
from .from_user import Config, Reported, read_config
from .gpu_setting import GpuSetting
from .llm_load_options import LlmLoadModelConfig
from .load_rules import settle
from .prediction_options import LlmPredictionConfig, LlmStructuredPredictionSetting

KvField: TypeAlias = dict[str, Any]
ModelKind: TypeAlias = Literal["llm", "embedding"]
"""The kinds of models, by which LM Studio tells them apart."""
ResponseSchema: TypeAlias = LlmStructuredPredictionSetting | DictSchema | type[Any]
"""The form of a structured reply: a JSON Schema as a dict, a class that gives one, or a setting."""

TOOLS_KEY = "llm.prediction.tools"
TOOL_CHOICE_KEY = "llm.prediction.toolChoice"
TOOL_CHOICES = ("auto", "none", "required")
STRUCTURED_KEY = "llm.prediction.structured"
REASONING_KEY = "llm.prediction.reasoning.parsing"
LOGIT_BIAS_KEY = "llm.prediction.llama.logitBias"
MAX_TOKENS_KEY = "llm.prediction.maxPredictedTokens"
STOP_STRINGS_KEY = "llm.prediction.stopStrings"
REASONING_BUDGET_KEY = "llm.prediction.reasoning.budgetTokens"
GPU_SPLIT_KEY = "load.gpuSplitConfig"
SPLIT_STRATEGIES = ("evenly", "favorMainGpu", "priorityOrder", "tensor", "custom")
_SCHEMA_TYPES = ("object", "array", "string", "number", "integer", "boolean", "null")


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
    kept = _kept(config)
    if response_format is not None:
        if options.structured is not None:
            raise LMStudioValueError(
                "Cannot specify both response_format in the call and structured in its config."
            )
        options.structured = structured_setting(response_format, is_strict)
    if options.structured is not None and options.structured.json_schema is not None:
        options.structured.json_schema = dereference(options.structured.json_schema)
    if options.logit_bias is not None and LOGIT_BIAS_KEY not in kept:
        options.logit_bias = [_token_bias(pair) for pair in options.logit_bias]
    if MAX_TOKENS_KEY not in kept:
        _check_max_tokens(options.max_tokens)
    return _with_raw(_named_fields(options, kept), options.raw)


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
        f"Failed to parse response format: {shown(response_format)}. "
        f"{_what_is_one(response_format)}"
    )


def _what_is_one(given: Any) -> str:
    """Return what is a form of a reply, to somebody who gave something else."""
    cls = type(given)
    if has_fields(cls) or hasattr(cls, "model_json_schema"):
        return f"It takes the class itself, {cls.__name__}, and no object of it."
    if isinstance(given, Mapping):
        return "A JSON Schema has a 'type', as {'type': 'object', 'properties': {...}}."
    if isinstance(given, str):
        return "A JSON Schema is given as a dict, which json.loads() makes of a text."
    if isinstance(given, list) or get_origin(given) is list:
        return "For a list of things it takes a class with a field that is such a list."
    return (
        "It takes a JSON Schema with a 'type', a class with model_json_schema(), an attrs class, a "
        "dataclass, a TypedDict, or an LlmStructuredPredictionSetting."
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
        fields = _gpu_fields(embedding) | _named_fields(embedding, _kept(config))
        return _with_raw(fields, embedding.raw)
    options = read_config(config, LlmLoadModelConfig, is_strict)
    reported: dict[str, Any] = getattr(config, "_reported", {})
    if options.prompt_template == reported.get("prompt_template"):
        # Only filled in: sent along, it would replace the template of the model itself.
        options.prompt_template = None
    settle(options, reported)
    # Those that no rule has overruled; asked of what was given, whose values are as they were read.
    kept = {key: said for key, said in _kept(config).items() if key in options._originals}
    return _with_raw(_named_fields(options, kept) | _gpu_fields(options), options.raw)


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


def for_raw_text(fields: list[KvField]) -> list[KvField]:
    """Return prediction fields for the continuation of a raw text.

    Raises:
        LMStudioValueError: They ask for what there is in chats only.
    """
    values = {field["key"]: field["value"] for field in fields}
    if TOOLS_KEY in values or TOOL_CHOICE_KEY in values:
        raise LMStudioValueError(
            "Tools are not supported in complete_raw_text(). Use respond() or act() for tool use."
        )
    budget = values.get(REASONING_BUDGET_KEY)
    if isinstance(budget, Mapping) and budget.get("checked"):
        raise LMStudioValueError(
            "Reasoning budgets are not supported in complete_raw_text(). Use respond() or act()."
        )
    # Without this those of a preset would hold, which are meant for chats.
    values.setdefault(STOP_STRINGS_KEY, [])
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
            "no way to require a certain tool, unless it is the only one."
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


def _check_max_tokens(number: int | None) -> None:
    if number is not None and number is not False and number < 1 and number != -1:
        raise LMStudioValueError(
            "LlmPredictionConfig.max_tokens must be greater than or equal to 1, or False for no "
            f"limit (-1 means the same), not {number}."
        )


def _kept(config: object) -> dict[str, Any]:
    return config._kept() if isinstance(config, Reported) else {}


def _named_fields(config: Config, kept: dict[str, Any]) -> dict[str, Any]:
    """Return the fields of the options; those in `kept` are sent as a server reported them."""
    fields: dict[str, Any] = {}
    for attribute in attrs.fields(type(config)):
        value, keys = getattr(config, attribute.name), attribute.metadata.get("keys", ())
        # An option of several engines goes back to those only that it was reported of.
        said = {key: kept[key] for key in keys if key in kept}
        if said or value is None:
            fields |= said
            continue
        for key in keys:
            off = value == attribute.metadata["means_off"]
            fields[key] = _to_wire(False if off else value, attribute.metadata["off"])
    return fields


def said_by(attribute: Any, value: Any) -> Any:
    """Return what is sent for the value of an option, which a server has reported.

    None if that depends on more, as on checks that need not hold for what a server reports.
    """
    if attribute.name == "structured" and value.type == "none":
        return {"type": "none"}
    if attribute.name in ("structured", "logit_bias", "max_tokens") and value is not False:
        return None
    if isinstance(value, (Mapping, list)):
        value = camel_keys({attribute.name: value})[camel_case(attribute.name)]
    return _to_wire(value, attribute.metadata["off"])


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
        fields[GPU_SPLIT_KEY] = gpu_split(gpu)
    return fields


def gpu_split(gpu: GpuSetting) -> dict[str, Any]:
    """Return how a model is split, as LM Studio takes it."""
    strategy = gpu.split_strategy or "evenly"
    return {
        "strategy": "priorityOrder" if strategy == "favorMainGpu" else strategy,
        "disabledGpus": list(gpu.disabled_gpus or ()),
        "priority": [] if gpu.main_gpu is None else [gpu.main_gpu],
        "customRatio": [],
    }
