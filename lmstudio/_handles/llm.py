"""`LLM`: a handle of a loaded language model: predictions, batches, agents, templates."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, Literal

import lmstudio  # in annotations: the names that need not be imported before they are used

from .._api.backports import TypeVar, Unpack
from .._api.checks import check_count, check_seconds
from .._api.public import public
from .._batch.options import BatchOptions, BatchProgress, BatchSettings, check_places
from .._concurrency.cancel_token import CancelEvent
from .._config.prediction_options import LlmPredictionConfig, LlmStructuredPredictionSetting
from .._connection.limits import CallLimits, TimeLimit, call_limits
from .._json.json_schema import DictSchema
from .._prediction.callbacks import (
    PredictionCallbacks,
    PredictionFirstTokenCallback,
    PredictionFragmentCallback,
    PredictionMessageCallback,
    PromptDetailsCallback,
    PromptProcessingCallback,
    ToolCallRequestArgumentFragmentCallback,
    ToolCallRequestEndCallback,
    ToolCallRequestFailureCallback,
    ToolCallRequestNameCallback,
    ToolCallRequestStartCallback,
)
from .._prediction.request import (
    PredictionOptions,
    chat_history,
    check_files,
    completion_history,
    raw_prompt,
)
from .._prediction.stream import PredictionStream
from .._requests import models
from .._values.chat import Chat
from .._values.messages import (
    AssistantResponse,
    ChatHistoryDataDict,
    ToolCallRequest,
    ToolCallResultData,
    ToolResultMessage,
)
from .._values.results import (
    ActResult,
    LlmPredictionFragment,
    PredictionResult,
    PredictionRoundResult,
    PromptProcessingDetails,
)
from ..errors import LMStudioPredictionError
from .handle import SyncModelHandle

if TYPE_CHECKING:
    from .._batch.hosts import Host
    from .._connection.scope import CancelScope

# The class that is given as `response_format`; None: there is none.
T = TypeVar("T", default=None)


class LLM(SyncModelHandle):
    """A handle of a loaded language model, as ``client.llm.model()`` returns one.

    `respond_stream()` and `respond()` reply in a chat (``help(lmstudio.Chat)``), `act()` with
    tools, `respond_many()` to many inputs. What they return is explained by
    ``help(lmstudio.PredictionStream)``, ``help(lmstudio.PredictionResult)``,
    ``help(lmstudio.ActResult)`` and ``help(lmstudio.Batch)``; the options that they take by
    ``help(lmstudio.LlmPredictionConfig)``.

    Thread safety: all methods may be called from several threads at once.

    Attributes:
        identifier: The name of the loaded model, as `lms ps` shows it.
    """

    # -- one prediction -----------------------------------------------------------------------

    def respond_stream(
        self,
        history: Chat | ChatHistoryDataDict | str,
        *,
        response_format: type[T] | LlmStructuredPredictionSetting | DictSchema | None = None,
        config: LlmPredictionConfig | lmstudio.LlmPredictionConfigDict | None = None,
        preset: str | None = None,
        tools: Iterable[lmstudio.ToolDefinition] | None = None,
        tool_choice: Literal["auto", "none", "required"] | None = None,
        on_message: PredictionMessageCallback | None = None,
        on_first_token: PredictionFirstTokenCallback | None = None,
        on_prediction_fragment: PredictionFragmentCallback | None = None,
        on_prompt_processing_progress: PromptProcessingCallback | None = None,
        on_prompt_details: PromptDetailsCallback | None = None,
        on_tool_call_request_start: ToolCallRequestStartCallback | None = None,
        on_tool_call_request_name_received: ToolCallRequestNameCallback | None = None,
        on_tool_call_request_argument_fragment_generated: (
            ToolCallRequestArgumentFragmentCallback | None
        ) = None,
        on_tool_call_request_end: ToolCallRequestEndCallback | None = None,
        on_tool_call_request_failure: ToolCallRequestFailureCallback | None = None,
        cancel_event: CancelEvent = None,
        timeout: TimeLimit = ...,
        idle_timeout: TimeLimit = ...,
    ) -> PredictionStream[T]:
        """Prepare a reply in a chat, to be iterated over.

        Endpoint: channel ``predict``.

        Nothing is sent before the stream is started, iterated over or waited for.

        Args:
            history: A `Chat`, a dict ``{"messages": [...]}``, or the text of a user message.
            response_format: A JSON schema, or a class that gives one, for structured replies.
            config: Options of the prediction, as an object or a dict; names in camelCase or
                snake_case.
            preset: The name of a preset of LM Studio.
            tools: Tools that the model may ask for, as in `act()`; here they are described only,
                and run by nobody: what it asks for is in `PredictionResult.tool_calls`. An empty
                list offers none; None: as the configuration says.
            tool_choice: Whether it is to call one: "auto" as it likes, "required", or "none".
                None: as the configuration says.
            on_message: Called with the whole reply as a message, for `Chat.append`; tool calls that
                it asks for are part of it, and have to be answered by `Chat.add_tool_results()`.
            on_first_token: Called before the first fragment.
            on_prediction_fragment: Called with each fragment.
            on_prompt_processing_progress: Called with the share of the prompt that is processed,
                from 0 to 1.
            on_prompt_details: Called with `PromptProcessingDetails`: how many tokens the prompt
                has, how many are processed, and how many need not be. Older servers do not say.
            on_tool_call_request_start: Called with the number of a tool call (from 0) and its
                id or None, when the model begins to write it.
            on_tool_call_request_name_received: Called with the number and the tool's name.
            on_tool_call_request_argument_fragment_generated: Called with the number and the next
                piece of the arguments' text, which need not be JSON.
            on_tool_call_request_end: Called with the number and the whole `ToolCallRequest`.
            on_tool_call_request_failure: Called with the number and an
                `LMStudioPredictionError`, instead of the end, if the call cannot be read.
            cancel_event: An event, or several, that stop the prediction: `threading.Event`,
                `CancelToken`, or anything with `is_set()`. It also acts while nobody iterates.
            timeout: Seconds for the whole prediction; None: no limit.
            idle_timeout: Seconds of silence of the server (progress counts); None: no limit. For
                both, ``...`` is the client's own setting.

        Returns:
            A stream. Callbacks run in the thread that iterates or waits, and what they raise
            stops the prediction and is raised there.

        Raises:
            LMStudioValueError: An argument cannot be used.
        """
        callbacks = PredictionCallbacks(
            on_message=on_message,
            on_first_token=on_first_token,
            on_prediction_fragment=on_prediction_fragment,
            on_prompt_processing_progress=on_prompt_processing_progress,
            on_prompt_details=on_prompt_details,
            on_tool_call_request_start=on_tool_call_request_start,
            on_tool_call_request_name_received=on_tool_call_request_name_received,
            on_tool_call_request_argument_fragment_generated=(
                on_tool_call_request_argument_fragment_generated
            ),
            on_tool_call_request_end=on_tool_call_request_end,
            on_tool_call_request_failure=on_tool_call_request_failure,
        )
        options = self._options(config, preset, response_format, tools, tool_choice)
        limits = call_limits(cancel_event, timeout, idle_timeout)
        return self._predict(options, chat_history(history), callbacks, limits)

    def respond(
        self,
        history: Chat | ChatHistoryDataDict | str,
        *,
        response_format: type[T] | LlmStructuredPredictionSetting | DictSchema | None = None,
        config: LlmPredictionConfig | lmstudio.LlmPredictionConfigDict | None = None,
        preset: str | None = None,
        tools: Iterable[lmstudio.ToolDefinition] | None = None,
        tool_choice: Literal["auto", "none", "required"] | None = None,
        on_message: PredictionMessageCallback | None = None,
        on_first_token: PredictionFirstTokenCallback | None = None,
        on_prediction_fragment: PredictionFragmentCallback | None = None,
        on_prompt_processing_progress: PromptProcessingCallback | None = None,
        on_prompt_details: PromptDetailsCallback | None = None,
        on_tool_call_request_start: ToolCallRequestStartCallback | None = None,
        on_tool_call_request_name_received: ToolCallRequestNameCallback | None = None,
        on_tool_call_request_argument_fragment_generated: (
            ToolCallRequestArgumentFragmentCallback | None
        ) = None,
        on_tool_call_request_end: ToolCallRequestEndCallback | None = None,
        on_tool_call_request_failure: ToolCallRequestFailureCallback | None = None,
        cancel_event: CancelEvent = None,
        timeout: TimeLimit = ...,
        idle_timeout: TimeLimit = ...,
    ) -> PredictionResult[T]:
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
        # The same arguments, whatever they are.
        return LLM.respond_stream(**locals()).wait_for_result()

    def complete_stream(
        self,
        prompt: str,
        *,
        response_format: type[T] | LlmStructuredPredictionSetting | DictSchema | None = None,
        config: LlmPredictionConfig | lmstudio.LlmPredictionConfigDict | None = None,
        preset: str | None = None,
        on_message: PredictionMessageCallback | None = None,
        on_first_token: PredictionFirstTokenCallback | None = None,
        on_prediction_fragment: PredictionFragmentCallback | None = None,
        on_prompt_processing_progress: PromptProcessingCallback | None = None,
        on_prompt_details: PromptDetailsCallback | None = None,
        cancel_event: CancelEvent = None,
        timeout: TimeLimit = ...,
        idle_timeout: TimeLimit = ...,
    ) -> PredictionStream[T]:
        """Prepare a continuation of a text, without a chat.

        Endpoint: channel ``predict``.

        `prompt` is the text to continue; the other arguments, and what is returned, are those of
        `respond_stream()`.

        Raises:
            LMStudioValueError: An argument cannot be used.
        """
        callbacks = PredictionCallbacks(
            on_message=on_message,
            on_first_token=on_first_token,
            on_prediction_fragment=on_prediction_fragment,
            on_prompt_processing_progress=on_prompt_processing_progress,
            on_prompt_details=on_prompt_details,
        )
        history = completion_history(prompt)
        options = self._options(config, preset, response_format, completion=True)
        limits = call_limits(cancel_event, timeout, idle_timeout)
        return self._predict(options, history, callbacks, limits)

    def complete(
        self,
        prompt: str,
        *,
        response_format: type[T] | LlmStructuredPredictionSetting | DictSchema | None = None,
        config: LlmPredictionConfig | lmstudio.LlmPredictionConfigDict | None = None,
        preset: str | None = None,
        on_message: PredictionMessageCallback | None = None,
        on_first_token: PredictionFirstTokenCallback | None = None,
        on_prediction_fragment: PredictionFragmentCallback | None = None,
        on_prompt_processing_progress: PromptProcessingCallback | None = None,
        on_prompt_details: PromptDetailsCallback | None = None,
        cancel_event: CancelEvent = None,
        timeout: TimeLimit = ...,
        idle_timeout: TimeLimit = ...,
    ) -> PredictionResult[T]:
        """Return a continuation of a text, without a chat.

        Endpoint: channel ``predict``.

        The same as ``complete_stream(...).result()``; see `respond()` for what it raises.
        """
        return LLM.complete_stream(**locals()).wait_for_result()

    def complete_raw_text_stream(
        self,
        prompt: str,
        *,
        response_format: type[T] | LlmStructuredPredictionSetting | DictSchema | None = None,
        config: LlmPredictionConfig | lmstudio.LlmPredictionConfigDict | None = None,
        preset: str | None = None,
        on_message: PredictionMessageCallback | None = None,
        on_first_token: PredictionFirstTokenCallback | None = None,
        on_prediction_fragment: PredictionFragmentCallback | None = None,
        on_prompt_processing_progress: PromptProcessingCallback | None = None,
        on_prompt_details: PromptDetailsCallback | None = None,
        cancel_event: CancelEvent = None,
        timeout: TimeLimit = ...,
        idle_timeout: TimeLimit = ...,
    ) -> PredictionStream[T]:
        """Prepare a continuation of a text by the endpoint that newer servers have for it.

        Endpoint: channel ``completeRawText``.

        The model is given the text as it is. `complete_stream()`, which every server knows, sends
        it as a chat with a template that lets it through. The arguments, and what is returned, are
        the same (see there); but tools and a reasoning budget, which exist in chats only, are
        refused, and only the `stop_strings` that `config` gives hold, none of a preset.

        Raises:
            LMStudioValueError: An argument cannot be used. An older server, which does not know
                the endpoint, is an `LMStudioServerError` when the stream is read.
        """
        callbacks = PredictionCallbacks(
            on_message=on_message,
            on_first_token=on_first_token,
            on_prediction_fragment=on_prediction_fragment,
            on_prompt_processing_progress=on_prompt_processing_progress,
            on_prompt_details=on_prompt_details,
        )
        text = raw_prompt(prompt)
        options = self._options(config, preset, response_format, raw_text=True)
        limits = call_limits(cancel_event, timeout, idle_timeout)
        return self._predict(options, text, callbacks, limits)

    def complete_raw_text(
        self,
        prompt: str,
        *,
        response_format: type[T] | LlmStructuredPredictionSetting | DictSchema | None = None,
        config: LlmPredictionConfig | lmstudio.LlmPredictionConfigDict | None = None,
        preset: str | None = None,
        on_message: PredictionMessageCallback | None = None,
        on_first_token: PredictionFirstTokenCallback | None = None,
        on_prediction_fragment: PredictionFragmentCallback | None = None,
        on_prompt_processing_progress: PromptProcessingCallback | None = None,
        on_prompt_details: PromptDetailsCallback | None = None,
        cancel_event: CancelEvent = None,
        timeout: TimeLimit = ...,
        idle_timeout: TimeLimit = ...,
    ) -> PredictionResult[T]:
        """Return a continuation of a text by the endpoint that newer servers have for it.

        Endpoint: channel ``completeRawText``.

        The same as ``complete_raw_text_stream(...).result()``, see there; and see `respond()` for
        what it raises.
        """
        return LLM.complete_raw_text_stream(**locals()).wait_for_result()

    # -- many predictions ---------------------------------------------------------------------

    def respond_many(
        self,
        inputs: Iterable[Any],
        *,
        max_parallel: int | None = None,
        ordered: bool = False,
        response_format: type[T] | LlmStructuredPredictionSetting | DictSchema | None = None,
        config: LlmPredictionConfig | lmstudio.LlmPredictionConfigDict | None = None,
        preset: str | None = None,
        tools: Iterable[lmstudio.ToolDefinition] | None = None,
        tool_choice: Literal["auto", "none", "required"] | None = None,
        cancel_event: CancelEvent = None,
        timeout: TimeLimit = ...,
        idle_timeout: TimeLimit = ...,
        progress: BatchProgress = None,
        **options: Unpack[BatchOptions],
    ) -> lmstudio.Batch[PredictionResult[T]]:
        """Return an iterator over the replies to many inputs, which are read as they are needed.

        Endpoint: channel ``predict``, once for each input.

        Args:
            inputs: An iterable of what `respond()` takes, or of what `to_prompt` makes that of. It
                is read in the iterating thread.
            max_parallel: How many predictions are under way at once. LM Studio itself answers as
                many at once as the model was loaded for, and queues the others. None: as many as
                that (4 if the server does not say), less what is queued there, but one at least;
                the batch asks for both, for the latter from time to time.
            ordered: Give the outcomes in the order of the inputs, not as they finish.
            response_format: A JSON schema, or a class that gives one, for structured replies.
            config: Options of the predictions, as in `respond()`.
            preset: The name of a preset of LM Studio.
            tools: Tools that the model may ask for, which nobody runs, as in `respond()`.
            tool_choice: Whether it is to call one, as in `respond()`.
            cancel_event: An event, or several, that stop all of it.
            timeout: Seconds for each prediction; None: no limit. (For all of them:
                ``cancel_event=CancelToken.after(seconds)``.)
            idle_timeout: Seconds of silence of the server in each; None: no limit. For both,
                ``...`` is the client's own setting.
            progress: ``"rich"`` or ``"tqdm"`` for a bar on stderr, by packages that you install; or
                a function of the `BatchNumbers`, or of the number of inputs that are done and of
                all (None if unknown).
            **options: `patience`: seconds that no server may be there before the batch ends with
                the connection's error (default 300; 0: at once; None: no limit). `retries`: how
                often an input is tried again after a server's error, a time limit or a structured
                reply that does not fit (default 0). `retry_if`: called with the `BatchOutcome`
                before that; if it is not true, that is the outcome. `journal`: a file, or a
                `BatchJournal`, that makes the batch resumable. `ahead`: how many inputs may be
                begun beyond the places, while an outcome before them is not given (default 1,000
                if `ordered`, else 3 for each place). `to_prompt`: called with an input; returns
                what is asked.

        Returns:
            A `Batch`: an iterator over pairs ``(index, result)`` or ``(index, error)``, each a
            `BatchOutcome`.

        Raises:
            LMStudioValueError: An argument cannot be used.
            LMStudioClientError: The client is closed.
            LMStudioRuntimeError: `cancel_event` cannot be watched, or another batch writes the
                journal.
            LMStudioOSError: The journal cannot be opened.
        """
        return self._many(
            inputs,
            chat_history,
            self._options(config, preset, response_format, tools, tool_choice),
            call_limits(cancel_event, timeout, idle_timeout),
            max_parallel=max_parallel,
            progress=progress,
            settings=BatchSettings(ordered=ordered, **options),
        )

    def complete_many(
        self,
        inputs: Iterable[Any],
        *,
        max_parallel: int | None = None,
        ordered: bool = False,
        response_format: type[T] | LlmStructuredPredictionSetting | DictSchema | None = None,
        config: LlmPredictionConfig | lmstudio.LlmPredictionConfigDict | None = None,
        preset: str | None = None,
        cancel_event: CancelEvent = None,
        timeout: TimeLimit = ...,
        idle_timeout: TimeLimit = ...,
        progress: BatchProgress = None,
        **options: Unpack[BatchOptions],
    ) -> lmstudio.Batch[PredictionResult[T]]:
        """Return an iterator over the continuations of many texts; see `respond_many()`.

        Endpoint: channel ``predict``, once for each input.
        """
        return self._many(
            inputs,
            completion_history,
            self._options(config, preset, response_format, completion=True),
            call_limits(cancel_event, timeout, idle_timeout),
            max_parallel=max_parallel,
            progress=progress,
            settings=BatchSettings(ordered=ordered, **options),
        )

    # -- what predictions start from ----------------------------------------------------------

    def get_base_prediction_config(self, **limits: Unpack[CallLimits]) -> LlmPredictionConfig:
        """Return the options of a prediction to which no `config` is given.

        Those are the model's own, and what is set for it in LM Studio.

        Endpoint: rpc ``getBasePredictionConfig``.
        """
        request = models.get_base_prediction_config(self._specifier)
        return self._session.call(request, **limits)

    def preload_draft_model(self, draft_model_key: str, **limits: Unpack[CallLimits]) -> None:
        """Load the draft model of later predictions now, so that the first does not wait for it.

        Args:
            draft_model_key: The key of the model, as in the option ``draft_model``.
            **limits: `cancel_event`, `timeout`, `idle_timeout`. A call that is stopped is only
                forgotten here: the server goes on loading.

        Raises:
            LMStudioModelNotFoundError: There is no such model, or this one is not loaded any more.
            LMStudioValueError: The key cannot be one.

        Endpoint: rpc ``preloadDraftModel``.
        """
        request = models.preload_draft_model(self._specifier, draft_model_key)
        self._session.call(request, **limits)

    # -- templates and agents -----------------------------------------------------------------

    def count_tokens(
        self, input: Chat | ChatHistoryDataDict | str, **limits: Unpack[CallLimits]
    ) -> int:
        """Return how many tokens a text or a chat is for this model.

        A chat is counted as the text that `apply_prompt_template()` makes of it, with the tokens
        of the template; its images are not counted.

        Args:
            input: A text, which is counted as it is; a `Chat`, or a dict ``{"messages": [...]}``.
            **limits: `cancel_event`, `timeout`, `idle_timeout`; of both calls together.

        Endpoint: rpc ``countTokens``; for a chat, ``applyPromptTemplate`` before it.
        """
        if isinstance(input, str):
            return super().count_tokens(input, **limits)
        template = models.apply_prompt_template(self._specifier, self._history(input))
        count = functools.partial(models.count_tokens, "llm", self._specifier)
        return self._session.call_two(template, count, **limits)

    def apply_prompt_template(
        self,
        history: Chat | ChatHistoryDataDict | str,
        opts: Mapping[str, Any] = {},
        **limits: Unpack[CallLimits],
    ) -> str:
        """Return the text that the model would be given for a chat.

        Args:
            history: A `Chat`, a dict ``{"messages": [...]}``, or the text of a user message.
            opts: ``omitBosToken`` and ``omitEosToken`` (True or False), ``toolDefinitions`` (a list
                of dicts like ``{"type": "function", "function": {...}}``); in either spelling.
            **limits: `cancel_event`, `timeout`, `idle_timeout`.

        Raises:
            LMStudioValueError: An argument cannot be used.

        Endpoint: rpc ``applyPromptTemplate``.
        """
        is_strict = self._session.strict_options
        request = models.apply_prompt_template(
            self._specifier, self._history(history), opts, is_strict
        )
        return self._session.call(request, **limits)

    def act(
        self,
        chat: Chat | ChatHistoryDataDict | str,
        tools: Iterable[lmstudio.ToolDefinition],
        *,
        max_prediction_rounds: int | None = None,
        max_parallel_tool_calls: int | None = 1,
        config: LlmPredictionConfig | lmstudio.LlmPredictionConfigDict | None = None,
        preset: str | None = None,
        on_message: Callable[[AssistantResponse | ToolResultMessage], Any] | None = None,
        on_first_token: Callable[[int], Any] | None = None,
        on_prediction_fragment: Callable[[LlmPredictionFragment, int], Any] | None = None,
        on_round_start: Callable[[int], Any] | None = None,
        on_round_end: Callable[[int], Any] | None = None,
        on_prediction_completed: Callable[[PredictionRoundResult], Any] | None = None,
        on_prompt_processing_progress: Callable[[float, int], Any] | None = None,
        on_prompt_details: Callable[[PromptProcessingDetails, int], Any] | None = None,
        handle_invalid_tool_request: (
            Callable[[LMStudioPredictionError, ToolCallRequest | None], str | None] | None
        ) = None,
        guard_tool_call: Callable[[lmstudio.GuardToolCallController], Any] | None = None,
        on_tool_call_request_start: Callable[[int, str | None, int], Any] | None = None,
        on_tool_call_request_name_received: Callable[[int, str, int], Any] | None = None,
        on_tool_call_request_argument_fragment_generated: (
            Callable[[int, str, int], Any] | None
        ) = None,
        on_tool_call_request_end: Callable[[int, ToolCallRequest, int], Any] | None = None,
        on_tool_call_request_failure: (
            Callable[[int, LMStudioPredictionError, int], Any] | None
        ) = None,
        on_tool_call_request_dequeued: Callable[[int, int], Any] | None = None,
        on_tool_call_request_finalized: Callable[[int, ToolCallRequest, int], Any] | None = None,
        on_tool_call_success: Callable[[int, ToolCallResultData, int], Any] | None = None,
        on_tool_call_result: Callable[[int, ToolCallResultData, int], Any] | None = None,
        on_tool_call_status: Callable[[int, str, int], Any] | None = None,
        on_tool_call_warning: Callable[[int, str, int], Any] | None = None,
        tool_timeout: float | None = None,
        cancel_event: CancelEvent = None,
        timeout: TimeLimit = ...,
        idle_timeout: TimeLimit = ...,
    ) -> ActResult:
        """Let the model answer in a chat with the help of tools, in as many rounds as it needs.

        In each round the model answers, and the tools it asks for run, each in a thread of its own
        and as soon as its request is complete; the next round starts with their results. The chat
        that was given is not changed: `on_message` gets what is to be added to it.

        Endpoint: channel ``predict``, once for each round.

        Args:
            chat: A `Chat`, a dict ``{"messages": [...]}``, or the text of a user message.
            tools: Functions with annotations and a docstring, `ToolFunctionDef`,
                `RawFunctionTool`, or dicts like these or like the tools of OpenAI's API; and those
                of a plugin or an MCP server: see `Client.plugins`. A parameter annotated
                `ToolCallContext` gets one. A call of a tool without an implementation ends the loop
                after its round, and is found in `ActResult.pending_tool_calls`.
            max_prediction_rounds: Rounds at most; in the last of them no tool is offered. None:
                no limit.
            max_parallel_tool_calls: Tools that run at once; None: all that are asked for.
            config: Options of the predictions, as in `respond()`.
            preset: The name of a preset of LM Studio.
            on_message: Called with each message, for `Chat.append`: a response with tool calls is
                followed by their results at once.
            on_first_token: Called with the index of the round, from 0.
            on_prediction_fragment: Called with each fragment and the round.
            on_round_start: Called with the round.
            on_round_end: Called with the round.
            on_prediction_completed: Called with the `PredictionRoundResult`; tools may still run.
            on_prompt_processing_progress: Called with a share from 0 to 1 and the round.
            on_prompt_details: Called with `PromptProcessingDetails` and the round.
            handle_invalid_tool_request: Called with an `LMStudioPredictionError` and the request,
                when a tool does not exist, cannot be given such arguments, or fails. What it
                returns is told to the model (None: the text of the error). It may raise. What the
                tool raised is the error's ``__cause__``. With no request (None), the error is
                raised in any case.
            guard_tool_call: Called with a `GuardToolCallController` when a call has its turn, just
                before its tool runs; it may allow, change or deny that.
            on_tool_call_request_start: These five are called as in `respond_stream()`, with the
                round as third argument; the numbers of calls go on over the rounds. What follows
                here comes after them for each call, in this order.
            on_tool_call_request_name_received: See there.
            on_tool_call_request_argument_fragment_generated: See there.
            on_tool_call_request_end: See there.
            on_tool_call_request_failure: See there.
            on_tool_call_request_dequeued: Called with the number of a tool call and the round, when
                it has its turn, if it had to wait for others (see `max_parallel_tool_calls`).
            on_tool_call_request_finalized: Called with the number, the `ToolCallRequest` and the
                round, right before the tool runs: after the guard, and with what that has changed.
                Also for a call that is left pending; not for one that was denied or is invalid.
            on_tool_call_success: Called with the number, the `ToolCallResultData` and the round,
                when the tool has returned.
            on_tool_call_result: Called with the number, the `ToolCallResultData` and the round, for
                whatever the model is told of a call, once for each that is not left pending: after
                a success; if the tool failed or was late, the call is invalid, or the guard denied
                it; and after a cancel. Not in the order of the calls.
            on_tool_call_status: Called with the number of a tool call, what the tool told
                `ToolCallContext.status()`, and the round.
            on_tool_call_warning: Likewise for `ToolCallContext.warn()`.
            tool_timeout: Seconds for each tool call; then its `cancel_token` is cancelled, the
                model is told so, and nobody waits for the tool any more. None: no limit.
            cancel_event: An event, or several, that stop all of it: the prediction, the tools that
                run (by their `cancel_token`), and what would come after them.
            timeout: Seconds for all of it; None: no limit.
            idle_timeout: Seconds of silence of the server during a prediction; None: no limit. For
                both, ``...`` is the client's own setting.

        Returns:
            The number of rounds, the time, whether it was cancelled, and the calls that are left
            pending. After a cancel, tools that still run are awaited for the client's
            `cancel_grace` and then abandoned; each request without a result is answered with
            "cancelled", and none is pending.

        Raises:
            LMStudioPredictionError: A tool call cannot be read, or came in the last round.
            LMStudioTimeoutError: A time limit passed; `partial` holds the round's result so far.
            LMStudioServerError: LM Studio reported a problem.
            LMStudioWebsocketError: The server cannot be reached, or the connection was lost.
            LMStudioValueError: An argument cannot be used.
        """
        # Not needed by programs without tools, and a tenth of all that is imported otherwise.
        from .._agent.act import Act
        from .._agent.rules import ActCallbacks, ToolRules
        from .._agent.tools import prepare_tools

        callbacks = ActCallbacks(
            on_message=on_message,
            on_first_token=on_first_token,
            on_prediction_fragment=on_prediction_fragment,
            on_round_start=on_round_start,
            on_round_end=on_round_end,
            on_prediction_completed=on_prediction_completed,
            on_prompt_processing_progress=on_prompt_processing_progress,
            on_prompt_details=on_prompt_details,
            on_tool_call_request_start=on_tool_call_request_start,
            on_tool_call_request_name_received=on_tool_call_request_name_received,
            on_tool_call_request_argument_fragment_generated=(
                on_tool_call_request_argument_fragment_generated
            ),
            on_tool_call_request_end=on_tool_call_request_end,
            on_tool_call_request_failure=on_tool_call_request_failure,
        )
        rules = ToolRules(
            tools=prepare_tools(tools),
            max_parallel=check_count(max_parallel_tool_calls, "max_parallel_tool_calls"),
            timeout=check_seconds(tool_timeout, "tool_timeout"),
            guard_tool_call=guard_tool_call,
            handle_invalid_tool_request=handle_invalid_tool_request,
            on_tool_call_status=on_tool_call_status,
            on_tool_call_warning=on_tool_call_warning,
            on_tool_call_request_dequeued=on_tool_call_request_dequeued,
            on_tool_call_request_finalized=on_tool_call_request_finalized,
            on_tool_call_success=on_tool_call_success,
            on_tool_call_result=on_tool_call_result,
        )
        return Act(
            self._session,
            self._specifier,
            self._options(config, preset),
            Chat.from_history(chat),
            rules,
            callbacks,
            call_limits(cancel_event, timeout, idle_timeout),
            max_rounds=check_count(max_prediction_rounds, "Max prediction rounds"),
        ).run()

    # -- how all of these do it ---------------------------------------------------------------

    def _history(self, history: Chat | ChatHistoryDataDict | str) -> dict[str, Any]:
        data = chat_history(history)
        check_files(data, self._session.inherited_uploads)
        return data

    def _options(
        self,
        config: LlmPredictionConfig | lmstudio.LlmPredictionConfigDict | None,
        preset: str | None,
        response_format: Any = None,
        tools: Iterable[lmstudio.ToolDefinition] | None = None,
        tool_choice: str | None = None,
        *,
        completion: bool = False,
        raw_text: bool = False,
    ) -> PredictionOptions:
        options = PredictionOptions.read(
            config,
            preset,
            response_format,
            completion=completion,
            raw_text=raw_text,
            is_strict=self._session.strict_options,
        )
        if tools is None and tool_choice is None:
            return options
        # Not needed by programs without tools.
        from .._agent.tools import described

        return options.offering(None if tools is None else described(tools), tool_choice)

    def _predict(
        self,
        options: PredictionOptions,
        history: dict[str, Any],
        callbacks: PredictionCallbacks,
        limits: CallLimits,
    ) -> PredictionStream[Any]:
        return PredictionStream(self._session, options, self._specifier, history, callbacks, limits)

    def _many(
        self,
        inputs: Iterable[Any],
        to_history: Callable[[Any], dict[str, Any]],
        options: PredictionOptions,
        limits: CallLimits,
        *,
        max_parallel: int | None,
        progress: Any,
        settings: BatchSettings,
        others: Iterable[LLM] = (),
    ) -> lmstudio.Batch[PredictionResult[Any]]:
        # Not needed by most programs.
        from .._batch.batch import Batch
        from .._batch.calls import Predictions

        places = check_places(max_parallel)
        return Batch(
            [model._batch_host(options, limits, places) for model in (self, *others)],
            Predictions(options, to_history),
            inputs,
            settings,
            limits=limits,
            progress=progress,
        )

    def _batch_host(
        self, options: PredictionOptions, limits: CallLimits, places: int | None
    ) -> Host[PredictionResult[Any]]:
        from .._batch.calls import PredictionRun
        from .._batch.hosts import Host
        from .._batch.inquiry import Inquiry

        specifier = self._specifier  # one that is refused is told here, not for each input

        def begin(history: Any, scope: CancelScope) -> PredictionRun:
            own: CallLimits = {**limits, "cancel_event": scope}
            return PredictionRun(self._session, options, specifier, history, own)

        inquiry = None
        if places is None:
            state = models.get_processing_state("llm", specifier)
            inquiry = Inquiry(models.get_places(specifier), state)
        return Host(self._session, self._host, places, begin, inquiry)


public(LLM)
