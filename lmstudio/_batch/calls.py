"""How an input of a batch is started at a host, and what comes of it.

The I/O thread does it all: it folds the fragments of a prediction, which must not pile up while the
loop over the batch is elsewhere, and tells of the end. Nothing of a user's runs there.

Thread safety: all threads.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, Generic, TypeVar, cast

from .._api.callbacks import not_the_end
from .._concurrency.cancel_token import CancelEvent
from .._config.to_wire import STRUCTURED_KEY
from .._connection.call import END, WAKE, Call
from .._connection.limits import CallLimits
from .._connection.request import Request
from .._connection.session import Session
from .._json.from_json import ValidationError
from .._json.schema_check import schema_problems
from .._prediction.callbacks import PredictionCallbacks
from .._prediction.prediction import Prediction
from .._prediction.reader import Reader
from .._prediction.request import PredictionOptions
from .._values.results import PredictionResult, decode
from ..errors import LMStudioError

R = TypeVar("R")


class PredictionRun:
    """A prediction that the I/O thread folds, bit by bit: nobody is shown its fragments."""

    __slots__ = ("_events", "_reader", "_session", "call")

    def __init__(
        self,
        session: Session,
        options: PredictionOptions,
        specifier: dict[str, Any],
        history: dict[str, Any],
        limits: CallLimits,
    ) -> None:
        """Prepare it; `tell` starts it."""
        prediction: Prediction[Any] = Prediction(
            session, options, specifier, history, PredictionCallbacks(), limits
        )
        self._session = session
        self._events = prediction._events
        self._reader = prediction._reader
        self.call: Call = prediction._call

    def tell(self, told: Callable[[Any], None]) -> None:
        """Start it, and have `told` called with something once it has ended."""
        call = self.call
        _start(self._session, call, self._events, _Folder(call, self._reader, told))
        self._events = []  # they have what started this
        if call.outcome is not None and not call.is_sent:  # it was cancelled before
            call.inbox = _NOBODY
            told(None)

    def done(self) -> bool:
        """Whether it has ended, or was cancelled and not started."""
        call = self.call
        return call.outcome is not None or (
            bool(call.claim) and call.id not in call.dispatcher.open
        )

    def outcome(self) -> PredictionResult[Any] | BaseException:
        """Return the result or the error."""
        try:
            return self._reader.outcome()
        except Exception as error:  # and not Ctrl-C: this can be repeated
            return not_the_end(error)


class RequestRun(Generic[R]):
    """A remote procedure: its answer is taken where the batch is iterated."""

    __slots__ = ("_events", "_request", "_session", "call")

    def __init__(
        self,
        session: Session,
        request: Request[R],
        limits: CallLimits,
    ) -> None:
        """Prepare it; `tell` starts it."""
        self._session = session
        self._request = request
        self._events = limits.get("cancel_event")
        self.call = session.new_call(
            request.endpoint,
            request.parameter,
            timeout=limits.get("timeout", ...),
            idle_timeout=limits.get("idle_timeout", ...),
        )

    def tell(self, told: Callable[[Any], None]) -> None:
        """Start it, and have `told` called with something once it has ended or is cancelled."""
        _start(self._session, self.call, self._events, _Teller(self.call, told))
        self._events = None

    def done(self) -> bool:
        """Whether it has ended, or was cancelled."""
        return bool(self.call.claim) or self.call.outcome is not None

    def outcome(self) -> R | BaseException:
        """Return the result or the error."""
        try:
            return self._request.result(self.call.answer())
        except Exception as error:  # and not Ctrl-C: this can be repeated
            return not_the_end(error)


class _Teller:
    """Stands in the place of an inbox: tells of the end, and of a cancel.

    Thread safety: all threads.
    """

    __slots__ = ("_call", "_told")

    def __init__(self, call: Call, told: Callable[[Any], None]) -> None:
        self._call = call
        self._told = told

    def put(self, item: Any) -> None:
        """Take an item, in the I/O thread, or in whichever cancels."""
        if item is END:
            self._take_end()
        self._told(None)

    def _take_end(self) -> None:
        # Here: what has ended is not cancelled any more while it waits to be given.
        self._call.claim_end()
        self._call.inbox = _NOBODY  # no cycle through this


class _Folder(_Teller):
    """Folds what comes of a prediction, and tells of its end."""

    __slots__ = ("_reader",)

    def __init__(self, call: Call, reader: Reader, told: Callable[[Any], None]) -> None:
        super().__init__(call, told)
        self._reader = reader

    def put(self, item: Any) -> None:
        """Take an item."""
        if item is END:
            self._reader.end_fold()
            self._take_end()
            self._told(None)
        elif item is not WAKE:
            self._reader.fold(item)


class _Nobody:
    """An inbox of which nobody takes anything."""

    @staticmethod
    def put(item: Any) -> None:
        """Forget it."""


_NOBODY: Any = _Nobody


def _start(session: Session, call: Call, events: CancelEvent, inbox: _Teller) -> None:
    call.inbox = cast(Any, inbox)  # of which others only `put`
    try:
        session.start(call, events)
    except BaseException:
        call.inbox = _NOBODY
        raise


class Work(Generic[R]):
    """What a batch asks, whichever host it asks. Thread safety: immutable.

    Attributes:
        kind: What tells its questions from others of the same text.
        response_type: The class of structured replies.
    """

    response_type: type | None = None

    def __init__(self, kind: str, prepare: Callable[[Any], Any]) -> None:
        """Ask what `prepare` makes of an input; it raises `LMStudioError` for one that is wrong."""
        self.kind = kind
        self.prepare = prepare

    def misfit(self, result: Any) -> LMStudioError | None:
        """Return why a reply does not fit what was asked for, if it does not."""
        return None


class Predictions(Work[PredictionResult[Any]]):
    """Predictions, which may be structured."""

    def __init__(self, options: PredictionOptions, prepare: Callable[[Any], Any]) -> None:
        """Ask for predictions with some options."""
        form = [field["value"] for field in options.fields if field["key"] == STRUCTURED_KEY]
        verb = "complete" if options.completion else "respond"
        super().__init__(json.dumps([verb, *form], sort_keys=True, default=str), prepare)
        self.response_type = options.response_type
        self._is_structured = options.structured
        schemas = [
            value.get("jsonSchema") for value in form if value and value.get("type") == "json"
        ]
        self._is_json = bool(schemas)
        self._schema = schemas[0] if schemas else None

    def misfit(self, result: Any) -> LMStudioError | None:
        """Return why a structured reply does not fit, if it does not."""
        if not (self._is_structured and isinstance(result, PredictionResult)) or result.cancelled:
            return None
        if result.parsed is None:
            return ValidationError(f"The reply was cut short: {result.stats.stop_reason}.")
        try:
            if result.response_type is not None:
                result.typed  # noqa: B018  # it looks once, and keeps what it found
            elif self._is_json:
                return self._misfit_of_json(result)
        except LMStudioError as error:
            return error.with_traceback(None)
        return None

    def _misfit_of_json(self, result: PredictionResult[Any]) -> LMStudioError | None:
        data = result.parsed if result.structured else decode(result.answer)
        if data is result.answer:
            return ValidationError("The reply is no JSON.")
        problems = schema_problems(data, self._schema)
        if problems:
            return ValidationError(f"The reply does not fit its schema: {'; '.join(problems)}.")
        return None
