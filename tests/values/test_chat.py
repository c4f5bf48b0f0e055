"""Chats: what may be added and when, copies that share nothing, and the ways to save one."""

import copy
import dataclasses
import datetime
import json
import re

import pytest

from lmstudio._values.chat import Chat
from lmstudio._values.messages import (
    AssistantResponse,
    ChatHistoryData,
    FileHandle,
    SystemPrompt,
    TextData,
    ToolCallRequest,
    ToolCallRequestData,
    ToolCallResultData,
    ToolResultMessage,
    UserMessage,
)
from lmstudio._values.results import LlmPredictionStats, PredictionResult
from lmstudio.errors import LMStudioRuntimeError, LMStudioValueError

FILE = FileHandle(name="cat.png", identifier="f1", size_bytes=3, file_type="image")
FILE_DICT = {
    "type": "file",
    "name": "cat.png",
    "identifier": "f1",
    "sizeBytes": 3,
    "fileType": "image",
}
REQUEST = ToolCallRequest(type="function", name="add", id="1", arguments={"my_term": 1})
REQUEST_DICT = {"type": "function", "name": "add", "id": "1", "arguments": {"my_term": 1}}
RESULT = ToolCallResultData(content="3", tool_call_id="1")
HISTORY = {
    "messages": [
        {"role": "system", "content": [{"type": "text", "text": "Be brief."}]},
        {"role": "user", "content": [{"type": "text", "text": "1 + 2?"}, FILE_DICT]},
        {
            "role": "assistant",
            "content": [
                {"type": "text", "text": "Let me see."},
                {"type": "toolCallRequest", "toolCallRequest": REQUEST_DICT},
            ],
        },
        {
            "role": "tool",
            "content": [{"type": "toolCallResult", "content": "3", "toolCallId": "1"}],
        },
        {"role": "assistant", "content": [{"type": "text", "text": "3"}]},
    ]
}


def text(words):
    return {"type": "text", "text": words}


def contents(chat):
    return [(message["role"], message["content"]) for message in chat.to_dict()["messages"]]


def prediction_result(content):
    return PredictionResult(
        content=content,
        parsed=content,
        stats=LlmPredictionStats(stop_reason="eosFound"),
        model_info=None,
        load_config=None,
        prediction_config=None,
    )


# -- adding -----------------------------------------------------------------------------------


def test_a_chat_may_start_with_a_system_prompt():
    for prompt in ("Be brief.", TextData(text="Be brief."), {"text": "Be brief."}):
        assert contents(Chat(prompt)) == [("system", [text("Be brief.")])]
    assert contents(Chat()) == []
    assert contents(Chat("")) == [("system", [text("")])]


def test_each_kind_of_message_can_be_added():
    chat = Chat("Be brief.")
    assert isinstance(chat.add_user_message("1 + 2?", images=[FILE]), UserMessage)
    assert isinstance(chat.add_assistant_response("Let me see.", [REQUEST]), AssistantResponse)
    assert isinstance(chat.add_tool_result(RESULT), ToolResultMessage)
    assert isinstance(chat.add_assistant_response(prediction_result("3")), AssistantResponse)
    assert chat.to_dict() == HISTORY
    assert chat._to_wire() == HISTORY


def test_each_kind_of_message_can_be_added_by_role():
    chat = Chat()
    chat.add_entry("system", "Be brief.")
    chat.add_entry("user", ["1 + 2?", FILE_DICT])
    chat.add_entry("assistant", ["Let me see.", REQUEST])
    chat.add_entry("tool", [{"tool_call_id": "1", "content": "3"}])
    chat.add_entry("assistant", "3")
    assert chat.to_dict() == HISTORY


def test_a_user_message_may_have_many_parts():
    chat = Chat()
    chat.add_user_message(["a", TextData(text="b"), {"text": "c"}, FILE, FILE_DICT])
    assert contents(chat) == [("user", [text("a"), text("b"), text("c"), FILE_DICT, FILE_DICT])]


