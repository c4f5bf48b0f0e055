"""Follows the tool calls that a model writes during one prediction, and reports each step."""

from __future__ import annotations

import json
from collections.abc import Callable
from types import NoneType
from typing import Any

from .._json.converter import structure
from .._json.whole import error_details, whole
from .._values.messages import ToolCallRequest
from ..errors import LMStudioPredictionError, LMStudioProtocolError
from .callbacks import PredictionCallbacks
from .halves import Halves


class ToolRequests:
    """The tool calls of one prediction; a model writes one at a time.

    Each step is reported as the server tells of it; but an end never comes without a start, a name
    and arguments, even if the server left those out.

    Thread safety: the thread that reads the prediction.
    """

    def __init__(
        self,
        callbacks: PredictionCallbacks,
        call_back: Callable[..., None],
        keep: Callable[[ToolCallRequest], bool],
    ) -> None:
        """Report by means of `call_back`; the first call gets the number 0.

        A whole request is given to `keep`; where that returns False, a cancel came first, and
        nothing more is reported.
        """
        self._callbacks = callbacks
        self._call_back = call_back
        self._keep = keep
        self._halves = Halves()  # of a character, in the arguments
        self._id = -1
        self._name_so_far: str | None = None
        self._is_open = self._has_arguments = False

    def take(self, packet: dict[str, Any]) -> None:
        """Take a packet whose type begins with ``toolCallGeneration``.

        Raises:
            LMStudioProtocolError: A request cannot be read.
        """
        kind = packet["type"].removeprefix("toolCallGeneration")
        if kind == "Start":
            self._start(packet.get("toolCallId"))
        elif kind == "NameReceived":
            self._name(packet.get("name"))
        elif kind == "ArgumentFragmentGenerated":
            self._argument_fragment(packet.get("content"))
        elif kind == "End":
            self._end(packet.get("toolCallRequest"), _text(packet.get("rawContent")))
        elif kind == "Failed":
            self._fail(packet.get("error"), _text(packet.get("rawContent")))

    def _report(self, callback: Callable[..., Any] | None, *details: Any) -> None:
        if callback is not None:
            self._call_back(callback, self._id, *details)

    def _start(self, tool_call_id: Any) -> None:
        self._id += 1
        self._halves = Halves()
        self._is_open, self._name_so_far, self._has_arguments = True, None, False
        self._report(self._callbacks.on_tool_call_request_start, _text(tool_call_id))

    def _name(self, name: Any) -> None:
        if isinstance(name, str):
            self._name_so_far = whole(name)
            callback = self._callbacks.on_tool_call_request_name_received
            self._report(callback, self._name_so_far)

    def _argument_fragment(self, content: Any) -> None:
        if isinstance(content, str):
            self._has_arguments = True
            callback = self._callbacks.on_tool_call_request_argument_fragment_generated
            self._report(callback, self._halves.join(content))

    def _end(self, data: Any, raw_content: str | None) -> None:
        if isinstance(data, dict) and not isinstance(data.get("arguments"), (dict, NoneType)):
            raise LMStudioProtocolError("Unexpected data: ToolCallRequest.arguments is no object.")
        request: ToolCallRequest = structure(whole(data), ToolCallRequest)
        if not self._keep(request):
            return
        if not self._is_open:
            self._start(request.id)
        if self._name_so_far is None:
            self._name(request.name)
        if not self._has_arguments:
            self._argument_fragment(json.dumps(request.arguments or {}, ensure_ascii=False))
        self._is_open = False
        self._report(self._callbacks.on_tool_call_request_end, request)
        self._report(self._callbacks.on_request, request, raw_content)

    def _fail(self, details: Any, raw_content: str | None) -> None:
        if not self._is_open:
            self._start(None)
        self._is_open = False
        error = LMStudioPredictionError(
            "Failed to parse tool call request",
            error_details(details),
            raw_content=raw_content,
            tool_name=self._name_so_far,
        )
        self._report(self._callbacks.on_tool_call_request_failure, error)


def _text(data: Any) -> str | None:
    return whole(data) if isinstance(data, str) else None
