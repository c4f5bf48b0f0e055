"""The models that a server has on its disk: values, and those that it has by default."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import attrs

from .._protocol import argument_checks as checks
from .._protocol.public import public

Domain = Literal["llm", "embedding"]


@checks.names_checked
@attrs.frozen(kw_only=True)
@public
class Model:
    """A downloaded model.

    Args:
        key: The model key, what a client passes to `llm()` or `load`.
        type: "llm" or "embedding": the namespace that serves it.
        display_name: Name for people; the key if not given.
        publisher: Owner of the model, first part of its path.
        path: Path below the models folder; made from publisher and key if not given.
        size_bytes: Size on disk in bytes.
        params: Number of parameters, as text ("7B").
        architecture: Name of the architecture.
        quantization: Name and bits of the quantization.
        format: File format ("gguf", "safetensors", ...).
        max_context_length: Longest context in tokens.
        vision: Whether images are understood (LLMs only).
        trained_for_tool_use: Whether the model was trained for tools (LLMs only).
        variants: Keys of the variants, the first one selected; empty for none.
        device_identifier: The device of LM Link that has it; the server itself if not given.

    Raises:
        TypeError: A value is of the wrong type.
        ValueError: A value has no meaning.

    Thread safety:
        Immutable: any thread.
    """

    key: str
    type: Domain = "llm"
    display_name: str | None = None
    publisher: str = "testing"
    path: str | None = None
    size_bytes: int = 1_234_567
    params: str | None = None
    architecture: str | None = None
    quantization: tuple[str, int] | None = None
    format: str = "gguf"
    max_context_length: int = 131_072
    vision: bool = False
    trained_for_tool_use: bool = False
    variants: tuple[str, ...] = ()
    device_identifier: str | None = None

    def __attrs_post_init__(self) -> None:
        for field, check in _CHECKS.items():
            check(field, getattr(self, field))

    def file_path(self) -> str:
        """Return the path below the models folder."""
        return self.path or f"{self.publisher}/{self.key}/{self.key}.{self.format}"

    def info(self) -> dict[str, Any]:
        """Return the description that goes over the wire."""
        info: dict[str, Any] = {
            "type": self.type,
            "modelKey": self.key,
            "format": self.format,
            "displayName": self.display_name or self.key,
            "publisher": self.publisher,
            "path": self.file_path(),
            "sizeBytes": self.size_bytes,
            "indexedModelIdentifier": self.file_path(),
            "deviceIdentifier": self.device_identifier,
            "maxContextLength": self.max_context_length,
        }
        if self.params is not None:
            info["paramsString"] = self.params
        if self.architecture is not None:
            info["architecture"] = self.architecture
        if self.quantization is not None:
            info["quantization"] = {"name": self.quantization[0], "bits": self.quantization[1]}
        if self.variants:
            info["variants"] = list(self.variants)
            info["selectedVariant"] = self.variants[0]
        if self.type == "llm":
            info["vision"] = self.vision
            info["trainedForToolUse"] = self.trained_for_tool_use
        return info


def fit(model: Model, name: str) -> int:
    """Return how well a name fits a model: 2 wholly, 1 as a beginning, else 0.

    Capital letters make no difference.

    Args:
        model: The model.
        name: The key, a variant, either behind the publisher, or the path or its beginning; or
            the key without its "@q4_k_m".
    """
    wanted, path, key = name.lower(), model.file_path().lower(), model.key.lower()
    # A publisher alone is no model: the beginning of a path has at least one "/".
    begins_path = "/" in wanted and path.startswith(wanted)
    if wanted == key or variant_of(model, name) or wanted == f"{model.publisher}/{key}".lower():
        return 2
    if wanted == path or (begins_path and path[len(wanted)] == "/"):
        return 2
    return int(begins_path or key.startswith(f"{wanted}@"))


def variant_of(model: Model, name: str) -> str | None:
    """Return the variant that a name asks for; None if it asks for none."""
    wanted = name.lower()
    if wanted == model.key.lower():
        return None
    for variant in model.variants:
        if wanted in (variant.lower(), f"{model.publisher}/{variant}".lower()):
            return variant
    return None


def first_of_each(models: Sequence[Model]) -> list[str]:
    """Return the key of the first model of each type."""
    first: dict[str, str] = {}
    for model in models:
        first.setdefault(model.type, model.key)
    return list(first.values())


def _quantization(name: str, value: Any) -> None:
    if not isinstance(value, (list, tuple)) or len(value) != 2:
        raise checks.wrong_type(name, "a name and a number of bits, as ('Q4_K_M', 4)", value)
    checks.text(f"{name}[0]", value[0])
    checks.whole(1)(f"{name}[1]", value[1])


_CHECKS: dict[str, checks.Check] = {
    "key": checks.text,
    "type": checks.one_of("llm", "embedding"),
    "display_name": checks.optional(checks.text),
    "publisher": checks.text,
    "path": checks.optional(checks.text),
    "size_bytes": checks.whole(),
    "params": checks.optional(checks.text),
    "architecture": checks.optional(checks.text),
    "quantization": checks.optional(_quantization),
    "format": checks.text,
    "max_context_length": checks.whole(1),
    "vision": checks.flag,
    "trained_for_tool_use": checks.flag,
    "variants": checks.several(checks.text, "a list of texts"),
    "device_identifier": checks.optional(checks.text),
}

TEST_LLM = Model(
    key="test-llm",
    display_name="Test LLM 1B",
    params="1B",
    architecture="llama",
    quantization=("Q4_K_M", 4),
    trained_for_tool_use=True,
)
TEST_VLM = Model(
    key="test-vlm",
    display_name="Test VLM 2B",
    params="2B",
    architecture="qwen2vl",
    quantization=("8BIT", 8),
    format="safetensors",
    path="testing/test-vlm",
    size_bytes=2_234_567,
    vision=True,
    max_context_length=32_768,
    variants=("test-vlm@8bit", "test-vlm@4bit"),
)
TEST_EMBEDDING = Model(
    key="test-embedding",
    type="embedding",
    display_name="Test Embedding",
    architecture="nomic-bert",
    size_bytes=34_567,
    max_context_length=2_048,
)
TINY_LLM = Model(
    key="tiny-llm",
    display_name="Tiny LLM 100M",
    params="100M",
    architecture="llama",
    size_bytes=100_000,
    variants=("tiny-llm@q4_k_m", "tiny-llm@q8_0"),
)
DEFAULT_MODELS = (TEST_LLM, TEST_VLM, TEST_EMBEDDING)
DEFAULT_HUB = (TINY_LLM, *DEFAULT_MODELS)
