"""Runs one tool, in a thread of its own, and reports how it ended."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable
from typing import Any

from .._concurrency.cancel_token import CancelToken
from .._concurrency.threads import start_daemon
from .._json.annotations import json_default
from .tool_context import Report


def start_tool(
    implementation: Callable[..., Any],
    arguments: dict[str, Any],
    _token: CancelToken,
    report: Callable[[Report, Any], None],
) -> None:
    """Run a tool in a thread. It learns of a cancel by its token, and is left to itself then.

    Raises:
        LMStudioRuntimeError: Python starts no threads any more.
    """
    run = functools.partial(run_tool, implementation, arguments, report)
    start_daemon(run, "lmstudio-tool", refusal="No tool can be run")


def run_tool(
    implementation: Callable[..., Any],
    arguments: dict[str, Any],
    report: Callable[[Report, Any], None],
) -> None:
    """Run a tool here, and report how it ended."""
    try:
        content = content_of(implementation(**arguments))
    except BaseException as error:
        report(Report.FAILED, error)
    else:
        report(Report.ENDED, content)


def content_of(value: Any) -> str:
    """Return what the model is told of the value that a tool returned."""
    return json.dumps(value, ensure_ascii=False, default=json_default)
