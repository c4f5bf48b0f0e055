"""Chats are edited: the last message, other words, an answer again, a turn taken back."""

import contextlib
import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lmstudio._values.chat import Chat
from lmstudio._values.messages import (
    AssistantResponse,
    FileHandle,
    SystemPrompt,
    TextData,
    ToolCallRequest,
    ToolCallRequestData,
    ToolCallResultData,
    UserMessage,
)
from lmstudio._values.results import LlmPredictionStats, PredictionResult
from lmstudio.errors import LMStudioRuntimeError, LMStudioValueError

FILE = FileHandle(name="cat.png", identifier="f1", size_bytes=3, file_type="image")
REQUEST = ToolCallRequest(name="add", id="1", arguments={"a": 1})
RESULT = ToolCallResultData(content="3", tool_call_id="1")
ADD = {
    "s": lambda chat, words: chat.add_system_prompt(words),
    "u": lambda chat, words: chat.add_user_message(words),
    "a": lambda chat, words: chat.add_assistant_response(words),
    "c": lambda chat, words: chat.add_assistant_response(words, [REQUEST]),
    "t": lambda chat, words: chat.add_tool_result(RESULT),
}


def chat_of(roles):
    """A chat of messages with these roles (c: a response with a tool call), named s0, u1, ..."""
    chat = Chat()
    for index, role in enumerate(roles):
        ADD[role](chat, f"{role}{index}")
    return chat


def texts(chat):
    return [message.text for message in chat]


# -- the last message -------------------------------------------------------------------------


@pytest.mark.parametrize(("roles", "role"), [("s", "system"), ("su", "user"), ("ua", "assistant")])
def test_the_last_message_is_told_by_its_role(roles, role):
    chat = chat_of(roles)
    assert chat.last_message() is chat.last_message(role) is chat[-1]
    assert chat._get_last_message(role) is chat[-1]
    for other in {"system", "user", "assistant", "tool", "judge"} - {role}:
        assert chat.last_message(other) is None
        assert chat._get_last_message(other) is None


def test_an_empty_chat_has_no_last_message():
    assert Chat().last_message() is None
    assert Chat().last_message("user") is None
    assert Chat()._get_last_message("user") is None


# -- dropping ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("roles", "left"),
    [
        ("sua", "su"),
        ("sucta", "su"),
        ("uctct", "u"),
        ("suauct", "suau"),
        ("sa", "s"),
        ("a", ""),
        ("su", "su"),
        ("uas", "uas"),
        ("", ""),
    ],
)
def test_a_response_is_dropped_with_its_tool_calls_and_their_results(roles, left):
    chat = chat_of(roles)
    before = list(chat)
    removed = chat.drop_last_response()
    assert list(chat) == list(chat_of(left))
    assert [*chat, *removed] == before


@pytest.mark.parametrize(
    ("roles", "left"),
    [("sua", "s"), ("suau", "sua"), ("sucta", "s"), ("uasua", "uas"), ("u", "")],
)
def test_a_turn_is_dropped_from_the_users_message_on(roles, left):
    chat = chat_of(roles)
    before = list(chat)
    removed = chat.drop_last_turn()
    assert list(chat) == list(chat_of(left))
    assert removed[0].role == "user"
    assert [*chat, *removed] == before


@pytest.mark.parametrize("roles", ["", "s", "sa"])
def test_without_a_user_message_there_is_no_turn_to_drop(roles):
    chat = chat_of(roles)
    assert chat.drop_last_turn() == []
    assert list(chat) == list(chat_of(roles))


def test_a_reply_takes_the_place_of_the_one_that_was_dropped():
    chat = chat_of("sucta")
    chat.drop_last_response()
    chat.add_assistant_response("again")
    assert texts(chat) == ["s0", "u1", "again"]


# -- replacing and removing messages ----------------------------------------------------------


def test_a_message_is_replaced_by_a_copy():
    chat = chat_of("sua")
    message = UserMessage(content=[TextData(text="other"), FILE])
    chat[1] = message
    chat[-1] = {"role": "assistant", "content": "words"}
    assert texts(chat) == ["s0", "other", "words"]
    message.content[0].text = "changed"
    assert texts(chat) == ["s0", "other", "words"]
    assert isinstance(chat[-1], AssistantResponse)


def test_a_message_of_another_role_may_take_a_place_where_it_fits():
    chat = chat_of("sua")
    chat[0] = AssistantResponse(content=[TextData(text="Welcome.")])
    assert [message.role for message in chat] == ["assistant", "user", "assistant"]


@pytest.mark.parametrize(
    ("index", "role"), [(1, "system"), (1, "assistant"), (0, "user"), (2, "user"), (-1, "user")]
)
def test_a_message_that_would_stand_beside_one_of_its_role_is_refused(index, role):
    chat = chat_of("sua")
    with pytest.raises(LMStudioRuntimeError, match="Multi-part or consecutive"):
        chat[index] = {"role": role, "content": "x"}
    assert list(chat) == list(chat_of("sua"))


