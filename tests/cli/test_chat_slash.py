"""What is typed after a slash at the prompt of `lmstudio chat`."""

import pytest
from cli.chats import (
    LIMIT,
    ask,
    asked,
    chat,
    contents,
    contents_of,
    leave,
    loading,
    roles,
    saved,
    say,
    stop,
)
from PIL import Image

from lmstudio.testing import Model, Server

pytestmark = [pytest.mark.usefixtures("data_home"), pytest.mark.terminal]


@pytest.fixture
def photo(tmp_path):
    path = tmp_path / "a photo.png"
    Image.new("RGB", (3, 3)).save(path)
    return path


def images(message):
    return [part["name"] for part in message["content"] if part["type"] == "file"]


def test_help_names_every_command(server):
    with chat(server) as terminal:
        say(terminal, "/help", "this list", "//...")
        for name in [
            "help",
            "exit",
            "clear",
            "model",
            "system",
            "load",
            "save",
            "retry",
            "edit",
            "image",
            "stats",
        ]:
            assert f"\n  /{name}" in terminal.text()
        leave(terminal)
    assert server.predictions == []


@pytest.mark.parametrize("command", ["/exit", "/quit", "/bye"])
def test_exit_leaves(server, command):
    with chat(server) as terminal:
        terminal.wait_prompt()
        terminal.type(f"{command}\r")
        assert terminal.wait_end() == 0


def test_an_unknown_command_is_refused_with_the_nearest_name_and_not_sent(server):
    with chat(server) as terminal:
        say(terminal, "/hlep", "There is no command /hlep", "Did you mean: /help")
        say(terminal, "/tmp/x is what?", "There is no command /tmp/x", "begins with a slash: //")
        leave(terminal)
    assert server.predictions == []


def test_a_question_may_begin_with_a_slash(server):
    server.reply("A folder.")
    with chat(server) as terminal:
        say(terminal, "//tmp is what?", "A folder.")
        leave(terminal)
    assert asked(server.predictions[0]) == "/tmp is what?"


def test_clear_begins_a_new_conversation_and_keeps_the_old_one(server, data_home):
    server.reply("Fine.", repeat=2)
    with chat(server, "--system", "You are brief.") as terminal:
        say(terminal, "First.", "Fine.")
        say(terminal, "/clear", "a new conversation")
        say(terminal, "Second.", "> Second.\nFine.")
        leave(terminal)
    assert roles(server.predictions[1]) == ["system", "user"]
    assert [contents(one) for one in saved(data_home)] == [
        ["You are brief.", "First.", "Fine."],
        ["You are brief.", "Second.", "Fine."],
    ]


def test_model_lists_the_models_and_changes_to_another_one_with_a_bar(server):
    pytest.importorskip("rich")
    server.hold("getOrLoad")
    with chat(server) as terminal:
        say(terminal, "/model", "test-llm  (loaded, this one)", "test-vlm", "/model KEY changes")
        terminal.type("/model test-vlm\r")
        call = loading(server, "test-vlm")
        terminal.wait_for("Loading test-vlm", "50%")
        server.load("test-vlm")
        server.release("getOrLoad")
        call.proceed()
        terminal.wait_for("(test-vlm answers from now on)")
        assert "50%" not in terminal.text()
        say(terminal, "Hi.", "> Hi.\n")
        leave(terminal)
    (prediction,) = server.predictions
    assert prediction.identifier == "test-vlm"


def test_the_names_of_models_are_shown_as_they_are_and_steer_nothing(data_home):
    names = ["a[b]{c}", "evil\x1b]0;evil\x07\x1b[31mred"]
    with Server(models=[Model(key=name) for name in names], loaded=names[1:]) as server:
        server.hold("getOrLoad")
        with chat(server) as terminal:
            terminal.wait_for("evil]0;evil[31mred. /help")
            say(terminal, "/model", "evil]0;evil[31mred  (loaded, this one)", "\n  a[b]{c}\n")
            terminal.type("/model a[b]{c}\r")
            call = loading(server, "a[b]{c}")
            terminal.wait_for("Loading a[b]{c} ", "50%")
            call.error("gone")
            terminal.wait_for("lmstudio: gone")
            assert terminal.screen.title == ""
            assert terminal.style_of("red").fg == "default"
            leave(terminal)