def test_consecutive_user_messages_merge():
    chat = Chat()
    first = chat.add_user_message("a")
    assert chat.add_user_message(["b"]) is first
    assert chat.add_user_message([]) is first
    assert contents(chat) == [("user", [text("a"), text("b")])]


def test_a_file_handle_may_be_a_dict_in_either_spelling():
    snake = {"name": "cat.png", "identifier": "f1", "size_bytes": 3, "file_type": "image"}
    chat = Chat()
    chat.add_user_message("look", images=[FILE, FILE_DICT, snake])
    assert contents(chat) == [("user", [text("look"), FILE_DICT, FILE_DICT, FILE_DICT])]


@pytest.mark.parametrize("images", ["cat.png", ["cat.png"], [b"GIF89a"], [3], [text("cat.png")]])
def test_an_image_that_is_no_file_handle_is_refused_and_named(images):
    chat = Chat()
    with pytest.raises(LMStudioValueError, match="prepare_image"):
        chat.add_user_message("look", images=images)
    assert not list(chat)


@pytest.mark.parametrize(
    "request_input",
    [
        REQUEST,
        ToolCallRequestData(tool_call_request=REQUEST),
        REQUEST_DICT,
        {"type": "toolCallRequest", "toolCallRequest": REQUEST_DICT},
        {"tool_call_request": REQUEST_DICT},
    ],
)
def test_a_tool_call_request_may_have_any_of_its_forms(request_input):
    chat = Chat()
    chat.add_assistant_response("", [request_input])
    assert contents(chat)[0][1][1] == {"type": "toolCallRequest", "toolCallRequest": REQUEST_DICT}
    alone = Chat()
    alone.add_entry("assistant", [request_input])
    assert contents(alone) == [
        ("assistant", [{"type": "toolCallRequest", "toolCallRequest": REQUEST_DICT}])
    ]


def test_several_tool_results_can_be_one_message_or_several():
    chat = Chat()
    chat.add_tool_results([RESULT, {"toolCallId": "2", "content": "4", "name": "add"}])
    chat.add_tool_result({"type": "toolCallResult", "content": "5"})
    assert chat[0].content[1] == ToolCallResultData(content="4", tool_call_id="2", name="add")
    assert chat[1].content == [ToolCallResultData(content="5")]


@pytest.mark.parametrize("content", [5, None, [5], b"ab", {"foo": 1}, {"text": 1}, [], [[]]])
def test_what_is_no_text_or_file_is_no_user_message(content):
    chat = Chat()
    with pytest.raises(LMStudioValueError):
        chat.add_user_message(content)
    assert len(chat) == 0


def test_a_user_message_with_a_bad_part_adds_nothing():
    chat = Chat()
    chat.add_user_message("a")
    with pytest.raises(LMStudioValueError):
        chat.add_user_message(["b", 5])
    assert contents(chat) == [("user", [text("a")])]


def test_an_incomplete_file_handle_is_an_error_that_names_the_field():
    with pytest.raises(LMStudioValueError, match=r"FileHandle\.size_bytes"):
        Chat().add_user_message({"name": "n", "identifier": "i", "fileType": "image"})


@pytest.mark.parametrize(
    ("role", "content"),
    [
        ("system", [REQUEST]),
        ("system", []),
        ("system", 5),
        ("assistant", []),
        ("assistant", ["a", RESULT]),
        ("assistant", 5),
        ("tool", "3"),
        ("tool", {"content": "3"}),
        ("tool", [5]),
        ("judge", "a"),
        ("judge", ["a", "b"]),
        (None, "a"),
    ],
)
def test_content_that_does_not_fit_its_role_is_an_error_and_adds_nothing(role, content):
    chat = Chat()
    with pytest.raises(LMStudioValueError):
        chat.add_entry(role, content)
    assert len(chat) == 0


def test_prompts_and_responses_may_have_many_parts_in_any_order():
    chat = Chat()
    chat.add_entry("system", ["a", TextData(text="b")])
    chat.add_entry("assistant", ["a", REQUEST_DICT, "b", FILE_DICT])
    request = {"type": "toolCallRequest", "toolCallRequest": REQUEST_DICT}
    assert contents(chat) == [
        ("system", [text("a"), text("b")]),
        ("assistant", [text("a"), request, text("b"), FILE_DICT]),
    ]


