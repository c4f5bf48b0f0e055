# Made by tests/api/make_asyncio.py out of _agent/act.py.
"""`act()`: rounds of predictions, and the tools that they ask for, under one cancellation."""

from __future__ import annotations

import functools
import itertools
import logging
import queue
from collections.abc import Callable
from types import BuiltinFunctionType
from typing import Any

import attrs

from .._agent.rules import ActCallbacks, ActMessageCallback, ToolRules
from .._concurrency.cancel_token import check_events
from .._concurrency.clock import monotonic
from .._concurrency.deadline import Deadline
from .._connection.dispatcher import CLOSED_REASON
from .._connection.limits import CallLimits
from .._connection.scope import CancelScope
from .._prediction.callbacks import PredictionCallbacks
from .._prediction.request import PredictionOptions
from .._values.chat import Chat, told_again
from .._values.messages import AssistantResponse, TextData, ToolCallRequest, ToolResultMessage
from .._values.results import (
    ActResult,
    PredictionResult,
    PredictionRoundResult,
)
from ..errors import LMStudioClientError, LMStudioPredictionError, LMStudioTimeoutError
from .events import close_scope, open_scope
from .session import AsyncSession
from .stream import AsyncPredictionStream
from .tool_calls import AsyncToolCalls

logger = logging.getLogger(__name__)