def test_ctrl_c_stops_loading_another_model_and_the_chat_goes_on(server):
    server.hold("getOrLoad")
    with chat(server) as terminal:
        terminal.wait_prompt()
        terminal.type("/model test-vlm\r")
        call = server.expect("getOrLoad", timeout=LIMIT)
        terminal.wait_for("/model test-vlm")
        stop(terminal, call)
        terminal.wait_for("(stopped)")
        say(terminal, "Hi.", "> Hi.\n")
        leave(terminal)


def test_a_model_that_does_not_exist_is_told_with_those_that_do(server):
    with chat(server) as terminal:
        say(
            terminal,
            "/model test-vlmm",
            "lmstudio: There is no language model 'test-vlmm'.",
            "Did you mean: /model test-vlm",
        )
        say(terminal, "Hi.", "> Hi.\n")
        leave(terminal)


def test_system_shows_changes_and_removes_the_prompt(server):
    server.reply("Fine.", repeat=3)
    with chat(server) as terminal:
        say(terminal, "/system", "There is none.")
        say(terminal, "/system You are brief.", "(changed)")
        say(terminal, "First.", "Fine.")
        say(terminal, "/system", "> /system\nYou are brief.")
        say(terminal, '/system ""', "(removed)")
        say(terminal, "Second.", "> Second.\nFine.")
        leave(terminal)
    assert roles(server.predictions[0]) == ["system", "user"]
    assert roles(server.predictions[1]) == ["user", "assistant", "user"]


def test_retry_asks_the_last_question_again_and_forgets_the_first_answer(server, data_home):
    server.reply("Wrong.")
    server.reply("Right.")
    with chat(server) as terminal:
        say(terminal, "/retry", "There is no question yet.")
        say(terminal, "What?", "Wrong.")
        say(terminal, "/retry", "Right.")
        leave(terminal)
    assert roles(server.predictions[1]) == ["user"]
    assert [contents(one) for one in saved(data_home)] == [["What?", "Right."]]


def test_edit_changes_the_last_question_and_asks_it_again(server, data_home):
    server.reply("Wrong.")
    server.reply("Right.")
    with chat(server) as terminal:
        say(terminal, "Wht?", "Wrong.")
        terminal.type("/edit\r")
        terminal.wait_for("> /edit\n> Wht?")
        terminal.type("\x7f\x7f\x7fhat?\r")
        terminal.wait_for("Right.")
        leave(terminal)
    assert [asked(one) for one in server.predictions] == ["Wht?", "What?"]
    assert [contents(one) for one in saved(data_home)] == [["What?", "Right."]]


def test_ctrl_c_leaves_a_question_that_is_edited_as_it_was(server, data_home):
    server.reply("Fine.", repeat=2)
    with chat(server) as terminal:
        say(terminal, "First.", "Fine.")
        terminal.type("/edit\r")
        terminal.wait_for("> /edit\n> First.")
        terminal.ctrl_c()
        terminal.wait_for("(nothing is changed)")
        say(terminal, "Second.", "> Second.\nFine.")
        leave(terminal)
    assert [contents(one) for one in saved(data_home)] == [["First.", "Fine.", "Second.", "Fine."]]


