"""Runs examples/full_chat.py as a program, asks, and ends it in one of several ways.

    full_chat_process.py close|quit|wait HOST FOLDER

"close" closes the window while the reply comes, "quit" leaves Qt's loop; "wait" goes on.
"""

import runpy
import sys
from pathlib import Path

from PySide6.QtCore import Qt, QTimer
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QPlainTextEdit, QWidget

EXAMPLE = Path(__file__).parents[3] / "examples" / "full_chat.py"
way, host, folder = sys.argv[1:]


def look():
    (window,) = (widget for widget in QApplication.topLevelWidgets() if hasattr(widget, "turns"))
    if window.model is not None and window.reply is None:
        entry = window.findChild(QPlainTextEdit)
        QTest.keyClicks(entry, "Tell me a long story.")
        QTest.keyClick(entry, Qt.Key.Key_Return)
    if not window.text:
        return
    timer.stop()
    print("writing", flush=True)
    if way == "close":
        QWidget.close(window)
    elif way == "quit":
        QApplication.quit()


def execute():
    global timer
    timer = QTimer(interval=20)
    timer.timeout.connect(look)
    timer.start()
    return run()


run, QApplication.exec = QApplication.exec, lambda _application=None: execute()
sys.path.insert(0, str(EXAMPLE.parent))  # as Python does for a program
sys.argv = [str(EXAMPLE), "--host", host, "--chats", folder]
runpy.run_path(str(EXAMPLE), run_name="__main__")
