"""What LM Studio tells about models: on disk, loaded, offered; how to name them in a request."""

from collections.abc import Mapping
from typing import Any, ClassVar, Literal, TypeAlias

import attrs

from .._api.checks import check_key, name_of
from .._api.public import public_module
from .._api.shown import shown
from .._json.converter import DictObject, LMStudioStruct, camel_keys, unstructure
from ..errors import LMStudioValueError
from .devices import DeviceIdentifier, on_device


@attrs.frozen(kw_only=True, repr=False)
class ModelQuantization(LMStudioStruct):
    """How the weights of a model are quantized.

    Attributes:
        name: such as ``Q4_K_M``.
        bits: bits a weight; 0 if the server names no whole number.
        extra: what the server said beyond this, by its JSON keys.

    Thread safety: immutable.
    """

    _keeps_defaults: ClassVar[bool] = True
    name: str
    bits: int = 0
    extra: dict[str, Any] = attrs.field(factory=dict, hash=False)


@attrs.frozen(kw_only=True, repr=False)
class _ModelFacts(LMStudioStruct):
    _keeps_defaults: ClassVar[bool] = True
    model_key: str
    """The key to load it with."""
    path: str = ""
    """Its file, relative to the server's model folder."""
    format: str = ""
    """``gguf``, ``safetensors``, or what a newer server may name."""
    display_name: str = ""
    """Its name, for people."""
    publisher: str | None = None
    """Who publishes it; None if the server does not say."""
    size_bytes: int = 0
    """Its size on disk in bytes."""
    indexed_model_identifier: str | None = None
    """What names it in the index of the server; None if the server does not say."""
    device_identifier: str | None = None
    """The device of LM Link that has it; None: the server itself."""
    params_string: str | None = None
    """How many parameters it has, such as ``7B``; None if the server does not say."""
    architecture: str | None = None
    """Its architecture, such as ``llama``; None if the server does not say."""
    quantization: ModelQuantization | None = None
    """How its weights are quantized; None if the server does not say."""
    variants: list[str] | None = None
    """The keys of its variants; None if it has none."""
    selected_variant: str | None = None
    """The key of the variant that is loaded by default; None if it has none."""
    max_context_length: int = 0
    """The longest context that it was trained for, in tokens."""
    extra: dict[str, Any] = attrs.field(factory=dict)
    """What the server said beyond this, by its JSON keys.

    Also a value of another type than the attribute's, which then has its default.
    """


@attrs.frozen(kw_only=True, repr=False)
class LlmInfo(_ModelFacts):
    """A language model on the server.

    Attributes:
        model_key: the key to load it with.
        path: its file, relative to the server's model folder.
        format: ``gguf``, ``safetensors``, or what a newer server may name.
        display_name: its name, for people.
        publisher: who publishes it.
        size_bytes: size on disk in bytes.
        indexed_model_identifier: what names it in the index of the server.
        params_string: how many parameters it has, such as ``7B``.
        architecture: such as ``llama``.
        quantization: how its weights are quantized.
        variants: the keys of its variants.
        selected_variant: the key of the variant that is loaded by default.
        device_identifier: the device that holds it; None is the server itself.
        max_context_length: the longest context the model was trained for, in tokens.
        vision: takes images.
        trained_for_tool_use: was trained to call tools.
        extra: what the server said beyond this, by its JSON keys; also a value of another type
            than the attribute's, which then has its default.

    Thread safety: immutable.
    """

    type: ClassVar[Literal["llm"]] = "llm"
    vision: bool = False
    trained_for_tool_use: bool = False


@attrs.frozen(kw_only=True, repr=False)
class LlmInstanceInfo(LlmInfo):
    """A loaded language model: what ``LlmInfo`` says, and the facts of this instance.

    Attributes:
        identifier: the name of the instance in requests.
        instance_reference: names this very instance, also after another took its identifier.
        context_length: the context it was loaded with, in tokens.
        ttl_ms: idle time after which the server unloads it, in milliseconds; None is never.
        last_used_time: when it was last used, in milliseconds since 1970; None is never.

    Thread safety: immutable.
    """

    identifier: str = ""
    instance_reference: str = ""
    context_length: int = 0
    ttl_ms: float | None = None
    last_used_time: float | None = None


@attrs.frozen(kw_only=True, repr=False)
class EmbeddingModelInfo(_ModelFacts):
    """An embedding model on the server; the attributes are those of ``LlmInfo``.

    Thread safety: immutable.
    """

    type: ClassVar[Literal["embedding"]] = "embedding"


@attrs.frozen(kw_only=True, repr=False)
class EmbeddingModelInstanceInfo(EmbeddingModelInfo):
    """A loaded embedding model; the attributes are those of ``LlmInstanceInfo``.

    Thread safety: immutable.
    """

    identifier: str = ""
    """The name of the instance in requests."""
    instance_reference: str = ""
    """Names this very instance, also after another took its identifier."""
    context_length: int = 0
    """The context that it was loaded with, in tokens."""
    ttl_ms: float | None = None
    """Idle time after which the server unloads it, in milliseconds; None: never."""
    last_used_time: float | None = None
    """When it was last used, in milliseconds since 1970; None: never."""


@attrs.frozen(kw_only=True, repr=False)
class UnknownModelInfo(_ModelFacts):
    """A model of a kind that this package does not know; ``extra`` has what it cannot name.

    Thread safety: immutable.
    """

    type: str = ""
    """The kind that the server names."""


