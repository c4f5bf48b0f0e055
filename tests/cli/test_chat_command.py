"""`lmstudio chat`: what is on the screen, and what Ctrl-C does."""

import signal
import subprocess
import sys

import pytest
from cli.chats import LIMIT, ask, chat, leave, loading, pipe, roles, stop, without
from helpers import cancels, eventually, needs_full_disk, needs_signals

pytestmark = [pytest.mark.usefixtures("data_home"), pytest.mark.terminal]


def test_the_bar_the_reasoning_and_the_reply_are_shown_as_they_come(held):
    pytest.importorskip("rich")
    with chat(held) as terminal:
        terminal.wait_for("test-llm")
        terminal.wait_prompt()
        call = ask(held, terminal, "Why is the sky blue?")
        call.progress(0.4)
        terminal.wait_for("Processing the prompt", "40%")
        call.progress(0.8)
        terminal.wait_for("Processing the prompt", "80%")
        assert "40%" not in terminal.text()
        call.progress(1.0)
        call.fragment("Hm, let me think. ", reasoningType="reasoning")
        call.fragment("Air scatters ")
        terminal.wait_for("Hm, let me think.\n\nAir scatters")
        assert "Processing" not in terminal.text()
        assert terminal.is_dimmed("Hm, let")
        assert not terminal.is_dimmed("Air")
        call.success()
        leave(terminal)


def test_the_bar_goes_with_the_first_fragment_though_the_prompt_was_never_said_to_be_done(held):
    pytest.importorskip("rich")
    with chat(held) as terminal:
        terminal.wait_prompt()
        call = ask(held, terminal, "Count.")
        call.progress(0.4)
        terminal.wait_for("40%")
        call.fragment("one")
        terminal.wait_for("one")
        terminal.wait(lambda: "Processing" not in terminal.text())
        call.success()
        leave(terminal)


def test_what_a_model_writes_is_shown_as_it_is_and_steers_nothing(held):
    with chat(held, "--plain") as terminal:
        terminal.wait_prompt()
        call = ask(held, terminal, "Steer.")
        call.fragment("[bold]blue[/bold] :smile: \x1b[31m\x07\x9b2J\x1b]0;title\x07")
        call.fragment("red\x1b")
        call.fragment("[2Jstill here\tand\nbelow")
        terminal.wait_for("[bold]blue[/bold] :smile: [31m2J]0;titlered[2Jstill here", "\nbelow")
        assert terminal.style_of("still").fg == "default"
        assert terminal.screen.title == ""
        call.success()
        leave(terminal)


def test_ctrl_c_stops_the_reply_and_keeps_the_chat(held):
    with chat(held, "--system", "You are brief.") as terminal:
        terminal.wait_prompt()
        call = ask(held, terminal, "Count.")
        call.fragment("one two")
        terminal.wait_for("one two")
        stop(terminal, call)
        terminal.wait_for("one two", "(stopped)")  # before the server has said a word
        call.success("userStopped")
        terminal.wait_prompt()

        call = ask(held, terminal, "Go on.")
        assert roles(held.predictions[-1]) == ["system", "user", "assistant", "user"]
        assert held.predictions[-1].messages[2]["content"][0]["text"] == "one two"
        call.fragment("three")
        call.success()
        terminal.wait_for("three")
        leave(terminal)
    assert len(cancels(held)) == 1


def test_a_question_that_was_stopped_before_the_first_token_is_forgotten(held):
    with chat(held) as terminal:
        terminal.wait_prompt()
        call = ask(held, terminal, "Never mind.")
        call.progress(0.5)
        stop(terminal, call)
        call.success("userStopped")
        terminal.wait_for("(stopped)")
        assert "50%" not in terminal.text()
        terminal.wait_prompt()
        call = ask(held, terminal, "Count.")
        assert roles(held.predictions[-1]) == ["user"]
        assert "Count." in held.predictions[-1].prompt
        call.success()
        leave(terminal)
    assert len(cancels(held)) == 1


