"""The line to a server, seen from outside the I/O thread: start calls, wait for them, close."""

from __future__ import annotations

import atexit
import functools
import itertools
import logging
import queue
import threading
import weakref
from collections import deque
from collections.abc import Callable, Iterable
from time import monotonic
from types import EllipsisType
from typing import Any, NoReturn, TypeAlias, TypedDict, TypeVar

from .._concurrency import fork as _process
from .._concurrency.callback_gate import CallbackGate
from .._concurrency.cancel_token import (
    CancelEvent,
    CancelToken,
    attach,
    check_events,
)
from .._concurrency.deadline import Deadline, check_seconds, receiver
from ..errors import LMStudioClientError, LMStudioRuntimeError
from .call import (
    END,
    STOP,
    Call,
    Ending,
)
from .connect import Connector
from .endpoints import Endpoint
from .reactor import CLOSED_REASON, Loop

__all__ = ["CallLimits", "Limit", "Line", "get_sync_api_timeout", "set_sync_api_timeout"]

logger = logging.getLogger(__name__)

# Seconds; None for no limit; `...` for the client's default.
Limit: TypeAlias = "float | EllipsisType | None"


class CallLimits(TypedDict, total=False):
    """What every blocking call takes.

    `cancel_event`: an event, or several, that stop the call. `timeout`: seconds for the whole call;
    None for no limit. `idle_timeout`: seconds of silence of the server; None for no limit.
    """

    cancel_event: CancelEvent
    timeout: Limit
    idle_timeout: Limit


_AT_EXIT = 0.5  # seconds that interpreter exit may wait for cancels to be written
_MANY_CALLS = 64  # calls of one list that are under way at most ...
_FEW_CALLS = 32  # ... and when more are started
_COLLECTED = 1.0  # seconds in which the I/O thread of a collected client leaves

_default_idle_timeout: float | None = 60.0
T = TypeVar("T")

_loops: weakref.WeakValueDictionary[int, Loop] = weakref.WeakValueDictionary()


def get_sync_api_timeout() -> float | None:
    """Return how many seconds of silence of the server are allowed by default; None: any."""
    return _default_idle_timeout


def set_sync_api_timeout(timeout: float | None) -> None:
    """Set how many seconds of silence of the server are allowed by default.

    It holds for calls that start from now on, unless the call or its client sets its own
    `idle_timeout`.

    Args:
        timeout: Seconds; None for no limit. The initial value is 60.

    Raises:
        LMStudioValueError: It is negative or not a number.
    """
    global _default_idle_timeout
    _default_idle_timeout = check_seconds(timeout, "timeout")


