"""Runs one tool of an `AsyncLLM.act()`: a coroutine function on the loop, any other in a thread."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable
from typing import Any

from .._agent.tool_context import Report
from .._agent.tool_runs import content_of
from .._agent.tool_runs import start_tool as start_in_thread
from .._agent.tools import is_async
from .._concurrency.cancel_token import CancelToken

_tasks: set[asyncio.Task[None]] = set()  # a loop holds its tasks weakly


def start_tool(
    implementation: Callable[..., Any],
    arguments: dict[str, Any],
    token: CancelToken,
    report: Callable[[Report, Any], None],
) -> None:
    """Run a tool. A coroutine is cancelled with its token; a thread learns of that by its token.

    Raises:
        LMStudioRuntimeError: Python starts no threads any more.
    """
    if not is_async(implementation):
        start_in_thread(implementation, arguments, token, report)
        return
    loop = asyncio.get_running_loop()
    task = loop.create_task(_run(implementation, arguments, report))
    _tasks.add(task)
    task.add_done_callback(_tasks.discard)
    token.on_cancel(functools.partial(_cancel, loop, task))


def _cancel(loop: asyncio.AbstractEventLoop, task: asyncio.Task[None]) -> None:
    try:
        loop.call_soon_threadsafe(task.cancel)
    except RuntimeError:  # the loop is closed
        pass


async def _run(
    implementation: Callable[..., Any],
    arguments: dict[str, Any],
    report: Callable[[Report, Any], None],
) -> None:
    try:
        content = content_of(await implementation(**arguments))
    except BaseException as error:
        is_cancel = isinstance(error, asyncio.CancelledError)
        report(Report.FAILED, RuntimeError("The tool was cancelled.") if is_cancel else error)
        if is_cancel:
            raise
    else:
        report(Report.ENDED, content)
