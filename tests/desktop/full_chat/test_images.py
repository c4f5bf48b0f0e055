"""Images of questions: uploaded, saved with their chat, uploaded again."""

import base64

import pytest
from desktop.full_chat.chat_window import (
    MODELS,
    answered,
    ask,
    click,
    ended,
    shown,
    uploads,
    write_chat,
)
from desktop.gui import turn_until

from lmstudio.testing import Server

pytestmark = pytest.mark.gui


def test_a_chat_with_an_image_is_saved_and_opened_again(
    server, window, open_window, turn, chosen_image
):
    click(window.image_button)
    turn_until(turn, lambda: window.image_button.text() == "Images: 1")
    answered(window, server, turn, "What is it?", "An orange.")
    assert "<img" in window.turns.itemAt(0).widget().findChild(type(window.words)).text()
    assert server.predictions[0].messages[0]["content"][1]["type"] == "file"

    other = open_window(server)
    other.chats.aboutToShow.emit()
    (entry,) = other.chats.actions()
    assert entry.text().endswith("What is it")
    entry.trigger()
    turn_until(turn, lambda: len(other.chat) == 2)
    assert uploads(server) == 2  # its connection is another one
    assert shown(other)[1:] == ["An orange."]
    answered(other, server, turn, "Sure?", "Yes.")
    assert [message.text for message in other.chat][::2] == ["What is it?", "Sure?"]

    click(other.edit_button)
    other.entry.clear()
    click(other.edit_button)
    assert other.image_button.text() == "Images: 1"


def test_opening_a_chat_is_stopped_while_its_image_is_uploaded(
    server, window, open_window, turn, chosen_image
):
    click(window.image_button)
    turn_until(turn, lambda: window.images)
    answered(window, server, turn, "What is it?", "An orange.")
    other = open_window(server)
    other.chats.aboutToShow.emit()
    server.hold("uploadFileBase64")
    other.chats.actions()[0].trigger()
    server.expect("uploadFileBase64")
    assert not other.top.isEnabled()
    click(other.send_button)
    turn_until(turn, ended(other))
    assert (other.status.text(), len(other.chat)) == ("", 0)
    server.release("uploadFileBase64")
    answered(other, server, turn, "Hi", "Hello.")


@pytest.mark.parametrize("server", [[]], indirect=True)
def test_opening_a_chat_is_stopped_without_a_model(
    server, open_window, turn, tmp_path, chosen_image
):
    image = {"url": f"data:image/png;base64,{base64.b64encode(chosen_image).decode()}"}
    content = [{"type": "image_url", "image_url": image}]
    write_chat(tmp_path, [{"role": "user", "content": content}])
    window = open_window(server, lambda window: window.picker.count() == 2)
    server.hold("uploadFileBase64")
    window.chats.aboutToShow.emit()
    window.chats.actions()[0].trigger()
    server.expect("uploadFileBase64")
    assert window.send_button.text() == "Stop"
    click(window.send_button)
    turn_until(turn, ended(window))
    assert window.send_button.text() == "Send"
    assert not window.send_button.isEnabled()


def test_a_question_waits_for_its_image_whose_upload_can_be_stopped(
    server, window, turn, chosen_image
):
    server.hold("uploadFileBase64")
    click(window.image_button)
    call = server.expect("uploadFileBase64")
    ask(window, "What is on it?")
    assert not server.predictions
    assert not window.top.isEnabled()  # nor is there a new chat that it could come into
    call.proceed()
    turn_until(turn, lambda: window.image_button.text() == "Images: 1")
    click(window.image_button)
    server.expect("uploadFileBase64")
    click(window.send_button)
    turn_until(turn, ended(window))
    assert window.image_button.text() == "Images: 1"


def test_a_chosen_file_that_is_no_image_or_is_gone_is_told(
    server, window, turn, chosen_image, tmp_path
):
    (tmp_path / "a picture.png").write_text("no image")
    click(window.image_button)
    turn_until(turn, ended(window))
    assert "no image" in window.status.text()
    (tmp_path / "a picture.png").unlink()
    click(window.image_button)
    turn_until(turn, ended(window))
    assert "a picture.png" in window.status.text()
    assert window.image_button.text() == "Images"


def test_a_lost_server_is_seen_and_its_images_are_there_when_it_is_back(
    server, window, turn, chosen_image
):
    click(window.image_button)
    turn_until(turn, lambda: window.images)
    server.hold("predict")
    ask(window, "What is it?")
    server.expect("predict").fragment("An ")
    turn_until(turn, lambda: "An" in shown(window)[-1])
    port = server.port
    server.close()
    turn_until(turn, ended(window))
    turn_until(turn, lambda: window.light.text() == "● not connected")
    assert not window.send_button.isEnabled()
    assert shown(window)[-1].startswith("An")

    with Server(models=MODELS, loaded=["small"], port=port) as again:
        turn_until(turn, lambda: window.model is not None and uploads(again) == 1)
        turn_until(turn, ended(window))
        again.reply("An orange.")
        click(window.again_button)
        turn_until(turn, ended(window))
        assert shown(window)[-1] == "An orange."
        window.close()
