"""Outcomes of a batch as records of its journal, and back. docs/batch.md documents their form."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import attrs

from .. import errors
from .._values.messages import ToolCallRequest
from .._values.results import LlmPredictionStats, PredictionResult
from ..errors import LMStudioError
from .outcome import BatchOutcome

DIGITS = 32  # of the digest of an input
_STATS = tuple(field.name for field in attrs.fields(LlmPredictionStats))


def digest_of(kind: str, prompt: Any) -> str:
    """Return what tells a prompt from others of a batch of the same kind.

    Of a file its name and size count, not its identifier, which every upload has anew.
    """
    text = json.dumps([kind, _without_identifiers(prompt)], sort_keys=True, default=str)
    return hashlib.sha256(text.encode(), usedforsecurity=False).hexdigest()[:DIGITS]


def _without_identifiers(data: Any) -> Any:
    if isinstance(data, dict):
        is_file = data.get("type") == "file"
        return {
            key: _without_identifiers(value)
            for key, value in data.items()
            if not (is_file and key == "identifier")
        }
    return [_without_identifiers(item) for item in data] if isinstance(data, list) else data


def record_of(outcome: BatchOutcome[Any]) -> dict[str, Any]:
    """Return what became of an input as JSON data."""
    record: dict[str, Any] = {"attempts": outcome.attempts, "host": outcome.host}
    value = outcome[1]
    if isinstance(value, LMStudioError):
        return {**record, "error": str(value), "type": type(value).__name__}
    if not isinstance(value, PredictionResult):
        return {**record, "embedding": list(value)}
    record["content"] = value.content
    if value.parsed is not value.content:
        record["parsed"] = value.parsed
    if value.answer != value.content:
        record |= {"answer": value.answer, "reasoning_content": value.reasoning_content}
    if value.tool_calls:
        record["tool_calls"] = [call.to_dict() for call in value.tool_calls]
    stats = {name: getattr(value.stats, name) for name in _STATS}
    record["stats"] = {name: said for name, said in stats.items() if said is not None}
    return record


def restore(record: dict[str, Any], response_type: type | None) -> Any:
    """Return the result or error that a record holds.

    Raises:
        KeyError, TypeError, ValueError: It holds none.
    """
    if "error" in record:
        cls = getattr(errors, str(record.get("type")), LMStudioError)
        if not (isinstance(cls, type) and issubclass(cls, LMStudioError)):
            cls = LMStudioError
        error = cls.__new__(cls, str(record["error"]))
        error.args = (str(record["error"]),)
        error.__dict__.update(_LACKING)
        return error
    if "embedding" in record:
        return [float(number) for number in record["embedding"]]
    content = record["content"]
    stats = {name: value for name, value in record["stats"].items() if name in _STATS}
    return PredictionResult(
        content=content,
        parsed=record.get("parsed") if "parsed" in record else content,
        stats=LlmPredictionStats(**stats),
        model_info=None,
        load_config=None,
        prediction_config=None,
        answer=record.get("answer", content),
        reasoning_content=record.get("reasoning_content", ""),
        response_type=response_type,
        tool_calls=[ToolCallRequest.from_dict(call) for call in record.get("tool_calls", ())],
    )


# What errors of some classes have, and a record has not.
_LACKING = dict.fromkeys(
    ("server_error", "close_code", "reason", "raw_content", "tool_name", "tool_arguments")
)
