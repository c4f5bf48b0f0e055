"""The names that a test may use: of endpoints, messages, stats and the fields of packets."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from . import argument_checks as checks
from .argument_checks import Check
from .shapes import CHANNELS, MESSAGES, RPCS, UNHANDLED_CHANNELS, UNHANDLED_RPCS

NAMESPACES = tuple(RPCS)
PREDICTIONS = ("predict", "completeRawText")
STOP_REASONS = (
    "userStopped",
    "modelUnloaded",
    "failed",
    "eosFound",
    "stopStringFound",
    "toolCalls",
    "maxPredictedTokensReached",
    "contextLengthReached",
)
_COUNT = checks.whole()
_SECONDS = checks.number()
STATS: dict[str, Check] = {
    "stopString": checks.text,
    "tokensPerSecond": _SECONDS,
    "numGpuLayers": checks.any_number,
    "timeToFirstTokenSec": _SECONDS,
    "totalTimeSec": _SECONDS,
    "promptTokensCount": _COUNT,
    "predictedTokensCount": _COUNT,
    "totalTokensCount": _COUNT,
    "usedDraftModelKey": checks.text,
    "totalDraftTokensCount": _COUNT,
    "acceptedDraftTokensCount": _COUNT,
    "rejectedDraftTokensCount": _COUNT,
    "ignoredDraftTokensCount": _COUNT,
}
FRAGMENT_FIELDS: dict[str, Check] = {
    "tokensCount": _COUNT,
    "containsDrafted": checks.flag,
    "reasoningType": checks.one_of("none", "reasoning", "reasoningStartTag", "reasoningEndTag"),
    "isStructural": checks.flag,
    "tokens": checks.several(checks.entries, "a list of dicts"),
}
PROMPT_FIELDS: dict[str, Check] = {
    "cachedTokenCount": _COUNT,
    "totalPromptTokenCount": _COUNT,
    "processedPromptTokenCount": _COUNT,
    "unprocessedPromptTokenCount": _COUNT,
}
DOWNLOAD_FIELDS: dict[str, Check] = {
    "downloadedBytes": _COUNT,
    "totalBytes": _COUNT,
    "speedBytesPerSecond": _SECONDS,
}
# The protocol lets all of them be anything.
ERROR_FIELDS: dict[str, Check] = dict.fromkeys(
    ("cause", "suggestion", "errorData", "displayData", "stack", "rootTitle"),
    lambda name, value: None,
)


def camel(name: str) -> str:
    """Return a snake_case name in the camelCase of the wire."""
    return re.sub(r"_([a-z])", lambda match: match[1].upper(), name)


def on_the_wire(
    kind: str, fields: dict[str, Any], known: dict[str, Check], also: Iterable[str] = ()
) -> dict[str, Any]:
    """Return fields under their names on the wire, checked.

    Args:
        kind: What they are, for the error.
        fields: The fields, by names in camelCase or snake_case.
        known: The fields that there are.
        also: Other names that may have been meant, for the error.

    Raises:
        TypeError: A value is of the wrong type.
        ValueError: There is no such field, or not with such a value.
    """
    found = {}
    for given, value in fields.items():
        name = camel(given)
        if name not in known:
            raise ValueError(
                f"there is no {kind} {given!r}; {checks.nearest(given, [*also, *known])}"
            )
        known[name](given, value)
        found[name] = value
    return found


def check_stop_reason(name: str, value: Any) -> None:
    """Accept the stop reasons of the protocol."""
    checks.known("stop reason", checks.text(name, value), STOP_REASONS)


def check_held(name: str, endpoint: Any) -> None:
    """Accept an endpoint that can be held: "predict", or "llm/predict"."""
    _check_endpoint(endpoint, _served())


def check_endpoint(endpoint: Any) -> None:
    """Accept an endpoint that clients may call, also one that this server only warns about."""
    names = _served()
    for table in (UNHANDLED_RPCS, UNHANDLED_CHANNELS):
        for namespace, others in table.items():
            names[namespace] = [*names[namespace], *others]
    _check_endpoint(endpoint, names)


def check_message_type(kind: Any) -> None:
    """Accept the type of a message that clients may send."""
    checks.known("type of message", kind, MESSAGES)


def check_path(path: Any) -> None:
    """Accept a namespace, as "llm" or "/llm"."""
    checks.known("namespace", checks.text("path", path).lstrip("/"), NAMESPACES)


def _served() -> dict[str, list[str]]:
    return {name: [*RPCS[name], *CHANNELS[name]] for name in NAMESPACES}


def _check_endpoint(endpoint: Any, names: dict[str, list[str]]) -> None:
    whole = "/" in checks.text("the endpoint", endpoint)
    served = (
        f"{namespace}/{one}" if whole else one for namespace, some in names.items() for one in some
    )
    checks.known("endpoint", endpoint, dict.fromkeys(served))
