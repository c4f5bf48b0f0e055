"""One call of a plugin's tool by a client, as the test sees it, and may answer it."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, Literal, TypeAlias, get_args

from .._protocol import argument_checks as checks
from .._protocol import names
from .._protocol.errors import serialize
from .._protocol.public import public
from .changes import Changes
from .channel import Channel
from .loop_thread import LoopThread

State: TypeAlias = Literal[
    "running", "complete", "failed", "aborted", "discarded", "connection lost"
]


@public
class ToolRun:
    """A call of a plugin's tool.

    Made by the server; found in `Server.tool_runs`, got from `Server.wait_tool_run`. Of a tool with
    `hold` the test says what happens: `status`, `warn`, then `complete` or `fail`. These return
    when the bytes were handed to the socket.

    Raises:
        AssertionError: (the methods that send) The run has ended.
        ConnectionError: (the methods that send) The client's connection is closed.
        TypeError: (the methods that send) A value is of the wrong type.

    Thread safety:
        Any thread.
    """

    def __init__(
        self,
        changes: Changes,
        loop: LoopThread,
        channel: Channel,
        plugin: str,
        call: dict[str, Any],
    ) -> None:
        self._changes = changes
        self._loop = loop
        self._channel = channel
        self._plugin = plugin
        self._call = call
        self._state: State = "running"
        self._on_end: Callable[[], object] | None = None

    @property
    def plugin(self) -> str:
        """Identifier of the plugin."""
        return self._plugin

    @property
    def name(self) -> str:
        """Name of the tool."""
        return str(self._call["name"])

    @property
    def arguments(self) -> dict[str, Any]:
        """The arguments, as the client sent them."""
        return dict(self._call.get("arguments") or {})

    @property
    def state(self) -> State:
        """Where it stands.

        "running", "complete", "failed" (the tool's error), "aborted" (by the client), "discarded"
        (by the client, with the whole session), or "connection lost".
        """
        return self._state

    @property
    def aborted(self) -> bool:
        """Whether the client has stopped it: this call alone, or the whole session."""
        return self._state in ("aborted", "discarded")

    def __repr__(self) -> str:
        return f"<ToolRun of {self.name!r} of {self._plugin!r}: {self._state}>"

    def status(self, text: str) -> None:
        """Say how far the tool is.

        Args:
            text: The words.
        """
        self._send("status", {"type": "toolCallStatus", "statusText": checks.text("text", text)})

    def warn(self, text: str) -> None:
        """Say what the tool coped with.

        Args:
            text: The words.
        """
        self._send("warn", {"type": "toolCallWarn", "warnText": checks.text("text", text)})

    def complete(self, result: Any = None) -> None:
        """End it with a result.

        Args:
            result: What the tool returns, as JSON data.
        """
        try:
            json.dumps(result, allow_nan=False)
        except (TypeError, ValueError, RecursionError) as problem:
            raise TypeError(f"the result must be fit for JSON: {problem}") from None
        self._send("complete", {"type": "toolCallComplete", "result": result}, "complete")

    def fail(self, title: str, **fields: Any) -> None:
        """End it with an error of the tool.

        Args:
            title: Title of the error.
            **fields: Other fields of the error, as `cause="..."`.
        """
        checks.text("the title of the error", title)
        fields = names.on_the_wire("field of an error", fields, names.ERROR_FIELDS)
        packet = {"type": "toolCallError", "error": serialize(title, **fields)}
        self._send("fail", packet, "failed")

    def wait(self, state: State, timeout: float = 5.0) -> ToolRun:
        """Wait until it has come to a state.

        Args:
            state: One of the values of `state`.
            timeout: Seconds.

        Returns:
            This run.

        Raises:
            AssertionError: It did not in time, or ended otherwise.
            ValueError: There is no such state.
        """
        checks.known("state of a tool's run", state, get_args(State))
        self._changes.wait(
            lambda: self._state in (state, *_ENDS),
            timeout,
            lambda: f"expected {state!r}, but this came: {self!r}",
        )
        if self._state != state:
            raise AssertionError(f"expected {state!r}, but this came: {self!r}")
        return self

    def send(self, packet: dict[str, Any], state: State | None = None) -> bool:
        """Send a packet about it, unless it has ended, which `state` does. Loop thread."""
        if self._state != "running":
            return False
        self._channel.send({**packet, "callId": self._call["callId"]})
        if state is not None:
            self.note_end(state)
        return True

    def note_end(self, state: State) -> None:
        """Record the end; only the first counts. Loop thread."""
        if self._state == "running":
            self._state = state
            self._changes.touch()
            if self._on_end is not None:
                self._on_end()

    def on_end(self, callback: Callable[[], object]) -> None:
        """Have something called at the end. Loop thread."""
        self._on_end = callback

    def _send(self, method: str, packet: dict[str, Any], state: State | None = None) -> None:
        if not self._loop.call(lambda: self.send(packet, state)):
            raise AssertionError(f"{method}() after the end: {self!r}")
        self._channel.connection.flush()


_ENDS = tuple(one for one in get_args(State) if one != "running")
