# Made by tests/api/make_asyncio.py out of _agent/tool_calls.py.
"""Runs the tools that a model asks for in one round of `act()`, each call in a thread of its own.

A tool's thread ("lmstudio-tool") blocks where the tool does, and nobody ever joins it: it appends
a report, and wakes the thread in `act()`, which reads the inbox of the round's prediction anyway.
So everything here but the tools runs in that one thread, and needs no lock.
"""

from __future__ import annotations

import copy
import functools
import json
import logging
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Any, NamedTuple

import attrs

from .._agent.rules import GuardToolCallCallback, ToolRules
from .._agent.tool_context import GuardToolCallController, Report, ToolCallContext
from .._agent.tools import Tool
from .._concurrency.callback_gate import CallbackGate
from .._concurrency.cancel_token import attach
from .._concurrency.deadline import Deadline, DeadlinePassed
from .._connection.call import WAKE
from .._connection.scope import CancelScope, ScopedToken
from .._values.messages import ToolCallRequest, ToolCallResultData
from ..errors import (
    LMStudioCancelledError,
    LMStudioPredictionError,
    LMStudioRuntimeError,
    LMStudioTimeoutError,
    LMStudioValueError,
)
from .inbox import LoopInbox, receiver
from .tool_runs import start_tool

logger = logging.getLogger(__name__)

_LOOK_AGAIN = 1.0  # seconds after which a waiter looks at the tokens by itself
_CANCELLED = "cancelled"  # what the model is told of a call that has no result


class _ToolCall:
    """One call: what the model asked for, and what it is told."""

    __slots__ = ("content", "has_waited", "id", "is_left", "raw_content", "request", "run", "token")

    def __init__(self, call_id: int, request: ToolCallRequest, raw_content: str | None) -> None:
        self.id = call_id
        self.request = request
        self.raw_content = raw_content  # the model's own text
        self.content: str | None = None
        self.has_waited = False  # for others, before its turn
        self.is_left = False  # to whoever called act(): nobody here can make it
        self.run: Callable[[], None]
        self.token = ScopedToken()

    def error(self, words: str, cause: Exception | None = None) -> LMStudioPredictionError:
        """Return what the user's handler is told of a call that failed."""
        error = LMStudioPredictionError(
            words,
            raw_content=self.raw_content,
            tool_name=self.request.name,
            tool_arguments=self.request.arguments,
        )
        error.__cause__ = cause
        return error

    def result(self) -> ToolCallResultData:
        """Return what the model is told."""
        return ToolCallResultData(
            content=_CANCELLED if self.content is None else self.content,
            tool_call_id=self.request.id,
            name=self.request.name,
        )


class _ToolReport(NamedTuple):
    """What there is to tell of a call."""

    call: _ToolCall
    kind: Report
    value: Any


