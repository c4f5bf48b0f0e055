"""The arguments of a server, checked."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

import attrs

from .._engines.engine import Engine
from .._engines.models_on_disk import Model
from .._engines.plugins import Plugin
from .._engines.scripted import ScriptedEngine
from .._protocol import argument_checks as checks
from .._protocol.names import check_held
from .._protocol.origins import normal_origin

_TOKEN = re.compile(r"sk-lm-[a-zA-Z0-9]{8}:[a-zA-Z0-9]{20}")


def _list(name: str, value: Any, expected: str) -> list[Any]:
    """Return the entries of anything that can be looped over, but for a text and a dict."""
    if isinstance(value, (str, bytes, dict)) or not hasattr(value, "__iter__"):
        raise checks.wrong_type(name, expected, value)
    return list(value)


def _engine(value: Any) -> Any:
    return ScriptedEngine() if value is None else value


def _loaded(value: Any) -> list[Any] | None:
    return None if value is None else _list("loaded", value, "a list of the keys of models")


def _hold(value: Any) -> list[Any]:
    return _list("hold", value, "a list of endpoints, as ['predict']")


def _tokens(value: Any) -> list[Any]:
    if value is None:
        return []
    return [value] if isinstance(value, str) else _list("token", value, "a text or texts")


def _origins(value: Any) -> list[str]:
    origins = _list("allow_origins", value, "a list of origins, as ['https://app.example']")
    return [normal_origin(f"allow_origins[{at}]", one) for at, one in enumerate(origins)]


def _address(name: str, value: Any) -> None:
    text, hint = checks.text(name, value), ""
    if "//" in text:
        hint = ": without a scheme"
    elif text.startswith("[") or re.search(r"^[^:]*:\d*$", text):
        hint = ": without brackets and port (that is port=)"
    if hint or not text or re.search(r"[\s\0/]", text):
        raise wrong_address(value, hint)


def wrong_address(value: object, hint: str) -> ValueError:
    """Return the error of an address where nothing can listen."""
    return ValueError(
        "host must be an address of this machine, as '127.0.0.1' (this machine alone) or '0.0.0.0' "
        f"(for other computers), got {value!r}{hint}"
    )


def _token(name: str, value: Any) -> None:
    for token in value:
        if not _TOKEN.fullmatch(checks.text(name, token)):
            raise ValueError(
                "token must be 'sk-lm-', 8 letters or digits, ':', 20 more, as "
                "'sk-lm-abcdefgh:abcdefghij0123456789'"
            )


def _no_key_twice(name: str, value: Any) -> None:
    seen: dict[tuple[str, str | None], int] = {}
    for at, model in enumerate(value):
        first = seen.setdefault((model.key.lower(), model.device_identifier), at)
        if first != at:
            raise ValueError(
                f"{name}[{at}] has the key of {name}[{first}], {model.key!r}: each model needs one "
                "of its own (capital letters make no difference) on its device"
            )


def _must(check: checks.Check) -> Callable[[Any, attrs.Attribute[Any], Any], object]:
    return lambda options, field, value: check(field.alias or field.name, value)


_ENGINE = checks.instance(Engine, "an Engine, as ScriptedEngine() or LlamaEngine('model.gguf')")
_A_MODEL = checks.instance(Model, "a Model, as Model(key='mine')")
_PLUGINS = checks.several(
    checks.instance(Plugin, "a Plugin, as Plugin(identifier='mcp/files')"),
    "a list of Plugin objects",
)


def _models(name: str, value: Any) -> None:
    checks.several(_A_MODEL, "a list of Model objects")(name, value)
    _no_key_twice(name, value)


_SECONDS = _must(checks.number())
_TEXTS = checks.several(checks.text, "a list of texts")


@attrs.frozen(kw_only=True)
class Options:
    """The arguments of a `Server`, under their names; see there for what they mean.

    Raises:
        TypeError: One is of the wrong type.
        ValueError: One has no meaning; the text says which have.
    """

    port: int = attrs.field(validator=_must(checks.whole(0, 65535)))
    host: str = attrs.field(validator=_must(_address))
    engine: Engine = attrs.field(converter=_engine, validator=_must(_ENGINE))
    models: Sequence[Model] | None = attrs.field(validator=_must(checks.optional(_models)))
    loaded: Sequence[str] | None = attrs.field(
        converter=_loaded, validator=_must(checks.optional(_TEXTS))
    )
    hub: Sequence[Model] | None = attrs.field(validator=_must(checks.optional(_models)))
    plugins: Sequence[Plugin] = attrs.field(validator=_must(_PLUGINS))
    tokens: Sequence[str] = attrs.field(alias="token", converter=_tokens, validator=_must(_token))
    allow_origins: Sequence[str] = attrs.field(converter=_origins)
    auth: str = attrs.field(validator=_must(checks.one_of("normal", "refuse", "silent")))
    auth_timeout: float = attrs.field(validator=_SECONDS)
    unknown_path: str = attrs.field(validator=_must(checks.one_of("404", "hang")))
    hold: Sequence[str] = attrs.field(
        converter=_hold, validator=_must(checks.several(check_held, "a list of endpoints"))
    )
    load_time: float = attrs.field(validator=_SECONDS)
    download_time: float = attrs.field(validator=_SECONDS)
    jit_evict: bool = attrs.field(validator=_must(checks.flag))
    presets: Sequence[str] = attrs.field(validator=_must(_TEXTS))
    parallel: int | None = attrs.field(validator=_must(checks.optional(checks.whole(1))))
    version: str = attrs.field(validator=_must(checks.text))
