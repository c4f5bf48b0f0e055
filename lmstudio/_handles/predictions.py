"""What a language model's handle does with one prediction: respond and complete."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import attrs

from .._concurrency.cancel_token import CancelEvent, check_events
from .._config.options import LlmPredictionConfig
from .._config.to_wire import (
    ResponseSchema,
    config_stack,
    prediction_config_to_kv,
    wants_structured,
)
from .._connection.endpoints import PREDICT
from .._connection.session import Limit
from .._json.from_json import response_class
from .._prediction.reader import (
    PredictionCallbacks,
    PredictionFirstTokenCallback,
    PredictionFragmentCallback,
    PredictionMessageCallback,
    PromptProcessingCallback,
)
from .._prediction.stream import PredictionStream
from .._prediction.tool_requests import (
    ToolCallRequestArgumentFragmentCallback,
    ToolCallRequestEndCallback,
    ToolCallRequestFailureCallback,
    ToolCallRequestNameCallback,
    ToolCallRequestStartCallback,
)
from .._values.chat import Chat
from .._values.messages import ChatHistoryDataDict
from .._values.results import PredictionResult
from ..errors import LMStudioValueError
from .handle import SyncModelHandle

if TYPE_CHECKING:
    from attrs import AttrsInstance

__all__ = ["PredictionMethods", "chat_history", "check_callbacks", "completion_history"]


class PredictionMethods(SyncModelHandle):
    """The part of `LLM` that makes single predictions.

    Thread safety: all methods may be called from several threads at once.
    """

    def respond_stream(
        self,
        history: Chat | ChatHistoryDataDict | str,
        *,
        response_format: ResponseSchema | None = None,
        config: LlmPredictionConfig | dict[str, Any] | None = None,
        preset: str | None = None,
        on_message: PredictionMessageCallback | None = None,
        on_first_token: PredictionFirstTokenCallback | None = None,
        on_prediction_fragment: PredictionFragmentCallback | None = None,
        on_prompt_processing_progress: PromptProcessingCallback | None = None,
        on_tool_call_request_start: ToolCallRequestStartCallback | None = None,
        on_tool_call_request_name_received: ToolCallRequestNameCallback | None = None,
        on_tool_call_request_argument_fragment_generated: (
            ToolCallRequestArgumentFragmentCallback | None
        ) = None,
        on_tool_call_request_end: ToolCallRequestEndCallback | None = None,
        on_tool_call_request_failure: ToolCallRequestFailureCallback | None = None,
        cancel_event: CancelEvent = None,
        timeout: Limit = ...,
        idle_timeout: Limit = ...,
    ) -> PredictionStream:
        """Prepare a reply in a chat, to be iterated over.

        Endpoint: channel ``predict``.

        Nothing is sent before the stream is started, iterated over or waited for.

        Args:
            history: A `Chat`, a dict ``{"messages": [...]}``, or the text of a user message.
            response_format: A JSON schema, or a class that gives one, for structured replies.
            config: Options of the prediction, as an object or a dict; names in camelCase or
                snake_case.
            preset: The name of a preset of LM Studio.
            on_message: Called with the whole reply as a message, for `Chat.append`.
            on_first_token: Called before the first fragment.
            on_prediction_fragment: Called with each fragment.
            on_prompt_processing_progress: Called with the share of the prompt that is processed,
                from 0 to 1.
            on_tool_call_request_start: Called with the number of a tool call (from 0) and its
                id or None, when the model begins to write it. Tools are offered by the option
                ``raw_tools``; here you call them yourself, in `act()` they are called for you.
            on_tool_call_request_name_received: Called with the number and the tool's name.
            on_tool_call_request_argument_fragment_generated: Called with the number and the next
                piece of the arguments' text, which need not be JSON.
            on_tool_call_request_end: Called with the number and the whole `ToolCallRequest`.
            on_tool_call_request_failure: Called with the number and an
                `LMStudioPredictionError`, instead of the end, if the call cannot be read.
            cancel_event: An event, or several, that stop the prediction: `threading.Event`,
                `CancelToken`, or anything with `is_set()`. It also acts while nobody iterates.
            timeout: Seconds for the whole prediction; None: no limit.
            idle_timeout: Seconds of silence of the server (progress counts); None: no limit.

        Returns:
            A stream. Callbacks run in the thread that iterates or waits, and what they raise
            stops the prediction and is raised there.

        Raises:
            LMStudioValueError: An argument cannot be used.
        """
        fields = prediction_config_to_kv(config, response_format)
        return self._predict(
            chat_history(history),
            config_stack(fields),
            preset,
            PredictionCallbacks(
                on_message=on_message,
                on_first_token=on_first_token,
                on_prediction_fragment=on_prediction_fragment,
                on_prompt_processing_progress=on_prompt_processing_progress,
                on_tool_call_request_start=on_tool_call_request_start,
                on_tool_call_request_name_received=on_tool_call_request_name_received,
                on_tool_call_request_argument_fragment_generated=(
                    on_tool_call_request_argument_fragment_generated
                ),
                on_tool_call_request_end=on_tool_call_request_end,
                on_tool_call_request_failure=on_tool_call_request_failure,
            ),
            structured=wants_structured(fields),
            response_type=response_class(response_format),
            cancel_event=cancel_event,
            timeout=timeout,
            idle_timeout=idle_timeout,
        )

    def respond(
        self,
        history: Chat | ChatHistoryDataDict | str,
        *,
        response_format: ResponseSchema | None = None,
        config: LlmPredictionConfig | dict[str, Any] | None = None,
        preset: str | None = None,
        on_message: PredictionMessageCallback | None = None,
        on_first_token: PredictionFirstTokenCallback | None = None,
        on_prediction_fragment: PredictionFragmentCallback | None = None,
        on_prompt_processing_progress: PromptProcessingCallback | None = None,
        on_tool_call_request_start: ToolCallRequestStartCallback | None = None,
        on_tool_call_request_name_received: ToolCallRequestNameCallback | None = None,
        on_tool_call_request_argument_fragment_generated: (
            ToolCallRequestArgumentFragmentCallback | None
        ) = None,
        on_tool_call_request_end: ToolCallRequestEndCallback | None = None,
        on_tool_call_request_failure: ToolCallRequestFailureCallback | None = None,
        cancel_event: CancelEvent = None,
        timeout: Limit = ...,
        idle_timeout: Limit = ...,
    ) -> PredictionResult:
        """Return a reply in a chat.

        Endpoint: channel ``predict``.

        The same as ``respond_stream(...).result()``; see there for the arguments. If it is
        cancelled it returns what was received, with `cancelled` set.

        Raises:
            LMStudioTimeoutError: A time limit passed; `partial` holds what was received.
            LMStudioServerError: LM Studio reported a problem.
            LMStudioWebsocketError: The server cannot be reached, or the connection was lost.
            LMStudioValueError: An argument cannot be used.
        """
        return self.respond_stream(
            history,
            response_format=response_format,
            config=config,
            preset=preset,
            on_message=on_message,
            on_first_token=on_first_token,
            on_prediction_fragment=on_prediction_fragment,
            on_prompt_processing_progress=on_prompt_processing_progress,
            on_tool_call_request_start=on_tool_call_request_start,
            on_tool_call_request_name_received=on_tool_call_request_name_received,
            on_tool_call_request_argument_fragment_generated=(
                on_tool_call_request_argument_fragment_generated
            ),
            on_tool_call_request_end=on_tool_call_request_end,
            on_tool_call_request_failure=on_tool_call_request_failure,
            cancel_event=cancel_event,
            timeout=timeout,
            idle_timeout=idle_timeout,
        ).result()

    def complete_stream(
        self,
        prompt: str,
        *,
        response_format: ResponseSchema | None = None,
        config: LlmPredictionConfig | dict[str, Any] | None = None,
        preset: str | None = None,
        on_message: PredictionMessageCallback | None = None,
        on_first_token: PredictionFirstTokenCallback | None = None,
        on_prediction_fragment: PredictionFragmentCallback | None = None,
        on_prompt_processing_progress: PromptProcessingCallback | None = None,
        cancel_event: CancelEvent = None,
        timeout: Limit = ...,
        idle_timeout: Limit = ...,
    ) -> PredictionStream:
        """Prepare a continuation of a text, without a chat.

        Endpoint: channel ``predict``.

        `prompt` is the text to continue; the other arguments, and what is returned, are those of
        `respond_stream()`.

        Raises:
            LMStudioValueError: An argument cannot be used.
        """
        history = completion_history(prompt)
        fields = prediction_config_to_kv(config, response_format)
        return self._predict(
            history,
            config_stack(fields, completion=True),
            preset,
            PredictionCallbacks(
                on_message=on_message,
                on_first_token=on_first_token,
                on_prediction_fragment=on_prediction_fragment,
                on_prompt_processing_progress=on_prompt_processing_progress,
            ),
            structured=wants_structured(fields),
            response_type=response_class(response_format),
            cancel_event=cancel_event,
            timeout=timeout,
            idle_timeout=idle_timeout,
        )

    def complete(
        self,
        prompt: str,
        *,
        response_format: ResponseSchema | None = None,
        config: LlmPredictionConfig | dict[str, Any] | None = None,
        preset: str | None = None,
        on_message: PredictionMessageCallback | None = None,
        on_first_token: PredictionFirstTokenCallback | None = None,
        on_prediction_fragment: PredictionFragmentCallback | None = None,
        on_prompt_processing_progress: PromptProcessingCallback | None = None,
        cancel_event: CancelEvent = None,
        timeout: Limit = ...,
        idle_timeout: Limit = ...,
    ) -> PredictionResult:
        """Return a continuation of a text, without a chat.

        Endpoint: channel ``predict``.

        The same as ``complete_stream(...).result()``; see `respond()` for what it raises.
        """
        return self.complete_stream(
            prompt,
            response_format=response_format,
            config=config,
            preset=preset,
            on_message=on_message,
            on_first_token=on_first_token,
            on_prediction_fragment=on_prediction_fragment,
            on_prompt_processing_progress=on_prompt_processing_progress,
            cancel_event=cancel_event,
            timeout=timeout,
            idle_timeout=idle_timeout,
        ).result()

    def _predict(
        self,
        history: dict[str, Any],
        stack: dict[str, Any],
        preset: str | None,
        callbacks: PredictionCallbacks,
        *,
        structured: bool,
        response_type: type | None,
        cancel_event: CancelEvent,
        timeout: Limit,
        idle_timeout: Limit,
        since: float | None = None,
    ) -> PredictionStream:
        check_callbacks(callbacks)
        events = check_events(cancel_event)  # now, not at the first use of the stream
        parameter: dict[str, Any] = {
            "modelSpecifier": self._specifier,
            "history": history,
            "predictionConfigStack": stack,
        }
        if preset is not None:
            parameter["fuzzyPresetIdentifier"] = preset
        line = self._line
        call = line.new_call(
            PREDICT, parameter, timeout=timeout, idle_timeout=idle_timeout, is_prediction=True
        )
        return PredictionStream(
            line,
            call,
            callbacks,
            cancel_event=events,
            since=since,
            structured=structured,
            response_type=response_type,
        )


def chat_history(history: Chat | ChatHistoryDataDict | str) -> dict[str, Any]:
    """Return a chat as JSON data.

    Raises:
        LMStudioValueError: It is no chat.
    """
    chat = history if isinstance(history, Chat) else Chat.from_history(history)
    return chat._to_wire()


def completion_history(prompt: str) -> dict[str, Any]:
    """Return the text that is to be continued as JSON data.

    Raises:
        LMStudioValueError: It is no text.
    """
    if not isinstance(prompt, str):
        raise LMStudioValueError(f"A completion prompt is a string; {prompt!r} was given.")
    return chat_history(prompt)


def check_callbacks(callbacks: AttrsInstance) -> None:
    """Check the fields of a class of callbacks.

    Raises:
        LMStudioValueError: One is no function.
    """
    for field in attrs.fields(type(callbacks)):
        callback = getattr(callbacks, field.name)
        is_callback = field.name.startswith(("on_", "guard_", "handle_"))
        if is_callback and callback is not None and not callable(callback):
            raise LMStudioValueError(f"{field.name} must be a function; {callback!r} was given.")
