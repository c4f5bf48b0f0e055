"""One call to the server, RPC or channel: what its waiter and the I/O thread share."""

from __future__ import annotations

import itertools
import json
import queue
import weakref
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NoReturn

from .._api.numbers import as_number
from .._api.shown import worded
from .._concurrency import fork
from .._concurrency.clock import monotonic
from .._concurrency.once import Once
from .._concurrency.watched import watch_error
from ..errors import LMStudioCancelledError, LMStudioError, LMStudioValueError
from .frames import FRAME_BYTES, FragmentedMessage, fragment_text

if TYPE_CHECKING:
    from .._concurrency.cancel_token import CancelToken
    from .dispatcher import Dispatcher
    from .endpoints import Endpoint

# What an inbox holds besides packets: any number of markers that make the reader look again, and
# at most one terminal item.
WAKE: Any = "wake-up marker"
END: Any = "terminal item"


def _number(value: object) -> int | float:
    """Return a number of another class, such as one of numpy, as JSON has it."""
    number = as_number(value)
    if number is None:
        raise TypeError(f"Object of type {type(value).__name__} is not JSON serializable")
    return number


_to_json = json.JSONEncoder(separators=(",", ":"), allow_nan=False, default=_number).encode
AT_EXIT = "the interpreter exits"
_END_TAKEN = object()  # the claim of whoever took the end: no cancel came before that
_ids = itertools.count(1)  # shared by RPCs and channels, never used twice in a process


class Outcome:
    """How a call ended. The I/O thread stores it on the call, once, before it posts END."""

    __slots__ = ("error", "value")

    def __init__(self, value: Any = None, error: LMStudioError | None = None) -> None:
        """Hold the server's answer, or an error, or neither (nothing more will come)."""
        self.value: Any = value
        self.error: LMStudioError | None = error


class CancelOnDrop(weakref.ref[Any]):
    """A weak reference to what a user holds, that knows the call to cancel when it is dropped."""

    __slots__ = ("call",)
    call: Call

    def __new__(cls, target: object, call: Call) -> CancelOnDrop:
        """Watch `target`. The callback is a C function, so Ctrl-C cannot interrupt it."""
        reference = super().__new__(cls, target, call.dispatcher.dropped.append)
        reference.call = call
        return reference


