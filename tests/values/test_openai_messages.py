"""Chats from and to the messages of OpenAI's API: what becomes what, and what cannot."""

import base64
import datetime
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

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
from lmstudio.errors import LMStudioTimeoutError, LMStudioValueError

PNG = b"\x89PNG\r\n\x1a\n..."
URL = "data:image/png;base64," + base64.b64encode(PNG).decode()
IMAGE = {"type": "image_url", "image_url": {"url": URL, "detail": "low"}}
MESSAGES = [
    {"role": "system", "content": "Be brief."},
    {
        "role": "user",
        "content": [
            {"type": "text", "text": "How many cats?"},
            {"type": "image_url", "image_url": {"url": URL}},
        ],
    },
    {
        "role": "assistant",
        "content": None,
        "tool_calls": [
            {
                "id": "1",
                "type": "function",
                "function": {"name": "count", "arguments": '{"what": "cats", "how": [1, null]}'},
            }
        ],
    },
    {"role": "tool", "content": "3", "tool_call_id": "1"},
    {"role": "assistant", "content": "Three."},
    {"role": "user", "content": "Thanks."},
]


def upload(data):
    """Stands for prepare_image(): the identifier is the content."""
    return FileHandle(
        name="image.png", identifier=data.hex(), size_bytes=len(data), file_type="image"
    )


def url(file):
    return "data:image/png;base64," + base64.b64encode(bytes.fromhex(file.identifier)).decode()


def request(arguments="{}", **changes):
    call = {"type": "function", "function": {"name": "add", "arguments": arguments}, **changes}
    return {"role": "assistant", "content": None, "tool_calls": [call]}


# -- reading ----------------------------------------------------------------------------------


def test_every_kind_of_message_becomes_ours():
    chat = Chat.from_openai(MESSAGES, prepare_image=upload)
    arguments = {"what": "cats", "how": [1, None]}
    call = ToolCallRequest(name="count", id="1", arguments=arguments)
    assert list(chat) == [
        SystemPrompt(content=[TextData(text="Be brief.")]),
        UserMessage(content=[TextData(text="How many cats?"), upload(PNG)]),
        AssistantResponse(content=[ToolCallRequestData(tool_call_request=call)]),
        ToolResultMessage(content=[ToolCallResultData(content="3", tool_call_id="1")]),
        AssistantResponse(content=[TextData(text="Three.")]),
        UserMessage(content=[TextData(text="Thanks.")]),
    ]


def test_a_developer_is_the_system():
    chat = Chat.from_openai([{"role": "developer", "content": "Be brief."}])
    assert list(chat) == list(Chat("Be brief."))


def test_messages_of_one_role_in_a_row_become_one():
    chat = Chat.from_openai(
        [
            {"role": "system", "content": "a"},
            {"role": "developer", "content": [{"type": "text", "text": "b"}]},
            {"role": "user", "content": "c"},
            {"role": "user", "content": "d"},
            {"role": "assistant", "content": "e"},
            request(),
            {"role": "tool", "content": "f", "tool_call_id": "1"},
            {"role": "tool", "content": [{"type": "text", "text": part} for part in "gh"]},
        ]
    )
    assert [message.role for message in chat] == ["system", "user", "assistant", "tool"]
    assert chat[0].content == [TextData(text="a\n\nb")]
    assert chat[1].content == [TextData(text="c"), TextData(text="d")]
    assert (chat[2].text, chat[2].tool_calls[0].name) == ("e", "add")
    assert chat[3].content == [
        ToolCallResultData(content="f", tool_call_id="1"),
        ToolCallResultData(content="gh"),
    ]


@pytest.mark.parametrize("content", [None, "", []])
def test_a_response_may_be_empty(content):
    chat = Chat.from_openai([{"role": "assistant", "content": content}])
    assert chat[0].content == [TextData(text="")]
    assert list(Chat.from_openai([{"role": "assistant"}])) == list(chat)


