"""`Request`: one thing to ask of the server, whoever asks it and however he waits."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, TypeVar

import attrs

from ..errors import LMStudioProtocolError
from .endpoints import Endpoint

T = TypeVar("T")


@attrs.frozen
class Request(Generic[T]):
    """What is called, with what, and what the answer becomes.

    Attributes:
        endpoint: What is called.
        parameter: Its parameter as JSON data; None if it has none.
        read: Makes the result out of the answer, which is JSON data.
        on_packet: Called with each packet that a channel sends before its outcome, or None.
    """

    endpoint: Endpoint
    parameter: Any
    read: Callable[[Any], T]
    on_packet: Callable[[Any], None] | None = None

    def result(self, answer: Any) -> T:
        """Return what an answer means.

        Raises:
            LMStudioProtocolError: It means nothing; the message names the endpoint.
        """
        why = ""
        try:
            return self.read(answer)
        except LMStudioProtocolError as error:
            why = f": {str(error).rstrip('.')}"
        except (
            KeyError,
            TypeError,
            ValueError,
            OverflowError,
            AttributeError,
            RecursionError,  # it is nested more deeply than the caller's stack has room for
        ):
            pass
        raise LMStudioProtocolError(
            f"LM Studio's answer to {self.endpoint.name} is malformed{why}."
        )
