"""A client's session with a server, seen from outside the I/O thread: start calls, wait, close."""

from __future__ import annotations

import contextlib
import functools
import itertools
import logging
import queue
import weakref
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any, NoReturn, TypeVar

from .._api.checks import check_seconds
from .._api.program_end import at_program_end
from .._api.shown import Failure
from .._concurrency import fork
from .._concurrency.callback_gate import CallbackGate
from .._concurrency.cancel_token import CancelEvent, CancelToken, attach, check_events
from .._concurrency.clock import monotonic
from .._concurrency.deadline import Deadline, DeadlinePassed, receiver
from .._concurrency.threads import check_may_wait, may_wait, start_daemon
from ..errors import LMStudioRuntimeError
from .call import END, WAKE, Call, Outcome
from .connect import Connector
from .connection_state import Listeners
from .dispatcher import CLOSED_REASON, Dispatcher, closed_error
from .endpoints import Endpoint
from .inner_call import InnerCall
from .limits import CallLimits, TimeLimit, call_limits, get_sync_api_timeout
from .request import Request

logger = logging.getLogger(__name__)

_AT_EXIT = 0.5  # seconds that interpreter exit may wait for cancels to be written
MANY_CALLS = 64  # calls of one list that are under way at most ...
FEW_CALLS = 32  # ... and when more are started
_REMEMBERED_UPLOADS = 4096  # so that a forked child can tell that they are not its own
_COLLECTED = 1.0  # seconds in which the I/O thread of a collected client leaves

T = TypeVar("T")
U = TypeVar("U")

_dispatchers: weakref.WeakValueDictionary[int, Dispatcher] = weakref.WeakValueDictionary()


class _Share:
    """What one process has of a session: a forked child gets its own.

    Attributes:
        process: The process.
        dispatcher: What looks after its calls.
        callback_gate: What its callbacks pass through.
        scopes: What runs over several calls, by identity; `cancel_all()` cancels these too.
        successors: The dispatcher that has taken the place of one whose thread failed.
        uploads: The identifiers of files that it has put onto the server, the last ones, and who
            it was to the server then.
        inherited: Those of the processes that it was forked off.
        listeners: What a user has asked to be told, by identity; nobody else holds these.
    """

    def __init__(self, session: Session, parent: _Share | None) -> None:
        self.process = fork.current
        self.dispatcher = session._new_dispatcher()
        self.callback_gate = CallbackGate()
        self.scopes: weakref.WeakValueDictionary[int, CancelToken] = weakref.WeakValueDictionary()
        self.successors: dict[Dispatcher, Dispatcher] = {}
        self.uploads: deque[tuple[str, str]] = deque(maxlen=_REMEMBERED_UPLOADS)
        self.inherited: frozenset[str] = frozenset()
        self.listeners = Listeners()
        if parent is not None:
            self.inherited = parent.inherited.union(identifier for identifier, _ in parent.uploads)


