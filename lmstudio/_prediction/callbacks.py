"""The callbacks of one prediction, and their types."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import attrs

from .._api.callbacks import callback_field
from .._values.messages import AssistantResponse, ToolCallRequest
from .._values.results import LlmPredictionFragment, PromptProcessingDetails
from ..errors import LMStudioPredictionError

PredictionMessageCallback: TypeAlias = Callable[[AssistantResponse], Any]
"""Gets the whole reply as a message, when it is complete."""
PredictionFirstTokenCallback: TypeAlias = Callable[[], Any]
"""Is called before the first fragment."""
PredictionFragmentCallback: TypeAlias = Callable[[LlmPredictionFragment], Any]
"""Gets each fragment of the reply."""
PromptProcessingCallback: TypeAlias = Callable[[float], Any]
"""Gets the share of the prompt that is processed, from 0 to 1."""
PromptDetailsCallback: TypeAlias = Callable[[PromptProcessingDetails], Any]
"""Gets how many tokens the prompt has, and how many of them are processed."""
ToolCallRequestStartCallback: TypeAlias = Callable[[int, str | None], Any]
"""Gets the number of a tool call, from 0, and its id or None, when the model begins to write it."""
ToolCallRequestNameCallback: TypeAlias = Callable[[int, str], Any]
"""Gets the number of a tool call, and the name of the tool."""
ToolCallRequestArgumentFragmentCallback: TypeAlias = Callable[[int, str], Any]
"""Gets the number of a tool call, and the next piece of the text of its arguments."""
ToolCallRequestEndCallback: TypeAlias = Callable[[int, ToolCallRequest], Any]
"""Gets the number of a tool call, and the whole request."""
ToolCallRequestFailureCallback: TypeAlias = Callable[[int, LMStudioPredictionError], Any]
"""Gets the number of a tool call, and the error, if the call cannot be read."""


@attrs.frozen(kw_only=True)
class PredictionCallbacks:
    """What to call while a prediction is read; in the reading thread, never in the I/O thread."""

    on_message: PredictionMessageCallback | None = callback_field("message")
    on_first_token: PredictionFirstTokenCallback | None = callback_field()
    on_prediction_fragment: PredictionFragmentCallback | None = callback_field("fragment")
    on_prompt_processing_progress: PromptProcessingCallback | None = callback_field("progress")
    on_prompt_details: PromptDetailsCallback | None = callback_field("details")
    on_tool_call_request_start: ToolCallRequestStartCallback | None = callback_field(
        "call_id", "tool_call_id"
    )
    on_tool_call_request_name_received: ToolCallRequestNameCallback | None = callback_field(
        "call_id", "name"
    )
    on_tool_call_request_argument_fragment_generated: (
        ToolCallRequestArgumentFragmentCallback | None
    ) = callback_field("call_id", "fragment")
    on_tool_call_request_end: ToolCallRequestEndCallback | None = callback_field(
        "call_id", "request"
    )
    on_tool_call_request_failure: ToolCallRequestFailureCallback | None = callback_field(
        "call_id", "error"
    )
    # For act(): a whole request, with the model's own text of it; something woke the reader.
    on_request: Callable[[int, ToolCallRequest, str | None], None] | None = None
    on_wake: Callable[[], None] | None = None
