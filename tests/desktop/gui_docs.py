"""Runs a program of a page that shows a window: presses its stop button, then closes the window.

    gui_docs.py PROGRAM

The main loop of the toolkit is replaced by one that waits for text, presses, waits for the end of
the stream, and closes. wx itself is not needed: a small stand-in has what the page uses.
"""

import queue
import sys
import time
import types
from pathlib import Path

LIMIT = 15.0  # seconds


def wait(turn, condition):
    deadline = time.monotonic() + LIMIT
    while not condition():
        assert time.monotonic() < deadline, "the condition never held"
        turn()


def drive_tk():
    import tkinter

    def mainloop(window, _n=0):
        widgets = window.winfo_children()
        (view,) = (w for w in widgets if isinstance(w, tkinter.Text))
        buttons = {w["text"]: w for w in widgets if isinstance(w, tkinter.Button)}
        stop, asked = buttons["Stop"], ""
        if "Send" in buttons:
            (entry,) = (w for w in widgets if isinstance(w, tkinter.Entry))
            entry.insert(0, "Tell me a long story.")
            wait(window.update, lambda: buttons["Send"]["state"] == "normal")
            asked = view.get("1.0", "end") + "You: Tell me a long story."
            buttons["Send"].invoke()
        wait(window.update, lambda: len(view.get("1.0", "end").strip()) > len(asked.strip()))
        stop.invoke()
        idle = (buttons["Send"], "normal") if "Send" in buttons else (stop, "disabled")
        wait(window.update, lambda: idle[0]["state"] == idle[1])
        window.destroy()

    tkinter.Tk.mainloop = mainloop


def drive_qt():
    from PySide6.QtWidgets import QApplication, QPlainTextEdit, QPushButton

    def execute(*_):
        (window,) = QApplication.topLevelWidgets()
        view, stop = window.findChild(QPlainTextEdit), window.findChild(QPushButton)
        wait(QApplication.processEvents, view.toPlainText)
        stop.click()
        wait(QApplication.processEvents, lambda: not stop.isEnabled())
        window.close()

    QApplication.exec = execute


def drive_wx():
    calls, windows = queue.SimpleQueue(), []

    class Frame:
        def __init__(self, parent, title):
            self.title, self.bound = title, {}
            windows.append(self)

        def SetTitle(self, title):
            self.title = title

        def Bind(self, event, handler):
            self.bound[event] = handler

        def Show(self):
            pass

    class TextCtrl:
        def __init__(self, parent, style):
            self.text = ""

        def AppendText(self, text):
            self.text += text

    class App:
        def MainLoop(self):
            (window,) = windows

            def turn():
                calls.get(timeout=LIMIT)()

            wait(turn, lambda: window.view.text)
            window.bound["key"](None)
            wait(turn, lambda: window.title == "Done")
            window.bound["close"](types.SimpleNamespace(Skip=lambda: None))

    names = {"Frame": Frame, "TextCtrl": TextCtrl, "App": App, "CallAfter": calls.put}
    names.update(TE_MULTILINE=0, EVT_CHAR_HOOK="key", EVT_CLOSE="close")
    sys.modules["wx"] = types.ModuleType("wx")
    vars(sys.modules["wx"]).update(names)


if __name__ == "__main__":
    program = Path(sys.argv[1]).read_text()
    drivers = {"import tkinter": drive_tk, "from PySide6": drive_qt, "import wx": drive_wx}
    (driver,) = (drivers[words] for words in drivers if words in program)
    driver()
    exec(compile(program, "program", "exec"), {"__name__": "__main__"})
    print("closed")
