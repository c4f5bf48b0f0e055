"""The endpoints that a test answers itself: their calls wait here until it takes them."""

from __future__ import annotations

from collections import deque
from typing import Any

from .._core.channel import Channel
from .._core.connection import Connection
from .._core.core import Core
from .._endpoints.predict import find_instance, new_record
from .._protocol.names import PREDICTIONS, check_held
from .call import Call
from .session import Session


class Holds:
    """Which endpoints are held, and the calls that nobody has taken yet.

    `hold`, `release`, `expect`: any thread. The others: the loop thread.
    """

    def __init__(self, core: Core) -> None:
        self._core = core
        self._held = frozenset(core.options.hold)
        self._parked: deque[Call] = deque()
        self._open: set[Call] = set()

    def hold(self, endpoint: str) -> None:
        """Park the calls to an endpoint ("predict" or "llm/predict") from now on."""
        check_held("endpoint", endpoint)
        self._held = self._held | {endpoint}

    def release(self, endpoint: str) -> None:
        """Let the server answer the endpoint again, also the calls that are parked."""
        check_held("endpoint", endpoint)
        # First: what the loop thread gets from now on is not parked any more.
        self._held = self._held - {endpoint}
        self._core.loop.call(lambda: self._proceed_parked(endpoint))

    def expect(self, endpoint: str, timeout: float) -> Call:
        """Take the oldest parked call of the endpoint; wait for it if there is none."""
        check_held("endpoint", endpoint)
        journal = self._core.journal
        is_held = _name(endpoint) in map(_name, self._held)
        missed = 0 if is_held else len(journal.calls(endpoint))
        self.hold(endpoint)

        def describe() -> str:
            words = f"expected a call of {endpoint!r}, but none came: {journal.summary()}"
            if missed:
                words += (
                    f". {missed} of that endpoint came before expect(), and the server answered: "
                    f"call hold({endpoint!r}) before the client calls"
                )
            return words

        return self._core.changes.wait(lambda: self._take(endpoint), timeout, describe)

    def park(
        self, session: Session, message: dict[str, Any], channel: Channel | None = None
    ) -> bool:
        """Park a call if its endpoint is held."""
        call = Call(session, message, channel)
        if not any(call.is_of(endpoint) for endpoint in self._held):
            return False
        if call.endpoint in PREDICTIONS:
            instance = find_instance(self._core, call.parameter)
            if instance is not None:
                call.record = new_record(self._core, instance, call.parameter)
        if channel is not None:
            channel.on_message = call.arrived
        self._open.add(call)
        self._parked.append(call)  # last: from here on a test's thread may take it
        return True

    def connection_ended(self, connection: Connection) -> None:
        """Tell the calls of a connection that their client is gone."""
        for call in list(self._open):
            if call.connection is connection:
                call.client_gone()
                self._open.discard(call)

    def _take(self, endpoint: str) -> Call | None:
        for call in list(self._parked):
            if call.is_of(endpoint):
                try:
                    self._parked.remove(call)
                except ValueError:  # another test thread was faster
                    continue
                return call
        return None

    def _proceed_parked(self, endpoint: str) -> None:
        while (call := self._take(endpoint)) is not None:
            call.proceed()


def _name(endpoint: str) -> str:
    """Return the name of an endpoint without its namespace."""
    return endpoint.rpartition("/")[2]