@pytest.mark.parametrize(
    "add",
    [
        lambda chat, file: chat.add_system_prompt(file),
        lambda chat, file: chat.add_entry("system", file),
        lambda chat, file: chat.add_entry("system", ["a", file]),
        lambda chat, file: chat.append({"role": "system", "content": [file]}),
        lambda chat, file: chat.append(
            SystemPrompt(content=[file if isinstance(file, FileHandle) else FILE])
        ),
        lambda chat, file: chat.replace_system_prompt(file),
    ],
)
@pytest.mark.parametrize("file", [FILE, FILE_DICT], ids=["handle", "dict"])
def test_a_file_is_no_system_prompt(add, file):
    chat = Chat()
    with pytest.raises(LMStudioValueError, match=r"Unable to parse system prompt: .*cat\.png"):
        add(chat, file)
    assert len(chat) == 0


@pytest.mark.parametrize(
    "read",
    [
        Chat.from_history,
        lambda history: Chat.from_history(ChatHistoryData.from_dict(history)),
        lambda history: Chat.from_json(json.dumps(history)),
    ],
    ids=["dict", "data", "json"],
)
def test_a_history_with_a_file_in_the_system_prompt_is_refused(read):
    with pytest.raises(LMStudioValueError, match="Unable to parse system prompt"):
        read({"messages": [{"role": "system", "content": [text("a"), FILE_DICT]}]})


@pytest.mark.parametrize("images", [None, (), []])
def test_no_images_are_no_images(images):
    chat = Chat()
    chat.add_user_message("hi", images=images)
    assert contents(chat) == [("user", [text("hi")])]


def test_only_user_messages_in_a_dict_of_the_callers_merge():
    messages = [UserMessage(content=[TextData(text=part)]) for part in "ab"]
    data = ChatHistoryData(messages=messages)
    merged = ("user", [text("a"), text("b")])
    assert contents(Chat.from_history(data.to_dict())) == [merged]
    separate = Chat.from_history(data)
    assert len(separate) == 2
    saved = separate.to_dict()
    saved["messages"].append({"role": "user", "content": "c"})
    assert contents(Chat.from_history(saved)) == [("user", [text("a"), text("b"), text("c")])]
    assert contents(Chat.from_json('{"messages": [{"role": "user", "content": ""}]}')) == [
        ("user", [text("")])
    ]


def test_two_system_prompts_or_two_responses_in_a_row_are_errors():
    chat = Chat("a")
    with pytest.raises(LMStudioRuntimeError, match="Multi-part or consecutive system prompts"):
        chat.add_system_prompt("b")
    chat.add_assistant_response("c")
    with pytest.raises(LMStudioRuntimeError, match="Multi-part or consecutive assistant resp"):
        chat.add_assistant_response("d")
    with pytest.raises(LMStudioRuntimeError):
        chat.add_entry("assistant", [REQUEST])
    assert len(chat) == 2


# What programs may look for in the text of an error, since the official package says so.
@pytest.mark.parametrize(
    ("words", "call"),
    [
        ("Unable to parse system prompt", lambda chat: chat.add_system_prompt(5)),
        ("Unable to parse user message content", lambda chat: chat.add_user_message(5)),
        ("Empty user messages are not supported.", lambda chat: chat.add_user_message([])),
        (
            "Unable to parse assistant response content",
            lambda chat: chat.add_assistant_response(("a", "b")),
        ),
        (
            "Unable to parse assistant response content",
            lambda chat: chat.add_entry("assistant", []),
        ),
        (
            "Unable to parse tool call request content",
            lambda chat: chat.add_assistant_response("a", [5]),
        ),
        ("Unable to parse tool result", lambda chat: chat.add_tool_result("3")),
        ("Unknown history role: judge", lambda chat: chat.add_entry("judge", "a")),
        ("5 is not a valid chat entry", lambda chat: chat.append(5)),
        ("Could not parse history entry: 5", lambda chat: Chat.from_history({"messages": [5]})),
        (
            "Expected Chat, ChatHistoryData, or a dict with a 'messages' key",
            lambda chat: Chat.from_history(5),
        ),
    ],
)
def test_an_error_has_the_words_of_the_official_package(words, call):
    chat = Chat()
    with pytest.raises(LMStudioValueError, match=re.escape(words)):
        call(chat)
    assert len(chat) == 0


