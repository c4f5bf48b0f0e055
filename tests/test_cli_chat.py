"""`python -m lmstudio chat`: what is on the screen, and what Ctrl-C does."""

import importlib.util
import os
import subprocess
import sys

import pytest

pytest.importorskip("pyte")
if os.name != "posix":
    pytest.skip("pseudo-terminals are POSIX", allow_module_level=True)
from terminal import Terminal

LIMIT = 15.0  # seconds


def chat(server, *options):
    return Terminal("-m", "lmstudio", "--host", server.host, "chat", *options)


def ask(server, terminal, question):
    """Type a question at the prompt; the server's side of the reply."""
    terminal.type(question + "\r")
    return server.expect("predict")


@pytest.fixture
def parked(server):
    server.hold("predict")
    return server


def test_the_bar_the_reasoning_and_the_reply_are_shown_as_they_come(parked):
    pytest.importorskip("rich")
    with chat(parked) as terminal:
        terminal.wait_for("test-llm")
        terminal.wait_prompt()
        call = ask(parked, terminal, "Why is the sky blue?")
        call.progress(0.4)
        terminal.wait_for("Processing the prompt", "40%")
        call.progress(1.0)
        call.fragment("Hm, let me think. ", reasoningType="reasoning")
        call.fragment("Air scatters ")
        terminal.wait_for("Hm, let me think. Air scatters")
        assert "Processing" not in terminal.text()
        terminal.wait(lambda: terminal.style_of("Air").fg == "default")
        call.fragment("[bold]blue[/bold] light.\x1b[31m\x07")
        terminal.wait_for("[bold]blue[/bold] light.[31m")  # no markup, no steering
        call.success()
        terminal.wait_prompt()
        terminal.type("\x04")
        assert terminal.wait_end() == 0


def test_ctrl_c_stops_the_reply_and_keeps_the_chat_and_a_second_one_leaves(parked):
    with chat(parked, "--system", "You are brief.") as terminal:
        terminal.wait_prompt()
        call = ask(parked, terminal, "Count.")
        call.fragment("one two")
        terminal.wait_for("one two")
        terminal.ctrl_c()
        call.expect_cancel()
        call.success("userStopped")
        terminal.wait_for("one two", "(stopped)")
        terminal.wait_prompt()

        call = ask(parked, terminal, "Go on.")
        messages = parked.predictions[-1].messages
        assert [message["role"] for message in messages] == ["system", "user", "assistant", "user"]
        assert messages[2]["content"][0]["text"] == "one two"
        call.fragment("three")
        call.success()
        terminal.wait_for("three")
        terminal.wait_prompt()
        terminal.ctrl_c()
        assert terminal.wait_end() == 0
    assert len(parked.received(type="channelSend")) == 1
    assert "Traceback" not in terminal.text()


def test_a_question_that_was_stopped_before_the_first_token_is_forgotten(parked):
    with chat(parked) as terminal:
        terminal.wait_prompt()
        call = ask(parked, terminal, "Never mind.")
        call.progress(0.5)
        terminal.ctrl_c()
        call.expect_cancel()
        call.success("userStopped")
        terminal.wait_for("(stopped)")
        call = ask(parked, terminal, "Count.")
        assert [message["role"] for message in parked.predictions[-1].messages] == ["user"]
        assert "Count." in parked.predictions[-1].prompt
        call.success()
        terminal.wait_prompt()
        terminal.type("\x04")
        assert terminal.wait_end() == 0


def test_a_second_ctrl_c_leaves_though_the_server_is_slow_to_stop(parked):
    with chat(parked) as terminal:
        terminal.wait_prompt()
        call = ask(parked, terminal, "Count.")
        call.fragment("one")
        terminal.wait_for("one")
        terminal.ctrl_c()
        call.expect_cancel()
        terminal.wait_for("(stopped)")
        terminal.ctrl_c()
        assert terminal.wait_end() in (0, 130)
    assert "Traceback" not in terminal.text()


def test_an_error_of_the_server_is_one_line_and_the_chat_goes_on(server):
    server.reply("one", error_after=0, error="Out of memory")
    server.reply("All is well.")
    with chat(server) as terminal:
        terminal.wait_prompt()
        terminal.type("Count.\r")
        terminal.wait_for("(failed:", "Out of memory")
        terminal.type("Again.\r")
        terminal.wait_for("All is well.")
        terminal.wait_prompt()
        terminal.type("\x04")
        assert terminal.wait_end() == 0


def test_loading_a_model_is_stopped_by_ctrl_c(server):
    server.hold("getOrLoad")
    with chat(server, "--model", "test-vlm") as terminal:
        call = server.expect("getOrLoad")
        call.packet({"type": "startLoading", "identifier": "test-vlm", "info": {}})
        call.packet({"type": "loadProgress", "progress": 0.5})
        if importlib.util.find_spec("rich") is not None:
            terminal.wait_for("Loading the model", "50%")
        terminal.ctrl_c()
        call.expect_cancel()
        assert terminal.wait_end() == 130
    assert "Traceback" not in terminal.text()


def pipe(server, text, *options):
    return subprocess.run(
        [sys.executable, "-m", "lmstudio", "chat", *options],
        input=text,
        capture_output=True,
        text=True,
        timeout=LIMIT,
    )


def test_without_a_terminal_each_line_is_a_question_and_the_output_is_plain(server):
    server.reply("one")
    server.reply("two\n")
    done = pipe(server, "First.\n\nSecond.\n", "--host", server.host)
    assert (done.returncode, done.stdout, done.stderr) == (0, "one\ntwo\n", "")
    assert len(server.predictions[1].messages) == 3


def test_what_cannot_work_is_one_line_that_says_what_to_do(server):
    server.unload("test-llm")
    done = pipe(server, "", "--host", server.host)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("lmstudio: No language model is loaded. Load one in LM Studio")
    done = pipe(server, "", "--host", "127.0.0.1:9")
    assert done.returncode == 1
    assert done.stderr.startswith("lmstudio: LM Studio is not reachable at 127.0.0.1:9")
    assert done.stderr.count("\n") == 1
