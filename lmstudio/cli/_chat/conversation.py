"""A conversation: its questions with their images, its answers, and the file it is kept as."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from .._screen import one_line

__all__ = ["BadConversation", "Conversation", "Question"]

_TITLE = 60  # characters


class BadConversation(Exception):
    """A file is no saved conversation; the text says why."""


@dataclass
class Question:
    """What is asked: a text, as it was typed, and paths of images."""

    text: str
    images: list[str] = field(default_factory=list)


@dataclass
class Conversation:
    """What was said, oldest first, and with which model.

    Attributes:
        turns: Each question with its answer; a last one without an answer waits for it.
    """

    system: str | None = None
    model: str | None = None
    turns: list[tuple[Question, str | None]] = field(default_factory=list)

    @property
    def title(self) -> str:
        """The beginning of the first question, as one line that steers nothing."""
        text = one_line(self.turns[0][0].text) if self.turns else ""
        return text if len(text) <= _TITLE else f"{text[: _TITLE - 3]}..."

    @property
    def waiting(self) -> Question | None:
        """The last question, if it has no answer."""
        if not self.turns:
            return None
        question, answer = self.turns[-1]
        return question if answer is None else None

    def ask(self, question: Question) -> None:
        """Add a question, in the place of one that has no answer."""
        if self.waiting is not None:
            self.turns.pop()
        self.turns.append((question, None))

    def answer(self, text: str) -> None:
        """Add the answer to the last question."""
        self.turns[-1] = (self.turns[-1][0], text)

    def take_back_answer(self) -> str | None:
        """Have the last question wait for an answer again; return the one that it had."""
        question, answer = self.turns[-1]
        self.turns[-1] = (question, None)
        return answer

    def begin_anew(self) -> Conversation:
        """Return an empty conversation with the same system prompt and model."""
        return Conversation(self.system, self.model)

    def to_json(self) -> str:
        """Return the text of its file; its messages are such as a batch takes, too."""
        messages: list[dict[str, Any]] = []
        if self.system:
            messages.append({"role": "system", "content": self.system})
        for question, answer in self.turns:
            message: dict[str, Any] = {"role": "user", "content": question.text}
            if question.images:
                message["images"] = question.images
            messages.append(message)
            if answer is not None:
                messages.append({"role": "assistant", "content": answer})
        saved = {"title": self.title, "model": self.model, "messages": messages}
        return json.dumps(saved, ensure_ascii=False, indent=1) + "\n"

    @classmethod
    def from_json(cls, text: str) -> Conversation:
        """Read what `to_json` wrote.

        Raises:
            BadConversation: It is nothing of the kind.
        """
        try:
            saved = json.loads(text)
        except (ValueError, RecursionError):
            raise BadConversation("it is no JSON") from None
        messages = saved.get("messages") if isinstance(saved, dict) else None
        if not isinstance(messages, list):
            raise BadConversation("it has no messages")
        model = saved.get("model")
        conversation = cls(model=model if isinstance(model, str) else None)
        for number, message in enumerate(messages, start=1):
            conversation._add(message, number)
        return conversation

    def _add(self, message: Any, number: int) -> None:
        given = message if isinstance(message, dict) else {}
        role, text, images = given.get("role"), given.get("content"), given.get("images", [])
        is_list = isinstance(images, list) and all(isinstance(path, str) for path in images)
        if not isinstance(text, str) or not is_list:
            raise BadConversation(f"message {number} has no text")
        if role == "system" and not self.turns:
            self.system = text
        elif role == "user":
            self.turns.append((Question(text, images), None))
        elif role == "assistant" and self.waiting is not None:
            self.answer(text)
        else:
            raise BadConversation(f"message {number} does not follow the one before it")
