"""One call to the server, RPC or channel: what its waiter and the I/O thread share."""

from __future__ import annotations

import itertools
import json
import queue
import weakref
from collections import deque
from time import monotonic
from typing import TYPE_CHECKING, Any, NoReturn

from ..errors import (
    LMStudioCancelledError,
    LMStudioError,
    LMStudioRuntimeError,
    LMStudioValueError,
)
from .frames import FRAME_BYTES, Pieces, cut_text

if TYPE_CHECKING:
    from .._concurrency.cancel_token import CancelToken
    from .endpoints import Endpoint
    from .reactor import Loop

__all__ = ["END", "STOP", "Call", "Ending", "Leash"]

# What an inbox holds besides packets: any number of stop markers, at most one terminal item.
STOP: Any = "stop marker"
END: Any = "terminal item"

_to_json = json.JSONEncoder(separators=(",", ":"), allow_nan=False).encode
_TAKEN = "the end was taken"
_ids = itertools.count(1)  # shared by RPCs and channels, never used twice in a process


class Ending:
    """How a call ended. The I/O thread stores it on the call, once, before it posts END."""

    __slots__ = ("error", "value")

    def __init__(self, value: Any = None, error: LMStudioError | None = None) -> None:
        """Hold the server's answer, or an error, or neither (nothing more will come)."""
        self.value = value
        self.error = error

    def fresh_error(self) -> LMStudioError | None:
        """Return a copy: one object raised by many would grow a traceback of all of them.

        By hand, since packages such as Dask change what `copy` does with exceptions.
        """
        error = self.error
        if error is None:
            return None
        fresh = type(error).__new__(type(error), *error.args)
        fresh.args = error.args
        vars(fresh).update(vars(error))
        return fresh


class Leash(weakref.ref[Any]):
    """A weak reference that knows the call to cancel when its object is dropped."""

    __slots__ = ("call",)
    call: Call

    def __new__(cls, target: object, call: Call) -> Leash:
        """Watch `target`. The callback is a C function, so Ctrl-C cannot interrupt it."""
        leash = super().__new__(cls, target, call.loop.orphans.append)
        leash.call = call
        return leash


class Call:
    """A call and its inbox.

    Thread safety: `cancel` anywhere, at any time. The attributes under "I/O thread" are
    written by that thread alone; `ending` may be read by all.
    """

    __slots__ = (
        "__weakref__",
        "cancel_seen",
        "ending",
        "endpoint",
        "grace",
        "grace_ends",
        "heard",
        "id",
        "idle_timeout",
        "inbox",
        "leashes",
        "loop",
        "mark",
        "parameter",
        "pieces",
        "sent",
        "started",
        "timeout",
        "tokens",
        "waiters",
    )

    def __init__(
        self,
        loop: Loop,
        endpoint: Endpoint,
        parameter: Any = None,
        *,
        timeout: float | None = None,
        idle_timeout: float | None = None,
        grace: float = 0.0,
    ) -> None:
        """Prepare a call; nothing is sent yet.

        Args:
            loop: What runs in the I/O thread.
            endpoint: What is called.
            parameter: Its parameter as JSON data; None if it has none.
            timeout: Seconds for the whole call, or None.
            idle_timeout: Seconds of silence of the server, or None.
            grace: Seconds to wait for the server's last word after a cancel.
        """
        self.loop = loop
        self.endpoint = endpoint
        self.parameter = parameter
        self.timeout = timeout
        self.idle_timeout = idle_timeout
        self.grace = grace
        self.id = next(_ids)
        # mark[0] is (who, reason) of whoever came first: a cancel, or the taker of the end.
        self.mark: dict[int, tuple[object, Any]] = {}
        self.inbox: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self.waiters: deque[queue.SimpleQueue[None]] = deque()
        self.tokens: list[CancelToken] = []  # which cancel it, until `untie`
        self.leashes: list[Leash] = []
        self.pieces: Pieces | None = None  # the message that starts it, if it is a big one
        # I/O thread:
        self.ending: Ending | None = None
        self.sent = False
        self.cancel_seen = False
        self.started = self.heard = monotonic()
        self.grace_ends: float | None = None

    # -- any thread ---------------------------------------------------------------------------

    def cancel(self, reason: Any = None) -> bool:
        """Stop the call; return whether this caller was the first. Takes no lock, never blocks.

        It may run in a signal handler or a finaliser, and be interrupted between any two steps:
        each call repeats them all, and the I/O thread looks at the marks by itself as well.
        """
        me = object()
        first = self.mark.setdefault(0, (me, reason))[0] is me
        self.inbox.put(STOP)
        self.loop.cancelled(self)
        return first

    @property
    def is_cancelled(self) -> bool:
        """Whether a cancel came before anybody took the end."""
        mark = self.mark.get(0)
        return mark is not None and mark[0] is not _TAKEN

    @property
    def end_is_taken(self) -> bool:
        """Whether the end was taken, so that a cancel does nothing any more."""
        mark = self.mark.get(0)
        return mark is not None and mark[0] is _TAKEN

    @property
    def reason(self) -> Any:
        """The reason of the cancel that came first, or None."""
        mark = self.mark.get(0)
        return None if mark is None else mark[1]

    @property
    def _is_over(self) -> bool:
        """Whether no event need be watched for it any more."""
        return bool(self.mark)  # not before the end was taken: until then a cancel wins

    @property
    def _runs_user_code(self) -> bool:
        """Nothing of a user's runs in `cancel`."""
        return False

    def _watch_failed(self, error: Exception) -> None:
        """End the call, since the event it was given is broken."""
        words = f"cancel_event cannot be watched: its is_set() raised {error!r}"
        self.loop.post(self.loop.fail, self, LMStudioRuntimeError(words))

    def take_end(self) -> bool:
        """Claim the terminal item; return False if a cancel came first."""
        is_taken = self.mark.setdefault(0, (_TAKEN, None))[0] is _TAKEN
        self.untie()
        return is_taken

    def untie(self) -> None:
        """Let no token cancel it any more."""
        while self.tokens:
            try:
                self.tokens.pop()._unlink(self)
            except IndexError:  # another thread took the last one
                return

    def notify(self) -> None:
        """Wake everybody in `wait_for_change`."""
        while self.waiters:
            try:
                self.waiters.popleft().put(None)
            except IndexError:  # another thread took the last one
                return

    def text(self) -> bytes | Pieces:
        """Return the message that starts the call, as JSON.

        Raises:
            LMStudioValueError: The parameter holds something that JSON has no word for.
        """
        if self.pieces is None:
            text = _encode(self.endpoint.start_message(self.id, self.parameter))
            if len(text) <= FRAME_BYTES:
                return text
            self.pieces = Pieces(cut_text(text))
        return self.pieces

    def cancel_text(self) -> bytes:
        """Return the message that cancels the call, as JSON."""
        return _encode({"type": "channelSend", "channelId": self.id, "message": {"type": "cancel"}})

    # -- the waiter ---------------------------------------------------------------------------

    def raise_cancelled(self) -> NoReturn:
        """Raise the error of a cancelled call that is not a prediction.

        Raises:
            LMStudioCancelledError: Always.
        """
        reason = self.reason
        words = "." if reason is None else f": {reason}"
        raise LMStudioCancelledError(f"{self.endpoint.label} was cancelled{words}", reason)


def _encode(message: dict[str, Any]) -> bytes:
    try:
        return _to_json(message).encode("ascii")
    except (TypeError, ValueError, RecursionError) as error:
        raise LMStudioValueError(f"The request cannot be written as JSON: {error}") from None
