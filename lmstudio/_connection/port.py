"""The websocket of one namespace: opened when needed, replaced when lost.

Thread safety: the I/O thread only.
"""

from __future__ import annotations

import functools
import json
import logging
import selectors
from collections import deque
from collections.abc import Callable
from typing import Any

from .._api.shown import Failure
from .._concurrency.clock import monotonic
from ..errors import (
    LMStudioChannelClosedError,
    LMStudioConnectionLostError,
    LMStudioError,
    LMStudioProtocolError,
    LMStudioRuntimeError,
    LMStudioServerError,
)
from .call import Call, Outcome
from .connect import Connected, Connector
from .frames import FragmentedMessage
from .json_limits import SHORT, check_json
from .protocol import OUTCOME, PACKET, Kind, Protocol
from .reactor import Reactor, close_copy
from .reported import refused, reported
from .transport import Transport
from .wire import Attempt

logger = logging.getLogger(__name__)

SILENCE = 15.0  # seconds without a word from the server, after which it is asked for one
_ANSWER = 15.0  # seconds that it has for the answer while calls are running ...
_QUICK_ANSWER = 3.0  # ... and when a call waits to be written to a connection that has rested
_LINGER = 0.25  # seconds that the server has to close a connection, once we have said goodbye
_LATE = 1.0  # seconds after its deadline, from which on an attempt to connect is made once more ...
_MOST_REPEATS = 3  # ... in a row: somebody may be late always

_raw_decode = json.JSONDecoder().raw_decode


