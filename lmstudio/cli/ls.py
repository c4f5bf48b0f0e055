"""``lmstudio ls``: the models that are downloaded."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from typing import Any

import lmstudio as lms

from ._fits import with_infos
from ._name import program_name
from ._show import as_size, print_json, print_table

__all__ = ["run"]

_HEADS = ("KEY", "TYPE", "PARAMS", "QUANT", "SIZE", "CONTEXT", "TAKES", "LOADED")


def run(options: argparse.Namespace) -> int:
    """Print a line for each model, or for each variant; return 0.

    Raises:
        LMStudioError: The server cannot be asked.
    """
    with lms.Client(options.host) as client:
        models: list[Any] = list(client.list_downloaded_models())
        if options.variants:
            models = [one for model in models for one in _variants(model)]
        infos = [model.info for model in models]
        if options.json:
            print_json([info.to_dict() for info in infos])
            return 0
        if not infos:
            print(f"No model is there. Get one: {program_name()} download NAME", file=sys.stderr)
            return 0
        loaded = [info for _, info in with_infos(client.list_loaded_models())]
        identifiers = {
            info.model_key: [one.identifier for one in loaded if one.model_key == info.model_key]
            for info in infos
        }
        print_table(_HEADS, [_row(info, identifiers[info.model_key]) for info in infos])
    return 0


def _variants(model: Any) -> list[Any]:
    return list(model.variants()) if model.info.variants else [model]


def _row(info: Any, identifiers: list[str]) -> tuple[object, ...]:
    return (
        info.model_key,
        info.type,
        info.params_string,
        info.quantization and info.quantization.name,
        as_size(info.size_bytes),
        info.max_context_length or None,
        ", ".join(_features(info)),
        ", ".join(identifiers),
    )


def _features(info: Any) -> Iterator[str]:
    if getattr(info, "vision", False):
        yield "images"
    if getattr(info, "trained_for_tool_use", False):
        yield "tools"