class Session:
    """Makes calls and waits for them; the I/O thread ends when it is closed or collected.

    In a forked child it starts anew: with a thread, connections and locks of the child's own.

    Thread safety: all threads.
    """

    def __init__(
        self,
        connector: Connector,
        *,
        timeout: float | None,
        idle_timeout: TimeLimit,
        cancel_grace: float,
        strict_options: bool = False,
    ) -> None:
        """Prepare; the thread starts with the first call."""
        self._connector = connector
        self._timeout = timeout
        self._idle_timeout = idle_timeout
        self.cancel_grace = cancel_grace  # seconds
        self.strict_options = strict_options  # whether an option that does not exist is an error
        self.is_closed: bool = False
        self._finalizers: dict[Dispatcher, weakref.finalize[[Dispatcher], Session]] = {}
        self._share = _Share(self, None)
        self._shares = {fork.current: self._share}

    def __reduce__(self) -> NoReturn:
        """Refuse to be pickled, with all that holds a session: clients, namespaces, batches."""
        raise TypeError(
            "A Client holds connections and cannot be pickled. Pass its host and make one there, "
            "or pickle the handle of a model."
        )

    @property
    def _own(self) -> _Share:
        """The share of this process."""
        share = self._share
        if share.process is not fork.current:
            # One C call decides, so no lock is needed, which a thread of the parent might hold.
            share = self._shares.setdefault(fork.current, _Share(self, share))
            self._share = share
        return share

    @property
    def dispatcher(self) -> Dispatcher:
        """What looks after the calls of this process."""
        return self._own.dispatcher

    @property
    def callback_gate(self) -> CallbackGate:
        """What the callbacks of this process pass through."""
        return self._own.callback_gate

    @property
    def scopes(self) -> weakref.WeakValueDictionary[int, CancelToken]:
        """What runs over several calls, by identity."""
        return self._own.scopes

    @property
    def listeners(self) -> Listeners:
        """What lives as long as this process's share of the session, or is taken out."""
        return self._own.listeners

    @property
    def is_connected(self) -> bool:
        """Whether a connection to the server is open, as far as is known here."""
        return not self.is_closed and self.dispatcher.state.is_connected

    @property
    def inherited_uploads(self) -> frozenset[str]:
        """The files that belong to another identity: that of a guest who is the parent process."""
        is_guest = self._connector.identity.source is None
        return self._own.inherited if is_guest else frozenset()

    @property
    def uploads(self) -> dict[str, str]:
        """The files that this process has put onto the server, and who it was to it then."""
        return dict(self._own.uploads)

    def note_upload(self, identifier: str) -> None:
        """Remember a file that was put onto the server."""
        self._own.uploads.append((identifier, self._connector.identity.client_identifier))

    def _new_dispatcher(self) -> Dispatcher:
        dispatcher = Dispatcher(self._connector)
        _dispatchers[id(dispatcher)] = dispatcher
        finalizer = weakref.finalize(self, _leave, dispatcher)
        finalizer.atexit = False  # the exit hook below does it, within its limit
        self._finalizers[dispatcher] = finalizer
        return dispatcher

    # -- calls --------------------------------------------------------------------------------

    def new_call(
        self,
        endpoint: Endpoint,
        parameter: Any = None,
        *,
        timeout: TimeLimit = ...,
        idle_timeout: TimeLimit = ...,
        is_prediction: bool = False,
        inside: Call | None = None,
    ) -> Call:
        """Prepare a call with the limits that hold for it.

        Args:
            endpoint: What is called.
            parameter: Its parameter as JSON data; None if it has none.
            timeout: Seconds for it.
            idle_timeout: Seconds of silence of the server.
            is_prediction: Whether the server's last word is waited for after a cancel.
            inside: The channel that it is made inside of; None: it is none of these.

        Raises:
            LMStudioValueError: A limit is negative or not a number.
        """
        if idle_timeout is ...:
            idle_timeout = self._idle_timeout
        if idle_timeout is ...:
            idle_timeout = get_sync_api_timeout()
        if inside is not None:
            limit = self.check_timeout(timeout)
            silence = check_seconds(idle_timeout, "idle_timeout")
            return InnerCall(inside, endpoint, parameter, timeout=limit, idle_timeout=silence)
        return Call(
            self.working_dispatcher,
            endpoint,
            parameter,
            timeout=self.check_timeout(timeout),
            idle_timeout=check_seconds(idle_timeout, "idle_timeout"),
            grace=self.cancel_grace if is_prediction else 0.0,
        )

    @property
    def working_dispatcher(self) -> Dispatcher:
        """What looks after the calls of this process, a new one if its thread has failed."""
        own = self._own
        last = own.dispatcher
        if last.reactor.has_ended and not self.is_closed:  # it failed
            # One C call decides: a finaliser may come here in the middle of it.
            own.dispatcher = own.successors.setdefault(last, self._new_dispatcher())
        return own.dispatcher

    def check_timeout(self, timeout: TimeLimit) -> float | None:
        """Return the seconds that a `timeout` argument stands for, or None for no limit.

        Raises:
            LMStudioValueError: It is negative or not a number.
        """
        return check_seconds(self._timeout if timeout is ... else timeout, "timeout")

    def check_limits(self, limits: CallLimits) -> None:
        """Check time limits of calls that are made later.

        Raises:
            LMStudioValueError: One is negative or not a number.
        """
        self.check_timeout(limits.get("timeout", ...))
        idle_timeout = limits.get("idle_timeout", ...)
        if idle_timeout is not ...:
            check_seconds(idle_timeout, "idle_timeout")

    def check_open(self) -> None:
        """Raise if the client is closed.

        Raises:
            LMStudioClientError: It is.
        """
        if self.is_closed:
            raise closed_error()

    def start(
        self, call: Call, cancel_event: CancelEvent = None, since: float | None = None
    ) -> None:
        """Send a call, unless it or one of its events is cancelled already.

        Args:
            call: The call.
            cancel_event: What stops it.
            since: The time from which its `timeout` counts, on the monotonic clock; None: now.

        Raises:
            LMStudioClientError: The client is closed.
            LMStudioRuntimeError: It was made before a fork, or `cancel_event` cannot be watched, or
                Python starts no threads any more.
            LMStudioValueError: The parameter or `cancel_event` cannot be used.
        """
        dispatcher, reactor = call.dispatcher, call.dispatcher.reactor
        fork.check_process(dispatcher.process, "call")
        text = call.text()
        if cancel_event is not None:
            attach(call, check_events(cancel_event))
        if call.is_cancelled:
            call.outcome = Outcome()
            call.unfollow()
            return
        self.check_open()
        reactor.start()
        call.sent = monotonic()
        call.started = call.sent if since is None else since
        # Open before it is posted: close() and cancel_all() find it from now on.
        dispatcher.open[call.id] = call
        reactor.post(dispatcher.begin, call, text)
        if reactor.has_ended:  # set before the thread looked for late calls for the last time
            reactor.drain_late_commands()

    # -- waiting in the calling thread --------------------------------------------------------

    def wait(self, call: Call, on_packet: Callable[[Any], None] | None = None) -> Any:
        """Wait for the outcome of a started call, and take it; see `run`."""
        receive = receiver(call.inbox, None)
        while True:
            item = receive()
            if call.claim or item is END:
                return call.answer()
            if item is not WAKE and on_packet is not None:
                on_packet(item)

    def run(
        self,
        call: Call,
        cancel_event: CancelEvent = None,
        on_packet: Callable[[Any], None] | None = None,
        since: float | None = None,
    ) -> Any:
        """Start a call that is no prediction, and wait for its outcome.

        Args:
            call: The call.
            cancel_event: What stops it.
            on_packet: Called in this thread with each packet before the outcome.
            since: The time from which its `timeout` counts, on the monotonic clock; None: now.

        Raises:
            LMStudioCancelledError: It was cancelled.
            LMStudioRuntimeError: This thread must not wait.
            LMStudioError: Whatever else ended it.
        """
        check_may_wait()
        try:
            self.start(call, cancel_event, since)
            return self.wait(call, on_packet)
        except BaseException:
            if not call.end_is_taken:
                call.cancel("interrupted")
            raise

    def call(
        self,
        request: Request[T],
        *,
        cancel_event: CancelEvent = None,
        timeout: TimeLimit = ...,
        idle_timeout: TimeLimit = ...,
        since: float | None = None,
        inside: Call | None = None,
    ) -> T:
        """Ask for one thing, and return what the answer means.

        Args:
            request: What is asked for.
            cancel_event: What stops it.
            timeout: Seconds for it.
            idle_timeout: Seconds of silence of the server.
            since: The time from which `timeout` counts, on the monotonic clock; None: now.
            inside: The channel inside of which it is asked for; None: in none.

        Raises:
            LMStudioCancelledError: It was cancelled.
            LMStudioError: Whatever else ended it.
        """
        call = self.new_call(
            request.endpoint,
            request.parameter,
            timeout=timeout,
            idle_timeout=idle_timeout,
            inside=inside,
        )
        return request.result(self.run(call, cancel_event, request.on_packet, since))

    def call_two(
        self,
        request: Request[T],
        next_request: Callable[[T], Request[U]],
        *,
        cancel_event: CancelEvent = None,
        timeout: TimeLimit = ...,
        idle_timeout: TimeLimit = ...,
    ) -> U:
        """Ask for one thing and, with what it was, for another, within the limits of one call.

        Raises:
            LMStudioCancelledError: It was cancelled.
            LMStudioError: Whatever else ended one of the calls.
        """
        since = monotonic()
        # Read once: they may be an iterator.
        limits = call_limits(check_events(cancel_event), timeout, idle_timeout)
        answer = self.call(request, **limits, since=since)
        return self.call(next_request(answer), **limits, since=since)

    def call_each(
        self,
        requests: Iterable[Request[T]],
        *,
        cancel_event: CancelEvent = None,
        timeout: TimeLimit = ...,
        idle_timeout: TimeLimit = ...,
    ) -> list[T]:
        """Ask for several things; return what the answers mean, in the same order.

        Some calls are always under way, so that the server need not wait for the next one, and
        few enough that the silence of one says something about the server.

        Args:
            requests: What is asked for.
            cancel_event: What stops all of it.
            timeout: Seconds for all of it.
            idle_timeout: Seconds of silence of the server.

        Raises:
            LMStudioCancelledError: It was cancelled.
            LMStudioError: Whatever else ended one of the calls; the others are cancelled.
        """
        check_may_wait()
        events = check_events(cancel_event)
        since = monotonic()
        waiting = iter(requests)
        running: deque[tuple[Request[T], Call]] = deque()
        results: list[T] = []
        try:
            while True:
                if len(running) <= FEW_CALLS:
                    for request in itertools.islice(waiting, MANY_CALLS - len(running)):
                        call = self.new_call(
                            request.endpoint,
                            request.parameter,
                            timeout=timeout,
                            idle_timeout=idle_timeout,
                        )
                        running.append((request, call))
                        self.start(call, events, since)
                if not running:
                    return results
                request, call = running[0]
                results.append(request.result(self.wait(call)))
                running.popleft()
        except BaseException:
            for _, call in running:
                if not call.end_is_taken:
                    call.cancel("another call of the same list failed")
            raise

    # -- the end ------------------------------------------------------------------------------

    def cancel_all(self, reason: Any = None) -> None:
        """Cancel whatever runs. Blocks only where a callback of a tool's token does."""
        _run_callbacks(_cancel_calls(self._own, reason), reason)

    def close(self, timeout: float | None) -> None:
        """Cancel what runs and end the thread, within `timeout` seconds.

        In a forked child that is what the child has: thread and sockets of the parent are not its.
        """
        # Closed first: what is started from now on is refused, or found by the I/O thread, which
        # cancels what is open when it comes to the command below.
        self.is_closed = True
        self._end(self._own, timeout)

    def start_over(self, timeout: float) -> None:
        """End what is there, as `close` does, but let the next call connect anew.

        It is for whoever puts another server in the place of the one that was there.
        """
        old = self._own
        fresh = self._shares[fork.current] = _Share(self, None)
        self._share = fresh
        self._end(old, timeout)
        finalizer = self._finalizers.pop(old.dispatcher, None)
        if finalizer is not None:
            finalizer.detach()

    def _end(self, share: _Share, timeout: float | None) -> None:
        dispatcher = share.dispatcher
        deadline = Deadline(timeout)
        scopes = _cancel_calls(share, CLOSED_REASON)
        reactor = dispatcher.reactor
        if scopes and reactor.is_running:
            # In a thread, since nobody knows how long callbacks of tools take; and not started
            # here, where this may be a signal handler that has interrupted another such start.
            are_done: queue.SimpleQueue[None] = queue.SimpleQueue()
            reactor.post(_start_callbacks, scopes, are_done)
            reactor.post(dispatcher.close, deadline)
            if reactor.has_ended:  # meanwhile, by another thread that closes the client
                reactor.drain_late_commands()
            if may_wait():
                with contextlib.suppress(DeadlinePassed):
                    receiver(are_done, deadline)()
        else:  # no tool can have been run
            _run_callbacks(scopes, CLOSED_REASON)
            reactor.post(dispatcher.close, deadline)
        if reactor.has_ended:
            reactor.drain_late_commands()
        reactor.join(deadline)
        if may_wait():
            share.callback_gate.close(deadline)