class Line:
    """Owns the I/O thread, which ends when the line is closed or collected.

    Thread safety: all threads.
    """

    def __init__(
        self,
        connector: Connector,
        *,
        connect_timeout: float | None,
        timeout: float | None,
        idle_timeout: Limit,
        cancel_grace: float,
    ) -> None:
        """Prepare; the thread starts with the first call."""
        self._connector = connector
        self._connect_timeout = connect_timeout
        self._timeout = timeout
        self._idle_timeout = idle_timeout
        self.cancel_grace = cancel_grace  # seconds
        self.is_closed = False
        # What runs over several calls, by identity; cancel_all() cancels these too.
        self.scopes: weakref.WeakValueDictionary[int, CancelToken]
        self.scopes = weakref.WeakValueDictionary()
        self._thread_lock = threading.Lock()  # guards the start of the thread
        self.callbacks = CallbackGate()
        self._loop = self._new_loop()

    def __reduce__(self) -> NoReturn:
        """Refuse to be pickled, with all that holds a line: clients, namespaces, batches."""
        raise TypeError(
            "A Client holds connections and cannot be pickled. Pass its host and make one there, "
            "or pickle the handle of a model."
        )

    def _new_loop(self) -> Loop:
        loop = Loop(self._connector, self._connect_timeout)
        _loops[id(loop)] = loop
        finalizer = weakref.finalize(self, _leave, loop)
        finalizer.atexit = False  # the exit hook below does it, within its limit
        return loop

    def new_call(
        self,
        endpoint: Endpoint,
        parameter: Any = None,
        *,
        timeout: Limit = ...,
        idle_timeout: Limit = ...,
        is_prediction: bool = False,
    ) -> Call:
        """Prepare a call with the limits that hold for it.

        Raises:
            LMStudioValueError: A limit is negative or not a number.
        """
        if idle_timeout is ...:
            idle_timeout = self._idle_timeout
        if idle_timeout is ...:
            idle_timeout = _default_idle_timeout
        if self._loop.has_ended:
            with self._thread_lock:
                if self._loop.has_ended and not self.is_closed:  # it failed: start anew
                    self._loop = self._new_loop()
        return Call(
            self._loop,
            endpoint,
            parameter,
            timeout=self.check_timeout(timeout),
            idle_timeout=check_seconds(idle_timeout, "idle_timeout"),
            grace=self.cancel_grace if is_prediction else 0.0,
        )

    def check_timeout(self, timeout: Limit) -> float | None:
        """Return the seconds that a `timeout` argument stands for, or None for no limit.

        Raises:
            LMStudioValueError: It is negative or not a number.
        """
        return check_seconds(self._timeout if timeout is ... else timeout, "timeout")

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
            LMStudioRuntimeError: This is a forked child, or `cancel_event` cannot be watched, or
                Python starts no threads any more.
            LMStudioValueError: The parameter or `cancel_event` cannot be used.
        """
        loop = call.loop
        _process.check_process(loop.process, "client")
        text = call.text()
        attach(call, check_events(cancel_event))
        if call.is_cancelled:
            call.ending = Ending()
            call.untie()
            return
        if self.is_closed:
            raise LMStudioClientError("The client is closed. Make a new one.")
        self._ensure_thread(loop)
        call.heard = monotonic()
        call.started = call.heard if since is None else since
        loop.open[call.id] = call
        loop.post(loop.begin, call, text)
        if loop.has_ended:  # set before the thread looked for late calls for the last time
            loop.settle_leftovers()

    def run(
        self,
        call: Call,
        cancel_event: CancelEvent = None,
        on_packet: Callable[[Any], None] | None = None,
    ) -> Any:
        """Start a call that is no prediction, and wait for its outcome.

        Args:
            call: The call.
            cancel_event: What stops it.
            on_packet: Called in this thread with each packet before the outcome.

        Raises:
            LMStudioCancelledError: It was cancelled.
            LMStudioError: Whatever else ended it.
        """
        try:
            self.start(call, cancel_event)
            return self.wait(call, on_packet)
        except BaseException:
            if not call.end_is_taken:
                call.cancel("interrupted")
            raise

    def call_each(
        self,
        endpoint: Endpoint,
        parameters: Iterable[Any],
        *,
        cancel_event: CancelEvent = None,
        timeout: Limit = ...,
        idle_timeout: Limit = ...,
    ) -> list[Any]:
        """Call a remote procedure with each parameter; return the results in the same order.

        Some calls are always under way, so that the server need not wait for the next one, and
        few enough that the silence of one says something about the server.

        Args:
            endpoint: The procedure.
            parameters: Its parameters, as JSON data.
            cancel_event: What stops all of it.
            timeout: Seconds for all of it.
            idle_timeout: Seconds of silence of the server.

        Raises:
            LMStudioCancelledError: It was cancelled.
            LMStudioError: Whatever else ended one of the calls; the others are cancelled.
        """
        sources = check_events(cancel_event)
        since = monotonic()
        waiting = iter(parameters)
        running: deque[Call] = deque()
        results: list[Any] = []
        try:
            while True:
                if len(running) <= _FEW_CALLS:
                    for parameter in itertools.islice(waiting, _MANY_CALLS - len(running)):
                        call = self.new_call(
                            endpoint,
                            parameter,
                            timeout=timeout,
                            idle_timeout=idle_timeout,
                        )
                        running.append(call)
                        self.start(call, sources, since)
                if not running:
                    return results
                results.append(self.wait(running[0]))
                running.popleft()
        except BaseException:
            for call in running:
                if not call.end_is_taken:
                    call.cancel("another call of the same list failed")
            raise

    def wait(self, call: Call, on_packet: Callable[[Any], None] | None = None) -> Any:
        """Wait for the outcome of a started call, and take it; see `run`."""
        receive = receiver(call.inbox, None)
        while True:
            item = receive()
            if call.mark or item is END:
                break
            if item is not STOP and on_packet is not None:
                on_packet(item)
        if not call.take_end():
            call.raise_cancelled()
        ending = call.ending
        assert ending is not None
        error = ending.fresh_error()
        if error is not None:
            try:
                raise error
            finally:
                del error  # no cycle through this frame
        return ending.value

    def call(
        self,
        endpoint: Endpoint,
        parameter: Any = None,
        *,
        cancel_event: CancelEvent = None,
        timeout: Limit = ...,
        idle_timeout: Limit = ...,
    ) -> Any:
        """Call a remote procedure and return its result as JSON data."""
        call = self.new_call(endpoint, parameter, timeout=timeout, idle_timeout=idle_timeout)
        return self.run(call, cancel_event)

    def cancel_all(self, reason: Any = None) -> None:
        """Cancel whatever runs. Blocks only where a callback of a tool's token does."""
        _run_callbacks(self._cancel_calls(reason), reason)

    def _cancel_calls(self, reason: Any) -> list[CancelToken]:
        """Cancel whatever runs; return the scopes, whose callbacks are still to be run."""
        scopes = _living(self.scopes)
        for scope in scopes:
            scope._announce(reason)
        for call in list(self._loop.open.values()):
            call.cancel(reason)
        return scopes

    def close(self, timeout: float | None) -> None:
        """Cancel what runs and end the thread, within `timeout` seconds."""
        loop = self._loop
        if loop.process is not _process.current:
            return  # a forked child: thread and sockets are the parent's
        deadline = Deadline(timeout)
        self.is_closed = True
        scopes = self._cancel_calls(CLOSED_REASON)
        loop.post(loop.close, deadline)
        if scopes:  # in a thread, since nobody knows how long callbacks of tools take
            arguments = (scopes, CLOSED_REASON)
            runner = threading.Thread(
                target=_run_callbacks, args=arguments, name="lmstudio-cancel", daemon=True
            )
            try:
                runner.start()
            except RuntimeError:  # Python starts no threads any more
                _run_callbacks(*arguments)
            else:
                runner.join(deadline.remaining())
        with self._thread_lock:  # nobody is starting it now
            thread = loop.thread
        if thread is not None and thread is not threading.current_thread():
            thread.join(deadline.remaining())
        self.callbacks.close(deadline)

    def _ensure_thread(self, loop: Loop) -> None:
        if loop.thread is None:
            with self._thread_lock:
                if loop.thread is None:
                    thread = threading.Thread(target=loop.run, name="lmstudio-io", daemon=True)
                    try:
                        thread.start()
                    except RuntimeError as error:
                        raise LMStudioRuntimeError(
                            f"No connection can be opened any more: {error}"
                        ) from None
                    loop.thread = thread


def _living(values: weakref.WeakValueDictionary[int, T]) -> list[T]:
    """Return the values; other threads may add some meanwhile, so this looks in one step of C."""
    return [value for ref in values.valuerefs() if (value := ref()) is not None]


def _run_callbacks(scopes: list[CancelToken], reason: Any) -> None:
    for scope in scopes:
        try:
            scope.cancel(reason)
        except Exception:  # of a callback that somebody registered there
            logger.debug("a callback of a cancel token failed", exc_info=True)


def _leave(loop: Loop) -> None:
    if loop.process is _process.current:
        loop.post(loop.close, Deadline(_COLLECTED))


@atexit.register
def _cancel_at_exit() -> None:
    """Tell the servers to stop; wake nobody, since the waiters left are daemons by now."""
    written: queue.SimpleQueue[None] = queue.SimpleQueue()
    deadline = Deadline(_AT_EXIT)
    try:
        busy = [loop for loop in _living(_loops) if loop.process is _process.current and loop.open]
        for loop in busy:
            loop.post(loop.send_cancels, functools.partial(written.put, None))
        for _ in busy:
            written.get(timeout=deadline.remaining())
    except (queue.Empty, KeyboardInterrupt):
        pass
