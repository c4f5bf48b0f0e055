"""The callbacks of one prediction, and their types."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import attrs

from .._api.checks import check_functions
from .._values.messages import AssistantResponse, ToolCallRequest
from .._values.results import LlmPredictionFragment
from ..errors import LMStudioPredictionError

PredictionMessageCallback: TypeAlias = Callable[[AssistantResponse], Any]
PredictionFirstTokenCallback: TypeAlias = Callable[[], Any]
PredictionFragmentCallback: TypeAlias = Callable[[LlmPredictionFragment], Any]
PromptProcessingCallback: TypeAlias = Callable[[float], Any]
ToolCallRequestStartCallback: TypeAlias = Callable[[int, str | None], Any]
ToolCallRequestNameCallback: TypeAlias = Callable[[int, str], Any]
ToolCallRequestArgumentFragmentCallback: TypeAlias = Callable[[int, str], Any]
ToolCallRequestEndCallback: TypeAlias = Callable[[int, ToolCallRequest], Any]
ToolCallRequestFailureCallback: TypeAlias = Callable[[int, LMStudioPredictionError], Any]


@attrs.frozen(kw_only=True)
class PredictionCallbacks:
    """What to call while a prediction is read; in the reading thread, never in the I/O thread."""

    on_message: PredictionMessageCallback | None = None
    on_first_token: PredictionFirstTokenCallback | None = None
    on_prediction_fragment: PredictionFragmentCallback | None = None
    on_prompt_processing_progress: PromptProcessingCallback | None = None
    on_tool_call_request_start: ToolCallRequestStartCallback | None = None
    on_tool_call_request_name_received: ToolCallRequestNameCallback | None = None
    on_tool_call_request_argument_fragment_generated: (
        ToolCallRequestArgumentFragmentCallback | None
    ) = None
    on_tool_call_request_end: ToolCallRequestEndCallback | None = None
    on_tool_call_request_failure: ToolCallRequestFailureCallback | None = None
    on_wake: Callable[[], None] | None = None  # for act(): something woke the reader

    def __attrs_post_init__(self) -> None:
        """Refuse what is no function."""
        check_functions(**attrs.asdict(self, recurse=False))
