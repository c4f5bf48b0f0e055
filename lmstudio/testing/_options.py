"""The settings of a server, and which of them have a meaning."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import attrs

_TOKEN = re.compile(r"sk-lm-[a-zA-Z0-9]{8}:[a-zA-Z0-9]{20}")


def _one_of(*choices: str) -> Any:
    def check(instance: Any, attribute: attrs.Attribute[Any], value: Any) -> None:
        if value not in choices:
            names = ", ".join(repr(one) for one in choices)
            raise ValueError(f"{attribute.name} must be one of {names}, got {value!r}")

    return check


def _at_least(limit: float) -> Any:
    def check(instance: Any, attribute: attrs.Attribute[Any], value: Any) -> None:
        if value < limit:
            raise ValueError(f"{attribute.name} must be at least {limit}, got {value!r}")

    return check


def _tokens(instance: Any, attribute: attrs.Attribute[Any], value: Sequence[str]) -> None:
    for token in value:
        if not _TOKEN.fullmatch(token):
            raise ValueError("token must be 'sk-lm-', 8 letters or digits, ':', 20 more")


@attrs.frozen(kw_only=True)
class Options:
    """The settings of a server; see `Server` for what they mean."""

    tokens: Sequence[str] = attrs.field(validator=_tokens)
    auth: str = attrs.field(validator=_one_of("normal", "refuse", "silent"))
    auth_timeout: float = attrs.field(validator=_at_least(0))
    unknown_path: str = attrs.field(validator=_one_of("404", "hang"))
    load_time: float = attrs.field(validator=_at_least(0))
    download_time: float = attrs.field(validator=_at_least(0))
    jit_evict: bool
    presets: Sequence[str]
    parallel: int = attrs.field(validator=_at_least(1))
    version: str
