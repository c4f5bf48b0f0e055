"""Chats of any messages survive every way there and back."""

import itertools
import pickle

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
from lmstudio.errors import LMStudioRuntimeError, LMStudioValueError

texts = st.text(max_size=5)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=5,
)
files = st.builds(
    FileHandle, name=texts, identifier=texts, size_bytes=st.integers(0), file_type=texts
)
requests = st.builds(
    ToolCallRequest,
    name=texts,
    id=st.none() | texts,
    arguments=st.none() | st.dictionaries(texts, json_values, max_size=3),
)
results = st.builds(
    ToolCallResultData, content=texts, tool_call_id=st.none() | texts, name=st.none() | texts
)
steps = st.one_of(
    st.tuples(st.just("add_system_prompt"), texts),
    st.tuples(st.just("add_user_message"), texts | st.lists(texts | files, max_size=3)),
    st.tuples(st.just("add_assistant_response"), texts | files, st.lists(requests, max_size=2)),
    st.tuples(st.just("add_tool_results"), st.lists(results, max_size=2)),
)


@st.composite
def chats(draw):
    chat = Chat()
    for method, *arguments in draw(st.lists(steps, max_size=8)):
        before = chat.to_dict()
        try:
            getattr(chat, method)(*arguments)
        except (LMStudioRuntimeError, LMStudioValueError):
            assert chat.to_dict() == before
    return chat


@given(chats())
def test_a_chat_survives_every_way_there_and_back(chat):
    assert list(Chat.from_history(chat.to_dict())) == list(chat)
    assert list(Chat.from_history({"messages": list(chat)})) == list(chat)
    assert list(Chat.from_json(chat.to_json())) == list(chat)
    for twin in (chat.copy(), chat[:], pickle.loads(pickle.dumps(chat))):
        assert list(twin) == list(chat)
    appended = Chat()
    for message in chat:
        appended.append(message)
    assert list(appended) == list(chat)


text_parts = st.builds(TextData, text=texts)
messages = st.one_of(
    st.builds(SystemPrompt, content=st.lists(text_parts, max_size=3)),
    st.builds(UserMessage, content=st.lists(text_parts | files, max_size=3)),
    st.builds(
        AssistantResponse,
        content=st.lists(
            text_parts | files | st.builds(ToolCallRequestData, tool_call_request=requests),
            max_size=3,
        ),
    ),
    st.builds(ToolResultMessage, content=st.lists(results, max_size=2)),
)


@given(st.builds(ChatHistoryData, messages=st.lists(messages, max_size=6)))
def test_a_chat_of_any_messages_survives_every_way_there_and_back(history):
    chat = Chat.from_history(history)
    assert list(chat) == history.messages
    assert list(Chat.from_history(chat.to_dict())) == list(chat)
    assert list(Chat.from_json(chat.to_json())) == list(chat)
    for twin in (chat.copy(), chat[:], pickle.loads(pickle.dumps(chat))):
        assert list(twin) == list(chat)
    assert list(Chat.from_json(chat[::2].to_json())) == list(chat[::2])
    for message in chat:
        if message.content:
            alone = Chat()
            assert alone.append(message) == message


@given(chats())
def test_no_two_messages_of_one_role_follow_each_other_but_tool_results(chat):
    roles = [message.role for message in chat]
    assert all(a != b or a == "tool" for a, b in itertools.pairwise(roles))
