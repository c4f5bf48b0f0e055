"""The settings of a server, and which of them have a meaning."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import attrs

from .._engines.engine import Engine
from .._engines.models_on_disk import Model
from .._protocol import argument_checks as _usage
from .._protocol.argument_checks import Check
from .._protocol.names import check_held

_TOKEN = re.compile(r"sk-lm-[a-zA-Z0-9]{8}:[a-zA-Z0-9]{20}")


@attrs.frozen(kw_only=True)
class Options:
    """The settings of a server; see `Server` for what they mean."""

    tokens: Sequence[str]
    auth: str
    auth_timeout: float
    unknown_path: str
    load_time: float
    download_time: float
    jit_evict: bool
    presets: Sequence[str]
    parallel: int
    version: str


def check_settings(settings: dict[str, Any]) -> None:
    """Check arguments of `Server`, all or some.

    Raises:
        TypeError: One is of the wrong type.
        ValueError: One has no meaning; the text says which have.
    """
    for name, value in settings.items():
        _CHECKS[name](name, value)


def as_list(name: str, value: Any, expected: str) -> list[Any]:
    """Return the entries of anything that can be looped over, but for a text and a dict."""
    if isinstance(value, (str, bytes, dict)) or not hasattr(value, "__iter__"):
        raise _usage.wrong_type(name, expected, value)
    return list(value)


def _token(name: str, value: Any) -> None:
    for token in [value] if isinstance(value, str) else as_list(name, value, "a text or texts"):
        if not _TOKEN.fullmatch(_usage.text(name, token)):
            raise ValueError("token must be 'sk-lm-', 8 letters or digits, ':', 20 more")


_MODELS = _usage.several(
    _usage.instance(Model, "a Model, as Model(key='mine')"), "a list of Model objects"
)
_SECONDS = _usage.number()
_TEXTS = _usage.several(_usage.text, "a list of texts")
_CHECKS: dict[str, Check] = {
    "port": _usage.whole(0, 65535),
    "engine": _usage.optional(
        _usage.instance(Engine, "an Engine, as ScriptedEngine() or LlamaEngine('model.gguf')")
    ),
    "models": _usage.optional(_MODELS),
    "loaded": _usage.optional(_TEXTS),
    "hub": _MODELS,
    "token": _usage.optional(_token),
    "auth": _usage.one_of("normal", "refuse", "silent"),
    "auth_timeout": _SECONDS,
    "unknown_path": _usage.one_of("404", "hang"),
    "hold": _usage.several(check_held, "a list of endpoints"),
    "load_time": _SECONDS,
    "download_time": _SECONDS,
    "jit_evict": _usage.flag,
    "presets": _TEXTS,
    "parallel": _usage.optional(_usage.whole(1)),
    "version": _usage.text,
}
