"""Tests of the assistant, with no LM Studio: `lmstudio_server` is from lmstudio's pytest plugin.

It is a server of its own for each test, and the one that `lms.llm()` talks to. So the application
is tested as it is.
"""

import json
from concurrent.futures import ThreadPoolExecutor

import pytest
from assistant import MOST_STEPS, Answer, Assistant


@pytest.fixture
def window():
    """The thread that the application's window would call the assistant in."""
    with ThreadPoolExecutor(max_workers=1) as executor:
        yield executor


def said(message):
    """The text of a message that the model was sent."""
    return "".join(part["text"] for part in message["content"])


# -- answers ---------------------------------------------------------------------------------


def test_an_answer_is_shown_while_it_comes(lmstudio_server):
    lmstudio_server.reply(["It", " is", " green."])
    shown = []

    answer = Assistant(shown.append).ask("What colour is the lighthouse?")

    assert answer == Answer("It is green.")
    assert shown == ["It", " is", " green."]


def test_the_model_is_told_what_was_said_before(lmstudio_server):
    lmstudio_server.reply("It is green.")
    assistant = Assistant()
    assistant.ask("What colour is the lighthouse?")
    assistant.ask("Why?")

    _, first, answer, second = lmstudio_server.predictions[1].messages
    assert said(first) == "What colour is the lighthouse?"
    assert said(answer) == "It is green."
    assert said(second) == "Why?"


# -- the stop button -------------------------------------------------------------------------


def test_the_stop_button_works_before_the_first_token(lmstudio_server, window):
    lmstudio_server.hold("predict")  # this test is the model
    assistant = Assistant()
    answer = window.submit(assistant.ask, "Summarise this long book.")
    call = lmstudio_server.expect("predict")
    call.progress(0.25)  # the prompt is being processed

    assistant.stop()

    call.expect_cancel()
    call.success("userStopped")
    assert answer.result(timeout=5) == Answer("", "stopped")
    assert lmstudio_server.predictions[0].cancelled_after == 0


def test_the_stop_button_keeps_what_was_shown(lmstudio_server, window):
    lmstudio_server.reply("word " * 10_000, delay=0.001)
    shown = []
    assistant = Assistant(shown.append)
    answer = window.submit(assistant.ask, "Tell me a story.")
    lmstudio_server.wait_prediction().wait_tokens(3)

    assistant.stop()

    stopped = answer.result(timeout=5)
    assert stopped == Answer("".join(shown), "stopped")
    prediction = lmstudio_server.predictions[0].wait_finished()
    assert prediction.stop_reason == "userStopped"
    assert prediction.tokens_sent < 10_000


def test_a_stopped_question_is_not_part_of_the_conversation(lmstudio_server, window):
    lmstudio_server.hold("predict")
    assistant = Assistant()
    answer = window.submit(assistant.ask, "Never mind.")
    call = lmstudio_server.expect("predict")
    assistant.stop()
    call.expect_cancel()
    call.success("userStopped")
    answer.result(timeout=5)

    lmstudio_server.release("predict")
    assistant.ask("Hello?")

    assert [said(one) for one in lmstudio_server.predictions[1].messages[1:]] == ["Hello?"]


# -- a lost connection -----------------------------------------------------------------------


def test_a_lost_connection_leaves_what_had_come_and_the_next_question_works(lmstudio_server):
    lmstudio_server.reply("one two three", drop_after=2)
    lmstudio_server.reply("four")
    assistant = Assistant()

    assert assistant.ask("Count.") == Answer("one two", "lost")
    assert assistant.ask("Go on.") == Answer("four")


# -- tools -----------------------------------------------------------------------------------


def step(tool="none", given="", answer=""):
    """A reply in the form that the assistant asks for."""
    return json.dumps({"tool": tool, "input": given, "answer": answer})


def test_tools_are_called_until_the_model_has_its_answer(lmstudio_server):
    lmstudio_server.reply(step("weather", "Rome"))
    lmstudio_server.reply(step("weather", "Oslo"))
    lmstudio_server.reply(step(answer="Go to Rome."))
    weather = {"Rome": "sun", "Oslo": "rain"}

    answer = Assistant(tools={"weather": weather.get}).work("Where shall I go?")

    assert answer == Answer("Go to Rome.")
    told = [said(one) for one in lmstudio_server.predictions[2].messages if one["role"] == "user"]
    assert told[1:] == ["weather gave: sun", "weather gave: rain"]


def test_the_stop_button_ends_the_loop_with_tools(lmstudio_server, window):
    lmstudio_server.reply(step("wait", "a while"))
    lmstudio_server.reply(step(answer="never said"), prefill=600.0)
    assistant = Assistant(tools={"wait": str})
    answer = window.submit(assistant.work, "Take your time.")
    lmstudio_server.wait_prediction(1).wait_phase("prefill")

    assistant.stop()

    assert answer.result(timeout=5) == Answer("", "stopped")
    assert lmstudio_server.predictions[1].wait_finished().stop_reason == "userStopped"


def test_a_model_that_calls_tools_for_ever_is_given_up(lmstudio_server):
    lmstudio_server.reply(step("shrug"), repeat=MOST_STEPS)

    answer = Assistant(tools={"shrug": str}).work("Do something.")

    assert answer == Answer("", "tired")
    assert len(lmstudio_server.predictions) == MOST_STEPS