class AsyncToolCalls:
    """The tool calls of one round. Thread safety: the thread in `act()` only."""

    def __init__(
        self,
        rules: ToolRules,
        scope: CancelScope,
        gate: CallbackGate,
        round_index: int,
    ) -> None:
        """Prepare for a round. Its `inbox` is set before the first request comes.

        Args:
            rules: How tools are run.
            scope: The cancellation of the whole `act()`.
            gate: What the user's callbacks pass through.
            round_index: The round.
        """
        self._rules = rules
        self._scope = scope
        self._gate = gate
        self.inbox: LoopInbox  # which the thread in act() reads
        self._reports: deque[_ToolReport] = deque()  # appended by the threads of the tools
        self._round_index = round_index
        self._calls: list[_ToolCall] = []
        self._queue: deque[_ToolCall] = deque()
        self._running: dict[int, _ToolCall] = {}

    @property
    def requests(self) -> list[ToolCallRequest]:
        """What the model asked for, as far as it was let."""
        return [call.request for call in self._calls]

    @property
    def results(self) -> list[ToolCallResultData]:
        """A result for each request that is not left to others, in the same order."""
        return [call.result() for call in self._calls if not call.is_left]

    @property
    def left(self) -> list[ToolCallRequest]:
        """The requests that are left to whoever called `act()`, in their order."""
        return [call.request for call in self._calls if call.is_left]

    def add(self, call_id: int, request: ToolCallRequest, raw_content: str | None) -> None:
        """Take a request, and run its tool as soon as that is allowed.

        Raises:
            LMStudioRuntimeError: The guard decided nothing.
            BaseException: What a callback raised.
        """
        call = _ToolCall(call_id, request, raw_content)
        self._calls.append(call)
        tool = self._rules.tools.get(request.name)
        if tool is None:
            error = call.error(f"Cannot find tool with name {request.name}.")
            self._answer(call, self.refuse(error, request))
            return
        try:
            arguments = tool.read(request.arguments)
        except LMStudioValueError as problem:
            words = f"Failed to parse arguments for tool {request.name}: {problem}"
            self._answer(call, self.refuse(call.error(words, problem), request))
            return
        call.run = functools.partial(self._take_turn, call, tool, arguments)
        self._queue.append(call)
        self._start_queued()
        call.has_waited = bool(self._queue)  # the last in it is this one

    def take_reports(self, *, only_ends: bool = False) -> None:
        """Take what the threads of tools have reported until now.

        Raises:
            BaseException: What a callback raised, or a tool if it was no `Exception`.
        """
        # Those of now: a tool that never stops reporting must not keep this thread here.
        for _ in range(len(self._reports)):
            report = self._reports.popleft()
            if not only_ends or report.kind in (Report.ENDED, Report.FAILED):
                self._take(report)
        if self._reports:  # their threads may have counted on this one
            self.inbox.put(WAKE)

    def _take(self, report: _ToolReport) -> None:
        call, kind, value = report
        if call.id not in self._running:
            return  # its time was over before
        if kind is Report.ENDED:
            self._finish(call, value, is_success=True)
        elif kind is Report.FAILED:
            self._fail(call, value)
        elif kind is Report.STATUS:
            self._tell(self._rules.on_tool_call_status, call.id, value)
        elif kind is Report.WARNING:
            self._tell(self._rules.on_tool_call_warning, call.id, value)
        elif not self._scope.is_set():  # its time is over
            self._fail(call, LMStudioCancelledError())

    def _tell(self, callback: Callable[..., Any] | None, *arguments: Any) -> None:
        if callback is not None:
            self._gate.run(callback, *arguments, self._round_index)

    async def wait(self, deadline: Deadline) -> bool:
        """Wait until all tools have ended or all is cancelled; return False at the deadline."""
        while self._running and not self._scope.is_set():
            if not await self._take_next(deadline):
                return not self._running
            # A cancel() that Ctrl-C interrupted in another thread may never have come here.
            self._scope.follow_interrupted()
        return True

    async def settle(self, deadline: Deadline) -> None:
        """After a cancel: start nothing more, and give what runs until the deadline to end."""
        self._queue.clear()
        while self._running:
            if not await self._take_next(deadline):
                self.abandon()

    def answer_all(self) -> None:
        """After a cancel, when nothing runs any more: tell the model that all else is cancelled.

        Raises:
            BaseException: What a callback raised.
        """
        if self._scope.is_set():
            for call in self._calls:
                call.is_left = False
                if call.content is None:
                    self._answer(call, _CANCELLED)

    def abandon(self) -> None:
        """Wait for no tool any more, and keep nothing of what they report from now on."""
        for call in list(self._running.values()):
            call.token.retire()  # it was cancelled; it need not hold what cancelled it
        self._running.clear()
        self._queue.clear()
        self._reports.clear()

    async def _take_next(self, deadline: Deadline) -> bool:
        """Take what is reported next, or wait a while in vain; return False at the deadline."""
        if deadline.remaining() == 0:
            # What ended in time counts. A tool may say more than can be read: no word of that.
            self.take_reports(only_ends=True)
            return False
        with suppress(DeadlinePassed):
            receive = receiver(self.inbox, deadline.at_most(_LOOK_AGAIN))
            await receive()
        self.take_reports()
        return True

    def refuse(self, error: LMStudioPredictionError, request: ToolCallRequest | None) -> str:
        """Return what to tell the model of a call that failed; the user's handler has a say.

        Raises:
            LMStudioPredictionError: There is no request that could be answered.
            BaseException: What the handler raised.
        """
        handler = self._rules.handle_invalid_tool_request
        answer = None if handler is None else self._gate.run(handler, error, request)
        if request is None:
            fresh = error.fresh()  # the handler may have kept the other
            fresh.args = error.args if answer is None else (str(answer),)
            raise fresh
        return str(error) if answer is None else str(answer)

    # -- before a tool runs -------------------------------------------------------------------

    def _start_queued(self) -> None:
        limit = self._rules.max_parallel
        while self._queue and (limit is None or len(self._running) < limit):
            if self._scope.is_set():
                return
            self._queue.popleft().run()

    def _take_turn(self, call: _ToolCall, tool: Tool, arguments: dict[str, Any]) -> None:
        """Run a tool, unless the guard denies it, or it has to be run by others."""
        if call.has_waited:
            self._tell(self._rules.on_tool_call_request_dequeued, call.id)
        if self._rules.guard_tool_call is not None and not self._scope.is_set():
            arguments = self._ask(self._rules.guard_tool_call, call, tool, arguments)
        if call.content is None and not self._scope.is_set():
            self._tell(self._rules.on_tool_call_request_finalized, call.id, call.request)
        if call.content is not None or self._scope.is_set():
            return
        if tool.implementation is None:
            call.is_left = True
            return
        self._running[call.id] = call  # before its thread can report
        try:
            self._start(call, tool, tool.implementation, arguments)
        except LMStudioRuntimeError as error:  # Python starts no thread any more
            _raise_interrupt(error)
            self._fail(call, error)

    def _ask(
        self, guard: GuardToolCallCallback, call: _ToolCall, tool: Tool, arguments: dict[str, Any]
    ) -> dict[str, Any]:
        """Let the guard decide; a call that it denies is answered."""
        controller = GuardToolCallController(
            copy.deepcopy(call.request), call.id, self._round_index, self._scope
        )
        self._gate.run(guard, controller)
        if self._scope.is_set():
            return arguments  # it will not be started
        if controller._decision is None:
            raise LMStudioRuntimeError(
                "guard_tool_call returned without a decision: it has to call allow(), "
                "allow_and_override_parameters() or deny() of what it is given."
            )
        decision, detail = controller._decision
        if decision == "deny":
            self._answer(call, json.dumps({"error": detail}, ensure_ascii=False, default=str))
        elif decision == "override":
            call.request = attrs.evolve(call.request, arguments=detail)
            try:
                return tool.read(detail)
            except LMStudioValueError as error:
                raise LMStudioValueError(
                    f"guard_tool_call gave arguments that do not fit {tool.name}: {error}"
                ) from error
        return arguments

    def _start(
        self,
        call: _ToolCall,
        tool: Tool,
        implementation: Callable[..., Any],
        arguments: dict[str, Any],
    ) -> None:
        report = functools.partial(self._report, call)
        if self._rules.timeout is not None:
            call.token = ScopedToken.after(self._rules.timeout)
            # The thread that watches the clock only reports it; act()'s thread does the rest.
            call.token.on_cancel(functools.partial(report, Report.EXPIRED, None))
        attach(call.token, [self._scope])
        if tool.context_parameter is not None:
            arguments[tool.context_parameter] = ToolCallContext(
                call.id, self._round_index, call.token, report
            )
        start_tool(implementation, arguments, call.token, report)

    def _report(self, call: _ToolCall, kind: Report, value: Any) -> None:
        """Any thread: have something taken by `act()`, as long as it waits for the tool."""
        if call.id in self._running:  # else it may go on for ever, and nobody takes it
            self._reports.append(_ToolReport(call, kind, value))  # before it is woken
            # One marker is enough for many. Appended first, counted second, while who takes them
            # takes first and looks for more second: so none is left that nobody comes for.
            if len(self._reports) <= 1:
                self.inbox.put(WAKE)

    # -- after it -----------------------------------------------------------------------------

    def _answer(self, call: _ToolCall, content: str, *, is_success: bool = False) -> None:
        """Settle what the model is told of a call."""
        call.content = content
        if is_success:
            self._tell(self._rules.on_tool_call_success, call.id, call.result())
        self._tell(self._rules.on_tool_call_result, call.id, call.result())

    def _finish(self, call: _ToolCall, content: str, *, is_success: bool = False) -> None:
        self._retire(call)
        self._answer(call, content, is_success=is_success)
        self._start_queued()

    def _retire(self, call: _ToolCall) -> None:
        del self._running[call.id]
        call.token.retire()

    def _fail(self, call: _ToolCall, error: BaseException) -> None:
        if not isinstance(error, Exception):
            raise error
        if self._scope.is_set():
            self._finish(call, _CANCELLED)
            return
        is_late = self._rules.timeout is not None and call.token.is_set()
        if is_late and isinstance(error, LMStudioCancelledError):
            error = LMStudioTimeoutError(
                f"The tool did not end within tool_timeout={self._rules.timeout:g} s."
            )
        logger.debug("the tool %r failed", call.request.name, exc_info=error)
        self._retire(call)
        problem = call.error(f"Unhandled Python exception: {error!r}", error)
        words = self.refuse(problem, call.request)
        self._answer(call, json.dumps(words, ensure_ascii=False))
        self._start_queued()


def _raise_interrupt(error: BaseException | None) -> None:
    """Raise the Ctrl-C of which `threading` made another error, where it hit a lock of its own."""
    while error is not None:
        if isinstance(error, KeyboardInterrupt):
            raise error
        error = error.__context__
