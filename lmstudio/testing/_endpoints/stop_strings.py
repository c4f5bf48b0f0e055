"""Finds stop strings in a stream of tokens, also those that two tokens share."""

from __future__ import annotations

from collections.abc import Sequence


class StopStrings:
    """Holds back text that may turn out to be the beginning of a stop string.

    One thread.
    """

    def __init__(self, strings: Sequence[str]) -> None:
        self._strings = [one for one in strings if one]
        self._held = ""

    def feed(self, text: str) -> tuple[str, str | None]:
        """Take text; return what may go out, and the stop string if one was found."""
        if not self._strings:
            return text, None
        self._held += text
        found = [(at, one) for one in self._strings if (at := self._held.find(one)) >= 0]
        if found:
            at, string = min(found)
            out, self._held = self._held[:at], ""
            return out, string
        keep = max(_overlap(self._held, one) for one in self._strings)
        out = self._held[: len(self._held) - keep]
        self._held = self._held[len(out) :]
        return out, None

    def rest(self) -> str:
        """Return what was held back: no stop string has come of it."""
        rest, self._held = self._held, ""
        return rest


def _overlap(text: str, string: str) -> int:
    """Length of the longest end of `text` that `string` begins with."""
    for size in range(min(len(text), len(string) - 1), 0, -1):
        if string.startswith(text[-size:]):
            return size
    return 0
