"""Replies in the chat application: stopped, thought, written, failed."""

import pytest
from desktop.full_chat.chat_window import answered, ask, button, click, ended, press, shown
from desktop.gui import Longest, assert_shows_something, picture_path, turn_until
from helpers import cancels

import lmstudio as lms

pytestmark = pytest.mark.gui
MARKDOWN = """\
Sunlight is a mix of all colours. Air scatters **short waves** far more than long ones:

- *Rayleigh scattering* grows with the fourth power of the frequency
- blue is scattered about **5.5 times** as much as red

```python
def scattering(wavelength):
    return 1 / wavelength**4
```

So blue light comes from all over the sky, and red light almost straight from the sun."""


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


def test_a_turn_is_added_without_making_the_others_anew(server, window, turn):
    answered(window, server, turn, "One?", "1")
    rows = [window.turns.itemAt(number).widget() for number in (0, 1)]
    answered(window, server, turn, "Two?", "2")
    assert [window.turns.itemAt(number).widget() for number in (0, 1)] == rows
    assert shown(window) == ["One?", "1", "Two?", "2"]


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


def test_shift_and_enter_begin_a_line(server, window, turn):
    from PySide6.QtCore import Qt
    from PySide6.QtTest import QTest

    QTest.keyClicks(window.entry, "one")
    QTest.keyClick(window.entry, Qt.Key.Key_Return, Qt.KeyboardModifier.ShiftModifier)
    answered(window, server, turn, "two <b>", "3")
    assert shown(window)[0] == "one\ntwo <b>"


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