@attrs.frozen(kw_only=True, repr=False)
class ModelLoadResult(LMStudioStruct):
    """Where a model was loaded from, and under which name; for annotations in programs."""

    identifier: str
    """The name of the loaded model in requests."""
    instance_reference: str
    """Names this very instance."""
    path: str
    """Its file, relative to the server's model folder."""


ModelInfo: TypeAlias = LlmInfo | EmbeddingModelInfo | UnknownModelInfo
"""What is known of a model that is there for loading."""
ModelInstanceInfo: TypeAlias = LlmInstanceInfo | EmbeddingModelInstanceInfo | UnknownModelInfo
"""What is known of a loaded model."""


@attrs.frozen(kw_only=True, repr=False)
class ModelProcessingState(LMStudioStruct):
    """What a loaded model is doing, for all clients together.

    Attributes:
        status: ``idle``, ``processingPrompt``, ``generating``, ``computingEmbedding``, or what a
            newer server may name.
        queued: how many requests wait for their turn.

    Thread safety: immutable.
    """

    status: str
    queued: int


@attrs.frozen(kw_only=True, repr=False)
class EstimatedMemoryUsage(LMStudioStruct):
    """How much memory a model would take; all sizes are in bytes.

    Attributes:
        confidence: ``high`` or ``low``.
        model_vram_bytes: the weights, in the memory of GPUs.
        context_vram_bytes: the context, there.
        total_vram_bytes: all of it that is there.
        model_bytes: the weights, wherever.
        context_bytes: the context, wherever.
        total_bytes: all of it, wherever.

    Thread safety: immutable.
    """

    confidence: str
    model_vram_bytes: int
    context_vram_bytes: int
    total_vram_bytes: int
    model_bytes: int
    context_bytes: int
    total_bytes: int


@attrs.frozen(kw_only=True, repr=False)
class EstimatedResourcesUsage(LMStudioStruct):
    """What a model would take if it were loaded.

    Attributes:
        memory: how much memory.
        passes_guardrails: LM Studio would load it; its guardrails against overload are a setting
            of the app.

    Thread safety: immutable.
    """

    memory: EstimatedMemoryUsage
    passes_guardrails: bool


@attrs.define(kw_only=True, repr=False)
class ModelQuery(LMStudioStruct):
    """Which loaded model a request means; fields that are None match every model.

    (In a dict, a ``device_identifier`` that is None means the server itself.)
    """

    domain: str | None = None
    """The kind of model: ``llm`` or ``embedding``."""
    identifier: str | None = None
    """The identifier of the loaded model."""
    path: str | None = None
    """The key of the model, or its path."""
    vision: bool | None = None
    """Whether it takes images."""
    device_identifier: str | None = None
    """The device of LM Link that has it."""


@attrs.define(kw_only=True, repr=False)
class ModelSpecifierQuery(LMStudioStruct):
    """A model named by a query."""

    type: ClassVar[Literal["query"]] = "query"
    query: ModelQuery
    """What the model must be like."""


@attrs.define(kw_only=True, repr=False)
class ModelSpecifierInstanceReference(LMStudioStruct):
    """A model named by the reference of one loaded instance."""

    type: ClassVar[Literal["instanceReference"]] = "instanceReference"
    instance_reference: str
    """The instance's reference, as `LlmInstanceInfo` has it."""


ModelSpecifier: TypeAlias = ModelSpecifierQuery | ModelSpecifierInstanceReference
"""Names a loaded model, by a query or by a reference."""
ModelQueryDict: TypeAlias = dict[str, Any]
"""``ModelQuery`` as a dict, with camelCase or snake_case keys."""
ModelSpecifierDict: TypeAlias = dict[str, Any]
"""``ModelSpecifier`` as a dict, with camelCase or snake_case keys."""
AnyModelSpecifier: TypeAlias = str | ModelSpecifier | ModelQuery | DictObject
"""Names a loaded model: its identifier, a query, a specifier, or a dict of one of these."""


public_module(globals())


def specifier_to_wire(specifier: AnyModelSpecifier) -> dict[str, Any]:
    """Return how a request names a model.

    Args:
        specifier: the identifier of a loaded model, a query, a specifier, or a dict of one.

    Raises:
        LMStudioValueError: it is none of these, or LM Studio takes no such identifier or path.
    """
    data: Any = specifier
    if isinstance(specifier, (ModelQuery, ModelSpecifierQuery, ModelSpecifierInstanceReference)):
        data = unstructure(specifier)
    elif isinstance(specifier, str):
        data = {"identifier": specifier}
    if not isinstance(data, Mapping):
        raise LMStudioValueError(
            f"A model is named by a string, query or dict, not {shown(specifier)}."
            f"{name_of(specifier)}"
        )
    data = camel_keys(data)
    wire: dict[str, Any] = data if "type" in data else {"type": "query", "query": data}
    query = wire.get("query")
    if isinstance(query, Mapping):
        for name in ("identifier", "path"):
            if query.get(name) is not None:
                check_key(query[name], f"The {name} of a model")
    return wire


def named(identifier: str, device_identifier: DeviceIdentifier = ...) -> dict[str, Any]:
    """Return how a request names a loaded model by its identifier, and by its device.

    Raises:
        LMStudioValueError: LM Studio takes no such identifier.
    """
    check_key(identifier, "The identifier of a model")
    return {"type": "query", "query": {"identifier": identifier, **on_device(device_identifier)}}
