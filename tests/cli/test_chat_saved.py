"""Conversations of `lmstudio chat` are kept, whatever ends them, and gone on with."""

import json
import os
import signal
import subprocess
import sys

import pytest
from cli.chats import (
    LIMIT,
    ask,
    asked,
    chat,
    contents,
    leave,
    pipe,
    roles,
    saved,
    say,
    stop,
    without,
)
from helpers import eventually, server_again

from lmstudio.cli._chat.conversation import Conversation, Question
from lmstudio.cli._chat.saved import Folder
from lmstudio.testing import Server

needs_links = pytest.mark.skipif(os.name != "posix", reason="links need rights")
pytestmark = [pytest.mark.usefixtures("data_home"), pytest.mark.terminal]


def talk_once(server, *options, question="First.", **environment):
    with chat(server, *options, **environment) as terminal:
        say(terminal, question, f"> {question}\n")
        leave(terminal)


def test_a_conversation_is_kept_after_each_turn_for_its_owner_alone(held, data_home):
    with chat(held) as terminal:
        terminal.wait_prompt()
        call = ask(held, terminal, "First.")
        eventually(lambda: [contents(one) for one in saved(data_home)] == [["First."]])
        call.fragment("One.")
        call.success()
        terminal.wait_for("One.")
        terminal.wait_prompt()
        assert [contents(one) for one in saved(data_home)] == [["First.", "One."]]
        leave(terminal)
    (path,) = (data_home / "conversations").iterdir()
    if os.name == "posix":
        assert path.stat().st_mode & 0o777 == 0o600
        assert path.parent.stat().st_mode & 0o777 == 0o700


def test_the_same_place_is_used_without_platformdirs(server, data_home, tmp_path):
    server.reply("Fine.")
    talk_once(server, **without(tmp_path, "platformdirs"))
    assert len(saved(data_home)) == 1


def test_without_history_nothing_is_kept(server, data_home):
    talk_once(server, "--no-history")
    assert not data_home.exists()


def test_the_latest_conversation_is_resumed_and_goes_on_in_its_file(server, data_home):
    server.reply("One.")
    server.reply("Two.")
    server.reply("Three.")
    talk_once(server, "--system", "You are brief.")
    with chat(server, "--resume") as terminal:
        terminal.wait_for("> First.\nOne.\n(1 question so far)")
        say(terminal, "Second.", "Two.")
        leave(terminal)
    assert roles(server.predictions[1]) == ["system", "user", "assistant", "user"]
    (conversation,) = saved(data_home)
    assert contents(conversation) == ["You are brief.", "First.", "One.", "Second.", "Two."]


@pytest.mark.parametrize("name", ["2", "apples", "FILE"])
def test_a_conversation_is_resumed_by_its_number_its_title_or_its_file(server, data_home, name):
    server.reply("Fine.", repeat=3)
    talk_once(server, question="About apples.")
    (path,) = (data_home / "conversations").iterdir()
    talk_once(server, question="About pears.")
    with chat(server, "--resume", str(path) if name == "FILE" else name) as terminal:
        terminal.wait_for("> About apples.\nFine.")
        say(terminal, "And on.", "> And on.\nFine.")
        leave(terminal)
    assert json.loads(path.read_text())["messages"][2]["content"] == "And on."


def test_what_cannot_be_resumed_is_told_with_what_can(server):
    server.reply("Fine.")
    talk_once(server, question="About apples.")
    with chat(server, "--resume", "pears") as terminal:
        assert terminal.wait_end() == 1
        assert "no saved conversation of that name.\n  --resume 1: About apples" in terminal.text()
    assert len(server.predictions) == 1


