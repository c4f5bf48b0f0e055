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
PredictionFirstTokenCallback: TypeAlias = Callable[[], Any]
PredictionFragmentCallback: TypeAlias = Callable[[LlmPredictionFragment], Any]
PromptProcessingCallback: TypeAlias = Callable[[float], Any]
PromptDetailsCallback: TypeAlias = Callable[[PromptProcessingDetails], Any]
ToolCallRequestStartCallback: TypeAlias = Callable[[int, str | None], Any]
ToolCallRequestNameCallback: TypeAlias = Callable[[int, str], Any]
ToolCallRequestArgumentFragmentCallback: TypeAlias = Callable[[int, str], Any]
ToolCallRequestEndCallback: TypeAlias = Callable[[int, ToolCallRequest], Any]
ToolCallRequestFailureCallback: TypeAlias = Callable[[int, LMStudioPredictionError], Any]


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
