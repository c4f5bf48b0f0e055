"""What can be read off a message: its text, reasoning, answer, files and tool calls."""

import pickle

import attrs
import pytest

from lmstudio._prediction.accumulator import Accumulator
from lmstudio._values.chat import Chat
from lmstudio._values.messages import (
    AssistantResponse,
    FileHandle,
    TextData,
    ToolCallRequest,
    ToolCallResultData,
)

FILE = FileHandle(name="cat.png", identifier="f1", size_bytes=3, file_type="image")
REQUESTS = [ToolCallRequest(name="add", id=i, arguments={"a": 1}) for i in "12"]


def chat():
    chat = Chat("Be brief.")
    chat.add_user_message(["Look.", "What is it?"], images=[FILE])
    chat.add_assistant_response("<think>A cat?</think>Let me see.", REQUESTS)
    chat.add_tool_results([ToolCallResultData(content=text) for text in ("a cat", "a dog")])
    return chat


def test_a_messages_texts_stand_one_below_the_other():
    assert [message.text for message in chat()] == [
        "Be brief.",
        "Look.\nWhat is it?",
        "<think>A cat?</think>Let me see.",
        "a cat\na dog",
    ]
    assert AssistantResponse(content=[]).text == ""


def test_a_messages_files_and_tool_calls_are_listed():
    assert [message.files for message in chat()] == [[], [FILE], [], []]
    assert chat()[2].tool_calls == REQUESTS


@pytest.mark.parametrize(
    ("text", "reasoning", "answer"),
    [
        ("<think>Hm.</think>Yes.", "Hm.", "Yes."),
        ("\n<think>\nHm.\n</think>\n\nYes.", "\nHm.\n", "\n\nYes."),
        ("<think></think>Yes.", "", "Yes."),
        ("<think>Hm.", "Hm.", ""),
        ("<think>Hm.</think>It ends at </think>.", "Hm.", "It ends at </think>."),
        ("Yes.", "", "Yes."),
        ("The tag is <think>.", "", "The tag is <think>."),
        ("Hm.</think>Yes.", "", "Hm.</think>Yes."),
        ("", "", ""),
    ],
)
def test_reasoning_is_what_stands_in_tags_at_the_beginning(text, reasoning, answer):
    message = AssistantResponse(content=[TextData(text=text)])
    assert message.reasoning_content == reasoning
    assert message.answer == answer
    assert message.text == text


def test_a_message_tells_what_the_result_told_that_it_was_made_from():
    accumulator = Accumulator()
    for content, kind in (
        ("<think>", "reasoningStartTag"),
        ("Hm.", "reasoning"),
        ("</think>", "reasoningEndTag"),
        ("\n\nYes.", "none"),
    ):
        accumulator.fragment({"content": content, "reasoningType": kind})
    result = accumulator.result(success=None, cancelled=False, cancel_reason=None, structured=False)
    message = Chat().add_assistant_response(result)
    assert message.text == result.content
    assert message.reasoning_content == result.reasoning_content == "Hm."
    assert message.answer == result.answer == "\n\nYes."


def test_what_can_be_read_off_a_message_is_no_part_of_it():
    for message in chat():
        assert [field.name for field in attrs.fields(type(message))] == ["content"]
        assert message.to_dict().keys() == {"role", "content"}
        assert pickle.loads(pickle.dumps(message)) == message
        assert not hasattr(message, "__dict__")
        with pytest.raises(AttributeError):
            message.text = "other"
