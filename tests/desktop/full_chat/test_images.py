"""Images of questions: uploaded, saved with their chat, uploaded again."""

import base64
import io
import sys

import pytest
from desktop.full_chat.chat_window import (
    MODELS,
    answered,
    ask,
    button,
    click,
    ended,
    open_first,
    shown,
    uploads,
    write_chat,
)
from desktop.gui import turn_until
from helpers import eventually, server_again

import lmstudio as lms

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


def image_of(size, **options):
    from PIL import Image

    content = io.BytesIO()
    Image.new("RGB", size, "orange").save(content, "JPEG", **options)
    return content.getvalue()


def size_of(example, content):
    view = sys.modules["full_chat_view"]
    url = view.thumbnail(lms.data_url(content))
    from PIL import Image

    with Image.open(io.BytesIO(base64.b64decode(url.partition(",")[2]))) as image:
        return image.size


def test_what_is_shown_of_an_image_is_small_and_upright(example):
    from PIL import Image

    turned = Image.Exif()
    turned[0x0112] = 6  # the camera was held upright
    assert size_of(example, image_of((1600, 1200))) == (213, 160)
    assert size_of(example, image_of((1600, 1200), exif=turned)) == (160, 213)
    assert size_of(example, image_of((9000, 300))) == (480, 16)
    assert size_of(example, image_of((2000, 1))) == (480, 1)


@pytest.mark.parametrize("content", [b"", b"\0\0\0\x18ftypheic" + bytes(99)], ids=["cut", "heic"])
def test_an_image_that_cannot_be_shown_is_told_and_not_uploaded(
    server, window, turn, chosen_image, content
):
    chosen_image.path.write_bytes(content or chosen_image[:60])
    click(window.image_button)
    turn_until(turn, ended(window))
    assert "cannot be shown" in window.status.text()
    assert (window.images, uploads(server)) == ([], 0)


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


def test_a_chosen_image_and_that_of_an_edited_question_outlive_a_lost_connection(
    server, window, turn, chosen_image, tmp_path
):
    click(window.image_button)
    turn_until(turn, lambda: window.images)
    answered(window, server, turn, "What is it?", "An orange.")
    click(window.edit_button)
    server.drop_all()
    turn_until(turn, lambda: window.losses == 1)
    turn_until(turn, lambda: window.model is not None and uploads(server) == 2)
    turn_until(turn, ended(window))
    assert window.image_button.text() == "Images: 1"
    window.entry.clear()
    answered(window, server, turn, "And now?", "Still an orange.")
    assert server.predictions[-1].messages[0]["content"][1]["type"] == "file"
    (path,) = tmp_path.glob("*.json")
    assert "data:image/png;base64" in path.read_text()
    for count in (3, 4):
        turn_until(turn, lambda: window.model is not None)  # all connections are open
        server.drop_all()
        turn_until(turn, lambda count=count: uploads(server) == count)
        turn_until(turn, ended(window))
    assert len(window.urls) == 2  # what was uploaded last, and before that


@pytest.mark.parametrize("way", ["send", "regenerate"])
def test_images_that_could_not_be_uploaded_again_are_before_the_next_question(
    server, window, turn, chosen_image, way
):
    click(window.image_button)
    turn_until(turn, lambda: window.images)
    answered(window, server, turn, "What is it?", "An orange.")
    server.hold("uploadFileBase64")
    server.drop_all()
    turn_until(turn, lambda: uploads(server) == 2)
    server.expect("uploadFileBase64").error("the disk is full")
    turn_until(turn, lambda: window.model is not None and window.reply is None)
    assert "the disk is full" in window.status.text()
    server.release("uploadFileBase64")

    server.reply("Yes.")
    if way == "send":
        ask(window, "Sure?")
    else:
        click(window.again_button)
    turn_until(turn, lambda: shown(window)[-1] == "Yes." and window.reply is None)
    assert uploads(server) == 3


def test_what_failed_elsewhere_has_no_image_uploaded_again(
    server, window, turn, chosen_image, tmp_path
):
    click(window.image_button)
    turn_until(turn, lambda: window.images)
    answered(window, server, turn, "What is it?", "An orange.")
    (tmp_path / "2099-01-01 Odd.json").write_text("no JSON")
    open_first(window, turn)
    assert "Expecting value" in window.status.text()
    answered(window, server, turn, "Sure?", "Yes.")
    assert uploads(server) == 1


def test_images_of_other_chats_are_forgotten(server, window, turn, chosen_image):
    click(window.image_button)
    turn_until(turn, lambda: window.images)
    answered(window, server, turn, "What is it?", "An orange.")
    for _ in range(3):
        open_first(window, turn)
    assert (uploads(server), len(window.urls)) == (4, 1)
    click(button(window, "New"))
    assert window.urls == {}


@pytest.mark.parametrize("way", ["stop", "no model"])
def test_a_question_that_waits_for_its_images_is_not_asked(server, window, turn, chosen_image, way):
    click(window.image_button)
    turn_until(turn, lambda: window.images)
    answered(window, server, turn, "What is it?", "An orange.")
    server.hold("uploadFileBase64")
    window.losses += 1
    if way == "stop":
        ask(window, "Sure?")
    else:
        click(window.again_button)
    call = server.expect("uploadFileBase64")
    if way == "stop":
        # It is there, and Qt has not told yet.
        call.proceed()
        eventually(lambda: window.reply.done())
        click(window.send_button)
    else:
        window.loaded(None)
        call.proceed()
    turn_until(turn, ended(window))
    assert len(server.predictions) == 1
    assert shown(window)[-1] == "An orange."
    assert window.entry.toPlainText() == ("Sure?" if way == "stop" else "")


def test_after_an_error_the_images_are_uploaded_again(server, window, turn, chosen_image):
    """As those that were uploaded before and after a loss, one after the other."""
    click(window.image_button)
    turn_until(turn, lambda: window.images)
    window.healed = 1
    server.drop_all()
    turn_until(turn, lambda: window.losses == 1)
    turn_until(turn, lambda: window.model is not None)
    ask(window, "What is it?")
    turn_until(turn, ended(window))
    assert "does not have 'a picture.png' any more" in window.status.text()
    server.reply("An orange.")
    click(window.again_button)
    turn_until(turn, lambda: shown(window)[-1] == "An orange." and window.reply is None)


def test_a_chat_that_is_opened_while_another_is_uploaded_does_not_become_that_one(
    server, window, turn, chosen_image, tmp_path
):
    click(window.image_button)
    turn_until(turn, lambda: window.images)
    answered(window, server, turn, "What is it?", "An orange.")
    write_chat(tmp_path, [{"role": "user", "content": "B"}], "2099-01-01 B")
    window.chats.aboutToShow.emit()
    server.hold("uploadFileBase64")
    server.drop_all()
    turn_until(turn, lambda: uploads(server) == 2)
    call = server.expect("uploadFileBase64")
    window.chats.actions()[0].trigger()  # the menu was open
    assert "try again" in window.status.text()
    call.proceed()
    turn_until(turn, ended(window))
    assert [message.text for message in window.chat] == ["What is it?", "An orange."]
    assert shown(window)[-1] == "An orange."
    assert window.path.stem.endswith("What is it")


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

    with server_again(port, models=MODELS, loaded=["small"]) as again:
        turn_until(turn, lambda: window.model is not None and uploads(again) == 1)
        turn_until(turn, ended(window))
        again.reply("An orange.")
        click(window.again_button)
        turn_until(turn, ended(window))
        assert shown(window)[-1] == "An orange."
        window.close()
