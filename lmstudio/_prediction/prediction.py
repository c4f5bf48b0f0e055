"""`Prediction`: what a stream is in both halves. How one reads it and waits is in each of them."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable
from typing import Any, Generic, NoReturn

from .._api.backports import Self
from .._api.callbacks import check_given_callback
from .._concurrency import fork
from .._concurrency.cancel_token import check_events
from .._concurrency.clock import monotonic
from .._concurrency.deadline import Deadline
from .._concurrency.drain import drain
from .._concurrency.once import Once
from .._connection.call import END, Call, Outcome
from .._connection.limits import CallLimits
from .._connection.session import Session
from .._values.results import T_co
from ..errors import LMStudioError
from .callbacks import PredictionCallbacks
from .reader import Reader
from .request import PredictionOptions, check_files, files_in
from .right_to_read import Place

LEFT = "the loop over the stream was left"
_RAISED = "a callback raised an exception"
_AT_LEAST = 0.02  # seconds in which `result()` reads what is there, however short its limit is


class Prediction(Generic[T_co]):
    """One prediction: its call, what was read of it, and who is told of its end.

    Thread safety: `cancelled`, `done`, `tokens_per_second` and `add_done_callback` for all threads;
    the rest for whoever reads.
    """

    __slots__ = (
        "__dict__",  # for what users put on it
        "__weakref__",
        "_call",
        "_done_callbacks",
        "_end_is_told",
        "_events",
        "_is_started",
        "_reader",
        "_reads",
        "_session",
        "_since",
    )

    def __init__(
        self,
        session: Session,
        options: PredictionOptions,
        specifier: dict[str, Any],
        history: dict[str, Any],
        callbacks: PredictionCallbacks,
        limits: CallLimits,
        *,
        since: float | None = None,
    ) -> None:
        """Prepare a prediction; handles do, nobody else needs to.

        Args:
            session: Who makes the call.
            options: What is asked for.
            specifier: Names the model, as JSON data.
            history: What is answered or continued, as JSON data.
            callbacks: What to call while it is read.
            limits: What stops it.
            since: The time from which its `timeout` counts, on the monotonic clock; None: its
                start.

        Raises:
            LMStudioValueError: A limit cannot be used.
            LMStudioRuntimeError: A file belongs to the process that this one was forked off.
        """
        check_files(history, session.inherited_uploads)
        self._session = session
        self._events = check_events(limits.get("cancel_event"))  # now, not at the first use
        self._since = since
        self._call: Call = session.new_call(
            options.endpoint,
            options.parameter(specifier, history),
            timeout=limits.get("timeout", ...),
            idle_timeout=limits.get("idle_timeout", ...),
            is_prediction=True,
        )
        if files := files_in(history):
            owners = session.uploads
            self._call.files = [
                (file["name"], owners[file["identifier"]])
                for file in files
                if file["identifier"] in owners
            ]
        self._reader = Reader(
            self._call,
            callbacks,
            session.callback_gate,
            structured=options.structured,
            response_type=options.response_type,
        )
        # Who reads it for good: an iterator, from its first step on, or a background call. One C
        # call gives the place, so whoever does not get it has taken nothing, not for a moment.
        self._reads: dict[int, Place] = {}
        self._done_callbacks: deque[Callable[[Any], Any]] = deque()
        self._is_started = Once()
        self._end_is_told = Once()  # the callbacks of the end were run, or need not be

    def __repr__(self) -> str:
        """Say how far it is."""
        return f"<{type(self).__name__}: {self._state()}>"

    def _repr_markdown_(self) -> str:
        """Show what was read so far in a notebook, without starting or reading anything."""
        if self._call.dispatcher.process is not fork.current:
            return f"*({self._state()}, in the parent process)*"
        return self._reader.markdown("" if self._state() == "ended" else self._state())

    def __reduce__(self) -> NoReturn:
        """Refuse to be copied and pickled: a copy would stop the prediction when it is dropped."""
        raise TypeError("A stream is one prediction, and cannot be copied or pickled.")

    def _state(self) -> str:
        state = "not started" if not self._is_started else "running" if not self.done() else "ended"
        return f"{state}{', cancelled' if self._call.is_cancelled else ''}"

    def cancelled(self) -> bool:
        """Return whether it was cancelled before it ended."""
        return self._call.is_cancelled

    def done(self) -> bool:
        """Return whether `result()` would return (or raise) without waiting for the server."""
        was_withdrawn = bool(self._call.claim) and not self._is_started
        return self._call.outcome is not None or was_withdrawn

    @property
    def tokens_per_second(self) -> float | None:
        """How fast the model writes: the tokens that came after the first, by their time.

        None before the second token; once the result is known, what the server says in its stats.
        It never waits.

        Thread safety: may be read in any thread, as by a window while another thread iterates.
        """
        return self._reader.speed()

    def add_done_callback(self, callback: Callable[[Self], Any]) -> None:
        """Call ``callback(stream)`` once when the stream has ended, however it did.

        It is called by the thread or task that iterates or waits, once that has reached the end;
        here and now, if one has already.

        Raises:
            LMStudioValueError: It cannot be called so.
        """
        check_given_callback("add_done_callback()'s callback", callback, "stream")
        self._done_callbacks.append(callback)
        # Added first, looked at second: who tells the end marks it first and runs these second.
        if self._end_is_told:
            self._run_done_callbacks()

    # -- for both halves ----------------------------------------------------------------------

    def _give_up(self, error: BaseException) -> None:
        """End a call whose start failed, unless the I/O thread has it and will do so."""
        call = self._call
        is_ours = isinstance(error, LMStudioError)
        if is_ours:
            call.claim_end()
        else:
            call.cancel("interrupted")
        # Claimed before: where the I/O thread takes the call just now, it finds it cancelled.
        if call.id not in call.dispatcher.open and call.outcome is None:
            # In the order of the I/O thread: stored, put, told.
            call.outcome = Outcome(error=error if isinstance(error, LMStudioError) else None)
            call.inbox.put(END)
            call.notify()

    def _end_of_reading(self, deadline: Deadline) -> float:
        """Return when a read stops between two items, however many there are."""
        if self.done():  # all that is left to take is here
            return math.inf
        return max(deadline.at, monotonic() + _AT_LEAST)

    def _notice_if_left(self) -> bool:
        """Cancel it if the loop over it was left; return whether it was.

        The I/O thread's sweep finds that too, but later.
        """
        reads = self._reads.get(0)
        is_left = reads is not None and reads() is None
        if is_left:
            self._call.cancel(LEFT)
        return is_left

    def _is_iterated(self) -> bool:
        """Whether an iterator that has read of it lives."""
        reads = self._reads.get(0)
        return reads is not None and reads() is not None

    def _has_nothing_to_read(self) -> bool:
        """Whether it was cancelled, or read to the end: then nobody needs the right to read."""
        return bool(self._call.claim) or self._reader.is_at_end

    def _finish_reading(self) -> None:
        """Run the callbacks of the end, once."""
        try:
            if self._end_is_told.set():
                self._reader.report_message()
        finally:
            self._run_done_callbacks()

    def _end_by_exception(self) -> None:
        """Stop the prediction, if it has not ended, and tell nobody of a message."""
        self._call.cancel(_RAISED)
        # Before the callbacks: one that is added from now on is run by whoever adds it.
        self._end_is_told.set()
        self._run_done_callbacks()

    def _run_done_callbacks(self) -> None:
        """Run them all; then raise what the first that failed has raised."""
        failure: BaseException | None = None
        for callback in drain(self._done_callbacks):
            try:
                self._reader.gate.run(callback, self)
            except BaseException as error:
                failure = failure or error
        if failure is not None:
            try:
                raise failure
            finally:
                del failure  # no cycle through this frame