def test_a_refusal_is_a_response():
    refusal = {"type": "refusal", "refusal": "No."}
    for message in ({"content": None, "refusal": "No."}, {"content": [refusal]}):
        chat = Chat.from_openai([{"role": "assistant", **message}])
        assert chat[0].text == "No."


@pytest.mark.parametrize("arguments", ["{}", "", None, {}])
def test_a_tool_call_may_lack_arguments(arguments):
    (message,) = Chat.from_openai([request(arguments)])
    assert message.tool_calls == [ToolCallRequest(name="add", arguments={})]


def test_what_has_no_place_in_a_chat_is_left_out():
    chat = Chat.from_openai([{"role": "user", "content": "hi", "name": "Ann", "x": 1}])
    assert list(chat) == list(Chat.from_history("hi"))


def test_a_message_may_be_an_object_that_dumps_itself():
    class Message:
        """As the package openai has them."""

        def model_dump(self):
            return {**request(id="1"), "refusal": None, "function_call": None, "audio": None}

    (message,) = Chat.from_openai([Message()])
    assert message.tool_calls == [ToolCallRequest(name="add", id="1", arguments={})]


def test_a_subclass_makes_its_own_kind():
    class MyChat(Chat):
        pass

    assert type(MyChat.from_openai([])) is MyChat


# -- images -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "image_url",
    [
        {"url": URL, "detail": "low"},
        {"url": URL.replace("data:image/png", "DATA:Image/PNG;x=1")},
        {"url": URL[:30] + "\n" + URL[30:]},
        {"url": URL.replace("image/png", "")},
        URL,
    ],
)
def test_an_image_is_uploaded(image_url):
    part = {"type": "image_url", "image_url": image_url}
    chat = Chat.from_openai([{"role": "user", "content": [part]}], prepare_image=upload)
    assert chat[0].files == [upload(PNG)]


def test_nothing_is_uploaded_before_all_could_be_read():
    uploaded = []
    messages = [{"role": "user", "content": [IMAGE]}, {"role": "judge", "content": "no"}]
    with pytest.raises(LMStudioValueError, match=r"messages\[1\]"):
        Chat.from_openai(messages, prepare_image=uploaded.append)
    assert not uploaded


def test_an_image_without_upload_is_an_error_that_says_what_to_do():
    with pytest.raises(LMStudioValueError, match=r"messages\[1\].*prepare_image=client\.prepare_"):
        Chat.from_openai(MESSAGES)


def test_what_the_upload_raises_comes_out():
    def prepare_image(data):
        raise LMStudioTimeoutError("too slow")

    with pytest.raises(LMStudioTimeoutError, match="too slow"):
        Chat.from_openai(MESSAGES, prepare_image=prepare_image)
    with pytest.raises(LMStudioValueError, match="prepare_image"):
        Chat.from_openai(MESSAGES, prepare_image=lambda data: "image.png")


# -- what cannot be read ----------------------------------------------------------------------

HI = {"role": "user", "content": "hi"}