def test_an_error_does_not_repeat_all_that_was_given():
    with pytest.raises(LMStudioValueError) as caught:
        Chat().add_user_message(bytes(1_000_000))
    assert len(str(caught.value)) < 500


# -- appending and reading a history ----------------------------------------------------------


def test_append_adds_a_copy():
    message = AssistantResponse(
        content=[TextData(text="a"), ToolCallRequestData(tool_call_request=REQUEST)]
    )
    chat = Chat()
    added = chat.append(message)
    added.content[0].text = "changed"
    added.content[1].tool_call_request.arguments["my_term"] = 2
    assert message.content[0].text == "a"
    assert REQUEST.arguments == {"my_term": 1}


def test_append_takes_messages_and_their_dicts():
    chat = Chat()
    for message in (
        SystemPrompt(content=[TextData(text="Be brief.")]),
        HISTORY["messages"][1],
        AssistantResponse.from_dict(HISTORY["messages"][2]),
        ToolResultMessage(content=[RESULT]),
        HISTORY["messages"][4],
    ):
        chat.append(message)
    assert chat.to_dict() == HISTORY


@pytest.mark.parametrize("message", [5, "a", None, TextData(text="a"), {"role": "user"}, {}, ()])
def test_append_refuses_what_is_no_message(message):
    with pytest.raises(LMStudioValueError):
        Chat().append(message)


@pytest.mark.parametrize(
    "history",
    [
        HISTORY,
        {"messages": [tuple(message.values()) for message in HISTORY["messages"]]},
        {"messages": (message for message in ChatHistoryData.from_dict(HISTORY).messages)},
        ChatHistoryData.from_dict(HISTORY),
        Chat.from_history(HISTORY),
    ],
    ids=["dicts", "pairs", "objects", "data", "chat"],
)
def test_a_history_may_have_any_of_its_forms(history):
    assert Chat.from_history(history).to_dict() == HISTORY


def test_a_text_is_a_history_of_one_user_message():
    assert contents(Chat.from_history("hi")) == [("user", [text("hi")])]


def test_plain_strings_stand_for_texts_in_a_history():
    chat = Chat.from_history(
        {
            "messages": [
                {"role": "system", "content": "a"},
                {"role": "user", "content": "b", "id": 5},
                {"role": "assistant", "content": ["c"]},
            ]
        }
    )
    assert contents(chat) == [
        ("system", [text("a")]),
        ("user", [text("b")]),
        ("assistant", [text("c")]),
    ]


@pytest.mark.parametrize(
    "history",
    [
        None,
        5,
        [],
        {},
        {"messages": None},
        {"messages": 5},
        {"messages": "hi"},
        {"messages": {}, "x": 1},
        {"messages": ["hi"]},
        {"messages": [{"role": "user"}]},
        {"messages": [("user", "a", "b")]},
        ChatHistoryData(messages=[5]),
    ],
)
def test_what_is_no_history_is_a_value_error(history):
    with pytest.raises(LMStudioValueError):
        Chat.from_history(history)


def test_a_history_shares_nothing_with_what_it_was_made_of():
    data = ChatHistoryData.from_dict(HISTORY)
    for source in (
        data,
        {"messages": data.messages},
        {"messages": [("user", data.messages[1].content)]},
        copy.deepcopy(HISTORY),
        Chat.from_history(HISTORY),
    ):
        before = str(source)
        chat = Chat.from_history(source)
        chat.add_tool_result(RESULT)
        for message in chat:
            for part in message.content:
                if isinstance(part, TextData):
                    part.text = "changed"
                if isinstance(part, ToolCallRequestData):
                    part.tool_call_request.arguments["my_term"] = "changed"
                if isinstance(part, FileHandle):
                    part.name = "changed"
            message.content.append(None)
        assert str(source) == before