def test_images_go_with_the_next_question(server, photo, data_home):
    server.load("test-vlm")
    with chat(server, "--model", "test-vlm") as terminal:
        say(terminal, "/image", "No image goes with")
        say(terminal, "/image nothing.png", "nothing.png: No such file")
        say(terminal, f"/image {__file__}", "is no image")
        say(terminal, f"/image {photo}", "(a photo.png will go with the next question")
        say(terminal, "What is it?", "> What is it?\n")
        say(terminal, "And now?", "> And now?\n")
        leave(terminal)
    first, second = server.predictions
    assert images(first.messages[0]) == ["a photo.png"]
    assert images(second.messages[2]) == []
    assert saved(data_home)[0]["messages"][0]["images"] == [str(photo)]


def test_a_path_that_was_dragged_into_the_terminal_is_unquoted(server, photo):
    server.load("test-vlm")
    with chat(server, "--model", "test-vlm") as terminal:
        quoted = str(photo).replace(" ", "\\ ")
        say(terminal, f"/image '{photo}' {quoted}", "(a photo.png will go with")
        say(terminal, "/image off", "No image goes with")
        leave(terminal)


def test_images_are_uploaded_again_when_the_connection_was_lost(server, photo):
    server.load("test-vlm")
    with chat(server, "--model", "test-vlm", "--image", str(photo)) as terminal:
        say(terminal, "What is it?", "> What is it?\n")
        for connection in server.connections:
            connection.close()
        server.wait_for(lambda: not any(one.open for one in server.connections))
        say(terminal, "And now?", "> And now?\n")
        leave(terminal)
    assert images(server.predictions[-1].messages[0]) == ["a photo.png"]
    assert len(server.received(endpoint="uploadFileBase64")) == 2
    assert "lmstudio:" not in terminal.text()


def test_stats_tell_how_quick_a_reply_was(held):
    with chat(held) as terminal:
        say(terminal, "/stats", "(after each reply: on)")
        call = ask(held, terminal, "Count.")
        call.fragment("one")
        call.success(tokens_per_second=7.25, predicted_tokens_count=1)
        terminal.wait_for("7.2 tokens/s, 1 tokens")
        say(terminal, "/stats", "(after each reply: off)")
        leave(terminal)


def test_save_writes_the_conversation_to_a_file_and_load_goes_on_with_it(server, tmp_path):
    server.reply("Fine.", repeat=3)
    path = tmp_path / "talk.json"
    with chat(server) as terminal:
        say(terminal, "First.", "Fine.")
        say(terminal, f"/save {path}", "(saved; to go on")
        assert path.stat().st_mode & 0o777 == 0o600
        say(terminal, f"/save {path}", "exists already")
        say(terminal, "/clear", "a new conversation")
        say(terminal, f"/load {path}", "(1 question so far)")
        say(terminal, "Second.", "> Second.\nFine.")
        leave(terminal)
    assert len(server.predictions[1].messages) == 3


def test_load_lists_the_saved_conversations_and_finds_one_by_number_or_title(server):
    server.reply("Fine.", repeat=4)
    with chat(server) as terminal:
        say(terminal, "/load", "No conversation is saved.")
        say(terminal, "About apples.", "Fine.")
        say(terminal, "/clear", "a new conversation")
        say(terminal, "About pears.", "> About pears.\nFine.")
        say(terminal, "/load", "1  ", "(this one) About pears.", "2  ", "About apples.\n")
        say(terminal, "/load 7", "No saved conversation has the number 7: there are 2.")
        say(terminal, "/load About", "Several saved conversations fit", "/load 2: About apples.")
        say(terminal, "/load apples", "> About apples.\nFine.\n(1 question")
        say(terminal, "And on.", "> And on.\nFine.")
        leave(terminal)
    assert contents_of(server.predictions[2]) == ["About apples.", "Fine.", "And on."]


@pytest.mark.parametrize("name", ["~no-such-user/x", "x" * 300])
def test_a_path_that_cannot_be_ends_no_talk(server, name):
    with chat(server, size=(40, 400)) as terminal:
        say(terminal, f"/load {name}", "There is no file")
        if name[0] == "x":
            say(terminal, f"/save {name}", "name too long")
        else:
            say(terminal, f"/save {name}", "No such file or directory")
        leave(terminal)