def test_what_is_no_message_replaces_none():
    chat = chat_of("sua")
    for wrong in (5, "words", None, {"role": "user"}, {"role": "user", "content": []}):
        with pytest.raises(LMStudioValueError):
            chat[1] = wrong
    for index in (3, -4):
        with pytest.raises(IndexError):
            chat[index] = chat[1]
    assert list(chat) == list(chat_of("sua"))


@pytest.mark.parametrize("index", [slice(0, 1), slice(None), "a", 1.0])
def test_several_messages_are_not_replaced_at_once_and_the_error_says_how_else(index):
    chat = chat_of("sua")
    with pytest.raises(LMStudioValueError, match=r"chat\[index\] = message.*del chat\[start:end\]"):
        chat[index] = []
    assert len(chat) == 3


@pytest.mark.parametrize(
    ("index", "content"),
    [
        (0, "text"),
        (1, "text"),
        (1, None),
        (1, {"type": "text", "text": "a"}),
        (1, ["a"]),
        (1, [TextData(text="a"), None]),
        (1, TextData(text="a")),
        (2, [RESULT]),
        (3, [TextData(text="3")]),
    ],
)
def test_content_that_is_no_list_of_parts_is_refused_when_it_is_set(index, content):
    chat = chat_of("suct")
    before = chat.to_dict()
    role = chat[index].role
    with pytest.raises(LMStudioValueError, match=f"is a list of parts .*'role': '{role}'"):
        chat[index].content = content
    assert chat.to_dict() == before


def test_content_can_be_set_to_other_parts():
    chat = chat_of("sua")
    chat[1].content = (TextData(text="other"), FILE)
    assert chat[1].content == [TextData(text="other"), FILE]
    chat.add_user_message("more")
    assert chat[1].text == "other"


@pytest.mark.parametrize("part", ["a", None, {"type": "text", "text": "a"}, RESULT])
def test_a_part_that_was_put_into_a_message_is_refused_before_it_is_sent(part):
    chat = chat_of("su")
    chat[1].content.append(part)
    with pytest.raises(LMStudioValueError, match="content of a UserMessage is a list of parts"):
        chat._to_wire()


def test_a_message_is_removed():
    chat = chat_of("sua")
    assert chat.pop() == chat_of("sua")[2]
    assert texts(chat) == ["s0", "u1"]
    del chat[0]
    assert texts(chat) == ["u1"]
    assert chat.pop(0).text == "u1"
    for remove in (chat.pop, lambda: chat.__delitem__(0)):
        with pytest.raises(IndexError):
            remove()


def test_several_messages_are_removed():
    chat = chat_of("suctaua")
    del chat[2:5]
    assert texts(chat) == ["s0", "u1\nu5", "a6"]
    del chat[1:]
    assert texts(chat) == ["s0"]
    del chat[5:]
    assert texts(chat) == ["s0"]


def test_user_messages_that_follow_each_other_then_become_one():
    chat = chat_of("uauau")
    del chat[1::2]
    assert len(chat) == 1
    assert chat[0].content == [TextData(text=words) for words in ("u0", "u2", "u4")]


@pytest.mark.parametrize(("roles", "index"), [("uaua", 2), ("sus", 1), ("ucta", slice(2, 3))])
def test_what_keeps_two_responses_or_system_prompts_apart_is_not_removed(roles, index):
    chat = chat_of(roles)
    with pytest.raises(LMStudioRuntimeError, match="Multi-part or consecutive"):
        del chat[index]
    if isinstance(index, int):
        with pytest.raises(LMStudioRuntimeError, match="Multi-part or consecutive"):
            chat.pop(index)
    assert list(chat) == list(chat_of(roles))


def test_nothing_is_joined_where_an_error_stops_the_removal():
    chat = chat_of("uauasus")
    with pytest.raises(LMStudioRuntimeError):
        del chat[1::4]
    assert list(chat) == list(chat_of("uauasus"))


# -- the system prompt ------------------------------------------------------------------------


@pytest.mark.parametrize("prompt", ["Be kind.", TextData(text="Be kind."), {"text": "Be kind."}])
def test_the_system_prompt_is_replaced(prompt):
    chat = chat_of("suasua")
    chat.replace_system_prompt(prompt)
    assert texts(chat) == ["Be kind.", "u1", "a2", "s3", "u4", "a5"]
    assert isinstance(chat[0], SystemPrompt)