class ClientPort:
    """One namespace's websocket, the calls on it, and those that wait for it to open."""

    def __init__(
        self,
        path: str,
        reactor: Reactor,
        connector: Connector,
        end: Callable[[Call, Outcome], None],
        changed: Callable[[], None],
    ) -> None:
        """Start without a connection.

        Args:
            path: The path of the websocket.
            reactor: The thread that all of this runs in.
            connector: Opens connections.
            end: Called with a call that has ended, and how it did.
            changed: Called when the connection was opened or lost, and when a channel that is only
                kept open was written.
        """
        self.path = path
        self._reactor = reactor
        self._connector = connector
        self._end = end
        self._changed = changed
        self.protocol = Protocol()
        self.transport: Transport | None = None
        self._client_identifier = ""  # who we are to the server
        self._attempt: Attempt | None = None
        self._repeats = 0  # how often that attempt was made before
        self._is_disturbed = False  # nobody listened for a while since it was begun
        self._waiting: deque[tuple[Call, bytes | FragmentedMessage]] = deque()
        self._sending: Call | None = None  # whose message is being written
        self._interest = 0
        self.heard = 0.0  # when the server was heard last
        self._answer_due: float | None = None  # when the answer to a ping must have come
        self._plan: object = None  # to look for life; None while nothing is awaited
        self._is_watched = False  # whether to look for life though nobody waits
        self._leaves_at: float | None = None  # when it stops to read; set once all is written
        self._is_broken = False  # nothing can be written, and what is here is read

    # -- calls --------------------------------------------------------------------------------

    def start(self, call: Call, text: bytes | FragmentedMessage) -> None:
        """Write a call's first message, or keep it until the connection is open."""
        if self.transport is not None and self.protocol.is_idle:
            # It may have ended: what is not written can still go to a new connection.
            try:
                if self.transport.has_news():
                    self.on_ready(selectors.EVENT_READ, monotonic())
            except LMStudioError as error:
                self.fail(error)
        self._start(call, text)

    def _start(self, call: Call, text: bytes | FragmentedMessage) -> None:
        if (end := call.end_from_outside()) is not None:  # it must not go to a new connection
            self._end(call, end)
            return
        is_used_up = self.protocol.is_mute and self.protocol.is_idle
        if is_used_up or self.transport is None or self.transport.is_busy or self._is_in_doubt():
            self._waiting.append((call, text))  # what is not written can still be withdrawn
            if (is_used_up or self.transport is None) and self._attempt is None:
                self._connect()  # the old one stays until then: some server forgets who has none
        else:
            self._write(call, text)

    def send_cancel(self, call: Call) -> bool:
        """Tell the server to stop a call, where the protocol can.

        Returns:
            False if there is nothing to stop: the server has not got the whole call.
        """
        if not call.has_begun:
            return False
        if call.stop is not None:
            if call.endpoint.channel:  # else the server says nothing to it
                self.protocol.ending.add(call.id)
            self._send(call.stop_text())
        return True

    def _cancel_soon(self, call: Call) -> None:
        """Send a cancel, but not while we read: a write that fails reads what is behind."""
        if call.has_begun and call.stop is not None:
            self.protocol.ending.add(call.id)
            self._reactor.post(self._cancel_open, call, self.protocol)

    def _cancel_open(self, call: Call, protocol: Protocol) -> None:
        if protocol is self.protocol and call.id in protocol.ending:  # not closed meanwhile
            self.send_cancel(call)

    def send_on(self, call: Call) -> None:
        """Write what is to be sent into a call; keep it until all that starts the call is."""
        if not (call.unsent and call.has_begun):
            return
        unsent, call.unsent = call.unsent, []
        for text, stop in unsent:
            if call.claim or call.outcome is not None:
                return  # nothing follows a cancel, or the end
            self._send(text)
            call.stop = stop or call.stop
        call.sent = monotonic()

    def forget(self, call: Call) -> None:
        """Drop what still comes for a call that has ended, and send no more of it."""
        self.protocol.calls.pop(call.id, None)
        if call.message is not None and call.message.cut():
            self._reactor.post(self.write_on)  # not here: we may be reading

    def _write(self, call: Call, text: bytes | FragmentedMessage) -> None:
        if call.claim:
            self._end(call, Outcome())  # withdrawn: neither create nor cancel is sent
        elif gone := [name for name, owner in call.files if owner != self._client_identifier]:
            self._end(call, Outcome(error=_files_are_gone(gone)))
        elif call.outcome is None:
            # Open before it is written: what the server answers may come while we write.
            self.protocol.calls[call.id] = call
            call.is_sent = True
            self._send(text)
            if self.transport is not None and self.transport.is_busy:
                self._sending = call
            self.send_on(call)
            if self._plan is None:
                self._look_at(monotonic() + SILENCE)
            if not call.endpoint.is_awaited:
                self._changed()

    def _send(self, text: bytes | FragmentedMessage) -> None:
        if self.transport is not None and not self._is_broken:
            try:
                self.transport.send_text(text)
            except LMStudioError as error:
                self._fail_to_write(error)
            else:
                self._update_interest()

    # -- is anybody there? --------------------------------------------------------------------

    def _is_in_doubt(self) -> bool:
        """Whether to wait for a sign of life: after a sleep, an old connection may lead nowhere.

        What was not written can go to a new connection; what was written must not be sent twice.
        """
        is_idle = self.protocol.is_idle
        if is_idle and self._answer_due is None:
            now = monotonic()
            if now - self.heard > SILENCE:
                self._ask(now, _QUICK_ANSWER)
        is_asked = self._answer_due is not None and is_idle
        return is_asked or self.transport is None  # the ping could not be written

    def keep_in_touch(self, is_watched: bool) -> None:
        """Say whether to look for life even while nobody waits for an answer."""
        self._is_watched = is_watched
        if is_watched and self.transport is not None and self._plan is None:
            self._look_at(self.heard + SILENCE)

    def _ask(self, now: float, limit: float) -> None:
        if self.transport is not None:
            self._answer_due = now + limit
            self._look_at(self._answer_due)
            try:
                self.transport.ping()
            except LMStudioError as error:
                self._fail_to_write(error)
            else:
                self._update_interest()

    def _look_at(self, when: float) -> None:
        """Look for life at a certain time; earlier plans to do so are dropped."""
        self._plan = object()
        self._reactor.at(when, functools.partial(self._look_for_life, self._plan))

    def _look_for_life(self, plan: object, now: float) -> None:
        if plan is not self._plan:
            return
        if self._answer_due is not None:
            self.fail(
                LMStudioConnectionLostError(
                    "The connection to LM Studio is lost: nothing was heard for "
                    f"{now - self.heard:.0f} s, not even the answer to a ping. "
                    "The next call connects again."
                )
            )
        elif self.transport is None or (self.protocol.is_idle and not self._is_watched):
            self._plan = None
        elif now >= self.heard + SILENCE:  # as it was planned: a difference is rounded otherwise
            self._ask(now, _ANSWER)
        else:
            self._look_at(self.heard + SILENCE)

    def was_away(self, seconds: float) -> None:
        """Give the server more time, since nobody listened for a while."""
        self._is_disturbed = True
        if not self.protocol.is_idle:  # else an old connection is in doubt after that
            self.heard += seconds
        if self._answer_due is not None:
            self._answer_due += seconds
            self._look_at(self._answer_due)

    def _note_life(self, now: float) -> None:
        self.heard = now
        if self._answer_due is not None:
            self._answer_due = None
            self._look_at(now + SILENCE)
            self._start_waiting()

    # -- the connection -----------------------------------------------------------------------

    def _connect(self, repeats: int = 0) -> None:
        attempt = self._attempt = Attempt(self._connector.timeout)
        self._repeats, self._is_disturbed = repeats, False

        def done(outcome: Connected | LMStudioError) -> None:
            # In the connector thread.
            self._reactor.post(self._connected, attempt, outcome)
            if self._reactor.has_ended:  # a socket may have come too late
                self._reactor.drain_late_commands()

        try:
            self._connector.start(self.path, attempt, done)
        except LMStudioError as error:
            self._give_up(error)
        else:
            expire = functools.partial(self._attempt_expired, attempt)
            self._reactor.at(attempt.deadline.at, expire)

    def _connected(self, attempt: Attempt, outcome: Connected | LMStudioError) -> None:
        if attempt is not self._attempt:  # expired, or the client was closed meanwhile
            if isinstance(outcome, Connected):
                outcome.socket.close()
        elif isinstance(outcome, Connected):
            self._attempt = None
            kept_open = list(self.protocol.calls.values())
            if self.transport is not None:
                logger.debug("%s: replacing a connection that ran out of warnings", self.path)
                self._drop()
            self.protocol = Protocol()
            self._client_identifier = outcome.client_identifier
            self.transport = Transport(outcome.socket, outcome.reader)
            self.heard = monotonic()
            self._interest = selectors.EVENT_READ
            self._reactor.register(outcome.socket, self)
            self._changed()
            for call in kept_open:  # it is opened once more
                self._end(call, Outcome())
            self._start_waiting()
            # What came together with the welcome is in the reader or in OpenSSL already, and
            # select() would not tell of it. After the calls were written: a connection that ends
            # with its welcome then fails them, where it would be opened again and again.
            self.on_ready(selectors.EVENT_READ, monotonic())
        else:
            self._failed_to_connect(attempt, outcome)

    def _start_waiting(self) -> None:
        waiting, self._waiting = self._waiting, deque()
        for call, text in waiting:
            self._start(call, text)

    def _attempt_expired(self, attempt: Attempt, _now: float) -> None:
        if attempt is self._attempt:
            self._failed_to_connect(attempt, attempt.not_answered())

    def _failed_to_connect(self, attempt: Attempt, error: LMStudioError) -> None:
        # Told long after its time: this process was stopped meanwhile, too.
        is_disturbed = self._is_disturbed or monotonic() > attempt.deadline.at + _LATE
        is_answer = isinstance(error, (LMStudioServerError, LMStudioProtocolError))
        if is_disturbed and not is_answer and self._repeats < _MOST_REPEATS:
            attempt.abort()  # nothing was sent yet
            self._connect(self._repeats + 1)
        else:
            self._give_up(error)

    def _give_up(self, error: LMStudioError) -> None:
        # Forgotten first: once aborted, the connector thread may tell so at once, and by itself.
        attempt, self._attempt = self._attempt, None
        if attempt is not None:
            attempt.abort()
        waiting, self._waiting = self._waiting, deque()
        for call, _ in waiting:
            self._end(call, Outcome(error=error))

    def fail(self, error: LMStudioError) -> None:
        """End every call on this connection; the next call opens a new one."""
        calls = list(self.protocol.calls.values())
        self._drop()
        self._changed()
        logger.debug("%s: %s, %d calls failed", self.path, type(error).__name__, len(calls))
        for call in calls:
            self._end(call, Outcome(error=error))
        self._start_waiting()

    def _fail_to_write(self, error: LMStudioError) -> None:
        """Fail, but first take what is here: replies that are complete, and why it ended."""
        transport = self.transport
        if transport is None:
            return
        self._is_broken = True
        try:
            now = monotonic()
            for payload in transport.receive_rest():
                self._dispatch(payload, now)
        except LMStudioError as odd:
            error = odd
        except Exception as odd:
            error = _not_handled(odd)
        finally:
            self._is_broken = False
        if transport is self.transport:
            self.fail(transport.failure or error)

    def _drop(self) -> None:
        transport, self.transport, self._sending = self.transport, None, None
        self._answer_due = self._plan = None
        self.protocol = Protocol()
        if transport is not None:
            self._reactor.selector.unregister(transport.socket)
            transport.close()

    def let_go(self) -> None:
        """In a forked child: close its copy of the parent's connection, also of one not yet open.

        The server would not see the end of a parent that is killed, as long as the child lives.
        """
        for holder in (self.transport, self._attempt):
            if holder is not None and holder.socket is not None:
                close_copy(holder.socket)

    def close(self, error: LMStudioError, *, flush: bool) -> bool:
        """Leave; return whether bytes still wait to be written. Call until it returns False.

        Args:
            error: How the calls end that wait for a connection.
            flush: Whether to say goodbye and let the socket take what is queued.
        """
        self._give_up(error)
        if self.transport is None:
            return False
        if flush:
            try:
                self.transport.say_goodbye()
                self.transport.flush()
            except LMStudioError:
                pass  # it is leaving anyway
            else:
                self._update_interest()
                if self.transport.is_busy or self._lingers():
                    return True
        self._drop()
        self._changed()
        return False

    def _lingers(self) -> bool:
        """Whether to read on, though all is written, until the server has closed as well.

        A socket that is closed with something unread in it resets the connection, and that may
        overtake what was written.
        """
        if self._leaves_at is None:
            self._leaves_at = monotonic() + _LINGER
            self._reactor.at(self._leaves_at, lambda _: None)
            if self.transport is not None:
                self.transport.end_writing()
        return monotonic() < self._leaves_at

    # -- the socket is ready ------------------------------------------------------------------

    def on_ready(self, events: int, now: float) -> None:
        """Read and write what the socket allows; `now` is the time of arrival."""
        transport = self.transport
        if transport is None:
            return
        try:
            if events & selectors.EVENT_READ:  # first: it may tell more than a failed write
                for payload in transport.receive():
                    self._dispatch(payload, now)
                if transport.failure is None:
                    self._note_life(now)
            if transport.failure is not None:
                raise transport.failure
            if events & selectors.EVENT_WRITE:
                self._write_more(transport, now)
            if transport is self.transport:
                self._update_interest()
        except LMStudioError as error:
            self.fail(error)
        except Exception as error:  # whatever a server sends, the thread goes on
            self.fail(_not_handled(error))

    def write_on(self) -> None:
        """Write what there is: a frame more of a message was made, or a message was cut short."""
        self.on_ready(selectors.EVENT_WRITE, monotonic())

    def _write_more(self, transport: Transport, now: float) -> None:
        try:
            has_written = transport.flush()
        except LMStudioError as error:
            self._fail_to_write(error)
            return
        if has_written:
            # A server that takes what we send is not silent, though it may have nothing to say.
            if self._sending is not None:
                self._sending.sent = now
                self._note_life(now)
            for call, _ in self._waiting:
                call.sent = now
        if not transport.is_busy:
            begun, self._sending = self._sending, None
            if begun is not None:
                self.send_on(begun)
            self._start_waiting()

    def _update_interest(self) -> None:
        transport = self.transport
        if transport is not None:
            interest = selectors.EVENT_READ
            if transport.wants_to_write:
                interest |= selectors.EVENT_WRITE
            if interest != self._interest:
                self._interest = interest
                self._reactor.selector.modify(transport.socket, interest, self)

    def _dispatch(self, payload: bytes, now: float) -> None:
        """Give a message to its call. This is the path of a token."""
        try:
            if len(payload) > SHORT:
                check_json(payload)
            text = payload.decode()
            message, end = _raw_decode(text)
            if end != len(text):
                message = json.loads(text)
        except (ValueError, RecursionError):
            message = _decode_odd(payload)
        received = self.protocol.receive(message)
        if received is not None:
            kind, call, data = received
            if kind is PACKET:
                call.heard = now
                call.inbox.put(data)
            else:
                call.heard = now
                self._conclude(kind, call, data)

    def _conclude(self, kind: Kind, call: Call, data: Any) -> None:
        label = call.endpoint.label
        if kind is OUTCOME:
            self._end(call, Outcome(data))
        elif kind is Kind.ERROR:
            self._end(call, Outcome(error=reported(call, data)))
        elif kind is Kind.CLOSED:
            words = f"{label} failed: LM Studio closed the channel before the outcome."
            self._end(call, Outcome(error=LMStudioChannelClosedError(words)))
        elif kind is Kind.MALFORMED:
            if not call.cancel_seen:
                self._cancel_soon(call)
            words = f"{label} failed: LM Studio sent a packet without a type."
            self._end(call, Outcome(error=LMStudioProtocolError(words)))
        else:
            for unanswered in data.calls:
                self._end(unanswered, Outcome(error=refused(unanswered, data.text)))


def _decode_odd(payload: bytes) -> Any:
    try:
        return json.loads(payload.decode())  # which accepts surrounding white space
    except (ValueError, RecursionError):
        raise LMStudioProtocolError(
            "The server sent something that is not JSON; the connection was closed."
        ) from None


def _not_handled(error: Exception) -> LMStudioError:
    logger.debug("a message failed: %s", Failure(error))
    return LMStudioProtocolError(f"The server sent what cannot be handled: {error!r}")


def _files_are_gone(names: list[str]) -> LMStudioError:
    return LMStudioRuntimeError(
        f"LM Studio does not have {', '.join(map(repr, names))} any more: it keeps the files of a "
        "client without a token until its last connection closes. Upload them again, for example "
        "by prepare_image()."
    )
