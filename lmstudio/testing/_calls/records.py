"""What a server has seen: connections, messages, predictions, and waiting for them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from .._core.connection import Connection
from .._core.core import Core
from .._core.prediction import Prediction
from .._protocol import argument_checks as _usage
from .._protocol.names import check_endpoint, check_message_type, check_path

T = TypeVar("T")


class Records:
    """The reading half of a `Server`."""

    _core: Core

    @property
    def connections(self) -> list[Connection]:
        """All websockets that clients have opened, in order, also those that have ended."""
        return list(self._core.journal.connections)

    @property
    def predictions(self) -> list[Prediction]:
        """All predictions that clients have asked for, in order."""
        return list(self._core.journal.predictions)

    def received(
        self, type: str | None = None, *, endpoint: str | None = None, path: str | None = None
    ) -> list[dict[str, Any]]:
        """Return the messages that clients have sent, in order.

        Args:
            type: Only those of this type, as "rpcCall".
            endpoint: Only those to this endpoint ("predict" or "llm/predict"), packets into its
                channels included.
            path: Only those of this namespace, as "/llm".

        Raises:
            ValueError: There is no such type, endpoint or namespace; the text names the nearest.
        """
        self._check_filter(type, endpoint, path)
        return self._core.journal.matching(type, endpoint, path)

    def wait_for(
        self,
        predicate: Callable[[], T] | None = None,
        *,
        timeout: float = 5.0,
        type: str | None = None,
        endpoint: str | None = None,
        path: str | None = None,
        count: int = 1,
    ) -> Any:
        """Wait until a predicate holds, or until messages have come.

        Args:
            predicate: Called without a lock after each change; what it returns is returned.
            timeout: Seconds.
            type: As for `received`.
            endpoint: As for `received`.
            path: As for `received`.
            count: Number of messages to wait for.

        Returns:
            What the predicate returned, else the last of the messages.

        Raises:
            AssertionError: It took too long; the text says what came instead.
            ValueError: There is no such type, endpoint or namespace; the text names the nearest.
        """
        self._check_filter(type, endpoint, path)
        _usage.whole(1)("count", count)
        journal = self._core.journal
        if predicate is not None:
            if not callable(predicate):
                raise _usage.wrong_type("the predicate", "a function", predicate)
            return self._core.changes.wait(
                predicate, timeout, lambda: f"expected {predicate}, but {journal.summary()}"
            )
        wanted = {"type": type, "endpoint": endpoint, "path": path}

        def look() -> list[dict[str, Any]] | None:
            found = journal.matching(type, endpoint, path)
            return found if len(found) >= count else None

        return self._core.changes.wait(
            look, timeout, lambda: f"expected {count} of {wanted}, but {journal.summary()}"
        )[count - 1]

    def wait_prediction(self, index: int = 0, timeout: float = 5.0) -> Prediction:
        """Wait for the prediction number `index` (from 0) to be asked for, and return it.

        Args:
            index: Its place in `predictions`.
            timeout: Seconds.

        Raises:
            AssertionError: It did not come in time.
        """
        found = self._core.changes.wait(
            lambda: self.predictions[index : index + 1],
            timeout,
            lambda: f"expected prediction {index}, but {self._core.journal.summary()}",
        )
        return found[0]

    def _check_filter(self, type: str | None, endpoint: str | None, path: str | None) -> None:
        if type is not None:
            check_message_type(type)
        if path is not None:
            check_path(path)
        # A client may call what there is not: that is what the test looks for.
        came = [entry.endpoint for entry in list(self._core.journal.received)]
        if endpoint is not None and endpoint not in came:
            check_endpoint(endpoint)