class Call:
    """A call and its inbox.

    Thread safety: `cancel` anywhere, at any time. The attributes under "I/O thread" are
    written by that thread alone; `outcome` may be read by all.
    """

    __slots__ = (
        "__weakref__",
        "cancel_seen",
        "claim",
        "dispatcher",
        "endpoint",
        "files",
        "grace",
        "grace_ends",
        "heard",
        "id",
        "idle_timeout",
        "inbox",
        "is_left",
        "is_sent",
        "message",
        "outcome",
        "owners",
        "parameter",
        "sent",
        "started",
        "stop",
        "timeout",
        "tokens",
        "unsent",
        "waiters",
    )

    def __init__(
        self,
        dispatcher: Dispatcher,
        endpoint: Endpoint,
        parameter: Any = None,
        *,
        timeout: float | None = None,
        idle_timeout: float | None = None,
        grace: float = 0.0,
    ) -> None:
        """Prepare a call; nothing is sent yet.

        Args:
            dispatcher: What will look after it, in the I/O thread.
            endpoint: What is called.
            parameter: Its parameter as JSON data; None if it has none.
            timeout: Seconds for the whole call, or None.
            idle_timeout: Seconds of silence of the server, or None.
            grace: Seconds to wait for the server's last word after a cancel.
        """
        self.dispatcher: Dispatcher = dispatcher
        self.endpoint: Endpoint = endpoint
        self.parameter: Any = parameter
        self.timeout: float | None = timeout
        self.idle_timeout: float | None = idle_timeout
        self.grace: float = grace
        self.id: int = next(_ids)
        # Who came first: a cancel, with its reason, or the taker of the end.
        self.claim: Once = Once()
        self.inbox: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self.waiters: deque[queue.SimpleQueue[None]] = deque()
        self.tokens: list[CancelToken] = []  # which cancel it, until `unfollow`
        self.owners: list[CancelOnDrop] = []  # who cancel it by being dropped
        self.files: list[tuple[str, str]] = []  # in its parameter: their names, who owns each
        # Whether nobody can wait for it any more, as in an event loop that was closed.
        self.is_left: Callable[[], bool] | None = None
        self.message: FragmentedMessage | None = None  # what starts it, if that is big
        # I/O thread:
        self.outcome: Outcome | None = None
        self.is_sent: bool = False
        self.stop: str | None = endpoint.stop  # the type of the packet that stops it, as of now
        # What is to be sent into it, once what starts it is written; and the stop packet after it.
        self.unsent: list[tuple[bytes | FragmentedMessage, str | None]] = []
        self.cancel_seen: bool = False
        self.started: float = monotonic()
        self.sent: float = self.started  # when the server took some of it, too
        self.heard: float = 0.0  # when the last message for it arrived
        self.grace_ends: float | None = None

    # -- any thread ---------------------------------------------------------------------------

    def cancel(self, reason: Any = None) -> bool:
        """Stop the call; return whether this caller was the first. Takes no lock, never blocks.

        It may run in a signal handler or a finaliser, and be interrupted between any two steps:
        each call repeats them all, and the I/O thread looks at the claims by itself as well.
        """
        if reason is True or reason is False:
            reason = None  # what Qt's `clicked` passes on tells whether a button is checked
        first = self.claim.set(reason)
        # After the claim: the reader that wakes looks at it, and so does the I/O thread.
        self.inbox.put(WAKE)
        dispatcher = self.dispatcher
        # Else it is not started, or has ended. Who starts it now looks at the claim after this.
        if self.id in dispatcher.open:
            dispatcher.reactor.commands.append((dispatcher.cancelled, (self,)))
            dispatcher.reactor.wake()
        return first

    def send(self, packet: dict[str, Any], *, stop: str | None = None) -> None:
        """Send something into the channel. Takes no lock, never blocks; order is kept.

        It goes out after what starts the call, however long that takes, and never after a cancel
        or the end: then it is dropped.

        Args:
            packet: The packet, with its type.
            stop: The type of the packet that stops the call, once this one is written; None: the
                same as before.

        Raises:
            LMStudioRuntimeError: The call was made before a fork.
            LMStudioValueError: The packet holds something that JSON has no word for.
        """
        dispatcher = self.dispatcher
        fork.check_process(dispatcher.process, "call")
        dispatcher.reactor.post(dispatcher.send, self, _message(self._in_channel(packet)), stop)

    @property
    def is_cancelled(self) -> bool:
        """Whether a cancel came before anybody took the end."""
        held = self.claim.get(0)  # one look: two may fall on both sides of another thread's claim
        return held is not None and held[0] is not _END_TAKEN

    @property
    def end_is_taken(self) -> bool:
        """Whether the end was taken, so that a cancel does nothing any more."""
        return self.claim.value is _END_TAKEN

    @property
    def reason(self) -> Any:
        """The reason of the cancel that came first, or None."""
        return self.claim.value if self.is_cancelled else None

    @property
    def _is_over(self) -> bool:
        """Whether no event need be watched for it any more."""
        # Not before the end was taken: until then a cancel wins. In a child nothing ends it.
        return bool(self.claim) or self.dispatcher.process is not fork.current

    def _cancel_soon(self, reason: Any) -> None:
        """Do the same as `cancel`, which runs nothing of a user's."""
        self.cancel(reason)

    def _watch_failed(self, error: BaseException) -> None:
        """End the call, since the event it was given is broken."""
        self.dispatcher.reactor.post(self.dispatcher.fail, self, watch_error(error))

    def _follow(self, token: CancelToken) -> None:
        self.tokens.append(token)
        token._link(self)

    def claim_end(self) -> bool:
        """Take the terminal item; return False if a cancel came first."""
        self.claim.set(_END_TAKEN)
        self.unfollow()
        return self.end_is_taken

    def unfollow(self) -> None:
        """Let no token cancel it any more."""
        while self.tokens:
            try:
                self.tokens.pop()._unlink(self)
            except IndexError:  # another thread took the last one
                return

    @property
    def model(self) -> str | None:
        """What names the model that it is for, to be compared with those of others; or None."""
        specifier = (
            self.parameter.get("modelSpecifier") if isinstance(self.parameter, dict) else None
        )
        return None if specifier is None else f"{self.endpoint.path} {_to_json(specifier)}"

    def cancel_when_dropped(self, owner: object) -> CancelOnDrop:
        """Cancel it when `owner` is dropped before its end."""
        reference = CancelOnDrop(owner, self)
        self.owners.append(reference)
        # Added first, looked at second: the I/O thread stores the outcome and then clears these.
        if self.outcome is not None:
            self.owners.clear()
        return reference

    def notify(self) -> None:
        """Wake everybody who waits for its end, or for the right to read it."""
        for waiter in self.waiters.copy():  # each takes itself out
            waiter.put(None)

    def text(self) -> bytes | FragmentedMessage:
        """Return the message that starts the call, as JSON.

        Raises:
            LMStudioValueError: The parameter holds something that JSON has no word for.
        """
        if self.message is None:
            text = _message(self._start_message())
            if isinstance(text, bytes):
                return text
            self.message = text
        return self.message

    def _start_message(self) -> dict[str, Any]:
        return self.endpoint.start_message(self.id, self.parameter)

    def end_from_outside(self) -> Outcome | None:
        """How it ends since what it belongs to has ended, if it does; for the I/O thread."""
        return None

    @property
    def has_begun(self) -> bool:
        """Whether all that starts the call was written; for the I/O thread."""
        return self.is_sent and (self.message is None or self.message.is_complete)

    def stop_text(self) -> bytes:
        """Return the message that stops the call, as JSON."""
        return encode(self._in_channel({"type": self.stop}))

    def _in_channel(self, packet: dict[str, Any]) -> dict[str, Any]:
        return {"type": "channelSend", "channelId": self.id, "message": packet}

    # -- the waiter ---------------------------------------------------------------------------

    def answer(self) -> Any:
        """Return what the server answered, once END has come, and take the end.

        Raises:
            LMStudioCancelledError: A cancel came first.
            LMStudioError: What else ended the call, a new exception each time.
        """
        if not self.claim_end():
            self.raise_cancelled()
        outcome = self.outcome
        assert outcome is not None, "END has not come"
        if outcome.error is not None:
            raise outcome.error.fresh()
        return outcome.value

    def raise_cancelled(self) -> NoReturn:
        """Raise the error of a cancelled call that is not a prediction.

        Raises:
            LMStudioCancelledError: Always, but where the exit has cancelled it:
            SystemExit: Ends the thread without a word.
        """
        reason = self.reason
        if reason is AT_EXIT:
            raise SystemExit
        words = "." if reason is None else f": {worded(reason)}"
        raise LMStudioCancelledError(f"{self.endpoint.label} was cancelled{words}", reason)


def _message(message: dict[str, Any]) -> bytes | FragmentedMessage:
    """Return a message as JSON, in frames if it is big."""
    text = encode(message)
    return text if len(text) <= FRAME_BYTES else FragmentedMessage(fragment_text(text))


def encode(message: dict[str, Any]) -> bytes:
    """Return a message as JSON.

    Raises:
        LMStudioValueError: It holds something that JSON has no word for.
    """
    try:
        return _to_json(message).encode("ascii")
    except (TypeError, ValueError, RecursionError) as error:
        raise LMStudioValueError(f"The request cannot be written as JSON: {error}") from None
