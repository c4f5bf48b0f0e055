"""The real model behind the embedded server: streaming and cancelling in every phase."""

import subprocess
import sys
import threading
from pathlib import Path

import pytest

import lmstudio as lms

pytestmark = [pytest.mark.model, pytest.mark.timeout(120)]

LONG_PROMPT = "Summarise this: " + "The sea was calm, and the light turned. " * 40


@pytest.fixture(scope="module")
def real_server():
    from lmstudio.testing import LlamaEngine, Server, find_smollm2

    with Server(engine=LlamaEngine(find_smollm2())) as server:
        yield server


@pytest.fixture
def real_model(real_server):
    with lms.Client(real_server.host, idle_timeout=100) as client:
        yield client.llm.model()


@pytest.fixture(autouse=True)
def no_leaks():
    """The engine keeps its thread for the whole module, so leaks are not looked for here."""


def last(server):
    prediction = server.predictions[-1]
    prediction.wait_finished(30)
    return prediction


def test_a_reply_streams_and_ends(real_model):
    stream = real_model.respond_stream("Say hello.", config={"maxTokens": 12})
    text = "".join(fragment.content for fragment in stream)
    result = stream.result()

    assert text == result.content != ""
    assert result.stats.stop_reason in ("eosFound", "maxPredictedTokensReached")
    assert result.stats.predicted_tokens_count > 0
    assert result.stats.time_to_first_token_sec > 0


def test_a_completion_continues_the_text(real_model):
    assert real_model.complete("Once upon a", config={"maxTokens": 4}).content


def test_tokens_are_counted_by_the_model(real_model):
    assert real_model.count_tokens("Hello, world!") in range(2, 10)


def test_cancel_in_the_middle_stops_the_generation(real_server, real_model):
    stop = threading.Event()
    stream = real_model.respond_stream("Tell me a very long story.", cancel_event=stop)
    taken = []
    for fragment in stream:
        taken.append(fragment.content)
        if len(taken) == 5:
            stop.set()
    result = stream.result()

    assert result.cancelled
    assert result.content == "".join(taken) != ""
    assert result.stats.stop_reason == "userStopped"
    assert last(real_server).stop_reason == "userStopped"
    assert last(real_server).tokens_sent < 60


def test_cancel_during_prompt_processing_stops_before_the_first_token(real_server, real_model):
    stop = threading.Event()
    steps = []

    def on_progress(progress):
        steps.append(progress)
        if progress > 0:
            stop.set()

    result = real_model.respond(
        LONG_PROMPT, cancel_event=stop, on_prompt_processing_progress=on_progress
    )

    assert result.cancelled
    assert result.content == ""
    assert 0 < steps[-1] < 1
    assert last(real_server).stop_reason == "userStopped"
    assert last(real_server).tokens_sent == 0


def test_break_and_timeout_stop_the_generation_too(real_server, real_model):
    for _ in real_model.respond_stream("Tell me a very long story."):
        break
    assert last(real_server).stop_reason == "userStopped"

    with pytest.raises(lms.LMStudioTimeoutError):
        real_model.respond(LONG_PROMPT, timeout=0.3)
    assert last(real_server).stop_reason == "userStopped"
    assert real_model.respond("Say hi.", config={"maxTokens": 3}).content


def test_an_event_set_before_the_start_sends_nothing(real_server, real_model):
    stop = threading.Event()
    stop.set()
    count = len(real_server.predictions)

    assert real_model.respond("hi", cancel_event=stop).cancelled
    assert len(real_server.predictions) == count


def test_the_example_agent_is_stopped_in_a_tool_and_in_an_answer_and_then_answers():
    done = subprocess.run(
        [sys.executable, Path(__file__).parents[2] / "examples" / "agent_stop.py"],
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )

    assert (done.returncode, done.stderr) == (0, "")
    in_tool, in_answer, to_the_end = done.stdout.split("\nQuestion: ")[1:]
    assert "tool 0: search_archive({'query': " in in_tool
    assert "searching shelf 3 of 100" in in_tool
    assert "rounds 1, cancelled True: cancel_event was set" in in_tool
    assert "chat   system, user, assistant, tool\n" in in_tool
    assert "rounds 2, cancelled True: cancel_event was set" in in_answer
    assert "chat   system, user, assistant, tool, assistant\n" in in_answer
    assert "rounds 2, cancelled False: None" in to_the_end
    assert "{'topic': '" in to_the_end
