"""Chats in their files: found again, complete, also after a loss."""

import json
from pathlib import Path

import pytest
from desktop.full_chat.chat_window import (
    answered,
    button,
    click,
    ended,
    open_first,
    shown,
    uploads,
    write_chat,
)
from desktop.gui import turn_until

pytestmark = pytest.mark.gui
TOOL_CALL = {"id": "1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
ODD = [
    {"role": "system", "content": "one\ntwo"},
    {"role": "user", "content": "q"},
    {"role": "assistant", "content": None, "tool_calls": [TOOL_CALL]},
    {"role": "tool", "tool_call_id": "1", "content": "found"},
    {"role": "assistant", "content": "a"},
    {"role": "system", "content": "SECOND"},
    {"role": "user", "content": "q2"},
    {"role": "assistant", "content": "a2"},
]


def test_the_prompt_of_a_chat_file_is_its_first_message_and_all_others_are_kept(
    server, window, turn, tmp_path
):
    path = write_chat(tmp_path, ODD)
    open_first(window, turn)
    assert window.prompt.text() == "one\ntwo"
    assert shown(window) == ["q", "a", "q2", "a2"]
    server.reply("A2")
    click(window.again_button)
    turn_until(turn, ended(window))
    messages = json.loads(path.read_text())
    assert [message["role"] for message in messages] == [message["role"] for message in ODD]
    assert [message["content"] for message in messages][3:] == ["found", "a", "SECOND", "q2", "A2"]
    assert messages[0]["content"] == "one\ntwo"

    write_chat(tmp_path, [{"role": "user", "content": "q"}], "2026-11-30 Other")
    open_first(window, turn)
    assert window.prompt.text() == ""


def test_nothing_is_lost_when_the_server_is_back(server, window, turn):
    """Not even what the file does not have yet: a question that is being edited."""
    answered(window, server, turn, "One?", "1")
    answered(window, server, turn, "Two?", "2")
    click(window.edit_button)
    window.prompt.setText("typed meanwhile")
    server.drop_all()
    turn_until(turn, lambda: window.losses == 1)
    turn_until(turn, lambda: window.model is not None)
    turn_until(turn, ended(window))
    assert shown(window) == ["One?", "1"]
    assert window.entry.toPlainText() == "Two?"
    assert window.prompt.text() == "typed meanwhile"


def test_an_answer_that_could_not_be_saved_is_there_when_the_server_is_back(
    server, window, turn, chosen_image, monkeypatch
):
    def refuse(*_):
        raise OSError(28, "No space left on device")

    click(window.image_button)
    turn_until(turn, lambda: window.images)
    answered(window, server, turn, "One?", "1")
    monkeypatch.setattr(Path, "write_text", refuse)
    answered(window, server, turn, "Two?", "2")
    assert "No space left" in window.status.text()
    server.drop_all()
    turn_until(turn, lambda: uploads(server) == 2 and window.model is not None)
    turn_until(turn, ended(window))
    assert [text.strip("\ufffc\n") for text in shown(window)] == ["One?", "1", "Two?", "2"]
    assert [message.text for message in window.chat] == ["One?", "1", "Two?", "2"]


def test_two_chats_of_one_second_have_two_files(server, window, turn, tmp_path, monkeypatch):
    monkeypatch.setattr("time.strftime", lambda form: form.replace("%Y-%m-%d %H.%M.%S", "now"))
    for reply in ("first", "second"):
        answered(window, server, turn, "Hi", reply)
        click(button(window, "New"))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["now Hi 1.json", "now Hi.json"]


@pytest.mark.parametrize(
    ("question", "name"),
    [
        ("one\ntwo", "one two"),
        ("नमस्ते", "नमस्ते"),
        ("???", ""),
        ("a/b\\c:d. \ud800", "a b c d."),
        ("x" * 60, "x" * 50),
    ],
)
def test_a_chat_file_has_the_words_of_its_question_in_its_name(
    server, window, turn, tmp_path, question, name
):
    window.entry.setPlainText(question)
    server.reply("yes")
    click(window.send_button)
    turn_until(turn, ended(window))
    (path,) = tmp_path.iterdir()
    assert path.stem.split(" ", 2)[2:] == ([name] if name else [])


def test_a_chat_file_of_windows_editor_is_read(server, window, turn, tmp_path):
    path = write_chat(tmp_path, [{"role": "user", "content": "q"}])
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    open_first(window, turn)
    assert shown(window) == ["q"]


def test_a_file_that_is_no_chat_is_told(server, window, turn, tmp_path):
    (tmp_path / "2026-11-29 12.00.00 Odd.json").write_text("no JSON")
    window.chats.aboutToShow.emit()
    window.chats.actions()[0].trigger()
    turn_until(turn, ended(window))
    assert "Expecting value" in window.status.text()
    answered(window, server, turn, "Hi", "Hello.")


def test_a_new_chat_leaves_the_old_one_in_its_file(server, window, turn):
    answered(window, server, turn, "One?", "1")
    click(button(window, "New"))
    assert shown(window)[0].startswith("What is on your mind?")
    assert not window.edit_button.isVisible()
    answered(window, server, turn, "Two?", "2")
    window.chats.aboutToShow.emit()
    names = [action.text().split(" ", 2)[2] for action in window.chats.actions()]
    assert sorted(names) == ["One", "Two"]
