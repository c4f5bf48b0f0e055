"""Tokens that are held back, since their text may be the beginning of something."""

from __future__ import annotations

import attrs

from .._engines.engine import Token


class HeldTokens:
    """Tokens in a row, whose text is looked at as one. One thread."""

    def __init__(self) -> None:
        self._tokens: list[Token] = []
        self.text = ""

    def add(self, token: Token) -> None:
        """Hold one more token."""
        self._tokens.append(token)
        self.text += token.text

    def take(self, size: int) -> list[Token]:
        """Let go of the first `size` characters; a token that is cut counts with its first part."""
        self.text = self.text[size:]
        taken = []
        while self._tokens and len(self._tokens[0].text) <= size:
            taken.append(self._tokens.pop(0))
            size -= len(taken[-1].text)
        if size > 0:
            token = self._tokens[0]
            taken.append(attrs.evolve(token, text=token.text[:size]))
            self._tokens[0] = attrs.evolve(token, text=token.text[size:], count=0, tokens=None)
        return taken

    def take_all(self) -> list[Token]:
        """Let go of everything."""
        return self.take(len(self.text))


def overlap(text: str, string: str) -> int:
    """Return the length of the longest end of `text` that `string` begins with."""
    for size in range(min(len(text), len(string) - 1), 0, -1):
        if string.startswith(text[-size:]):
            return size
    return 0
