"""The tokens of a chat: two calls of the server, within the limits of one."""

import threading

import pytest
from helpers import Worker

import lmstudio as lms
from lmstudio._concurrency.clock import monotonic


@pytest.fixture
def chat():
    chat = lms.Chat("Be brief.")
    chat.add_user_message("How are you?")
    return chat


def test_a_chat_has_the_tokens_of_its_template(model, chat):
    count = model.count_tokens(chat)
    assert count == model.count_tokens(model.apply_prompt_template(chat))
    assert count == model.count_tokens(chat.to_dict())
    assert count == model.count_tokens(
        {
            "messages": [
                {"role": "system", "content": "Be brief."},
                {"role": "user", "content": "How are you?"},
            ]
        }
    )


def test_a_text_is_counted_without_the_template(server, model):
    assert model.count_tokens("a b c") == 3
    assert "applyPromptTemplate" not in [m.get("endpoint") for m in server.received()]


def test_what_is_neither_text_nor_chat_is_refused(server, model, client):
    sent = len(server.received(type="rpcCall"))
    for wrong in (5, None, ["a"], {"text": "a"}):
        with pytest.raises(lms.LMStudioValueError):
            model.count_tokens(wrong)
    with pytest.raises(lms.LMStudioValueError, match="string"):
        client.embedding.model().count_tokens(lms.Chat("hi"))
    assert [m for m in server.received(type="rpcCall")[sent:] if "Tokens" in m["endpoint"]] == []


@pytest.mark.races
@pytest.mark.parametrize("endpoint", ["applyPromptTemplate", "countTokens"])
def test_an_event_stops_either_call(server, model, chat, endpoint):
    server.hold(endpoint)
    event = threading.Event()
    worker = Worker(lambda: model.count_tokens(chat, cancel_event=iter([event])))
    server.expect(endpoint)

    event.set()

    assert isinstance(worker.error(), lms.LMStudioCancelledError)


def test_an_event_that_is_set_lets_nothing_be_sent(server, model, chat):
    event = threading.Event()
    event.set()
    sent = len(server.received(type="rpcCall"))

    with pytest.raises(lms.LMStudioCancelledError):
        model.count_tokens(chat, cancel_event=event)

    assert len(server.received(type="rpcCall")) == sent


def test_the_time_limit_counts_from_the_first_call(server, client, model, chat):
    server.hold("applyPromptTemplate")
    server.hold("countTokens")
    worker = Worker(lambda: model.count_tokens(chat, timeout=60))
    template = server.expect("applyPromptTemplate")
    while_it_runs = monotonic()
    template.result({"formatted": "a b"})
    count = server.expect("countTokens")

    (call,) = client._session.dispatcher.open.values()
    assert call.started < while_it_runs
    assert call.timeout == 60
    count.result({"tokenCount": 2})
    assert worker.result() == 2


def test_a_limit_that_passes_in_the_second_call_ends_it(server, model, chat):
    server.hold("countTokens")
    with pytest.raises(lms.LMStudioTimeoutError, match=r"timeout=0\.1 s"):
        model.count_tokens(chat, timeout=0.1)
