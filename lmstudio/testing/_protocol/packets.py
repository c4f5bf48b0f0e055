"""Pieces of messages that several endpoints read or write: config stacks and progress."""

from __future__ import annotations

from typing import Any


def merge_layers(stack: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the fields of a config stack; a later layer overrides an earlier one."""
    merged: dict[str, dict[str, Any]] = {}
    for layer in stack["layers"]:
        for field in layer["config"]["fields"]:
            merged[field["key"]] = field
    return list(merged.values())


def ratio(part: float, whole: float) -> float:
    """Return a part of a whole, from 0 to 1, the ends as JavaScript writes them."""
    return 1 if part >= whole else part / whole or 0


def progress_packet(processed: int, total: int, cached: int = 0) -> dict[str, Any]:
    """Return the packet that reports prompt processing."""
    return {
        "type": "promptProcessingProgress",
        "progress": ratio(processed, total),
        "details": {
            "cachedTokenCount": cached,
            "totalPromptTokenCount": total,
            "processedPromptTokenCount": processed,
            "unprocessedPromptTokenCount": total - processed,
        },
    }