class AsyncAct:
    """One run of `act()`.

    Thread safety: everything runs in the thread that called `act()`, except the tools, and the
    cancellation, which may come from anywhere.
    """

    def __init__(
        self,
        session: AsyncSession,
        specifier: dict[str, Any],
        options: PredictionOptions,
        chat: Chat,
        rules: ToolRules,
        callbacks: ActCallbacks,
        limits: CallLimits,
        *,
        max_rounds: int | None,
    ) -> None:
        """Prepare a run.

        Args:
            session: Who makes the predictions.
            specifier: Names the model, as JSON data.
            options: What each prediction is asked for; tools are added here.
            chat: The chat; it is added to.
            rules: How tools are run.
            callbacks: What to call.
            limits: What stops it; its `timeout` is for all of it.
            max_rounds: How many predictions are made at most; in the last no tool is offered.

        Raises:
            LMStudioValueError: A limit cannot be used.
        """
        self._session = session
        self._specifier = specifier
        self._with_tools = options.with_tools([t.definition for t in rules.tools.values()])
        self._without_tools = options.with_tools(None)
        self._chat = chat
        self._rules = rules
        self._callbacks = callbacks
        self._limits = limits
        self._max_rounds = max_rounds
        self._events = check_events(limits.get("cancel_event"))
        self._timeout = session.check_timeout(limits.get("timeout", ...))
        self._since = monotonic()
        self._deadline = Deadline(self._timeout)
        # The waker gets the inbox of each round's prediction.
        self._scope = CancelScope(session, queue.SimpleQueue())
        self._calls: AsyncToolCalls | None = None  # of the last round
        self._next_call_id = 0
        self._rounds = 0
        self._is_cancelled = False
        self._left: list[ToolCallRequest] = []  # to whoever called act()

    async def run(self) -> ActResult:
        """Run until the model asks for no more tools, or one of the events is set.

        Raises:
            LMStudioError: A round failed.
            BaseException: What a callback raised.
        """
        scope = self._scope
        try:
            await open_scope(scope, self._events)
            # Between two rounds nothing runs that a cancel could reach: it is looked for here.
            for index in itertools.count():
                if scope.is_set():
                    self._is_cancelled = True
                    break
                if not await self._round(index):
                    break
            scope.check_events()
        except BaseException:
            self._stop("act() was left by an exception")
            raise
        finally:
            try:
                close_scope(scope)
            finally:  # Ctrl-C may have interrupted it
                close_scope(scope)
                if self._calls is not None:
                    self._calls.abandon()
        return ActResult(
            rounds=self._rounds,
            total_time_seconds=monotonic() - self._since,
            cancelled=self._is_cancelled,
            cancel_reason=scope.reason if self._is_cancelled else None,
            pending_tool_calls=self._left,
        )

    async def _round(self, index: int) -> bool:
        """Make one prediction and run its tools; return whether another one has to follow."""
        is_last = index + 1 == self._max_rounds
        rules = attrs.evolve(self._rules, tools={}) if is_last else self._rules
        self._rounds = index + 1
        self._call_back(self._callbacks.on_round_start, index)
        calls = AsyncToolCalls(rules, self._scope, self._session.callback_gate, index)
        self._calls = calls
        stream = AsyncPredictionStream(
            self._session,
            self._without_tools if is_last else self._with_tools,
            self._specifier,
            self._chat._to_wire(),
            self._callbacks_of(index, calls),
            {**self._limits, "cancel_event": self._scope},
            since=self._since,
        )
        # Before the prediction starts: no tool runs yet that would report elsewhere.
        calls.inbox = stream._inbox
        self._scope.waker.inbox = stream._call.inbox
        try:
            result = await stream.wait_for_result()
        except LMStudioClientError:
            if index == 0 or stream._call.is_sent or not self._session.is_closed:
                raise
            self._stop(CLOSED_REASON)  # between two rounds, which ends the run normally
            self._rounds = index
            return True
        if result.cancelled:
            self._is_cancelled = True
            # Who cancelled it all runs the callbacks of the tools, which may take long.
            if self._scope._announce(result.cancel_reason):
                self._stop(result.cancel_reason)
        round_result = PredictionRoundResult.from_result(result, index)
        self._call_back(self._callbacks.on_prediction_completed, round_result)
        await self._wait_for(calls, result)
        calls.answer_all()
        self._tell(result, calls)
        self._call_back(self._callbacks.on_round_end, index)
        if calls.requests and is_last and not self._scope.is_set():
            words = "Model requested tool use on final prediction round."
            calls.refuse(LMStudioPredictionError(words), None)
        self._left = calls.left
        return bool(calls.requests) and not self._left and not result.cancelled

    async def _wait_for(self, calls: AsyncToolCalls, result: PredictionResult) -> None:
        if not await calls.wait(self._deadline):
            error = LMStudioTimeoutError(
                f"act() did not end within timeout={self._timeout:g} s: a tool was running."
            )
            error.partial = result
            raise error
        if self._scope.is_set():
            since = self._scope.waker.since.value or monotonic()
            await calls.settle(Deadline(max(0.0, since + self._session.cancel_grace - monotonic())))

    def _tell(self, result: PredictionResult, calls: AsyncToolCalls) -> None:
        """Give the messages of a round to `on_message`."""
        on_message = self._callbacks.on_message
        if calls.requests:
            requested = self._chat.add_assistant_response(result, calls.requests)
            requested._mark(result.reasoning_content, result.answer)
            results = calls.results
            answered = self._chat.add_tool_results(results) if results else None
            if on_message is not None:
                # Both in one, though close() shuts the gate in between, or a window's thread is
                # interrupted: that of `run_in_background()` is called by its queue.
                given = getattr(on_message, "given_callback", on_message)
                both = functools.partial(_tell_both, given, requested, answered)
                if given is on_message:
                    self._call_back(both)
                else:
                    self._call_back(on_message.func, both)  # type: ignore[attr-defined]
        elif result.content or not result.cancelled:
            message = AssistantResponse(content=[TextData(text=result.content)])
            message._mark(result.reasoning_content, result.answer)
            self._call_back(on_message, message)

    def _callbacks_of(self, index: int, calls: AsyncToolCalls) -> PredictionCallbacks:
        """Return the callbacks of one round's prediction."""
        callbacks = self._callbacks

        first = self._next_call_id  # tool calls are numbered over all rounds

        def with_index(callback: Callable[..., Any] | None) -> Any:
            return None if callback is None else lambda *arguments: callback(*arguments, index)

        def with_number(callback: Callable[..., Any] | None) -> Any:
            return None if callback is None else lambda at, what: callback(first + at, what, index)

        def start(at: int, tool_call_id: str | None) -> None:
            self._next_call_id = first + at + 1
            self._call_back(callbacks.on_tool_call_request_start, first + at, tool_call_id, index)

        def take(at: int, request: ToolCallRequest, raw_content: str | None) -> None:
            calls.add(first + at, request, raw_content)

        def failure(at: int, error: LMStudioPredictionError) -> None:
            self._call_back(callbacks.on_tool_call_request_failure, first + at, error, index)
            calls.refuse(error, None)

        return PredictionCallbacks(
            on_first_token=with_index(callbacks.on_first_token),
            on_prediction_fragment=with_index(callbacks.on_prediction_fragment),
            on_prompt_processing_progress=with_index(callbacks.on_prompt_processing_progress),
            on_prompt_details=with_index(callbacks.on_prompt_details),
            on_tool_call_request_start=start,
            on_tool_call_request_name_received=with_number(
                callbacks.on_tool_call_request_name_received
            ),
            on_tool_call_request_argument_fragment_generated=with_number(
                callbacks.on_tool_call_request_argument_fragment_generated
            ),
            on_tool_call_request_end=with_number(callbacks.on_tool_call_request_end),
            on_tool_call_request_failure=failure,
            on_request=take,
            on_wake=calls.take_reports,
        )

    def _call_back(self, callback: Callable[..., Any] | None, *arguments: Any) -> None:
        if callback is not None:
            self._session.callback_gate.run(callback, *arguments)

    def _stop(self, reason: Any) -> None:
        """Cancel what still runs."""
        try:
            self._scope.cancel(reason)
        except Exception:  # of a callback that a tool has registered
            logger.debug("a callback of a tool's cancel token failed", exc_info=True)


def _tell_both(
    on_message: ActMessageCallback,
    requested: AssistantResponse,
    answered: ToolResultMessage | None,
) -> None:
    """Tell of requests and of their results, if there are any, whatever happens in between.

    A chat with a request that is never answered could not go on. No function of ours stands between
    these lines, since Ctrl-C may come at the beginning of each.
    """
    try:
        try:
            on_message(requested)
        except KeyboardInterrupt:
            _tell_again(on_message, requested)
            raise
    finally:
        if answered is not None:
            try:
                on_message(answered)
            except KeyboardInterrupt:
                _tell_again(on_message, answered)
                raise


def _tell_again(
    on_message: ActMessageCallback, message: AssistantResponse | ToolResultMessage
) -> None:
    """Give a message a second time to a callback that Ctrl-C has interrupted.

    A chat takes it once. A function of C, such as `list.append`, cannot be interrupted.
    """
    function: Any = on_message
    while isinstance(function, functools.partial):
        function = function.func
    if not isinstance(function, BuiltinFunctionType):
        told_again[id(message)] = message
        try:
            on_message(message)
        except Exception:  # as of a chat that has it already
            logger.debug("on_message failed when it was called again", exc_info=True)
        finally:
            told_again.pop(id(message), None)
