"""What a user says of one `act()`: how tools are run, and what to call."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import attrs

from .._api.callbacks import callback_field
from .._values.messages import (
    AssistantResponse,
    ToolCallRequest,
    ToolCallResultData,
    ToolResultMessage,
)
from .._values.results import (
    LlmPredictionFragment,
    PredictionRoundResult,
    PromptProcessingDetails,
)
from ..errors import LMStudioPredictionError
from .tool_context import GuardToolCallController
from .tools import Tool

InvalidToolRequestHandler: TypeAlias = Callable[
    [LMStudioPredictionError, "ToolCallRequest | None"], "str | None"
]
"""Gets a tool call that cannot be made, as an error, and the request, or None if it cannot be read.

What it returns is told to the model instead of the error; None: the error is told. Without a
request, the error is raised in any case.
"""
GuardToolCallCallback: TypeAlias = Callable[[GuardToolCallController], Any]
"""Gets each tool call before it is made, and may allow, change or deny it."""
ToolCallReportCallback: TypeAlias = Callable[[int, str, int], Any]
"""Gets the number of a tool call, what the tool has told, and the number of the round."""
ToolCallResultCallback: TypeAlias = Callable[[int, ToolCallResultData, int], Any]
"""Gets the number of a tool call, its result, and the number of the round."""

ActMessageCallback: TypeAlias = Callable[["AssistantResponse | ToolResultMessage"], Any]
"""Gets each message that `act()` adds: a response of the model, or the results of tools."""


@attrs.frozen(kw_only=True)
class ActCallbacks:
    """What to call during `act()`, in its thread; most get the index of the round last."""

    on_message: ActMessageCallback | None = callback_field("message")
    on_first_token: Callable[[int], Any] | None = callback_field("round_index")
    on_prediction_fragment: Callable[[LlmPredictionFragment, int], Any] | None = callback_field(
        "fragment", "round_index"
    )
    on_round_start: Callable[[int], Any] | None = callback_field("round_index")
    on_round_end: Callable[[int], Any] | None = callback_field("round_index")
    on_prediction_completed: Callable[[PredictionRoundResult], Any] | None = callback_field(
        "round_result"
    )
    on_prompt_processing_progress: Callable[[float, int], Any] | None = callback_field(
        "progress", "round_index"
    )
    on_prompt_details: Callable[[PromptProcessingDetails, int], Any] | None = callback_field(
        "details", "round_index"
    )
    on_tool_call_request_start: Callable[[int, str | None, int], Any] | None = callback_field(
        "call_id", "tool_call_id", "round_index"
    )
    on_tool_call_request_name_received: Callable[[int, str, int], Any] | None = callback_field(
        "call_id", "name", "round_index"
    )
    on_tool_call_request_argument_fragment_generated: Callable[[int, str, int], Any] | None = (
        callback_field("call_id", "fragment", "round_index")
    )
    on_tool_call_request_end: Callable[[int, ToolCallRequest, int], Any] | None = callback_field(
        "call_id", "request", "round_index"
    )
    on_tool_call_request_failure: Callable[[int, LMStudioPredictionError, int], Any] | None = (
        callback_field("call_id", "error", "round_index")
    )


@attrs.frozen(kw_only=True)
class ToolRules:
    """How the tools of one `act()` are run.

    Attributes:
        tools: The tools by name; none in the last round that is allowed.
        max_parallel: How many run at once; None: all.
        timeout: Seconds for each call; None: no limit.
        guard_tool_call: Asked before a tool runs.
        handle_invalid_tool_request: Asked what to tell the model of a call that failed.
        on_tool_call_status: Called with what a tool says of itself.
        on_tool_call_warning: Likewise.
        on_tool_call_request_dequeued: Called when a call that had to wait has its turn.
        on_tool_call_request_finalized: Called when it is settled what a call will be made with.
        on_tool_call_success: Called with what a tool returned.
        on_tool_call_result: Called with what the model is told of a call.
    """

    tools: dict[str, Tool]
    max_parallel: int | None = 1
    timeout: float | None = None
    guard_tool_call: GuardToolCallCallback | None = callback_field("controller")
    handle_invalid_tool_request: InvalidToolRequestHandler | None = callback_field(
        "error", "request"
    )
    on_tool_call_status: ToolCallReportCallback | None = callback_field(
        "call_id", "text", "round_index"
    )
    on_tool_call_warning: ToolCallReportCallback | None = callback_field(
        "call_id", "text", "round_index"
    )
    on_tool_call_request_dequeued: Callable[[int, int], Any] | None = callback_field(
        "call_id", "round_index"
    )
    on_tool_call_request_finalized: Callable[[int, ToolCallRequest, int], Any] | None = (
        callback_field("call_id", "request", "round_index")
    )
    on_tool_call_success: ToolCallResultCallback | None = callback_field(
        "call_id", "result", "round_index"
    )
    on_tool_call_result: ToolCallResultCallback | None = callback_field(
        "call_id", "result", "round_index"
    )
