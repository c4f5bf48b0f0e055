"""The namespace `plugins`: sessions with the tools of plugins."""

from __future__ import annotations

import asyncio
import functools
from typing import Any

from .._core.channel import Channel
from .._core.core import Core
from .._core.tool_run import ToolRun
from .._engines.plugins import Plugin, Tool
from .._protocol.errors import EndpointError


async def start_tools(core: Core, channel: Channel, parameter: dict[str, Any]) -> None:
    """Serve `startToolUseSession` until the client discards the session."""
    plugin = _find(core, parameter)
    if await channel.sleep(plugin.start_time):
        return
    if plugin.start_error is not None:
        raise EndpointError(plugin.start_error)
    session = _ToolSession(core, channel, plugin)
    channel.on_message = session.arrived
    definitions = [tool.definition() for tool in plugin.tools]
    channel.send({"type": "sessionReady", "toolDefinitions": definitions})
    try:
        await channel.cancelled.wait()
        session.end("discarded")
    finally:  # the task was cancelled: the connection is gone, or the server closes
        session.end("connection lost")


def _find(core: Core, parameter: dict[str, Any]) -> Plugin:
    identifier = parameter["pluginIdentifier"]
    if parameter["pluginConfigSpecifier"]["type"] != "direct":
        raise EndpointError("Cannot find the prediction process.")
    found = [one for one in core.options.plugins if one.identifier == identifier]
    if not found:
        others = ", ".join(one.identifier for one in core.options.plugins) or "none"
        raise EndpointError(
            f'Cannot find a plugin with identifier "{identifier}"',
            suggestion=f"The plugins: {others}. A test gives others by Server(plugins=[...]).",
        )
    if not found[0].permitted:
        raise EndpointError(
            f"Permission denied to use plugin '{identifier}'. Ensure that the server configuration "
            "allows local integrations and that your API token has the necessary permissions."
        )
    return found[0]


class _ToolSession:
    """The runs of one session. The loop thread alone."""

    def __init__(self, core: Core, channel: Channel, plugin: Plugin) -> None:
        self._core = core
        self._channel = channel
        self._plugin = plugin
        self._runs: dict[float, ToolRun] = {}

    def arrived(self, packet: dict[str, Any]) -> None:
        """Take a packet of the client."""
        if packet["type"] == "callTool":
            self._start(packet)
        elif packet["type"] == "abortToolCall" and packet["callId"] in self._runs:
            self._runs[packet["callId"]].note_end("aborted")  # nothing more is said of it

    def end(self, state: Any) -> None:
        """End all that runs."""
        for run in list(self._runs.values()):
            run.note_end(state)

    def _start(self, packet: dict[str, Any]) -> None:
        core, number = self._core, packet["callId"]
        run = ToolRun(core.changes, core.loop, self._channel, self._plugin.identifier, packet)
        core.journal.tool_runs.append(run)
        core.changes.touch()
        tools = [tool for tool in self._plugin.tools if tool.name == packet["name"]]
        if not tools:
            run.fail(f"Tool {packet['name']} not found.")
            return
        task = asyncio.ensure_future(_play(core, tools[0], run))
        self._runs[number] = run

        def ended() -> None:
            if self._runs.get(number) is run:
                del self._runs[number]
            if task is not asyncio.current_task():
                task.cancel()

        run.on_end(ended)


async def _play(core: Core, tool: Tool, run: ToolRun) -> None:
    """Say what a tool says, and end its run."""
    for text in tool.warnings:
        run.send({"type": "toolCallWarn", "warnText": text})
    part = tool.delay / max(1, len(tool.status))
    for text in tool.status:
        run.send({"type": "toolCallStatus", "statusText": text})
        await asyncio.sleep(part)
    if not tool.status:
        await asyncio.sleep(part)
    if tool.hold:
        return
    if tool.error is not None:
        run.fail(tool.error)
        return
    result = tool.result
    if tool.implementation is not None:
        call = functools.partial(tool.implementation, **run.arguments)
        try:
            result = await core.workers.run(call, "tool")
        except Exception as problem:
            run.fail(str(problem) or type(problem).__name__)
            return
    try:
        run.complete(result)
    except TypeError as problem:
        run.fail(str(problem))