def test_a_second_ctrl_c_does_not_leave_while_the_server_is_slow_to_stop(held):
    with chat(held) as terminal:
        terminal.wait_prompt()
        call = ask(held, terminal, "Count.")
        call.fragment("one")
        terminal.wait_for("one")
        stop(terminal, call)
        terminal.wait_for("(stopped)")  # and no answer: the result is being waited for
        terminal.ctrl_c()
        call = ask(held, terminal, "Go on.")
        assert roles(held.predictions[-1]) == ["user", "assistant", "user"]
        call.success()
        leave(terminal)
    assert len(cancels(held)) == 1


def test_a_server_that_never_stops_holds_up_the_prompt_for_a_moment_only(held):
    with chat(held) as terminal:
        terminal.wait_prompt()
        call = ask(held, terminal, "Count.")
        call.fragment("one")
        terminal.wait_for("one")
        stop(terminal, call)
        leave(terminal)


def test_an_error_of_the_server_is_one_line_and_the_chat_goes_on(server):
    server.reply("one two three", error_after=2, error="Out of \x1b[2Jmemory\nat once")
    server.reply("All is well.")
    with chat(server) as terminal:
        terminal.wait_prompt()
        terminal.type("Count.\r")
        terminal.wait_for("one two", "lmstudio: Out of [2Jmemory at once\n  What there is of")
        terminal.type("Again.\r")
        terminal.wait_for("All is well.")
        leave(terminal)
    assert roles(server.predictions[1]) == ["user", "assistant", "user"]


def test_a_connection_that_is_lost_is_one_line_and_the_next_question_connects_anew(server):
    server.reply("one two", drop_after=0)
    server.reply("All is well.")
    with chat(server) as terminal:
        terminal.wait_prompt()
        terminal.type("Count.\r")
        terminal.wait_for("lmstudio: The connection to LM Studio")
        terminal.wait_prompt()
        terminal.type("Again.\r")
        terminal.wait_for("All is well.")
        leave(terminal)
    assert roles(server.predictions[1]) == ["user"]


def test_loading_a_model_is_shown_and_stopped_by_ctrl_c(server):
    pytest.importorskip("rich")
    server.hold("getOrLoad")
    with chat(server, "--model", "test-vlm") as terminal:
        call = loading(server, "test-vlm")
        terminal.wait_for("Loading the model", "50%")
        stop(terminal, call)
        assert terminal.wait_end() == 130
    assert terminal.text() in ("", "^C")  # the bar is gone, and nothing else is there


def test_without_rich_the_terminal_is_plain(held, tmp_path):
    with chat(held, **without(tmp_path, "rich")) as terminal:
        terminal.wait_prompt()
        call = ask(held, terminal, "Count.")
        call.progress(0.5)
        call.fragment("Hm. ", reasoningType="reasoning")
        call.fragment("one")
        terminal.wait_for("Hm.\n\none")
        assert not terminal.is_dimmed("Hm.")
        assert "50%" not in terminal.text()
        stop(terminal, call)
        call.success("userStopped")
        terminal.wait_for("(stopped)")
        leave(terminal)


def test_a_person_whose_replies_go_to_a_file_sees_the_prompt_and_the_file_does_not(
    server, tmp_path
):
    server.reply("one two")
    log = tmp_path / "log"
    with log.open("wb") as file, chat(server, stdout=file) as terminal:
        terminal.wait_prompt()
        terminal.type("Count.\r")
        eventually(lambda: log.read_bytes() == b"one two\n")
        leave(terminal)
    assert log.read_bytes() == b"one two\n"


def test_without_a_terminal_each_line_is_a_question_and_the_output_is_plain(server):
    server.reply("one", reasoning="Hm. ")
    server.reply("two\x1b[31m\n")
    done = pipe("First.\n\nSecond.\n", "--host", server.host)
    assert (done.returncode, done.stdout, done.stderr) == (
        0,
        "one\ntwo[31m\n",
        "",
    )
    assert len(server.predictions[1].messages) == 3
    assert server.predictions[0].messages[0]["content"][0]["text"] == "First."


