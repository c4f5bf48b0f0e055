"""A model that calculates with plain functions as tools."""

import math
import sys
from typing import Literal

import lmstudio as lms


def add(numbers: list[float]) -> float:
    """Add numbers."""
    return sum(numbers)


def power(base: float, exponent: int = 2) -> float:
    """Raise a number to a power, the second if none is given."""
    return base**exponent


def angle(value: float, unit: Literal["degrees", "radians"] = "degrees") -> dict[str, float]:
    """Tell the sine and cosine of an angle."""
    radians = math.radians(value) if unit == "degrees" else value
    return {"sine": round(math.sin(radians), 6), "cosine": round(math.cos(radians), 6)}


class Memory:
    def __init__(self) -> None:
        self.value: float | None = None

    def store(self, value: float | None = None) -> float | None:
        """Keep a value, or forget it; tells the one before."""
        before, self.value = self.value, value
        return before


calls = {}


def show(message):
    for part in message.content:
        if isinstance(part, lms.TextData):
            print(part.text)
        elif not isinstance(part, lms.ToolCallResultData):
            calls[part.tool_call_request.id] = part.tool_call_request
    if isinstance(message, lms.ToolResultMessage):
        results = {part.tool_call_id: part.content for part in message.content}
        for key in sorted(results):  # they come in any order
            print(calls[key].name, calls[key].arguments, "->", results[key])


memory = Memory()
with lms.Client(sys.argv[1]) as client:
    model = client.llm.model()
    tools = [add, power, angle, memory.store]
    result = model.act("What is (1 + 2.5) squared?", tools, on_message=show)
print(type(result).__name__, result.rounds, result.total_time_seconds > 0)
print(memory.value)
