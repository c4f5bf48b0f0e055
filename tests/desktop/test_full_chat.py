"""The full chat application in Qt, offscreen: every feature by clicks and keys."""

import base64
import importlib.util
import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from desktop.gui import (
    LIMIT,
    Longest,
    assert_shows_something,
    picture_path,
    qt_application,
    turn_until,
)
from helpers import cancels, needs_signals

import lmstudio as lms
from lmstudio.testing import Model, Server

pytestmark = pytest.mark.gui
EXAMPLE = Path(__file__).parents[2] / "examples" / "full_chat.py"
DRIVER = Path(__file__).with_name("full_chat_process.py")
MARKDOWN = """\
Sunlight is a mix of all colours. Air scatters **short waves** far more than long ones:

- *Rayleigh scattering* grows with the fourth power of the frequency
- blue is scattered about **5.5 times** as much as red

```python
def scattering(wavelength):
    return 1 / wavelength**4
```

So blue light comes from all over the sky, and red light almost straight from the sun."""
MODELS = [
    Model(key="small", display_name="Qwen3 4B", size_bytes=2_500_000_000, vision=True),
    Model(key="big", display_name="Big", size_bytes=8_100_000_000),
]


@pytest.fixture(scope="module")
def example():
    application = qt_application()
    sys.path.insert(0, str(EXAMPLE.parent))  # as Python does for a program
    spec = importlib.util.spec_from_file_location("full_chat", EXAMPLE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    sys.path.remove(str(EXAMPLE.parent))
    module.application = application
    return module


@pytest.fixture
def turn(example):
    return example.application.processEvents


@pytest.fixture
def server(request):
    with Server(models=MODELS, loaded=getattr(request, "param", ["small"])) as server:
        yield server


@pytest.fixture
def open_window(example, turn, tmp_path):
    """Opens windows, and closes them at the end."""
    opened = []

    def open_window(server, wait=lambda window: window.model is not None):
        client = lms.Client(server.host)
        window = example.ChatWindow(client, tmp_path)
        opened.append((window, client))
        window.show()
        turn_until(turn, lambda: wait(window))
        return window

    yield open_window
    for window, client in opened:
        window.close()
        window.deleteLater()
        client.close()
    turn()


@pytest.fixture
def window(open_window, server):
    return open_window(server)


def click(button):
    from PySide6.QtCore import Qt
    from PySide6.QtTest import QTest

    assert button.isVisible(), "nobody can click what is not shown"
    QTest.mouseClick(button, Qt.MouseButton.LeftButton)


def press(widget, key):
    from PySide6.QtCore import Qt
    from PySide6.QtTest import QTest

    QTest.keyClick(widget, getattr(Qt.Key, f"Key_{key}"))


def ask(window, text):
    from PySide6.QtTest import QTest

    QTest.keyClicks(window.entry, text)
    press(window.entry, "Return")


def shown(window):
    """The questions and replies, as plain text."""
    from PySide6.QtGui import QTextDocumentFragment

    rows = [window.turns.itemAt(number).widget() for number in range(window.turns.count())]
    labels = [row.layout().itemAt(row.layout().count() - 1).widget() for row in rows]
    texts = [QTextDocumentFragment.fromHtml(label.text()).toPlainText() for label in labels]
    return [text for text in texts if text]


def all_html(window):
    rows = [window.turns.itemAt(number).widget() for number in range(window.turns.count())]
    return "".join(label.text() for row in rows for label in row.findChildren(type(window.light)))


def button(window, text):
    buttons = window.findChildren(type(window.send_button))
    (found,) = [button for button in buttons if button.text() == text]
    return found


def ended(window):
    return lambda: window.reply is None


def answered(window, server, turn, question, reply, **options):
    server.reply(reply, **options)
    ask(window, question)
    turn_until(turn, ended(window))


@pytest.mark.parametrize("server", [[]], indirect=True)
def test_a_model_is_chosen_by_its_size_loaded_cancelled_and_unloaded(server, open_window, turn):
    window = open_window(server, lambda window: window.picker.count() == 2)
    assert window.light.text() == "● connected"
    sizes = [window.picker.itemText(number) for number in (0, 1)]
    assert sizes == ["Qwen3 4B  (2.5 GB)", "Big  (8.1 GB)"]
    assert not window.send_button.isEnabled()

    press(window.picker, "Down")
    server.hold("getOrLoad")
    click(window.load_button)
    call = server.expect("getOrLoad")
    call.packet({"type": "loadProgress", "progress": 0.5})
    turn_until(turn, lambda: window.bar.value() == 50)
    assert window.status.text() == "Loading: 50%"
    assert window.load_button.text() == "Cancel"
    click(window.load_button)
    call.expect_cancel()
    turn_until(turn, lambda: window.loading is None)
    assert (window.load_button.text(), window.bar.value(), window.status.text()) == ("Load", 0, "")

    server.release("getOrLoad")
    click(window.load_button)
    turn_until(turn, lambda: window.model is not None)
    assert server.identifiers == ["big"]
    assert window.picker.currentText().startswith("Big")
    assert window.send_button.isEnabled()
    click(window.load_button)
    turn_until(turn, lambda: window.model is None)
    assert server.identifiers == []
    assert window.load_button.text() == "Load"


@pytest.mark.parametrize("server", [["big"]], indirect=True)
def test_the_model_that_is_loaded_is_the_one_that_is_used(server, window):
    assert window.picker.currentText().startswith("Big")
    assert window.load_button.text() == "Unload"
    assert not window.image_button.isVisible()  # it understands none


def test_a_model_that_cannot_be_loaded_is_told(server, window, turn):
    click(window.load_button)
    turn_until(turn, lambda: window.model is None)
    server.hold("getOrLoad")
    click(window.load_button)
    server.expect("getOrLoad").error("Out of memory")
    turn_until(turn, lambda: window.loading is None)
    assert "Out of memory" in window.status.text()
    assert window.load_button.text() == "Load"


def test_the_system_prompt_and_the_temperature_are_those_of_the_window(server, window, turn):
    from PySide6.QtTest import QTest

    QTest.keyClicks(window.prompt, "You are brief.")
    for _ in range(3):
        press(window.temperature, "Up")
    answered(window, server, turn, "Hi", "Hello.")
    prediction = server.predictions[0]
    assert "You are brief." in prediction.prompt
    assert prediction.config["llm.prediction.temperature"] == pytest.approx(1.0)


@pytest.mark.parametrize("way", ["button", "key"])
def test_the_reply_is_stopped_before_the_first_token(server, window, turn, way):
    server.hold("predict")
    ask(window, "Why is the sky blue?")
    call = server.expect("predict")
    call.progress(0.5)
    turn_until(turn, lambda: window.bar.value() == 50)
    assert window.status.text() == "Reading the prompt: 50%"
    assert window.send_button.text() == "Stop"
    if way == "button":
        click(window.send_button)
    else:
        window.activateWindow()  # there is no window manager that does
        turn_until(turn, window.isActiveWindow)
        press(window.entry, "Escape")
    turn_until(turn, lambda: window.status.text() == "Stopping ...")
    call.expect_cancel()
    call.success("userStopped")
    turn_until(turn, ended(window))
    assert window.status.text() == "Stopped"
    assert shown(window) == ["Why is the sky blue?"]
    assert len(cancels(server)) == 1


def test_thinking_has_a_pane_of_its_own(server, window, turn):
    server.hold("predict")
    ask(window, "Which colour?")
    assert not window.thoughts_button.isVisible()
    call = server.expect("predict")
    fragment = {"tokensCount": 1, "containsDrafted": False, "isStructural": False}
    fragment |= {"content": "Hm.", "reasoningType": "reasoning"}
    call.packet({"type": "fragment", "fragment": fragment})
    turn_until(turn, lambda: window.thoughts.toPlainText() == "Hm.")
    assert window.thoughts.isVisible()
    assert window.status.text().startswith("Thinking")
    call.fragment("Green.")
    turn_until(turn, lambda: shown(window) == ["Which colour?", "Green."])
    assert not window.thoughts.isVisible()
    call.success()
    turn_until(turn, ended(window))
    click(window.thoughts_button)
    assert window.thoughts.isVisible()
    assert window.chat[-1].text == "Green."


def test_the_reply_is_markdown_with_its_speed_and_stops_where_it_is(server, window, turn, tmp_path):
    from PIL import Image

    server.hold("predict")
    ask(window, "Why is the sky blue?")
    call = server.expect("predict")
    *words, last = MARKDOWN.split(" ")
    for word in words:
        call.fragment(word + " ")
    turn_until(turn, lambda: "straight from" in shown(window)[-1])
    call.fragment(last)
    turn_until(turn, lambda: "the sun" in shown(window)[-1])
    turn_until(turn, lambda: "tokens/s" in window.status.text())
    path = picture_path("full_chat.png", tmp_path)
    assert window.grab().save(path)
    with Image.open(path) as image:
        assert_shows_something(image)
    call.fragment("\n\n`<hr>` and <b>such</b> are text.")
    turn_until(turn, lambda: "such" in shown(window)[-1])
    html = window.words.text()
    assert "font-weight:" in html
    assert "<pre" in html
    assert "<b>such</b>" in shown(window)[-1]  # HTML of a model's is text
    click(window.send_button)
    call.expect_cancel()
    call.success("userStopped", tokens_per_second=42.0)
    turn_until(turn, ended(window))
    assert window.status.text() == "Stopped, 42 tokens/s"
    assert window.chat[-1].text.startswith("Sunlight is a mix of all colours.")


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


@pytest.fixture
def chosen_image(example, monkeypatch, tmp_path):
    from PIL import Image

    path = tmp_path / "a picture.png"
    Image.new("RGB", (64, 40), "orange").save(path)
    dialog = example.qt.QFileDialog
    monkeypatch.setattr(dialog, "getOpenFileNames", lambda **_: ([str(path)], ""))
    return path.read_bytes()


def uploads(server):
    return len(server.received(endpoint="uploadFileBase64"))


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


IMAGES = [
    "![x]({path})",
    "![x](file://{path})",
    "![x](secret.png)",
    '![x]({path} "ti>tle")',
    "[![x]({path})](https://example.org)",
    "![x][1]\n\n[1]: {path}",
    "| a |\n|---|\n| ![x]({path}) |\n",
    "![a>b \" ' <x]({path})",
    "<img src='{path}'>",
    "![x](data:image/svg+xml;base64,{svg})",
]


@pytest.fixture
def secret(tmp_path, monkeypatch):
    """An image of the person's that no chat may show."""
    from PIL import Image

    path = tmp_path / "secret.png"
    Image.new("RGB", (300, 100), "magenta").save(path)
    monkeypatch.chdir(tmp_path)
    return path.as_posix()


def svg_of(path):
    link = f'<image xlink:href="{path}" width="300" height="100"/>'
    names = 'xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink"'
    svg = f'<svg {names} width="300" height="100">{link}</svg>'
    return base64.b64encode(svg.encode()).decode()


def assert_no_secret(window):
    image = window.grab().toImage()
    step = range(0, min(image.width(), image.height()), 4)
    everywhere = {image.pixelColor(x, y).name() for x in step for y in step}
    assert "#ff00ff" not in everywhere


@pytest.mark.parametrize("markdown", IMAGES)
def test_a_reply_shows_no_image_of_this_computer(server, window, turn, secret, markdown):
    markdown = markdown.format(path=secret, svg=svg_of(secret))
    answered(window, server, turn, "Hi", f"Look:\n\n{markdown}\n\nSeen?")
    assert shown(window)[-1].startswith("Look:")
    assert shown(window)[-1].endswith("Seen?")
    assert "<img" not in all_html(window)
    turn()
    assert_no_secret(window)


def test_an_image_of_a_reply_is_told_by_its_name(server, window, turn, secret):
    answered(window, server, turn, "Hi", f"`![c](/x)` ![a map]({secret})")
    assert shown(window)[-1] == "![c](/x) [image: a map]"


@pytest.mark.parametrize("word", ["x" * 300, f"[it](https://x/{'y' * 300})", f"`{'z' * 300}`"])
def test_a_word_that_is_longer_than_the_window_is_broken(server, window, turn, word):
    answered(window, server, turn, "Hi", f"See {word}.")
    reply = window.findChild(type(window.light), "reply")
    assert reply.minimumSizeHint().width() < reply.width()


def write_chat(folder, messages, name="2026-11-29 12.00.00 Odd"):
    path = folder / f"{name}.json"
    path.write_text(json.dumps(messages), "utf-8")
    return path


def open_first(window, turn):
    window.chats.aboutToShow.emit()
    window.chats.actions()[0].trigger()
    turn_until(turn, ended(window))


@pytest.mark.parametrize("markdown", IMAGES)
def test_a_chat_file_shows_no_image_of_this_computer(
    server, window, turn, tmp_path, secret, markdown
):
    reply = markdown.format(path=secret, svg=svg_of(secret))
    messages = [{"role": "user", "content": "q"}, {"role": "assistant", "content": reply}]
    write_chat(tmp_path, messages)
    open_first(window, turn)
    assert len(window.chat) == 2
    assert "<img" not in all_html(window)
    assert_no_secret(window)


def test_an_svg_that_says_it_is_a_png_is_refused(server, window, turn, tmp_path, secret):
    image = {"url": f"data:image/png;base64,{svg_of(secret)}"}
    content = [{"type": "image_url", "image_url": image}]
    write_chat(tmp_path, [{"role": "user", "content": content}])
    open_first(window, turn)
    assert window.status.text() == "An image must be a PNG, JPEG or WebP file."
    assert len(window.chat) == 0
    assert_no_secret(window)


def test_a_chosen_file_that_is_no_image_or_is_gone_is_told(
    server, window, turn, chosen_image, tmp_path
):
    (tmp_path / "a picture.png").write_text("no image")
    click(window.image_button)
    turn_until(turn, ended(window))
    assert window.status.text() == "An image must be a PNG, JPEG or WebP file."
    (tmp_path / "a picture.png").unlink()
    click(window.image_button)
    turn_until(turn, ended(window))
    assert "a picture.png" in window.status.text()
    assert window.image_button.text() == "Images"


def test_an_error_is_shown_as_plain_text(server, window, turn, secret):
    words = f"<b>boom</b> <img src='{secret}'>"
    answered(window, server, turn, "Hi", "one", error_after=0, error=words)
    from PySide6.QtCore import Qt

    assert words in window.status.text()
    assert window.status.textFormat() == Qt.TextFormat.PlainText
    assert_no_secret(window)


def saved(folder):
    (path,) = folder.glob("*.json")
    return [(message["role"], message["content"]) for message in json.loads(path.read_text())]


PRECIOUS = [("user", "Hi"), ("assistant", "A precious answer.")]


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


def test_a_question_that_cannot_be_sent_changes_nothing(server, window, turn, monkeypatch):
    answered(window, server, turn, "Hi", "Hello.")

    def refuse(*_, **__):
        raise lms.LMStudioError("not now")

    monkeypatch.setattr(window.model, "respond_stream", refuse)
    ask(window, "And?")
    click(window.again_button)
    assert window.status.text() == "not now"
    assert shown(window) == ["Hi", "Hello."]
    assert window.entry.toPlainText() == "And?"


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
    turn_until(turn, lambda: window.light.text() == "● not connected")
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


def test_closing_while_it_writes_keeps_what_has_come(server, window, turn, tmp_path):
    server.hold("predict")
    ask(window, "Hi")
    call = server.expect("predict")
    call.fragment("one two")
    turn_until(turn, lambda: shown(window)[-1] == "one two")
    window.close()
    call.expect_cancel()
    assert saved(tmp_path) == [("user", "Hi"), ("assistant", "one two")]
    assert window.chat[-1].text == "one two"


def test_nothing_is_asked_or_unloaded_twice_while_the_model_is_unloaded(server, window, turn):
    server.hold("unloadModel")
    click(window.load_button)
    call = server.expect("unloadModel")
    assert (window.load_button.text(), window.load_button.isEnabled()) == ("Unloading", False)
    assert not window.send_button.isEnabled()
    ask(window, "Hi")
    click(window.load_button)
    assert not server.predictions
    call.proceed()
    turn_until(turn, lambda: window.load_button.text() == "Load")
    assert window.status.text() == ""
    assert window.entry.toPlainText() == "Hi"


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


def test_a_load_is_not_overtaken_by_the_model_that_was_found(server, open_window, turn):
    server.hold("getModelInfo")
    window = open_window(server, lambda window: window.picker.count() == 2)
    found = server.expect("getModelInfo")
    press(window.picker, "Down")
    server.hold("getOrLoad")
    click(window.load_button)
    call = server.expect("getOrLoad")
    server.release("getModelInfo")
    found.proceed()
    answered_later = server.received(endpoint="getModelInfo")
    assert answered_later
    assert window.load_button.text() == "Cancel"
    call.proceed()
    turn_until(turn, lambda: window.model is not None)
    assert window.model.identifier == "big"
    assert window.picker.currentText().startswith("Big")


@pytest.mark.parametrize("server", [[]], indirect=True)
def test_the_model_of_an_instance_with_a_name_of_its_own_is_shown(server, open_window, turn):
    server.load("big", identifier="mine")
    window = open_window(server)
    assert window.model.identifier == "mine"
    assert window.picker.currentText().startswith("Big")


def test_a_new_question_says_that_it_waits_and_a_new_chat_forgets_the_last(server, window, turn):
    answered(window, server, turn, "One?", "1", reasoning="secret thoughts")
    server.hold("predict")
    ask(window, "Two?")
    assert window.status.text() == "Waiting ..."
    server.expect("predict").error("Out of memory")
    turn_until(turn, ended(window))
    assert "Out of memory" in window.status.text()
    click(button(window, "New"))
    assert window.status.text() == ""
    assert not window.thoughts_button.isVisible()
    assert window.thoughts.toPlainText() == ""


def test_two_chats_of_one_second_have_two_files(server, window, turn, tmp_path, monkeypatch):
    monkeypatch.setattr("time.strftime", lambda form: form.replace("%Y-%m-%d %H.%M.%S", "now"))
    for reply in ("first", "second"):
        answered(window, server, turn, "Hi", reply)
        click(button(window, "New"))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["now Hi 1.json", "now Hi.json"]


def test_a_turn_is_added_without_making_the_others_anew(server, window, turn):
    answered(window, server, turn, "One?", "1")
    rows = [window.turns.itemAt(number).widget() for number in (0, 1)]
    answered(window, server, turn, "Two?", "2")
    assert [window.turns.itemAt(number).widget() for number in (0, 1)] == rows
    assert shown(window) == ["One?", "1", "Two?", "2"]


def test_closing_the_window_stops_a_load(server, window, turn):
    click(window.load_button)
    turn_until(turn, lambda: window.model is None)
    server.hold("getOrLoad")
    click(window.load_button)
    call = server.expect("getOrLoad")
    window.close()
    call.expect_cancel()


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


def test_an_error_is_shown_and_the_next_question_works(server, window, turn):
    answered(window, server, turn, "Hi", "one two", error_after=1, error="Out of memory")
    assert "Out of memory" in window.status.text()
    assert shown(window) == ["Hi", "one"]  # what had come is kept
    answered(window, server, turn, "Again", "All is well.")
    assert shown(window)[-1] == "All is well."


def test_a_question_without_an_answer_is_asked_again_or_forgotten(server, window, turn):
    answered(window, server, turn, "Hi", "one", error_after=0, error="Out of memory")
    server.reply("one", error_after=0, error="Out of memory")
    click(window.again_button)
    turn_until(turn, ended(window))
    answered(window, server, turn, "Again", "All is well.")
    assert [message.text for message in window.chat] == ["Again", "All is well."]


def test_a_model_that_was_unloaded_elsewhere_can_be_loaded_again(server, window, turn):
    server.unload("small")
    ask(window, "Hi")
    turn_until(turn, ended(window))
    assert "No loaded model" in window.status.text()
    click(window.load_button)
    turn_until(turn, lambda: window.model is not None)
    server.reply("Hello.")
    click(window.again_button)
    turn_until(turn, ended(window))
    assert shown(window) == ["Hi", "Hello."]


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


def test_closing_the_window_stops_the_model_and_nothing_follows(
    server, window, turn, monkeypatch, tmp_path
):
    late = []
    monkeypatch.setattr(sys, "excepthook", lambda *what: late.append(what))
    server.hold("predict")
    ask(window, "Hi")
    call = server.expect("predict")
    call.fragment("one ")
    turn_until(turn, lambda: "one" in shown(window)[-1])
    stream = window.reply
    window.close()
    call.expect_cancel()
    call.fragment("two ")
    call.success("userStopped")
    assert stream.result(LIMIT).cancel_reason == "the window was closed"
    turn()
    assert shown(window) == ["Hi", "one"]
    assert len(cancels(server)) == 1
    assert not late
    (path,) = tmp_path.glob("*.json")
    assert "Hi" in path.read_text()


def test_shift_and_enter_begin_a_line(server, window, turn):
    from PySide6.QtCore import Qt
    from PySide6.QtTest import QTest

    QTest.keyClicks(window.entry, "one")
    QTest.keyClick(window.entry, Qt.Key.Key_Return, Qt.KeyboardModifier.ShiftModifier)
    answered(window, server, turn, "two <b>", "3")
    assert shown(window)[0] == "one\ntwo <b>"


def test_only_links_to_the_web_are_opened(example, monkeypatch):
    view = sys.modules["full_chat_view"]
    opened = []
    monkeypatch.setattr(view.QDesktopServices, "openUrl", opened.append)
    view.open_link("https://example.org")
    view.open_link("file:///etc/passwd")
    assert opened == ["https://example.org"]


def test_the_window_stays_alive_while_a_fast_reply_streams(server, window, turn, capsys):
    from PySide6.QtCore import QTimer

    longest = Longest()
    timer = QTimer(window, interval=2)
    timer.timeout.connect(longest)
    timer.start()
    answered(window, server, turn, "Hi", ["word "] * 5000)
    timer.stop()
    with capsys.disabled():
        print(f"\nQt's thread was held for {1000 * longest.seconds:.0f} ms at most")
    assert shown(window)[-1].count("word") == 5000


def test_no_thread_is_left(server, open_window, turn):
    before = set(threading.enumerate())
    window = open_window(server)
    answered(window, server, turn, "Hi", "Hello.")
    window.close()
    window.client.close()
    for thread in set(threading.enumerate()) - before:
        thread.join(LIMIT)
        assert not thread.is_alive(), thread


@pytest.mark.parametrize("way", ["close", "quit", pytest.param("Ctrl-C", marks=needs_signals)])
def test_the_end_of_the_process_stops_the_model(example, server, tmp_path, way):
    server.reply("word " * 10_000, delay=0.002)
    driven = "wait" if way == "Ctrl-C" else way
    command = [sys.executable, DRIVER, driven, server.host, tmp_path]
    environment = {**os.environ, "PYTHONPATH": str(EXAMPLE.parents[1])}
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout.readline() == "writing\n"
            if way == "Ctrl-C":
                process.send_signal(signal.SIGINT)
            _, stderr = process.communicate(timeout=LIMIT)
        finally:
            process.kill()
    assert stderr.replace("This plugin does not support propagateSizeHints()\n", "") == ""
    assert process.returncode == (-signal.SIGINT if way == "Ctrl-C" else 0)
    prediction = server.predictions[0].wait_finished(LIMIT)
    assert prediction.tokens_sent < 10_000
    assert len(cancels(server)) == (0 if way == "Ctrl-C" else 1)  # the connection went