def _cancel_calls(share: _Share, reason: Any) -> list[CancelToken]:
    """Cancel whatever runs; return the scopes, whose callbacks are still to be run."""
    scopes = _living(share.scopes)
    for scope in scopes:
        scope._announce(reason)
    for call in list(share.dispatcher.open.values()):
        call.cancel(reason)
    return scopes


def _living(values: weakref.WeakValueDictionary[int, T]) -> list[T]:
    """Return the values; other threads may add some meanwhile, so this looks in one step of C."""
    return [value for ref in values.valuerefs() if (value := ref()) is not None]


def _run_callbacks(scopes: list[CancelToken], reason: Any) -> None:
    for scope in scopes:
        try:
            scope.cancel(reason)
        except Exception as error:  # of a callback that somebody registered there
            logger.debug("a callback of a cancel token failed: %s", Failure(error))


def _start_callbacks(scopes: list[CancelToken], is_done: queue.SimpleQueue[None]) -> None:
    def run() -> None:
        _run_callbacks(scopes, CLOSED_REASON)
        is_done.put(None)

    try:
        start_daemon(run, "lmstudio-cancel", refusal="No callback runs")
    except LMStudioRuntimeError:  # Python is exiting
        is_done.put(None)


def _leave(dispatcher: Dispatcher) -> None:
    if dispatcher.process is fork.current:
        dispatcher.reactor.post(dispatcher.close, Deadline(_COLLECTED))


@at_program_end
def _cancel_at_exit() -> None:
    """Tell the servers to stop; wake nobody, since the waiters left are daemons by now."""
    written: queue.SimpleQueue[None] = queue.SimpleQueue()
    deadline = Deadline(_AT_EXIT)
    try:
        busy = [
            d for d in _living(_dispatchers) if d.process is fork.current and d.reactor.is_running
        ]
        for dispatcher in busy:
            dispatcher.reactor.post(dispatcher.send_cancels, functools.partial(written.put, None))
        for _ in busy:
            receiver(written, deadline)()
    # What a signal handler raises here would be printed; the program is exiting as it is.
    except (DeadlinePassed, KeyboardInterrupt, SystemExit):
        pass


def _let_go_of_parent() -> None:
    """In a forked child: close what the parent's connections have open here.

    Otherwise the server would not see the end of a parent that is killed, as long as a child lives.
    """
    for dispatcher in _living(_dispatchers):
        if dispatcher.process is not fork.current:
            dispatcher.let_go()


fork.in_child(_let_go_of_parent)
