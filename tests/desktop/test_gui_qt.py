"""The chat window in Qt, offscreen: real events, and what the server saw of them."""

import contextlib
import importlib.util
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
from helpers import server_again

import lmstudio as lms
from lmstudio._background import toolkits as dispatchers

pytestmark = pytest.mark.gui
EXAMPLE = Path(__file__).parents[2] / "examples" / "qt_chat.py"


@pytest.fixture(scope="module")
def application():
    return qt_application()


@pytest.fixture(scope="module")
def example(application):
    spec = importlib.util.spec_from_file_location("qt_chat", EXAMPLE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def turn(application):
    return application.processEvents


@pytest.fixture
def window(example, turn, client):
    window = example.ChatWindow(client)
    window.show()
    yield window
    window.close()
    window.deleteLater()
    turn()


def type_and_send(window, text):
    from PySide6.QtCore import Qt
    from PySide6.QtTest import QTest

    QTest.keyClicks(window.entry, text)
    QTest.keyClick(window.entry, Qt.Key.Key_Return)


def ask(window, text):
    """Send a question, and let the window find its model."""
    from PySide6.QtWidgets import QApplication

    type_and_send(window, text)
    turn_until(QApplication.processEvents, lambda: window.reply is not None or not window.running)


def click(button):
    from PySide6.QtCore import Qt
    from PySide6.QtTest import QTest

    QTest.mouseClick(button, Qt.MouseButton.LeftButton)


def shown(window):
    return window.view.toPlainText()


def test_a_conversation_with_both_kinds_of_stop(server, window, turn, tmp_path):
    server.hold("predict")
    ask(window, "Why is the sky blue?")
    call = server.expect("predict")
    call.progress(0.5)
    turn_until(turn, lambda: window.progress.value() == 50)
    assert "50%" in window.status.text()
    assert not window.send_button.isEnabled()

    click(window.stop_button)  # before the first token
    call.expect_cancel()
    call.success("userStopped")
    turn_until(turn, lambda: window.running is None)
    assert "(stopped)" in shown(window)
    assert not window.stop_button.isEnabled()
    assert len(window.chat) == 0  # else the next question would be joined to this one

    ask(window, "Please answer.")
    call = server.expect("predict")
    for word in ("Air ", "scatters ", "short ", "waves ", "of ", "light ", "more "):
        call.fragment(word)
    turn_until(turn, lambda: "more" in shown(window))
    click(window.stop_button)  # in the middle
    call.expect_cancel()
    call.success("userStopped")
    turn_until(turn, lambda: window.running is None)
    assert window.chat[-1].content[0].text == "Air scatters short waves of light more "

    ask(window, "Go on.")
    call = server.expect("predict")
    call.progress(1.0)
    call.fragment("than long ones, so that blue light comes from all over the sky.")
    turn_until(turn, lambda: "all over the sky" in shown(window))
    assert window.progress.value() == 0  # it must not look finished
    take_picture(window, tmp_path)
    call.success(tokens_per_second=42.0)
    turn_until(turn, lambda: window.running is None)
    assert window.status.text() == "42 tokens/s"
    assert [message.role for message in window.chat] == ["user", "assistant", "user", "assistant"]


def test_thoughts_are_shown_apart_and_kept_out_of_the_chat(server, window, turn):
    server.reply("\n\nIt is green.", reasoning="Hm.")
    ask(window, "Which colour?")
    turn_until(turn, lambda: window.running is None)

    assert shown(window).splitlines() == ["You", "Which colour?", "test-llm", "Hm.", "It is green."]
    assert window.chat[-1].text == "It is green."


def test_an_empty_reply_leaves_no_gap_and_the_shade_fills_the_line(server, window, turn):
    server.hold("predict")
    ask(window, "Nothing?")
    server.expect("predict").success()
    turn_until(turn, lambda: window.running is None)

    assert shown(window).splitlines() == ["You", "Nothing?", "test-llm", "(no answer)"]
    question = window.view.document().findBlockByNumber(1)
    assert question.blockFormat().background().color().name() == "#eef3fc"


def take_picture(window, tmp_path):
    from PIL import Image

    path = picture_path("qt_chat.png", tmp_path)
    assert window.grab().save(path)
    with Image.open(path) as image:
        assert_shows_something(image)


def test_an_error_is_shown_and_the_next_question_works(server, window, turn):
    server.reply("one two", error_after=1, error="Out of memory")
    server.reply("All is well.")
    ask(window, "hello")
    turn_until(turn, lambda: window.running is None)
    assert "Out of memory" in shown(window)
    ask(window, "again")
    turn_until(turn, lambda: "All is well." in shown(window) and window.running is None)


def test_stop_works_while_the_model_is_looked_for(server, window, turn):
    server.hold("getModelInfo")
    type_and_send(window, "hello")
    server.expect("getModelInfo")
    click(window.stop_button)
    assert not window.stop_button.isEnabled()
    assert window.status.text() == "Stopping ..."
    turn_until(turn, lambda: window.running is None)
    assert shown(window).splitlines() == ["You", "hello", "(stopped)"]
    assert not server.predictions


def test_the_window_works_with_a_server_that_starts_later_and_forgets_what_failed(
    example, turn, server
):
    port = server.port
    server.close()
    with contextlib.closing(lms.Client(f"127.0.0.1:{port}")) as client:
        window = example.ChatWindow(client)
        window.show()
        ask(window, "lost")
        turn_until(turn, lambda: window.running is None)
        assert "not reachable" in shown(window)
        with server_again(port) as again:
            ask(window, "found")
            turn_until(turn, lambda: window.running is None and again.predictions)
            assert "lost" not in again.predictions[0].prompt
            again.unload("test-llm")
            again.load("test-vlm")
            ask(window, "and now")
            turn_until(turn, lambda: window.running is None and len(again.predictions) == 2)
            assert [message.role for message in window.chat][::2] == ["user", "user"]
            window.close()
        window.deleteLater()
        turn()


def test_closing_the_window_in_the_middle_stops_the_model_and_nothing_follows(
    server, window, turn, monkeypatch
):
    before = set(threading.enumerate())
    late = []
    monkeypatch.setattr(sys, "excepthook", lambda *what: late.append(what))
    server.hold("predict")
    ask(window, "hello")
    call = server.expect("predict")
    call.fragment("one ")
    turn_until(turn, lambda: "one" in shown(window))
    stream, text = window.reply, shown(window)
    window.close()

    call.expect_cancel()
    call.fragment("two ")
    call.success("userStopped")
    assert stream.result(LIMIT).cancel_reason == "the window was closed"
    turn()
    assert shown(window) == text
    assert len(server.received(type="channelSend")) == 1
    assert not late
    for thread in set(threading.enumerate()) - before:
        if thread.name == "lmstudio-background":
            thread.join(LIMIT)
            assert not thread.is_alive()


def test_the_window_stays_alive_while_a_fast_reply_streams(server, window, turn, capsys):
    from PySide6.QtCore import QTimer

    longest = Longest()
    timer = QTimer(window, interval=2)
    timer.timeout.connect(longest)
    timer.start()
    server.reply(["word "] * 5000)
    ask(window, "hello")
    turn_until(turn, lambda: window.running is None)
    timer.stop()
    with capsys.disabled():
        print(f"\nQt's thread was held for {1000 * longest.seconds:.0f} ms at most")
    assert shown(window).count("word") == 5000


def test_the_dispatcher_ends_with_its_parent_also_when_its_bridge_is_gone(application, turn):
    from PySide6.QtCore import QObject
    from shiboken6 import delete

    log = []
    parent = QObject()
    dispatch = lms.QtDispatcher(parent)
    thread = threading.Thread(
        target=lambda: dispatch(lambda: log.append(threading.current_thread()))
    )
    thread.start()
    turn_until(turn, lambda: log)
    thread.join(LIMIT)
    dispatch(lambda: log.append("too late"))
    delete(parent)
    turn()
    assert dispatch.closed.reason == "the window was closed"
    assert log == [threading.main_thread()]

    orphan = lms.QtDispatcher()
    delete(orphan._bridge)
    orphan(lambda: log.append("nowhere"))  # raises nothing into the background
    turn()
    assert log == [threading.main_thread()]


def test_a_parent_that_is_no_object_of_qt_is_refused(application):
    with pytest.raises(lms.LMStudioValueError, match="needs a window of Qt, not 'window'"):
        lms.QtDispatcher("window")


def test_without_an_application_or_without_qt_the_error_says_what_to_do(monkeypatch):
    program = """
import lmstudio as lms
try:
    lms.QtDispatcher()
except lms.LMStudioRuntimeError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stderr == ""
    assert done.stdout in (
        "Make the QApplication first, then the QtDispatcher.\n",
        "QtDispatcher needs one of PySide6, PyQt6, PyQt5.\n",
    )
    monkeypatch.setattr(dispatchers, "_QT_BINDINGS", ("no_such_binding", "nor_this_one"))
    with pytest.raises(lms.LMStudioRuntimeError, match="needs one of no_such_binding"):
        lms.QtDispatcher()


def test_importing_the_dispatchers_imports_no_toolkit():
    program = """
import sys
import lmstudio as lms
lms.TkDispatcher, lms.QtDispatcher
print([name for name in ("tkinter", "PySide6", "PyQt6", "PyQt5") if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("[]\n", "")