def test_without_a_terminal_a_reply_that_fails_is_told_on_stderr_and_by_the_exit_code(server):
    server.reply("one", error_after=0, error="Out of memory")
    server.reply("two")
    done = pipe("First.\nSecond.\n", "--host", server.host)
    assert (done.returncode, done.stdout) == (1, "two\n")
    assert done.stderr == "lmstudio: Out of memory\n"


@needs_signals
def test_without_a_terminal_ctrl_c_leaves(server):
    server.reply("word " * 100_000, delay=0.001)
    process = subprocess.Popen(
        [sys.executable, "-m", "lmstudio", "chat", "--host", server.host],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    process.stdin.write(b"First.\nSecond.\n")
    process.stdin.flush()
    server.wait_prediction(0, timeout=LIMIT).wait_tokens(1)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=LIMIT)
    assert (process.returncode, errors) == (130, b"(stopped)\n")
    assert len(server.predictions) == 1


@needs_full_disk
def test_an_output_that_cannot_be_written_is_one_line(server):
    with open("/dev/full", "wb") as full:
        done = subprocess.run(
            [sys.executable, "-m", "lmstudio", "chat", "--host", server.host],
            input=b"Hi.\n",
            stdout=full,
            stderr=subprocess.PIPE,
            timeout=LIMIT,
        )
    assert done.returncode == 1
    assert done.stderr.startswith(b"lmstudio: No space left on device")


def test_no_character_ends_the_chat(server):
    server.reply("snow \u2603 half \ud83d.", repeat=2)
    done = pipe("\udcff\n", "--host", server.host)
    assert (done.returncode, done.stdout) == (0, "snow \u2603 half \ufffd.\n")
    assert done.stderr.startswith("lmstudio: The input is no text in UTF-8: ")
    done = pipe("Hi.\n", "--host", server.host, PYTHONIOENCODING="latin-1")
    assert (done.returncode, done.stdout, done.stderr) == (0, "snow ? half ?.\n", "")


def test_a_reader_who_leaves_ends_the_chat_quietly(server):
    process = subprocess.Popen(
        [sys.executable, "-m", "lmstudio", "chat", "--host", server.host],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    process.stdout.close()
    process.stdin.write(b"Hi.\n")
    process.stdin.close()
    assert process.wait(LIMIT) == 1
    with process.stderr:
        assert process.stderr.read() == b""


def test_what_cannot_work_is_one_line_that_says_what_to_do(server):
    server.unload("test-llm")
    done = pipe("", "--host", server.host)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("lmstudio: No language model is loaded.\n  Name one")
    done = pipe("", "--host", server.host, "--model", "nothing")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("lmstudio: There is no language model 'nothing'.\n")
    done = pipe("", "--host", "127.0.0.1:9")
    assert done.returncode == 3
    assert done.stderr.startswith("lmstudio: LM Studio is not reachable at 127.0.0.1:9")


def test_another_package_called_websocket_is_told_without_a_traceback(tmp_path):
    (tmp_path / "websocket.py").write_text("")
    done = pipe("", PYTHONPATH=str(tmp_path))
    assert (done.returncode, done.stdout) == (1, "")
    assert "websocket" in done.stderr
    assert done.stderr.endswith("\nTo mend it: python -m lmstudio doctor\n")
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("place", ["before", "after"])
def test_the_host_is_named_before_or_after_the_program(server, place):
    host = ["--host", server.host]
    arguments = [*host, "chat"] if place == "before" else ["chat", *host]
    done = subprocess.run(
        [sys.executable, "-m", "lmstudio", *arguments],
        input=b"Hi.\n",
        capture_output=True,
        timeout=LIMIT,
    )
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout.strip()