@pytest.mark.parametrize(
    ("message", "words"),
    [
        ("hi", "is a dict, not 'hi'"),
        ({"content": "hi"}, "role: expected system, .* not None"),
        ({"role": "function", "name": "f", "content": "x"}, "role: .*not 'function'"),
        ({"role": ["user"], "content": "x"}, r"role: .*not \['user'\]"),
        ({"role": "user", "content": None}, "cannot be empty"),
        ({"role": "user", "content": []}, "cannot be empty"),
        ({"role": "system", "content": ""}, None),
        ({"role": "system"}, "cannot be empty"),
        ({"role": "user", "content": 5}, "content: expected a text, .*, not 5"),
        ({"role": "user", "content": ["hi"]}, r"content\[0\]: .* this is 'hi'"),
        (
            {"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "input_audio"}]},
            r"content\[1\]: .*'text' or 'image_url'; .*input_audio",
        ),
        ({"role": "user", "content": [{"type": "text"}]}, r"content\[0\]\.text: .*not None"),
        ({"role": "system", "content": [IMAGE]}, r"content\[0\]: an image cannot stand"),
        ({"role": "tool", "content": [IMAGE]}, r"content\[0\]: an image cannot stand"),
        ({"role": "tool", "content": "x", "tool_call_id": 5}, "tool_call_id: .*not 5"),
        ({"role": "assistant", "function_call": {"name": "f"}}, "function_call: .*no place"),
        ({"role": "assistant", "audio": {"id": "x"}}, "audio: .*no place"),
        ({"role": "assistant", "tool_calls": {"id": "1"}}, "tool_calls: expected a list"),
        ({"role": "assistant", "tool_calls": [5]}, r"tool_calls\[0\]: .*not 5"),
        (request(type="custom"), r"tool_calls\[0\]: expected the call of a function"),
        (request(function={"arguments": "{}"}), r"tool_calls\[0\]\.function\.name: .*not None"),
        (request(id=5), r"tool_calls\[0\]\.id: .*not 5"),
        (request("{"), r"tool_calls\[0\]\.function\.arguments: expected JSON, not '{'"),
        (request("[1]"), r"arguments: expected the text of a JSON object, not '\[1\]'"),
        (request(5), "arguments: .*not 5"),
    ],
)
def test_what_cannot_be_read_is_an_error_that_says_where(message, words):
    if words is None:
        assert list(Chat.from_openai([message])) == list(Chat(""))
        return
    with pytest.raises(LMStudioValueError, match=rf"^messages\[1\].*{words}"):
        Chat.from_openai([HI, message], prepare_image=upload)


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("https://example.com/cat.png", "not fetched"),
        ("cat.png", "not fetched"),
        ("data:image/svg+xml,<svg/>", "base64"),
        ("data:image/png;base64,%%%", "no base64"),
        ("data:image/png;base64,", "empty"),
        (None, "not None"),
    ],
)
def test_an_image_that_is_not_in_the_message_is_refused(address, words):
    part = {"type": "image_url", "image_url": {"url": address}}
    with pytest.raises(LMStudioValueError, match=rf"messages\[0\]\.content\[0\].*{words}"):
        Chat.from_openai([{"role": "user", "content": [part]}], prepare_image=upload)


def test_an_error_does_not_repeat_a_whole_image():
    wrong = {"type": "image_url", "image_url": {"url": "x" * 1_000_000}}
    with pytest.raises(LMStudioValueError) as caught:
        Chat.from_openai([{"role": "user", "content": [wrong]}])
    assert len(str(caught.value)) < 600


@pytest.mark.parametrize("messages", [None, 5, "hi", {"messages": [HI]}, HI])
def test_what_is_no_list_of_messages_is_refused(messages):
    with pytest.raises(LMStudioValueError, match="expected a list of messages"):
        Chat.from_openai(messages)


# -- writing ----------------------------------------------------------------------------------


def test_messages_come_back_as_they_were():
    chat = Chat.from_openai(MESSAGES, prepare_image=upload)
    assert chat.to_openai(image_url=url) == MESSAGES
    assert json.loads(json.dumps(chat.to_openai(image_url=url))) == MESSAGES


def test_each_tool_result_is_a_message():
    chat = Chat()
    chat.add_tool_results(
        [ToolCallResultData(content="3", tool_call_id="1"), ToolCallResultData(content="4")]
    )
    assert chat.to_openai() == [
        {"role": "tool", "content": "3", "tool_call_id": "1"},
        {"role": "tool", "content": "4"},
    ]


def test_a_file_needs_a_url():
    chat = Chat.from_openai(MESSAGES, prepare_image=upload)
    with pytest.raises(LMStudioValueError, match=r"chat\[1\].*image\.png.*image_url="):
        chat.to_openai()
    with pytest.raises(LMStudioValueError, match=r"chat\[1\].*returned 5"):
        chat.to_openai(image_url=lambda file: 5)


