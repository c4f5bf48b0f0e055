"""How tests look at the chat application in Qt, and use it by clicks and keys."""

import json
from pathlib import Path

from desktop.gui import turn_until

from lmstudio.testing import Model

EXAMPLE = Path(__file__).parents[3] / "examples" / "full_chat.py"
MODELS = [
    Model(key="small", display_name="Qwen3 4B", size_bytes=2_500_000_000, vision=True),
    Model(key="big", display_name="Big", size_bytes=8_100_000_000),
]
PRECIOUS = [("user", "Hi"), ("assistant", "A precious answer.")]


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


def uploads(server):
    return len(server.received(endpoint="uploadFileBase64"))


def write_chat(folder, messages, name="2026-11-29 12.00.00 Odd"):
    path = folder / f"{name}.json"
    path.write_text(json.dumps(messages), "utf-8")
    return path


def open_first(window, turn):
    window.chats.aboutToShow.emit()
    window.chats.actions()[0].trigger()
    turn_until(turn, ended(window))


def saved(folder):
    (path,) = folder.glob("*.json")
    return [(message["role"], message["content"]) for message in json.loads(path.read_text())]
