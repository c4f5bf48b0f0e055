"""Reads one prediction: takes items from its inbox, folds them, and makes the outcome."""

from __future__ import annotations

import threading
from _thread import get_ident
from collections.abc import Callable
from typing import Any

import attrs

from .._concurrency.callback_gate import CallbackRunner
from .._concurrency.once import Once
from .._connection.call import END, WAKE, Call
from .._json.converter import structure
from .._json.whole import error_details
from .._values.messages import AssistantResponse, TextData, ToolCallRequest, ToolCallRequestData
from .._values.results import LlmPredictionFragment, PredictionResult, PromptProcessingDetails
from ..errors import (
    LMStudioError,
    LMStudioPredictionError,
    LMStudioProtocolError,
    LMStudioValueError,
)
from .accumulator import Accumulator
from .callbacks import PredictionCallbacks, PromptProcessingCallback
from .right_to_read import RightToRead
from .tool_requests import ToolRequests


class Reader:
    """What was read of one prediction.

    It knows nothing of how one waits: `advance` gets the function that takes the next item.

    Thread safety: `advance` for the thread that has the `right`; the rest for all.
    """

    __slots__ = (
        "_accumulator",
        "_call",
        "_callbacks",
        "_failure",
        "_final",
        "_first_tokens",
        "_fold_lock",
        "_has_fragment",
        "_on_fragment",
        "_progress",
        "_response_type",
        "_structured",
        "_tool_requests",
        "gate",
        "is_at_end",
        "right",
    )

    def __init__(
        self,
        call: Call,
        callbacks: PredictionCallbacks,
        gate: CallbackRunner,
        *,
        structured: bool,
        response_type: type | None = None,
    ) -> None:
        """Prepare to read the inbox of `call`; a reply may be `structured`, and have a type."""
        self.is_at_end = False
        self.right = RightToRead()
        self._call = call
        self._callbacks = callbacks
        self._on_fragment = callbacks.on_prediction_fragment
        self.gate = gate
        self._structured = structured
        self._response_type = response_type
        self._accumulator = Accumulator()
        # Guards the accumulator against a snapshot. One that its own thread may take again: a
        # finaliser of the user's, run by the garbage collector anywhere, may look at the stream.
        self._fold_lock = threading.RLock()
        self._failure: LMStudioError | None = None  # a fragment that could not be read
        self._progress = -1.0
        self._tool_requests: ToolRequests | None = None
        self._has_fragment = False
        # When the first token was read: how many had arrived, and when the last of them did.
        self._first_tokens: tuple[int, float] | None = None
        self._final = Once()  # the result

    def hand_over(
        self,
        runner: CallbackRunner,
        on_progress: PromptProcessingCallback | None,
        beside_text: Callable[[Callable[..., Any]], Callable[..., Any]],
    ) -> None:
        """Have all callbacks run by `runner`, and `on_progress` be one of them.

        The one for each fragment is run as what `beside_text` makes of it.

        Raises:
            LMStudioValueError: There is one for the progress already.
        """
        if on_progress is not None:
            if self._callbacks.on_prompt_processing_progress is not None:
                raise LMStudioValueError(
                    "on_progress does the same as on_prompt_processing_progress, with which this "
                    "stream was made. Use one of them."
                )
            self._callbacks = attrs.evolve(
                self._callbacks, on_prompt_processing_progress=on_progress
            )
        if self._on_fragment is not None:
            self._on_fragment = beside_text(self._on_fragment)
        self.gate = runner

    def advance(self, receive: Callable[[], Any]) -> LlmPredictionFragment | None:
        """Return the next fragment, or None at the end. This is the path of a token.

        Raises:
            DeadlinePassed: `receive` came to its deadline.
            LMStudioProtocolError: A fragment cannot be read; `partial` holds those before it.
        """
        call = self._call
        claim = call.claim
        while not claim:
            item = receive()
            if item is WAKE:
                if self._callbacks.on_wake is not None:
                    self._callbacks.on_wake()
                continue
            if item is END:
                # Whoever ended the call stored its outcome before putting this. Where a cancel has
                # claimed it first, the prediction ends as a cancelled one.
                call.claim_end()
                break
            if item["type"] != "fragment":
                self._take_other(item)
                continue
            try:
                with self._fold_lock:
                    # A cancel may have come while this thread waited: a result that another thread
                    # took a snapshot of must not get another fragment after that.
                    if claim:
                        break
                    fragment = self._accumulator.fragment(item.get("fragment"))
            except LMStudioProtocolError as error:
                self._failure = error
                raise self._with_partial(error) from None
            if not self._has_fragment:
                self._take_first()
            if self._on_fragment is not None:
                self._call_back(self._on_fragment, fragment)
            return fragment
        # Marked first, told second: a thread in `result()` that is woken looks at the mark.
        self.is_at_end = True
        call.notify()
        return None

    def fold(self, packet: Any) -> None:
        """Take a packet, in the I/O thread. No callbacks; what is wrong with it is the outcome.

        After a cancel nothing more is taken: what had arrived before it was folded then.
        """
        call = self._call
        if call.claim or self._failure is not None:
            return
        try:
            if packet["type"] == "fragment":  # no lock: others look after the end only
                self._accumulator.fragment(packet.get("fragment"))
            else:
                self._take_other(packet)
        except Exception as error:  # of this prediction only: the connection has others
            failure = self._failure  # the first one, if it was noted on the way
            if failure is None and isinstance(error, LMStudioError):
                failure = error
            elif failure is None:
                words = f"Unexpected data: a packet that cannot be handled: {error!r}"
                failure = LMStudioProtocolError(words)
            # Without its traceback, which has this frame, and so this reader.
            self._failure = failure.with_traceback(None)
            # Posted: the connection that it would be taken from is being read just now.
            call.dispatcher.reactor.post(call.dispatcher.fail, call, self._failure)

    def end_fold(self) -> None:
        """Let go of what refers to this reader, and is needed no more."""
        self._tool_requests = None

    def _take_first(self) -> None:
        self._has_fragment = True
        self._first_tokens = self._arrived()
        self._report_progress(1.0)
        if self._callbacks.on_first_token is not None:
            self._call_back(self._callbacks.on_first_token)

    def _arrived(self) -> tuple[int, float]:
        """Return about how many tokens have arrived, and when the last one did."""
        # What waits in the inbox counts: the model may be faster than whoever reads.
        return self._accumulator.tokens_count + self._call.inbox.qsize(), self._call.heard

    def speed(self) -> float | None:
        """Return the tokens per second; see `Prediction.tokens_per_second`."""
        final: PredictionResult | None = self._final.value
        if final is not None and final.stats.tokens_per_second is not None:
            return final.stats.tokens_per_second
        if self._first_tokens is None:
            return None
        (first, since), (last, until) = self._first_tokens, self._arrived()
        try:
            return (last - first) / (until - since) if last > first and until > since else None
        except OverflowError:  # the server may count as far as it likes
            return None

    def _take_other(self, packet: dict[str, Any]) -> None:
        kind = packet["type"]
        if kind == "promptProcessingProgress":
            progress = packet.get("progress")
            if isinstance(progress, (int, float)) and 0 <= progress <= 1:
                self._report_progress(float(progress))
            self._take_details(packet.get("details"))
        elif kind == "error":
            details = error_details(packet.get("error"))
            self._failure = LMStudioPredictionError("Prediction error", details)
            raise self._with_partial(self._failure)
        elif isinstance(kind, str) and kind.startswith("toolCallGeneration"):
            if self._tool_requests is None:
                self._tool_requests = ToolRequests(self._callbacks, self._call_back, self._keep)
            try:
                self._tool_requests.take(packet)
            except LMStudioProtocolError as error:
                self._failure = error
                raise self._with_partial(error) from None

    def _keep(self, request: ToolCallRequest) -> bool:
        """Keep a whole tool call request for the result, unless a cancel came first."""
        with self._fold_lock:  # as for a fragment
            if self._call.claim:
                return False
            self._accumulator.tool_calls.append(request)
        return True

    def _take_details(self, data: Any) -> None:
        try:
            details = structure(data, PromptProcessingDetails)
        except LMStudioProtocolError:
            return  # an older server tells none
        with self._fold_lock:
            self._accumulator.prompt_details = details
        if self._callbacks.on_prompt_details is not None:
            self._call_back(self._callbacks.on_prompt_details, details)

    def _report_progress(self, progress: float) -> None:
        """Report each step once, upwards, and from 0 to 1 even if the server skips the ends."""
        callback, last = self._callbacks.on_prompt_processing_progress, self._progress
        if callback is not None and progress > last:
            self._progress = progress
            if last < 0 < progress:
                self._call_back(callback, 0.0)
            self._call_back(callback, progress)

    def _call_back(self, callback: Callable[..., Any], *arguments: Any) -> None:
        # So that a callback which reads its own stream gets an error, instead of waiting for ever.
        self.right.calling = get_ident()
        try:
            self.gate.run(callback, *arguments)
        finally:
            self.right.calling = 0

    # -- the end ------------------------------------------------------------------------------

    def report_message(self) -> None:
        """Give the whole reply to `on_message`, unless the prediction failed."""
        callback = self._callbacks.on_message
        if callback is not None and self._error() is None:
            with self._fold_lock:
                folded = self._accumulator
                text = TextData(text=folded.content)
                parts = folded.reasoning_content, folded.answer
                requests = list(self._accumulator.tool_calls)
            calls = [ToolCallRequestData(tool_call_request=request) for request in requests]
            message = AssistantResponse(content=[text, *calls])
            message._mark(*parts)
            self.gate.run(callback, message)

    def markdown(self, note: str) -> str:
        """Return the text so far, for a notebook, with a note below it."""
        with self._fold_lock:
            text = self._accumulator.markdown(note)
        return text

    def raise_error(self) -> None:
        """Raise what the prediction ended with, if that was an error, and a new one each time."""
        error = self._error()
        if error is not None:
            raise self._with_partial(error)

    def outcome(self) -> PredictionResult:
        """Return the final result, or raise the final error, a new one each time."""
        if not self._final:
            self.raise_error()
            outcome = self._call.outcome
            success = None if outcome is None or outcome.error is not None else outcome.value
            try:
                result = self._snapshot(success, "failed")
            except LMStudioProtocolError as malformed:
                raise self._with_partial(malformed) from None
            # Two threads may come here at once, after a cancel with different knowledge of its
            # acknowledgement: the first result is the one that all get.
            self._final.set(result)
        final: PredictionResult = self._final.value
        return final

    def outcome_so_far(self) -> PredictionResult | None:
        """Return what is known of the end, once reading has ended; what an error left, too."""
        if not self._final and self._call.outcome is None and self._failure is None:
            return self._snapshot(None, "failed")  # cancelled; the server's last word is out
        try:
            return self.outcome()
        except LMStudioError as error:
            return error.partial

    def _error(self) -> LMStudioError | None:
        """What the prediction ended with, if that was an error and no cancel came first."""
        if self._failure is not None:
            return self._failure
        outcome = self._call.outcome
        return None if outcome is None or self._call.is_cancelled else outcome.error

    def _snapshot(self, success: dict[str, Any] | None, stop_reason: str) -> PredictionResult:
        with self._fold_lock:
            result = self._accumulator.result(
                success=success,
                cancelled=self._call.is_cancelled,
                cancel_reason=self._call.reason,
                structured=self._structured,
                response_type=self._response_type,
                stop_reason=stop_reason,
            )
        return result  # out here: no signal may come between the call and the lock's release

    def _with_partial(self, error: LMStudioError) -> LMStudioError:
        """Return a new exception like `error` that carries what was received."""
        fresh = error.fresh()
        with self._fold_lock:
            fresh.partial = self._accumulator.result(
                success=None,
                cancelled=False,
                cancel_reason=None,
                structured=self._structured,
                stop_reason="failed",
            )
        return fresh
