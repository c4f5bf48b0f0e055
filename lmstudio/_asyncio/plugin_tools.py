# Made by tests/api/make_asyncio.py out of _handles/plugin_tools.py.
"""`AsyncPluginTools`: a session with the tools of a plugin or an MCP server of LM Studio."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from types import TracebackType
from typing import Any, NoReturn, cast

import attrs

from .._agent.plugin_tool import PluginTool
from .._agent.tool_context import TakesContext, ToolCallContext
from .._api.backports import Self
from .._api.public import public
from .._concurrency import fork
from .._concurrency.cancel_token import CancelEvent, check_events
from .._concurrency.once import Once
from .._connection.call import END, WAKE
from .._connection.inner_call import ChannelInbox
from .._connection.limits import CallLimits, TimeLimit, call_limits
from .._connection.request import Request
from .._requests import plugins
from .._requests.plugins import ToolDescription, ToolReportCallback
from ..errors import (
    LMStudioChannelClosedError,
    LMStudioConnectionLostError,
    LMStudioRuntimeError,
    LMStudioServerError,
    LMStudioValueError,
)
from .inbox import LoopInbox, receiver
from .session import AsyncSession


class AsyncPluginTools:
    """The tools of a plugin or an MCP server, in a session with it: iterate over it for them.

    It is opened by ``async with``; then each step of an iteration gives a `PluginTool`, which
    `act()`
    takes beside functions. Several may run at once. LM Studio runs the plugin as long as the
    session is open. Leaving ``async with`` closes it, and so do an event of `cancel_event`,
    `cancel()`,
    dropping it with all its tools, and closing the client: tools that run are aborted, their calls
    raise `LMStudioCancelledError`.

    Endpoint: channel ``plugins/startToolUseSession``.

    Thread safety: the tasks of one event loop; `cancel` and `cancelled` anywhere, also in signal
    handlers and finalisers.

    Attributes:
        plugin_identifier: The plugin, as ``mcp/playwright``.
    """

    def __init__(
        self,
        session: AsyncSession,
        plugin_identifier: str,
        request: Request[list[ToolDescription]],
        limits: CallLimits,
    ) -> None:
        """Prepare a session; `AsyncClient.plugins` does.

        Raises:
            LMStudioValueError: A limit cannot be used.
        """
        self.plugin_identifier = plugin_identifier
        self._session = session
        self._request = request
        self._events = check_events(limits.get("cancel_event"))
        self._call = session.new_call(
            request.endpoint,
            request.parameter,
            timeout=limits.get("timeout", ...),
            idle_timeout=limits.get("idle_timeout", ...),
        )
        self._is_started = Once()
        self._tools: dict[str, ToolDescription] | None = None  # by name, once it is open

    def __repr__(self) -> str:
        """Say how far it is."""
        if not self._is_started:
            state = "not opened"
        elif self._call.claim:
            state = "closed"
        else:
            state = "opening" if self._tools is None else f"open, {len(self._tools)} tools"
        return f"<{type(self).__name__} of {self.plugin_identifier!r}: {state}>"

    def __reduce__(self) -> NoReturn:
        """Refuse to be pickled, with the words of what holds the connections."""
        self._session.__reduce__()

    async def __aenter__(self) -> Self:
        """Open it; see `open()` for what is raised."""
        return await self.open()

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close it."""
        await self.aclose()

    async def open(self) -> Self:
        """Start the plugin's tools, and wait until it has told which there are.

        What ``async with`` does; for a program that has no place for that, and awaits `aclose()`.
        If it is
        open already, nothing happens.

        Returns:
            The session itself.

        Raises:
            LMStudioServerError: There is no such plugin, LM Studio does not let this program use
                it, or it failed to start.
            LMStudioCancelledError: An event was set, or the client closed.
            LMStudioTimeoutError: A time limit passed; LM Studio was told to discard the session.
            LMStudioWebsocketError: The server cannot be reached, or the connection was lost.
            LMStudioRuntimeError: It was closed, or another task is opening it.
            LMStudioClientError: The client is closed.
        """
        if not self._is_started.set():
            self._check_open()
            return self
        call = self._call
        try:
            inbox = ChannelInbox(call, cast(Any, LoopInbox(asyncio.get_running_loop())))
            call.inbox = cast(Any, inbox)
            call.cancel_when_dropped(self)
            await self._session.async_start(call, self._events, has_inbox=True)
            receive = receiver(cast(Any, inbox.inbox), None)
            while not call.claim:  # as it is, too, when the end has come
                item = await receive()
                is_packet = item is not WAKE and item is not END and not call.claim
                if is_packet and item["type"] == plugins.READY:
                    self._tools = {tool.name: tool for tool in self._request.result(item)}
                    return self
            call.answer()
            raise LMStudioChannelClosedError(f"{call.endpoint.label} failed.")
        except BaseException as error:
            if not call.end_is_taken:
                call.cancel("interrupted")
            if isinstance(error, LMStudioServerError):
                plugins.explain_refusal(error)
            raise

    async def aclose(self) -> None:
        """Close it; it may be closed already. It never blocks."""
        if not self._call.end_is_taken:
            self._call.cancel("the session with the plugin was closed")

    def cancel(self, reason: Any = None) -> bool:
        """Close it, and end with the same reason what waits for it. It never blocks.

        Args:
            reason: Anything; it is found as `reason` on the errors of calls that it ends.

        Returns:
            True for the caller that closed it; False for all others, and after the end.
        """
        return self._call.cancel(reason)

    def cancelled(self) -> bool:
        """Return whether it was closed by this side."""
        return self._call.is_cancelled

    def __iter__(self) -> Iterator[PluginTool]:
        """Return an iterator over the tools, as the plugin has them.

        Raises:
            LMStudioRuntimeError: It was never open.
        """
        return iter([self._tool(description) for description in self._opened().values()])

    async def call_tool(
        self,
        name: str,
        arguments: Mapping[str, Any] | None = None,
        *,
        on_status: ToolReportCallback | None = None,
        on_warning: ToolReportCallback | None = None,
        cancel_event: CancelEvent = None,
        timeout: TimeLimit = ...,
        idle_timeout: TimeLimit = ...,
    ) -> Any:
        """Call a tool, and return what it returned, as JSON data. In `act()` the model does so.

        Args:
            name: The tool's name.
            arguments: Its arguments by name, as JSON data.
            on_status: Called on the event loop with what the tool says of how far it is.
            on_warning: Called on the event loop with what it says that it coped with.
            cancel_event: An event, or several, that abort the call; the session stays open.
            timeout: Seconds for the whole call; None: no limit.
            idle_timeout: Seconds in which nothing is heard of the call; None: no limit. For both,
                ``...`` is the client's own setting.

        Raises:
            LMStudioServerError: The tool failed.
            LMStudioChannelClosedError: LM Studio ended the session.
            LMStudioCancelledError: An event was set, or the session or the client was closed.
            LMStudioTimeoutError: A time limit passed; LM Studio was told to abort the call.
            LMStudioConnectionLostError: The connection was lost, and with it the session.
            LMStudioRuntimeError: The session is not open.
            LMStudioClientError: The client is closed.
            LMStudioValueError: There is no such tool, or an argument cannot be used.

        Endpoint: packet ``callTool`` of ``plugins/startToolUseSession``.
        """
        limits = call_limits(cancel_event, timeout, idle_timeout)
        return await self._call_tool(name, arguments, on_status, on_warning, limits)

    async def _call_tool(
        self,
        name: str,
        arguments: Mapping[str, Any] | None,
        on_status: ToolReportCallback | None,
        on_warning: ToolReportCallback | None,
        limits: CallLimits,
    ) -> Any:
        names = self._check_open()
        if name not in names:
            raise LMStudioValueError(
                f"{self.plugin_identifier!r} has no tool {name!r}, only: "
                f"{', '.join(map(repr, names)) or 'none'}."
            )
        gate = self._session.callback_gate
        request = plugins.call_tool(name, arguments, on_status, on_warning, gate)
        try:
            return await self._session.async_call(request, inside=self._call, **limits)
        except LMStudioConnectionLostError as error:
            plugins.explain_loss(error, self.plugin_identifier)
            raise

    def _opened(self) -> dict[str, ToolDescription]:
        """Return the tools, though it may be closed.

        Raises:
            LMStudioRuntimeError: It was never open.
        """
        if self._tools is None:
            raise LMStudioRuntimeError(
                f"The tools of {self.plugin_identifier!r} are known once the session with it is "
                f"open: async with client.plugins.tools({self.plugin_identifier!r}) as tools: ..."
            )
        return self._tools

    def _check_open(self) -> dict[str, ToolDescription]:
        """Return the tools.

        Raises:
            LMStudioClientError: The client is closed.
            LMStudioRuntimeError: It is not open.
        """
        self._session.check_open()
        tools, call = self._opened(), self._call
        fork.check_process(call.dispatcher.process, "session with a plugin")
        if call.is_cancelled:
            raise LMStudioRuntimeError(
                f"The session with {self.plugin_identifier!r} is closed: its tools run inside of "
                "`async with`. Open another one."
            )
        return tools

    def _tool(self, description: ToolDescription) -> PluginTool:
        return PluginTool(
            name=description.name,
            description=description.description,
            parameters_json_schema=description.parameters,
            implementation=_Implementation(self, description.name),
            plugin_identifier=self.plugin_identifier,
        )


@attrs.frozen
class _Implementation(TakesContext):
    """Calls a tool of a session, for `act()`: it is told of what the tool says, and aborts it."""

    tools: AsyncPluginTools
    name: str

    async def __call__(self, /, **arguments: Any) -> Any:
        context: ToolCallContext | None = arguments.pop(self.context_parameter, None)
        if context is None:
            return await self.tools.call_tool(self.name, arguments)
        # How long a tool may take in `act()`, its own limit says, by the token.
        limits = call_limits(context.cancel_token, None, None)
        return await self.tools._call_tool(
            self.name, arguments, context.status, context.warn, limits
        )


public(AsyncPluginTools)
