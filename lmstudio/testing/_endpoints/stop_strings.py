"""Finds stop strings in a stream of tokens, also those that two tokens share."""

from __future__ import annotations

from collections.abc import Sequence

from .._engines.engine import Token
from .held_tokens import HeldTokens, overlap


class StopStrings:
    """Holds back tokens that may turn out to be the beginning of a stop string.

    One thread.
    """

    def __init__(self, strings: Sequence[str]) -> None:
        self._strings = [one for one in strings if one]
        self._held = HeldTokens()

    def feed(self, token: Token) -> tuple[list[Token], str | None]:
        """Take a token; return those that may go out, and the stop string if one was found."""
        if not self._strings:
            return [token], None
        self._held.add(token)
        text = self._held.text
        found = [(at, one) for one in self._strings if (at := text.find(one)) >= 0]
        if found:
            at, string = min(found)
            out = self._held.take(at)
            self._held = HeldTokens()  # the tokens of the stop string are no part of the reply
            return out, string
        return self._held.take(len(text) - max(overlap(text, one) for one in self._strings)), None

    def rest(self) -> list[Token]:
        """Return what was held back: no stop string has come of it."""
        return self._held.take_all()
