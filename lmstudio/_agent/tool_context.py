"""What a running tool is told and may say, and how a guard decides about one."""

from __future__ import annotations

import enum
import logging
from collections.abc import Callable, Mapping
from typing import Any

from .._api.public import public
from .._api.shown import shown
from .._concurrency.cancel_token import CancelToken
from .._json.annotations import to_json_data
from .._values.messages import ToolCallRequest
from ..errors import LMStudioRuntimeError, LMStudioValueError

logger = logging.getLogger(__name__)


class Report(enum.Enum):
    """What the thread of a tool, or its time limit, tells `act()`."""

    ENDED = "the tool returned"
    FAILED = "the tool raised"
    EXPIRED = "its time is over"
    STATUS = "how far it is"
    WARNING = "what it coped with"


class ToolCallContext:
    """What a running tool is told, and what it may say; for a parameter with this annotation.

    ::

        def search(query: str, context: lmstudio.ToolCallContext) -> str:
            \"\"\"Search the files.\"\"\"
            context.status("reading the index")
            context.cancel_token.raise_if_cancelled()

    The model does not see the parameter, nor what is said here.

    Thread safety: all threads, also those that the tool starts.

    Attributes:
        call_id: The number of the call, unique in one `act()`.
        round_index: The round of predictions that asked for it, from 0.
        cancel_token: Cancelled when `act()` is, and when the tool's time is over. Wait with
            ``cancel_token.wait(seconds)``, or register ``cancel_token.on_cancel(callback)``.
    """

    __slots__ = ("_report", "call_id", "cancel_token", "round_index")

    def __init__(
        self,
        call_id: int,
        round_index: int,
        cancel_token: CancelToken,
        report: Callable[[Report, str], object],
    ) -> None:
        """Tell a tool about its call; `act()` makes contexts.

        Args:
            call_id: The number of the call.
            round_index: The round that asked for it.
            cancel_token: What the tool should look at.
            report: Called with the kind of report and the text.
        """
        self.call_id: int = call_id
        self.round_index: int = round_index
        self.cancel_token: CancelToken = cancel_token
        self._report = report

    def status(self, text: str) -> None:
        """Say how far the tool is; `act()` passes it to `on_tool_call_status`."""
        logger.debug("tool call %d: status %r", self.call_id, text)
        self._report(Report.STATUS, text)

    def warn(self, text: str) -> None:
        """Say that something went wrong that the tool coped with; see `on_tool_call_warning`."""
        logger.debug("tool call %d: warning %r", self.call_id, text)
        self._report(Report.WARNING, text)


class TakesContext:
    """An implementation that takes its context under a name that no argument of a tool has."""

    __slots__ = ()
    context_parameter = "lmstudio.ToolCallContext"


class GuardToolCallController:
    """One tool call that waits for permission: call `allow`, `deny`, or the third method, once.

    Thread safety: for the callback `guard_tool_call`, in its thread.

    Attributes:
        tool_call_request: What the model asks for.
        call_id: The number of the call, unique in one `act()`.
        round_index: The round of predictions that asked for it, from 0.
        cancel_token: Cancelled when `act()` is; for a guard that waits for a person.
    """

    def __init__(
        self,
        tool_call_request: ToolCallRequest,
        call_id: int,
        round_index: int,
        cancel_token: CancelToken,
    ) -> None:
        """Ask about a call; `act()` makes controllers."""
        self.tool_call_request = tool_call_request
        self.call_id = call_id
        self.round_index = round_index
        self.cancel_token = cancel_token
        self._decision: tuple[str, Any] | None = None

    def allow(self) -> None:
        """Let the tool run.

        Raises:
            LMStudioRuntimeError: It was decided before.
        """
        self._decide("allow", None)

    def allow_and_override_parameters(self, new_parameters: Mapping[str, Any]) -> None:
        """Let the tool run with other arguments; the chat will show these.

        Raises:
            LMStudioRuntimeError: It was decided before.
            LMStudioValueError: They are no mapping, or JSON has no form for one.
        """
        if not isinstance(new_parameters, Mapping):
            raise LMStudioValueError(
                f"The arguments of a tool are a dict; {shown(new_parameters)} was given."
            )
        try:
            arguments = to_json_data(dict(new_parameters))
        except (TypeError, ValueError) as error:  # the chat has to be sent
            raise LMStudioValueError(f"The arguments of a tool are JSON data: {error}") from None
        self._decide("override", arguments)

    def deny(self, reason: str = "The user denied the tool call.") -> None:
        """Do not let the tool run; the model is told the reason, and goes on.

        Raises:
            LMStudioRuntimeError: It was decided before.
        """
        self._decide("deny", reason)

    def _decide(self, decision: str, detail: Any) -> None:
        if self._decision is not None:
            raise LMStudioRuntimeError(
                "It was decided before whether this tool call may go on: decide once."
            )
        self._decision = (decision, detail)


public(ToolCallContext, GuardToolCallController)
