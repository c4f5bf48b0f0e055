"""``lmstudio logs``: what the models are asked, and what they answer, until Ctrl-C."""

from __future__ import annotations

import argparse
import sys
import time
from typing import Any

import lmstudio as lms

from ._screen import clean, one_line
from ._show import as_json

__all__ = ["run"]


def run(options: argparse.Namespace) -> int:
    """Print each event as it comes; return 0 when the server has ended the log.

    Raises:
        KeyboardInterrupt: Ctrl-C came.
        LMStudioError: The server cannot be reached, or is gone.
    """
    with lms.Client(options.host) as client, client.diagnostics.stream_logs() as events:
        if sys.stderr.isatty():
            print(
                "What the models are asked and answer, from now on. Ctrl-C ends.", file=sys.stderr
            )
        for event in events:
            text = as_json(event.to_dict()) if options.json else _told(event.timestamp, event.data)
            print(text, flush=True)
    return 0


def _told(timestamp: float, data: Any) -> str:
    """Return an event for people: a line, and below it what was asked or answered, set in."""
    parts = [time.strftime("%H:%M:%S", time.localtime(timestamp / 1000)) if timestamp else "-"]
    if data.type == "llm.prediction.input":
        parts.append(f"{data.model_identifier} is asked:")
    elif data.type == "llm.prediction.output":
        parts.append(f"{data.model_identifier} answers{_speed(data.stats)}:")
    else:
        parts += [data.level or "", data.engine_name or data.type]
    text = data.input or data.output or data.content or data.message or ""
    body = "".join(f"\n    {line}" for line in clean(str(text)).splitlines())
    return one_line(" ".join(parts)) + body


def _speed(stats: Any) -> str:
    if stats is None or stats.predicted_tokens_count is None:
        return ""
    speed = stats.tokens_per_second
    shown = "" if speed is None else f", {speed:.1f}/s"
    return f" ({stats.predicted_tokens_count} tokens{shown})"
