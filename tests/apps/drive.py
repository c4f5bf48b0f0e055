"""Runs a program of docs/apps that has a window, asks, and stops the reply in one of three ways.

    drive.py PROGRAM stop|early|window|end

"stop" presses the stop button, and closes the window when the reply has ended; "early" does so
before the first token, as soon as there is a file "asked"; "window" closes the window while the
reply comes; "end" leaves the main loop, so that the process ends. All by the toolkit's own events.
"""

import sys
import threading
import time
from pathlib import Path

LIMIT = 15.0  # seconds


def wait(turn, condition):
    deadline = time.monotonic() + LIMIT
    while not condition():
        assert time.monotonic() < deadline, "the condition never held"
        turn()


def has_begun(way, text):
    """Whether it is time to stop."""
    return Path("asked").exists() if way == "early" else bool(text.strip())


def drive_tk(way):
    import tkinter

    def mainloop(window, _n=0):
        view, entry, stop = window.winfo_children()
        entry.insert("end", "Tell me a long story.")
        entry.focus_force()
        window.update()
        window.focus_get().event_generate("<Return>")
        wait(window.update, lambda: has_begun(way, view.get("1.0", "end")))
        if way in ("stop", "early"):
            stop.invoke()
            wait(window.update, lambda: stop.cget("state") == "disabled")
        if way != "end":
            window.destroy()

    tkinter.Tk.mainloop = mainloop


def drive_qt(way):
    from PySide6.QtCore import Qt, QTimer
    from PySide6.QtTest import QTest
    from PySide6.QtWidgets import QApplication, QLineEdit, QPlainTextEdit, QPushButton

    run = QApplication.exec

    def use(application):
        (window,) = application.topLevelWidgets()
        view, stop = window.findChild(QPlainTextEdit), window.findChild(QPushButton)
        entry = window.findChild(QLineEdit)
        QTest.keyClicks(entry, "Tell me a long story.")
        QTest.keyClick(entry, Qt.Key.Key_Return)
        wait(application.processEvents, lambda: has_begun(way, view.toPlainText()))
        if way in ("stop", "early"):
            QTest.mouseClick(stop, Qt.MouseButton.LeftButton)
            wait(application.processEvents, lambda: not stop.isEnabled())
        application.quit() if way == "end" else window.close()

    def execute(application):
        QTimer.singleShot(0, lambda: use(application))
        return run()

    QApplication.exec = execute


def drive_textual(way):
    from textual.app import App
    from textual.widgets import Button, Input, Log

    async def use(pilot):
        async def wait_until(condition):
            deadline = time.monotonic() + LIMIT
            while not condition():
                assert time.monotonic() < deadline, "the condition never held"
                await pilot.pause(0.01)

        await pilot.click(Input)
        await pilot.press(*"Tell", "enter")
        view = pilot.app.query_one(Log)
        await wait_until(lambda: has_begun(way, "".join(view.lines)))
        if way in ("stop", "early"):
            await pilot.click(Button)
            await wait_until(lambda: all(worker.is_finished for worker in pilot.app.workers))
        if way == "end":
            pilot.app.exit()
        else:
            await pilot.press("ctrl+q")  # there is no other way to close it

    run = App.run
    App.run = lambda app: run(app, headless=True, auto_pilot=use)


def drive_kivy(way):
    from kivy.app import App
    from kivy.base import EventLoop
    from kivy.clock import Clock
    from kivy.core.window import Window

    def use():
        view, entry, stop = reversed(App.get_running_app().root.children)
        entry.text = "Tell me a long story."
        entry.dispatch("on_text_validate")
        yield lambda: has_begun(way, view.text)
        if way in ("stop", "early"):
            stop.trigger_action()
            yield lambda: stop.disabled
        if way == "end":
            App.get_running_app().stop()
        else:
            Window.dispatch("on_request_close") or EventLoop.close()

    def look(_seconds):
        assert time.monotonic() < deadline, "the condition never held"
        while state["condition"]():
            try:
                state["condition"] = next(steps)
            except StopIteration:
                return False
        return True

    deadline, steps = time.monotonic() + LIMIT, use()
    state = {"condition": lambda: App.get_running_app() is not None}
    Clock.schedule_interval(look, 0.02)


def drive_wx(way):
    import wx

    def use():
        (window,) = wx.GetTopLevelWindows()
        view, entry, stop = window.GetChildren()
        entry.SetValue("Tell me a long story.")
        entry.ProcessEvent(wx.CommandEvent(wx.EVT_TEXT_ENTER.typeId, entry.GetId()))
        wait(wx.Yield, lambda: has_begun(way, view.GetValue()))
        if way in ("stop", "early"):
            stop.ProcessEvent(wx.CommandEvent(wx.EVT_BUTTON.typeId, stop.GetId()))
            wait(wx.Yield, lambda: not stop.IsEnabled())
        wx.GetApp().ExitMainLoop() if way == "end" else window.Close()

    run = wx.App.MainLoop
    wx.App.MainLoop = lambda application: (wx.CallLater(1, use), run(application))


DRIVERS = {
    "import tkinter": drive_tk,
    "import customtkinter": drive_tk,
    "from PySide6": drive_qt,
    "from textual": drive_textual,
    "from kivy": drive_kivy,
    "import wx": drive_wx,
}


def assert_no_thread_is_left():
    """Beside the client's own, which ends with the client."""
    import lmstudio

    lmstudio.close_default_client()
    for thread in set(threading.enumerate()) - {threading.main_thread()}:
        if isinstance(thread, threading._DummyThread):  # a toolkit's own
            continue
        thread.join(LIMIT)
        assert not thread.is_alive(), thread


if __name__ == "__main__":
    program, way = Path(sys.argv[1]).read_text(encoding="utf-8"), sys.argv[2]
    (driver,) = (DRIVERS[words] for words in DRIVERS if words in program)
    driver(way)
    exec(compile(program, "program", "exec"), {"__name__": "__main__"})
    if way != "end":  # otherwise the program has ended here
        assert_no_thread_is_left()
    print("ended")