def test_a_file_without_url_is_left_out():
    chat = Chat()
    chat.add_user_message("look", images=[upload(PNG)])
    assert chat.to_openai(image_url=lambda file: None) == [{"role": "user", "content": "look"}]
    alone = Chat.from_history({"messages": [("user", upload(PNG))]})
    assert alone.to_openai(image_url=lambda file: None) == [{"role": "user", "content": ""}]


def test_what_comes_back_shares_nothing_with_the_chat():
    chat = Chat.from_openai(MESSAGES, prepare_image=upload)
    before = chat.copy()
    for message in chat.to_openai(image_url=url):
        message["content"] = "changed"
    assert list(chat) == list(before)


# -- there and back ---------------------------------------------------------------------------

texts = st.text(max_size=5)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | texts,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(texts, inner, max_size=2),
    max_leaves=4,
)
text_parts = st.builds(TextData, text=texts)
files = st.builds(upload, st.binary(min_size=1, max_size=5))
calls = st.builds(
    ToolCallRequestData,
    tool_call_request=st.builds(
        ToolCallRequest,
        name=texts,
        id=st.none() | texts,
        arguments=st.dictionaries(texts, values, max_size=2),
    ),
)
results = st.builds(
    ToolCallResultData, content=texts, tool_call_id=st.none() | texts, name=st.none() | texts
)
messages = st.one_of(
    st.builds(SystemPrompt, content=st.lists(text_parts, min_size=1, max_size=2)),
    st.builds(UserMessage, content=st.lists(text_parts | files, min_size=1, max_size=3)),
    st.builds(
        AssistantResponse,
        content=st.builds(
            lambda said, asked: said + asked or [TextData(text="")],
            st.lists(text_parts, max_size=2),
            st.lists(calls, max_size=2),
        ),
    ),
    st.builds(ToolResultMessage, content=st.lists(results, min_size=1, max_size=2)),
)


@given(st.lists(messages, max_size=6))
def test_a_chat_survives_the_way_there_and_back(messages):
    chat = Chat.from_history(
        ChatHistoryData(
            messages=[
                message
                for index, message in enumerate(messages)
                if index == 0 or message.role != messages[index - 1].role
            ]
        )
    )
    written = chat.to_openai(image_url=url)
    assert list(Chat.from_openai(written, prepare_image=upload)) == list(chat)
    assert json.loads(json.dumps(written)) == written


def test_objects_of_the_package_are_taken_wherever_they_stand():
    class Model:  # as pydantic's
        def __init__(self, **values):
            self._values = values

        def model_dump(self):
            return self._values

    arguments = {"day": [1]}
    call = Model(id="1", type="function", function={"name": "f", "arguments": arguments})
    chat = Chat.from_openai(
        [
            {"role": "user", "content": [Model(type="text", text="hi")]},
            {"role": "assistant", "content": None, "tool_calls": [call]},
        ]
    )
    arguments["day"].append(2)
    assert chat[0].text == "hi"
    assert chat[1].tool_calls[0].arguments == {"day": [1]}


def test_arguments_of_any_form_that_json_has_are_written():
    chat = Chat()
    chat.add_user_message("hi")
    request = ToolCallRequest(name="f", id="1", arguments={"day": datetime.date(2026, 1, 2)})
    chat.add_assistant_response("", [request])
    written = chat.to_openai()[1]["tool_calls"][0]["function"]["arguments"]
    assert written == '{"day": "2026-01-02"}'


def test_a_stop_iteration_of_prepare_image_is_an_error():
    url = "data:image/png;base64,AAAA"
    message = {"role": "user", "content": [{"type": "image_url", "image_url": {"url": url}}]}
    with pytest.raises(RuntimeError, match="raised StopIteration"):
        Chat.from_openai([message], prepare_image=lambda data: next(iter(())))
