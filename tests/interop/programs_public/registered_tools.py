"""A registry of tools: definitions with a title for people, and decorators that copy by hand."""

import sys
from dataclasses import dataclass

import lmstudio as lms
from lmstudio import sync_api
from lmstudio._sdk_models import LlmPredictionStopReason, LlmReasoningParsing
from lmstudio.json_api import ToolFunctionDef, ToolParamDefDict


@dataclass(frozen=True, slots=True, kw_only=True)
class Registered(ToolFunctionDef):
    title: str


def logged(function):
    """Without functools.wraps: what it copies, it copies by hand."""

    def call(*args, **kwargs):
        print("called", function.__name__, args, kwargs)
        return function(*args, **kwargs)

    call.__name__ = function.__name__
    call.__doc__ = function.__doc__
    call.__annotations__ = function.__annotations__
    return call


def note(text: str, **more):
    """Note something."""
    return f"noted: {text}"


@logged
def forget(text: str) -> str:
    """Forget something."""
    return text


def why(reason: LlmPredictionStopReason) -> str:
    return f"it ended: {reason}"


read = Registered(
    name="read",
    description="Read a note.",
    parameters={"number": ToolParamDefDict[int](type=int, default=1)},
    implementation=lambda number=1: number,
    title="Reads",
)
silence = sync_api._DEFAULT_TIMEOUT
sync_api._DEFAULT_TIMEOUT = None
try:
    with lms.Client(sys.argv[1]) as client:
        model = client.llm.model("test-llm")
        told = model.act("Note it.", [note, forget, read], on_message=lambda message: None)
        print(told.rounds, read.title)
        tags = LlmReasoningParsing(enabled=True, start_string="<think>", end_string="</think>")
        config = lms.LlmPredictionConfig(reasoning_parsing=tags)
        result = model.respond("Hello.", config=config)
        print(result.content, why(result.stats.stop_reason), config.reasoning_parsing.start_string)
finally:
    sync_api._DEFAULT_TIMEOUT = silence
print(lms.get_sync_api_timeout())