@pytest.mark.parametrize("copy_chat", [Chat.copy, copy.copy, copy.deepcopy, Chat.from_history])
def test_a_copy_and_its_original_go_separate_ways(copy_chat):
    chat = Chat("a")
    twin = copy_chat(chat)
    assert list(twin) == list(chat)
    twin.add_user_message("b")
    twin[0].content[0].text = "c"
    assert contents(chat) == [("system", [text("a")])]


def test_a_subclass_makes_its_own_kind():
    class MyChat(Chat):
        pass

    chat = MyChat.from_history(Chat("a"))
    assert [type(made) for made in (chat, chat.copy(), chat[:], MyChat.from_json(chat.to_json()))]
    assert {type(made) for made in (chat, chat.copy(), chat[:])} == {MyChat}
    assert str(chat).startswith("MyChat.from_history({")


# -- a sequence of messages -------------------------------------------------------------------


def test_a_chat_is_a_sequence_of_messages():
    chat = Chat.from_history(HISTORY)
    assert len(chat) == 5
    assert [message.role for message in chat] == [
        "system",
        "user",
        "assistant",
        "tool",
        "assistant",
    ]
    assert chat[0] == SystemPrompt(content=[TextData(text="Be brief.")])
    assert chat[-1].role == "assistant"
    assert chat[1] in chat
    with pytest.raises(IndexError):
        chat[5]


def test_a_slice_is_a_chat_of_its_own():
    chat = Chat.from_history(HISTORY)
    end = chat[-2:]
    assert end.to_dict() == {"messages": HISTORY["messages"][-2:]}
    end[0].content[0].content = "changed"
    assert chat.to_dict() == HISTORY


def test_an_empty_chat_is_true_so_that_or_does_not_replace_it():
    chat = Chat()
    assert (chat or None) is chat
    assert len(chat) == 0


def test_a_chat_is_itself_among_others_that_say_the_same():
    chats = [Chat("Be brief.") for _ in range(3)]
    current = chats[2]
    owners = {chat: number for number, chat in enumerate(chats)}
    assert chats.index(current) == owners[current] == 2
    chats.remove(current)
    current.add_user_message("Hello.")
    assert [len(chat) for chat in chats] == [1, 1]
    assert owners[current] == 2

    @dataclasses.dataclass
    class Page:
        chat: Chat = current

    assert Page().chat is current


def test_a_chat_prints_as_the_call_that_makes_it():
    chat = Chat.from_history(HISTORY)
    assert list(eval(str(chat), {"Chat": Chat})) == list(chat)
    assert repr(chat) == "<Chat with 5 messages>"


# -- saving -----------------------------------------------------------------------------------


@pytest.mark.parametrize("saved", ["{", "[]", "5", '{"messages": 5}', b"\xff", "null"])
def test_what_is_no_saved_chat_is_a_value_error(saved):
    with pytest.raises(LMStudioValueError):
        Chat.from_json(saved)


def test_a_saved_chat_is_readable_json():
    assert Chat("Grüße").to_json() == (
        '{"messages": [{"role": "system", "content": [{"type": "text", "text": "Grüße"}]}]}'
    )
    assert list(Chat.from_json(Chat("Grüße").to_json().encode())) == list(Chat("Grüße"))


@pytest.mark.parametrize(
    "text", ["[" * 200_000, '{"messages": [' + '{"a":' * 5000 + "1" + "}" * 5000 + "]}"]
)
def test_a_saved_chat_that_is_nested_without_end_is_refused(text):
    with pytest.raises(LMStudioValueError):
        Chat.from_json(text)


def test_arguments_of_tool_calls_that_json_does_not_know_are_written_as_for_a_tool():
    chat = Chat()
    chat.add_user_message("hi")
    day = datetime.date(2026, 11, 30)
    chat.add_assistant_response("", [ToolCallRequest(name="look", id="1", arguments={"day": day})])
    (request,) = Chat.from_json(chat.to_json())[-1].tool_calls
    assert request.arguments == {"day": "2026-11-30"}
