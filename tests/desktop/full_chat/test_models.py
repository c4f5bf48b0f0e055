"""Models in the chat application: chosen, loaded, cancelled, unloaded, gone."""

import pytest
from desktop.full_chat.chat_window import ask, click, ended, press, shown
from desktop.gui import turn_until

pytestmark = pytest.mark.gui


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


def test_closing_the_window_stops_a_load(server, window, turn):
    click(window.load_button)
    turn_until(turn, lambda: window.model is None)
    server.hold("getOrLoad")
    click(window.load_button)
    call = server.expect("getOrLoad")
    window.close()
    call.expect_cancel()


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
