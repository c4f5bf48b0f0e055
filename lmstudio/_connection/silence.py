"""When each model was heard last, by whichever call.

A server may answer one call at a time, and let others queue: who waits for his turn hears nothing,
though the model is at work.

Thread safety: the I/O thread only.
"""

from __future__ import annotations

from collections.abc import Iterable

from .call import Call


class HeardModels:
    """The times of the last messages, by model; those of calls that have ended are remembered."""

    def __init__(self) -> None:
        """Nothing was heard yet."""
        self._ended: dict[str, float] = {}

    def note_end(self, call: Call) -> None:
        """Remember when a call was heard last that has ended."""
        model = call.model
        if model is not None and call.heard > self._ended.get(model, 0.0):
            self._ended[model] = call.heard

    def forget(self) -> None:
        """Forget all: nobody waits."""
        self._ended.clear()

    def note(self, late: Iterable[Call], running: Iterable[Call]) -> None:
        """Let each late call have heard what any call to its model has, running or ended."""
        heard = self._ended.copy()
        for call in running:
            model = call.model
            if model is not None and call.heard > heard.get(model, 0.0):
                heard[model] = call.heard
        for call in late:
            call.heard = max(call.heard, heard.get(call.model or "", 0.0))
