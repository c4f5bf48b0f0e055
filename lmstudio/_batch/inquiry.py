"""`Inquiry`: asks a server how many inputs one of its models has room for."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeAlias

from .._connection.request import Request
from .._values.model_info import ModelProcessingState
from ..errors import LMStudioTimeoutError, LMStudioWebsocketError
from .options import PLACES

if TYPE_CHECKING:
    from .hosts import Host
    from .tasks import Running

MOST = 1_000  # places, whatever a server says
ASK_AGAIN = 5.0  # seconds after which it asks what is queued now
_NOT_THERE = (LMStudioWebsocketError, LMStudioTimeoutError)

# Begins to ask something; None: that cannot be done.
Ask: TypeAlias = "Callable[[Request[Any]], Running[Any] | None]"


class Inquiry:
    """What is asked about the places of one host. It belongs to the thread that iterates.

    A model has as many places as it answers predictions at once, less what is queued there: a batch
    alone never has more under way, so others wait. One place is always left, or nothing would get
    on. What is queued is asked from time to time; the rest again after a loss of the host.

    Attributes:
        question: What is being asked.
    """

    def __init__(
        self, ask_slots: Request[int | None], ask_state: Request[ModelProcessingState]
    ) -> None:
        """Prepare to ask how many predictions are answered at once, and what is queued."""
        self._ask_slots = ask_slots
        self._ask_state = ask_state
        self.question: Running[Any] | None = None
        self._asks_slots = True  # the question that runs, or ran last
        self._knows_slots = False
        self._slots = PLACES
        self._epoch = -1  # of the host, in which the slots are known
        self._next_look = 0.0  # when to ask what is queued, on the monotonic clock
        self._tells_state = True

    def look(self, host: Host[Any], now: float, ask: Ask) -> None:
        """Give the host the places that the server has told, and ask on. It never waits."""
        if self.question is not None:
            if not self.question.done():
                return
            answer, self.question = self.question.outcome(), None
            self._take(answer, host)
        if host.is_down or host.left is not None:
            return
        if self._epoch != host.epoch:
            self._epoch, self._knows_slots, self._tells_state = host.epoch, False, True
            self._next_look = now
        if now < self._next_look or (self._knows_slots and not self._tells_state):
            return
        self._asks_slots = not self._knows_slots
        self._next_look = now if self._asks_slots else now + ASK_AGAIN
        self.question = ask(self._ask_slots if self._asks_slots else self._ask_state)
        if self.question is None:  # it is asked for answers, too, and that will tell
            self._next_look = now + ASK_AGAIN
            host.places = host.places or self._slots

    def _take(self, answer: Any, host: Host[Any]) -> None:
        if isinstance(answer, ModelProcessingState):
            host.places = max(1, self._slots - answer.queued)
        elif not self._asks_slots:
            host.places = self._slots
            self._tells_state = isinstance(answer, _NOT_THERE)  # an old server does not know it
        elif isinstance(answer, _NOT_THERE):  # it is asked again, after a while or once it is back
            self._next_look += ASK_AGAIN
            host.places = host.places or PLACES
        else:
            self._knows_slots = True
            self._slots = min(answer, MOST) if isinstance(answer, int) else PLACES
            host.places = host.places or 1  # until it is known what is queued