def test_a_chat_without_a_system_prompt_gets_one():
    for roles in ("ua", ""):
        chat = chat_of(roles)
        chat.replace_system_prompt("Be kind.")
        assert chat[0] == SystemPrompt(content=[TextData(text="Be kind.")])
        assert list(chat[1:]) == list(chat_of(roles))


def test_the_system_prompt_is_removed():
    for roles in ("sua", "ua", "s", ""):
        chat = chat_of(roles)
        chat.replace_system_prompt(None)
        assert texts(chat) == texts(chat_of(roles))[roles.count("s") :]


def test_what_is_no_text_does_not_replace_the_system_prompt():
    chat = chat_of("su")
    with pytest.raises(LMStudioValueError, match="Unable to parse system prompt"):
        chat.replace_system_prompt(5)
    assert list(chat) == list(chat_of("su"))


# -- any edits --------------------------------------------------------------------------------

indices = st.integers(-6, 6)
slices = st.builds(slice, st.none() | indices, st.none() | indices, st.sampled_from([1, 2, -1]))
edits = st.one_of(
    st.tuples(st.just("__delitem__"), indices | slices),
    st.tuples(st.just("pop"), indices),
    st.tuples(st.just("drop_last_response")),
    st.tuples(st.just("drop_last_turn")),
    st.tuples(st.just("replace_system_prompt"), st.sampled_from(["new", None])),
    st.tuples(
        st.just("__setitem__"),
        indices,
        st.builds(
            lambda role: {"role": role, "content": "x"},
            st.sampled_from(["system", "user", "assistant"]),
        ),
    ),
    st.tuples(st.sampled_from(["add_user_message", "add_assistant_response"]), st.just("y")),
)


@given(st.text("suact", max_size=8), st.lists(edits, max_size=5))
def test_no_edit_brings_two_messages_of_one_role_together(roles, steps):
    chat = Chat()
    for role in roles:
        with contextlib.suppress(LMStudioRuntimeError):
            ADD[role](chat, role)
    for method, *arguments in steps:
        before = chat.copy()
        try:
            getattr(chat, method)(*arguments)
        except (LMStudioRuntimeError, IndexError):
            assert list(chat) == list(before)
        pairs = itertools.pairwise(message.role for message in chat)
        assert all(a != b or a == "tool" for a, b in pairs)


# -- with and without reasoning ---------------------------------------------------------------

THOUGHT = "<think>Hm.</think>\n\nYes."


def test_a_response_keeps_its_reasoning_unless_that_is_left_out():
    chat = chat_of("u")
    assert chat.add_assistant_response(THOUGHT).text == THOUGHT
    chat.pop()
    assert chat.add_assistant_response(THOUGHT, reasoning=False).text == "Yes."
    chat.pop()
    assert chat.add_assistant_response("Yes.", [REQUEST], reasoning=False).tool_calls == [REQUEST]


@pytest.mark.parametrize("answer", ["Yes.", "<think> is a tag, </think> its end."])
def test_what_a_model_marked_as_its_reasoning_is_left_out_whatever_its_marks(answer):
    result = PredictionResult(
        content=f"[Hm.]\n{answer}",
        parsed=f"[Hm.]\n{answer}",
        stats=LlmPredictionStats(stop_reason="eosFound"),
        model_info=None,
        load_config=None,
        prediction_config=None,
        reasoning_content="Hm.",
        answer=f"\n{answer}",
    )
    chat = chat_of("u")
    assert chat.add_assistant_response(result).text == f"[Hm.]\n{answer}"
    chat.pop()
    assert chat.add_assistant_response(result, reasoning=False).text == answer


@pytest.mark.parametrize(
    "message",
    [
        AssistantResponse(content=[TextData(text=THOUGHT)]),
        {"role": "assistant", "content": THOUGHT},
        {"role": "assistant", "content": [{"type": "text", "text": THOUGHT}]},
    ],
)
def test_a_message_is_added_without_its_reasoning(message):
    before = str(message)
    chat = chat_of("u")
    assert chat.append(message).text == THOUGHT
    chat.pop()
    assert chat.append(message, reasoning=False).text == "Yes."
    assert chat[-1].text == "Yes."
    assert str(message) == before  # it is the caller's


def test_the_calls_of_a_message_stay_when_its_reasoning_goes():
    chat = chat_of("u")
    chat.append(
        AssistantResponse(
            content=[TextData(text=THOUGHT), ToolCallRequestData(tool_call_request=REQUEST)]
        ),
        reasoning=False,
    )
    assert chat[-1].text == "Yes."
    assert chat[-1].tool_calls == [REQUEST]


def test_other_messages_have_no_reasoning_to_leave_out():
    chat = Chat()
    chat.append({"role": "system", "content": THOUGHT}, reasoning=False)
    chat.append({"role": "user", "content": THOUGHT}, reasoning=False)
    assert [message.text for message in chat] == [THOUGHT, THOUGHT]