def test_a_file_that_cannot_be_written_is_refused_before_anything_is_asked(server, tmp_path):
    path = tmp_path / "nowhere" / "talk.json"
    done = subprocess.run(
        [sys.executable, "-m", "lmstudio", "chat", "--host", server.host, "--save", path, "Hello"],
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert done.returncode == 2
    assert "nothing can be written in the folder" in done.stderr
    assert not server.predictions


def test_a_conversation_is_kept_in_a_file_of_ones_own(server, tmp_path, data_home):
    server.reply("Fine.")
    path = tmp_path / "talk.json"
    talk_once(server, "--save", str(path))
    assert contents(json.loads(path.read_text())) == ["First.", "Fine."]
    assert saved(data_home) == []
    with chat(server, "--save", str(path)) as terminal:
        assert terminal.wait_end() == 2
        assert "exists already" in terminal.text()
    assert contents(json.loads(path.read_text())) == ["First.", "Fine."]


def test_a_file_of_ones_own_is_not_overwritten_by_the_next_conversation(server, tmp_path):
    server.reply("Fine.", repeat=3)
    path = tmp_path / "talk.json"
    talk_once(server)
    with chat(server, "--resume", "--save", str(path)) as terminal:
        say(terminal, "Second.", "> Second.\nFine.")
        say(terminal, "/clear", "a new conversation")
        say(terminal, "Third.", "> Third.\nFine.")
        leave(terminal)
    assert contents(json.loads(path.read_text())) == ["First.", "Fine.", "Second.", "Fine."]
    assert contents(json.loads((tmp_path / "talk-2.json").read_text())) == ["Third.", "Fine."]


def test_images_that_are_gone_or_none_are_told_and_left_out(server, tmp_path, data_home):
    secret = tmp_path / "secret"
    secret.write_text("secret")
    images = [str(tmp_path / "gone.png"), str(secret)]
    messages = [{"role": "user", "content": "What?", "images": images}]
    path = tmp_path / "talk.json"
    path.write_text(json.dumps({"messages": messages}))
    with chat(server, "--resume", str(path), size=(30, 150)) as terminal:
        terminal.wait_for("gone.png is not there any more", "secret is not there any more")
        say(terminal, "/retry", "> /retry\n")
        leave(terminal)
    assert server.received(endpoint="uploadFileBase64") == []
    assert len(server.predictions[0].messages[0]["content"]) == 1


def test_a_conversation_goes_on_with_its_model(server):
    talk_once(server, "--model", "test-vlm")
    server.unload("test-vlm")
    with chat(server, "--resume") as terminal:
        terminal.wait_for("test-vlm. /help")
        leave(terminal)


def test_a_reply_that_was_stopped_is_kept(held, data_home):
    with chat(held) as terminal:
        terminal.wait_prompt()
        call = ask(held, terminal, "Count.")
        call.fragment("one two")
        terminal.wait_for("one two")
        stop(terminal, call)
        call.success("userStopped")
        leave(terminal)
    assert [contents(one) for one in saved(data_home)] == [["Count.", "one two"]]


@pytest.mark.parametrize("end", ["hang up", "SIGTERM"])
def test_what_has_come_of_a_reply_is_kept_when_the_terminal_is_closed(held, data_home, end):
    with chat(held) as terminal:
        terminal.wait_prompt()
        call = ask(held, terminal, "Count.")
        call.fragment("one two")
        terminal.wait_for("one two")
        if end == "hang up":
            terminal.hang_up()
        else:
            terminal.process.send_signal(signal.SIGTERM)
        call.expect_cancel(timeout=LIMIT)
        code = terminal.wait_end()
        if end == "SIGTERM":
            assert code == 128 + signal.SIGTERM
            assert "Traceback" not in terminal.text()
    assert [contents(one) for one in saved(data_home)] == [["Count.", "one two"]]


def test_a_closed_terminal_at_the_prompt_loses_nothing(server, data_home):
    server.reply("Fine.")
    with chat(server) as terminal:
        say(terminal, "First.", "Fine.")
        terminal.hang_up()
        terminal.wait_end()
    assert [contents(one) for one in saved(data_home)] == [["First.", "Fine."]]


def test_a_kill_loses_no_question(held, data_home):
    with chat(held) as terminal:
        terminal.wait_prompt()
        ask(held, terminal, "Count.")
        terminal.process.kill()
        terminal.wait_end()
    with chat(held, "--resume") as terminal:
        terminal.wait_for("the last question has no answer: /retry asks it again")
        terminal.type("/retry\r")
        call = held.expect("predict", timeout=LIMIT)
        assert asked(held.predictions[1]) == "Count."
        call.fragment("one")
        call.success()
        terminal.wait_for("one")
        leave(terminal)
    assert [contents(one) for one in saved(data_home)] == [["Count.", "one"]]


def test_a_lost_server_loses_no_question_and_is_connected_to_again(data_home):
    with Server() as server:
        port = server.port
        terminal = chat(server)
        terminal.__enter__()
        server.reply("Fine.")
        say(terminal, "First.", "Fine.")
    with terminal:
        say(terminal, "Second.", "lmstudio: ", "The question is kept. Ask it again: /retry")
        say(terminal, "/retry", "> /retry\nlmstudio: ")
        with server_again(port) as server:
            server.reply("Here I am.")
            say(terminal, "/retry", "Here I am.")
            leave(terminal)
            assert roles(server.predictions[0]) == ["user", "assistant", "user"]
    expected = ["First.", "Fine.", "Second.", "Here I am."]
    assert [contents(one) for one in saved(data_home)] == [expected]


def test_a_server_that_was_restarted_without_the_model_says_how_to_load_it(data_home):
    with Server() as server:
        port = server.port
        terminal = chat(server)
        terminal.__enter__()
        terminal.wait_prompt()
    with terminal, server_again(port, loaded=[]) as server:
        say(terminal, "First.", "lmstudio: test-llm is not loaded any more.\n  Load it again: /mod")
        say(terminal, "/model test-llm", "(test-llm answers from now on)")
        server.reply("Fine.")
        say(terminal, "/retry", "Fine.")
        leave(terminal)
    assert [contents(one) for one in saved(data_home)] == [["First.", "Fine."]]


def test_a_model_that_is_unloaded_in_the_middle_says_what_to_do(server, data_home):
    server.reply("one " + "word " * 10_000, delay=0.01)
    with chat(server) as terminal:
        terminal.wait_prompt()
        terminal.type("Count.\r")
        terminal.wait_for("one word")
        server.unload("test-llm")
        terminal.wait_for("/model test-llm loads it again, then /retry asks again")
        say(terminal, "/model test-llm", "(test-llm answers from now on)")
        server.reply("All is well.")
        say(terminal, "/retry", "All is well.")
        leave(terminal)
    assert [contents(one) for one in saved(data_home)] == [["Count.", "All is well."]]


def test_an_answer_stays_where_a_second_one_does_not_come(server, data_home):
    server.reply("One.")
    server.reply("x", error_after=0, error="Out of memory")
    with chat(server) as terminal:
        say(terminal, "First.", "One.")
        say(terminal, "/retry", "lmstudio: Out of memory\n  What there is of an answer is kept.")
        leave(terminal)
    assert [contents(one) for one in saved(data_home)] == [["First.", "One."]]


def test_a_full_context_says_what_to_do_and_the_conversation_stays(server, data_home):
    server.reply("one", stop_reason="contextLengthReached")
    server.reply("x", error_after=0, error="The prompt exceeds the context length")
    with chat(server) as terminal:
        say(terminal, "First.", "(cut off: the context of the model is full)\n(/clear")
        say(terminal, "Second.", "Begin a new conversation: /clear. Or change the question: /edit")
        leave(terminal)
    assert [contents(one) for one in saved(data_home)] == [["First.", "one", "Second."]]


def test_two_chats_with_one_conversation_lose_nothing(server, data_home):
    server.reply("Fine.", repeat=3)
    talk_once(server)
    with chat(server, "--resume") as terminal:
        terminal.wait_prompt()
        with chat(server, "--resume") as other:
            say(other, "Other.", "> Other.\nFine.")
            leave(other)
        say(terminal, "Second.", "this goes on in a new one", "> Second.\n")
        leave(terminal)
    assert sorted(contents(one)[2] for one in saved(data_home)) == ["Other.", "Second."]


def test_a_conversation_that_cannot_be_saved_is_told_once_and_goes_on(server, data_home):
    data_home.parent.mkdir()
    data_home.write_text("in the way")
    server.reply("Fine.", repeat=2)
    with chat(server) as terminal:
        say(terminal, "First.", "(the conversation is not saved: ", "Fine.")
        say(terminal, "Second.", "> Second.\nFine.")
        leave(terminal)
    assert terminal.text().count("not saved") == 1


def test_a_file_that_is_no_conversation_is_refused_and_left_alone(server, tmp_path):
    path = tmp_path / "notes.json"
    path.write_text("my notes")
    with chat(server, "--resume", str(path)) as terminal:
        assert terminal.wait_end() == 1
        assert "is no saved conversation: it is no JSON." in " ".join(terminal.text().split())
    assert path.read_text() == "my notes"


def test_escape_sequences_in_saved_titles_and_answers_do_not_reach_the_terminal(
    server, tmp_path, data_home
):
    evil = "\x1b]0;evil\x07\x1b[2JTitle\x9b31m"
    messages = [{"role": "user", "content": evil}, {"role": "assistant", "content": evil}]
    saved_one = {"title": evil, "model": "test-llm", "messages": messages}
    (data_home / "conversations").mkdir(parents=True)
    (data_home / "conversations" / "a.json").write_text(json.dumps(saved_one))
    with chat(server, "--resume") as terminal:
        say(terminal, "/load", "(this one) ]0;evil[2JTitle31m")
        assert terminal.screen.title == ""
        assert terminal.text().startswith("> ]0;evil[2JTitle31m")
        leave(terminal)


@pytest.mark.skipif(sys.platform == "win32", reason="no such home there")
def test_without_a_home_the_chat_works_and_keeps_nothing(server, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code = (
        "import os, runpy, sys; os.path.expanduser = lambda path: path;"
        f"sys.argv = ['lmstudio', '--host', {server.host!r}, 'chat'];"
        "runpy.run_module('lmstudio', run_name='__main__', alter_sys=True)"
    )
    pytest.importorskip("pyte")
    from cli.terminal import Terminal

    server.reply("Fine.")
    with Terminal("-c", code) as terminal:
        say(terminal, "First.", "Fine.")
        leave(terminal)
    assert not (tmp_path / "~").exists()


@pytest.mark.parametrize(("name", "code"), [("~no-such-user/x", 2), ("x" * 300, 0)])
def test_a_path_that_cannot_be_is_told(server, name, code):
    done = pipe("Hi.", "--host", server.host, "--resume", name)
    assert done.returncode == 1
    assert "There is no file" in done.stderr
    done = pipe("Hi.", "--host", server.host, "--save", name)
    assert done.returncode == code, done.stderr
    words = "(the conversation is not saved: " if code == 0 else f"lmstudio: {name}: nothing can be"
    assert done.stderr.startswith(words)


def test_a_number_is_one_of_the_list_whatever_lies_in_this_folder(server, tmp_path, monkeypatch):
    server.reply("Fine.")
    talk_once(server, question="About apples.")
    monkeypatch.chdir(tmp_path)
    for name in ("1", "2"):
        (tmp_path / name).write_text("no conversation")
    with chat(server, "--resume") as terminal:
        terminal.wait_for("> About apples.\nFine.")
        say(terminal, "/load 1", "> About apples.\nFine.")
        say(terminal, "/load 2", "No saved conversation has the number 2: there are 1")
        assert f"The file of that name: /load .{os.sep}2" in terminal.text()
        leave(terminal)


@needs_links
def test_a_conversation_that_cannot_be_looked_at_hides_no_other(tmp_path):
    for name in ("a", "c"):
        text = Conversation(turns=[(Question(f"About {name}."), None)]).to_json()
        (tmp_path / f"{name}.json").write_text(text)
    (tmp_path / "b.json").symlink_to(tmp_path / "nothing")
    (tmp_path / "0.json").symlink_to(tmp_path / "nothing")
    assert {one.title for one in Folder(tmp_path).entries()} == {"About a.", "About c."}
