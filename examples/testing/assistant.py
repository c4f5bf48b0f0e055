"""A small application: an assistant that answers questions, can be stopped, and uses tools.

A window would call `ask()` or `work()` in a worker thread, and `stop()` from its stop button. The
tests in `test_assistant.py` show how such an application is tested without LM Studio.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import lmstudio as lms

MOST_STEPS = 5


@dataclass(frozen=True)
class Answer:
    """What came of a question: the text, and how it ended ("done", "stopped", "lost", "tired")."""

    text: str
    ending: str = "done"


class Assistant:
    """Holds one conversation. `ask()` and `work()`: one thread at a time; `stop()`: any thread."""

    def __init__(
        self,
        show: Callable[[str], None] = lambda text: None,
        tools: Mapping[str, Callable[[str], object]] | None = None,
    ) -> None:
        self._model = lms.llm()
        self._chat = lms.Chat("You are a helpful assistant.")
        self._show = show
        self._tools = dict(tools or {})
        self._stop = lms.CancelToken()

    def stop(self) -> None:
        """Stop what runs now; nothing happens if nothing runs."""
        self._stop.cancel("the stop button")

    def ask(self, question: str) -> Answer:
        """Answer a question, and show the answer bit by bit while it comes."""
        self._stop = stop = lms.CancelToken()
        chat = lms.Chat.from_history(self._chat)
        chat.add_user_message(question)
        try:
            result = self._model.respond(
                chat,
                cancel_event=stop,
                on_prediction_fragment=lambda fragment: self._show(fragment.content),
            )
            ending = "stopped" if result.cancelled else "done"
        except lms.LMStudioConnectionLostError as error:
            result, ending = error.partial, "lost"
        if result is None or not result.content:
            return Answer("", ending)  # and it is as if the question had not been asked
        chat.add_assistant_response(result)
        self._chat = chat
        return Answer(result.content, ending)

    def work(self, task: str) -> Answer:
        """Do a task step by step: the model names a tool to call, or gives its answer."""
        self._stop = stop = lms.CancelToken()
        chat = lms.Chat.from_history(self._chat)
        chat.add_user_message(f"{task}\nYou may use these tools: {', '.join(self._tools)}.")
        form = {
            "type": "object",
            "properties": {
                "tool": {"enum": [*self._tools, "none"]},
                "input": {"type": "string"},
                "answer": {"type": "string"},
            },
            "required": ["tool", "input", "answer"],
        }
        for _ in range(MOST_STEPS):
            result = self._model.respond(chat, response_format=form, cancel_event=stop)
            if result.cancelled:
                return Answer("", "stopped")
            if not result.structured:
                break  # it was cut short
            chat.add_assistant_response(result)
            step = result.parsed
            if step["tool"] == "none":
                self._chat = chat
                return Answer(step["answer"])
            self._show(f"[{step['tool']}]")
            outcome = self._tools[step["tool"]](step["input"])
            chat.add_user_message(f"{step['tool']} gave: {outcome}")
        return Answer("", "tired")
