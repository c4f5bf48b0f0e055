"""The adapter of docs/apps for LangChain: whole replies, streams, and callers that go."""

import pytest
from apps.running import LIMIT, STORY, assert_stopped_once, program
from helpers import found_by_programs

import lmstudio as lms

pytestmark = pytest.mark.apps


@pytest.fixture
def chat_model(server, monkeypatch, tmp_path):
    pytest.importorskip("langchain_core", reason="did not run: langchain-core is not here")
    monkeypatch.setenv(*found_by_programs(server, tmp_path))
    names = {"__name__": "program"}
    exec(compile(program("README.md", "langchain_core"), "program", "exec"), names)
    yield names["ChatLMStudio"]()
    lms.close_default_client()


def test_a_whole_reply_has_its_stats(server, chat_model):
    server.reply("It is green.", tokens_per_second=7.5)
    answer = chat_model.invoke([("system", "You are brief."), ("human", "What colour?")])
    assert answer.content == "It is green."
    assert answer.response_metadata["tokensPerSecond"] == 7.5
    assert [m["role"] for m in server.predictions[0].messages] == ["system", "user"]


def test_a_stream_comes_token_by_token(server, chat_model):
    server.reply(["It ", "is ", "green."])
    assert [chunk.content for chunk in chat_model.stream("What colour?")][:3] == [
        "It ",
        "is ",
        "green.",
    ]


def test_leaving_the_loop_stops_the_model(server, chat_model):
    server.reply(STORY, delay=0.002)
    chunks = chat_model.stream("Tell me a long story.")
    for _ in chunks:
        break
    chunks.close()
    server.predictions[0].wait_finished(LIMIT)
    assert_stopped_once(server)


def test_stop_words_are_lm_studios(server, chat_model):
    server.reply("It is green.")
    chat_model.invoke("What colour?", stop=["red"])
    assert "red" in str(server.predictions[0].config)
