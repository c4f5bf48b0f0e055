"""Splits a reply at the tags around its reasoning, also at those that several tokens share."""

from __future__ import annotations

from typing import Any

import attrs

from .._engines.engine import ReasoningType, Token
from .held_tokens import HeldTokens, overlap

# What LM Studio does unless it is told otherwise.
_DEFAULT = {"enabled": True, "startString": "<think>", "endString": "</think>"}


class ReasoningTags:
    """Tells reasoning from answer by the texts that stand around it.

    One thread.

    Args:
        setting: The value of `llm.prediction.reasoning.parsing`; None for LM Studio's default.
    """

    def __init__(self, setting: Any) -> None:
        given: dict[str, Any] = setting if isinstance(setting, dict) else _DEFAULT
        tags = (str(given.get("startString") or ""), str(given.get("endString") or ""))
        self._tags = tags if given.get("enabled") and all(tags) else None
        self._inside = False
        self._held = HeldTokens()

    def feed(self, token: Token) -> list[Token]:
        """Take a token; return those that may go out."""
        if self._tags is None:
            return [token]
        self._held.add(token)
        out: list[Token] = []
        while True:
            tag = self._tags[self._inside]
            at = self._held.text.find(tag)
            if at < 0:
                size = len(self._held.text) - overlap(self._held.text, tag)
                return out + self._typed(self._held.take(size))
            out += self._typed(self._held.take(at))
            count = 0
            for token in self._held.take(len(tag)):
                count += token.count
            kind: ReasoningType = "reasoningEndTag" if self._inside else "reasoningStartTag"
            out.append(Token(tag, kind, count=count))
            self._inside = not self._inside

    def rest(self) -> list[Token]:
        """Return what was held back: no tag has come of it."""
        return self._typed(self._held.take_all())

    def _typed(self, tokens: list[Token]) -> list[Token]:
        if not self._inside:
            return tokens
        return [attrs.evolve(token, reasoning_type="reasoning") for token in tokens]
