"""`LLM`: a handle of a loaded language model, for predictions, agents and templates."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from .._concurrency.cancel_token import CancelEvent, CancelToken, check_events
from .._concurrency.deadline import check_seconds
from .._config.options import LlmPredictionConfig
from .._config.to_wire import (
    config_stack,
    prediction_config_to_kv,
    wants_structured,
    with_tools,
)
from .._connection.session import CallLimits, Limit
from .._json.converter import camel_keys
from .._prediction.reader import PredictionCallbacks
from .._prediction.stream import PredictionStream
from .._values.chat import Chat
from .._values.messages import ChatHistoryDataDict, ToolCallRequest
from .._values.results import ActResult, LlmPredictionFragment, PredictionRoundResult
from ..errors import LMStudioPredictionError, LMStudioValueError
from .handle import read_answer
from .many import BatchMethods
from .predictions import chat_history, check_callbacks

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from .._agent.act import ActMessageCallback
    from .._agent.tool_calls import (
        GuardToolCallCallback,
        InvalidToolRequestHandler,
        ToolCallReportCallback,
    )
    from .._agent.tools import ToolDefinition

__all__ = ["LLM"]


class LLM(BatchMethods):
    """A handle of a loaded language model.

    Thread safety: all methods may be called from several threads at once.

    Attributes:
        identifier: The name of the loaded model, as `lms ps` shows it.
    """

    def apply_prompt_template(
        self,
        history: Chat | ChatHistoryDataDict | str,
        opts: Mapping[str, Any] = {},
        **limits: Unpack[CallLimits],
    ) -> str:
        """Return the text that the model would be given for a chat.

        Args:
            history: A `Chat`, a dict ``{"messages": [...]}``, or the text of a user message.
            opts: ``omitBosToken``, ``omitEosToken``, ``toolDefinitions``; in either spelling.
            **limits: `cancel_event`, `timeout`, `idle_timeout`.

        Endpoint: rpc ``applyPromptTemplate``.
        """
        parameter = {
            "history": chat_history(history),
            "predictionConfigStack": {"layers": []},
            "opts": camel_keys(opts),
        }
        result = self._call("applyPromptTemplate", parameter, limits)
        return read_answer(lambda answer: str(answer["formatted"]), result, "applyPromptTemplate")

    def act(
        self,
        chat: Chat | ChatHistoryDataDict | str,
        tools: Iterable[ToolDefinition],
        *,
        max_prediction_rounds: int | None = None,
        max_parallel_tool_calls: int | None = 1,
        config: LlmPredictionConfig | dict[str, Any] | None = None,
        preset: str | None = None,
        on_message: ActMessageCallback | None = None,
        on_first_token: Callable[[int], Any] | None = None,
        on_prediction_fragment: Callable[[LlmPredictionFragment, int], Any] | None = None,
        on_round_start: Callable[[int], Any] | None = None,
        on_round_end: Callable[[int], Any] | None = None,
        on_prediction_completed: Callable[[PredictionRoundResult], Any] | None = None,
        on_prompt_processing_progress: Callable[[float, int], Any] | None = None,
        handle_invalid_tool_request: InvalidToolRequestHandler | None = None,
        guard_tool_call: GuardToolCallCallback | None = None,
        on_tool_call_request_start: Callable[[int, str | None, int], Any] | None = None,
        on_tool_call_request_name_received: Callable[[int, str, int], Any] | None = None,
        on_tool_call_request_argument_fragment_generated: (
            Callable[[int, str, int], Any] | None
        ) = None,
        on_tool_call_request_end: Callable[[int, ToolCallRequest, int], Any] | None = None,
        on_tool_call_request_failure: (
            Callable[[int, LMStudioPredictionError, int], Any] | None
        ) = None,
        on_tool_call_status: ToolCallReportCallback | None = None,
        on_tool_call_warning: ToolCallReportCallback | None = None,
        tool_timeout: float | None = None,
        cancel_event: CancelEvent = None,
        timeout: Limit = ...,
        idle_timeout: Limit = ...,
    ) -> ActResult:
        """Let the model answer in a chat with the help of tools, in as many rounds as it needs.

        In each round the model answers, and the tools it asks for run, each in a thread of its own
        and as soon as its request is complete; the next round starts with their results. The chat
        that was given is not changed: `on_message` gets what is to be added to it.

        Endpoint: channel ``predict``, once for each round.

        Args:
            chat: A `Chat`, a dict ``{"messages": [...]}``, or the text of a user message.
            tools: Functions with annotations and a docstring, `ToolFunctionDef`,
                `RawFunctionTool`, or dicts like these. A parameter annotated `ToolCallContext`
                gets one.
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
            handle_invalid_tool_request: Called with an `LMStudioPredictionError` and the request,
                when a tool does not exist, cannot be given such arguments, or fails. What it
                returns is told to the model (None: the text of the error). It may raise. What the
                tool raised is the error's ``__cause__``. With no request (None), the error is
                raised in any case.
            guard_tool_call: Called with a `GuardToolCallController` before each tool call, which
                it may allow, change or deny.
            on_tool_call_request_start: These five are called as in `respond_stream()`, with the
                round as third argument; the numbers of calls go on over the rounds.
            on_tool_call_request_name_received: See there.
            on_tool_call_request_argument_fragment_generated: See there.
            on_tool_call_request_end: See there.
            on_tool_call_request_failure: See there.
            on_tool_call_status: Called with the number of a tool call, what the tool told
                `ToolCallContext.status()`, and the round.
            on_tool_call_warning: Likewise for `ToolCallContext.warn()`.
            tool_timeout: Seconds for each tool call; then its `cancel_token` is cancelled, the
                model is told so, and nobody waits for the tool any more. None: no limit.
            cancel_event: An event, or several, that stop all of it: the prediction, the tools that
                run (by their `cancel_token`), and what would come after them.
            timeout: Seconds for all of it; None: no limit.
            idle_timeout: Seconds of silence of the server during a prediction; None: no limit.

        Returns:
            The number of rounds, the time, and whether it was cancelled. After a cancel, tools that
            still run are awaited for the client's `cancel_grace` and then abandoned; each request
            without a result is answered with "cancelled".

        Raises:
            LMStudioPredictionError: A tool call cannot be read, or came in the last round.
            LMStudioTimeoutError: A time limit passed; `partial` holds the round's result so far.
            LMStudioServerError: LM Studio reported a problem.
            LMStudioWebsocketError: The server cannot be reached, or the connection was lost.
            LMStudioValueError: An argument cannot be used.
        """
        # Not needed by programs without tools, and a tenth of all that is imported otherwise.
        from .._agent.act import Act, ActCallbacks
        from .._agent.tool_calls import ToolRules
        from .._agent.tools import prepare_tools

        events = check_events(cancel_event)
        callbacks = ActCallbacks(
            on_message=on_message,
            on_first_token=on_first_token,
            on_prediction_fragment=on_prediction_fragment,
            on_round_start=on_round_start,
            on_round_end=on_round_end,
            on_prediction_completed=on_prediction_completed,
            on_prompt_processing_progress=on_prompt_processing_progress,
            on_tool_call_request_start=on_tool_call_request_start,
            on_tool_call_request_name_received=on_tool_call_request_name_received,
            on_tool_call_request_argument_fragment_generated=(
                on_tool_call_request_argument_fragment_generated
            ),
            on_tool_call_request_end=on_tool_call_request_end,
            on_tool_call_request_failure=on_tool_call_request_failure,
        )
        check_callbacks(callbacks)
        rules = ToolRules(
            tools=prepare_tools(tools),
            max_parallel=_check_count(max_parallel_tool_calls, "max_parallel_tool_calls"),
            timeout=check_seconds(tool_timeout, "tool_timeout"),
            guard_tool_call=guard_tool_call,
            handle_invalid_tool_request=handle_invalid_tool_request,
            on_tool_call_status=on_tool_call_status,
            on_tool_call_warning=on_tool_call_warning,
        )
        check_callbacks(rules)
        fields = prediction_config_to_kv(config)
        definitions = [tool.definition for tool in rules.tools.values()]
        with_all, without_any = (
            config_stack(with_tools(fields, offered)) for offered in (definitions, None)
        )

        def predict(
            history: dict[str, Any],
            callbacks: PredictionCallbacks,
            *,
            offer_tools: bool,
            cancel_event: CancelToken,
            since: float,
        ) -> PredictionStream:
            return self._predict(
                history,
                with_all if offer_tools else without_any,
                preset,
                callbacks,
                structured=wants_structured(fields),
                response_type=None,
                cancel_event=cancel_event,
                timeout=timeout,
                idle_timeout=idle_timeout,
                since=since,
            )

        act = Act(
            self._line,
            predict,
            Chat.from_history(chat),
            rules,
            callbacks,
            events=events,
            max_rounds=_check_count(max_prediction_rounds, "max_prediction_rounds"),
            timeout=self._line.check_timeout(timeout),
        )
        return act.run()


def _check_count(value: object, name: str) -> int | None:
    is_count = isinstance(value, int) and not isinstance(value, bool) and value >= 1
    if value is not None and not is_count:
        raise LMStudioValueError(f"{name} must be at least 1, or None; {value!r} was given.")
    return value  # type: ignore[return-value]
