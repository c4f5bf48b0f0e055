"""Questions edited and replies written anew, without a loss."""

import pytest
from desktop.full_chat.chat_window import PRECIOUS, answered, click, ended, saved, shown
from desktop.gui import turn_until

pytestmark = pytest.mark.gui


def test_a_reply_is_written_anew_and_a_question_edited(server, window, turn):
    answered(window, server, turn, "One?", "1")
    answered(window, server, turn, "Two?", "II")
    server.reply("2")
    click(window.again_button)
    turn_until(turn, ended(window))
    assert shown(window) == ["One?", "1", "Two?", "2"]

    click(window.edit_button)
    assert window.entry.toPlainText() == "Two?"
    assert shown(window) == ["One?", "1"]
    window.entry.clear()
    answered(window, server, turn, "Three?", "3")
    assert shown(window) == ["One?", "1", "Three?", "3"]
    assert [message.text for message in window.chat] == ["One?", "1", "Three?", "3"]
    assert "Two?" not in server.predictions[-1].prompt


def test_nothing_can_be_written_anew_without_a_model(server, window, turn, tmp_path):
    answered(window, server, turn, "Hi", "A precious answer.")
    click(window.load_button)
    turn_until(turn, lambda: window.model is None)
    assert not window.again_button.isEnabled()
    click(window.again_button)
    assert shown(window) == ["Hi", "A precious answer."]
    assert saved(tmp_path) == PRECIOUS


@pytest.mark.parametrize("way", ["error", "stop", "lost", "empty", "close"])
def test_the_old_answer_stays_if_no_new_one_comes(server, window, turn, tmp_path, way):
    answered(window, server, turn, "Hi", "A precious answer.")
    server.hold("predict")
    click(window.again_button)
    call = server.expect("predict")
    assert saved(tmp_path) == PRECIOUS
    if way == "error":
        call.error("Out of memory")
    elif way == "stop":
        click(window.send_button)
        call.expect_cancel()
        call.success("userStopped")
    elif way == "lost":
        server.drop_all()
    elif way == "empty":
        call.success()
    else:
        window.close()
        assert saved(tmp_path) == PRECIOUS
        return
    turn_until(turn, ended(window))
    assert shown(window) == ["Hi", "A precious answer."]
    assert [message.text for message in window.chat] == ["Hi", "A precious answer."]
    assert saved(tmp_path) == PRECIOUS


def test_a_chat_without_a_question_has_nothing_to_edit(server, window, turn):
    window.prompt.setText("Be brief")
    answered(window, server, turn, "One?", "1")
    click(window.edit_button)
    window.entry.clear()
    assert [message.role for message in window.chat] == ["system"]
    assert not window.edit_button.isVisible()
    assert not window.again_button.isVisible()


def test_edit_does_not_replace_a_draft(server, window, turn):
    answered(window, server, turn, "One?", "1")
    window.entry.setPlainText("a long draft")
    assert not window.edit_button.isVisible()
    window.entry.clear()
    click(window.edit_button)
    assert window.entry.toPlainText() == "One?"
