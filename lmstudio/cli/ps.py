"""``lmstudio ps``: the models that are loaded, and what they are doing."""

from __future__ import annotations

import argparse
import sys
from typing import Any

import lmstudio as lms

from ._fits import with_infos
from ._name import program_name
from ._show import as_duration, as_size, print_json, print_table

__all__ = ["run"]

_HEADS = ("IDENTIFIER", "KEY", "STATE", "QUEUED", "CONTEXT", "SIZE", "UNLOADS")
_STATES = {
    "processingPrompt": "reading",
    "generating": "writing",
    "computingEmbedding": "embedding",
}


def run(options: argparse.Namespace) -> int:
    """Print a line for each model; return 0.

    Raises:
        LMStudioError: The server cannot be asked.
    """
    with lms.Client(options.host) as client:
        loaded = with_infos(client.list_loaded_models())
        found = [(info, _state(model)) for model, info in loaded]
        if options.json:
            print_json([{**info.to_dict(), **state} for info, state in found])
        elif found:
            print_table(_HEADS, [_row(info, state) for info, state in found])
        else:
            downloaded = client.list_downloaded_models()
            key = downloaded[0].model_key if downloaded else "KEY"
            print(f"No model is loaded. Load one: {program_name()} load {key}", file=sys.stderr)
    return 0


def _state(model: Any) -> dict[str, Any]:
    """Return what a model does, as far as it is known."""
    try:
        state: dict[str, Any] = model.get_processing_state().to_dict()
    except (lms.LMStudioServerError, lms.LMStudioProtocolError):
        return {}  # an older LM Studio cannot say
    return state


def _row(info: Any, state: dict[str, Any]) -> tuple[object, ...]:
    status = state.get("status")
    return (
        info.identifier,
        info.model_key,
        _STATES.get(str(status), status),
        state.get("queued"),
        info.context_length or None,
        as_size(info.size_bytes),
        "never" if info.ttl_ms is None else f"after {as_duration(info.ttl_ms / 1000)} unused",
    )
