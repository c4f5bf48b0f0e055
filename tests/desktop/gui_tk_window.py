"""The chat window in Tk: real events, and what the server saw of them.

`test_gui_tk.py` runs these tests in a process of their own, on a virtual screen: Tk keeps its
connection to the screen as long as the process lives, and ends the process if the screen goes.
"""

import contextlib
import gc
import importlib.util
import socket
import subprocess
import sys
import threading
import tkinter
from pathlib import Path

import pytest
from desktop.gui import LIMIT, Longest, assert_shows_something, picture_path, turn_until
from helpers import server_again

import lmstudio as lms
from lmstudio._background import tk_poller

pytestmark = pytest.mark.gui
EXAMPLE = Path(__file__).parents[2] / "examples" / "tk_chat.py"


@pytest.fixture(scope="module")
def example():
    spec = importlib.util.spec_from_file_location("tk_chat", EXAMPLE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(autouse=True)
def no_leaks():
    """Tk keeps a socket; threads are counted below."""


@pytest.fixture
def window(example, client):
    window = example.ChatWindow(client)
    yield window
    if not window.dispatch.closed.is_set():
        window.destroy()


def ask(window, text):
    """Send a question, and let the window find its model."""
    type_and_send(window, text)
    turn_until(window.update, lambda: window.reply is not None or window.running is None)


def type_and_send(window, text):
    """Type a question and press Return, as the keyboard does."""
    window.entry.focus_force()  # there is no window manager
    window.update()
    for letter in text:
        keysym = {" ": "space", "?": "question"}.get(letter, letter)
        window.entry.event_generate(f"<KeyPress-{keysym}>")
    window.update()
    assert window.entry.get() == text
    window.entry.event_generate("<Return>")


def click(window, button):
    """Press and release the mouse on a button."""
    window.update()
    button.event_generate("<Enter>")
    button.event_generate("<ButtonPress-1>", x=5, y=5)
    button.event_generate("<ButtonRelease-1>", x=5, y=5)


def shown(window):
    return window.view.get("1.0", "end")


def test_a_conversation_with_both_kinds_of_stop(server, window, tmp_path):
    server.hold("predict")
    ask(window, "why is the sky blue?")
    call = server.expect("predict")
    call.progress(0.5)
    turn_until(window.update, lambda: float(window.progress["value"]) == 0.5)
    assert "50%" in window.status["text"]
    assert "disabled" in window.send_button.state()

    click(window, window.stop_button)  # before the first token
    call.expect_cancel()
    call.success("userStopped")
    turn_until(window.update, lambda: window.running is None)
    assert "(stopped)" in shown(window)
    assert "disabled" in window.stop_button.state()
    assert len(window.chat) == 0  # else the next question would be joined to this one

    ask(window, "please answer")
    call = server.expect("predict")
    for word in ("Air ", "scatters ", "short ", "waves ", "of ", "light ", "more "):
        call.fragment(word)
    turn_until(window.update, lambda: "more" in shown(window))
    click(window, window.stop_button)  # in the middle
    call.expect_cancel()
    call.success("userStopped")
    turn_until(window.update, lambda: window.running is None)
    assert window.chat[-1].content[0].text == "Air scatters short waves of light more "

    ask(window, "go on")
    call = server.expect("predict")
    call.progress(1.0)
    call.fragment("than long ones, so that blue light comes from all over the sky.")
    turn_until(window.update, lambda: "all over the sky" in shown(window))
    assert float(window.progress["value"]) == 0  # it must not look finished
    take_picture(window, tmp_path)
    call.success(tokens_per_second=42.0)
    turn_until(window.update, lambda: window.running is None)
    assert window.status["text"] == "42 tokens/s"
    assert [message.role for message in window.chat] == ["user", "assistant", "user", "assistant"]


def test_thoughts_are_shown_apart_and_kept_out_of_the_chat(server, window):
    server.reply("\n\nIt is green.", reasoning="Hm.")
    ask(window, "which colour?")
    turn_until(window.update, lambda: window.running is None)

    lines = ["You", "which colour?", "test-llm", "Hm.", "It is green."]
    assert shown(window).split("\n")[:5] == lines
    assert window.chat[-1].text == "It is green."


def test_an_empty_reply_leaves_no_gap_and_the_shade_fills_the_line(server, window):
    server.hold("predict")
    ask(window, "nothing?")
    server.expect("predict").success()
    turn_until(window.update, lambda: window.running is None)

    assert shown(window).split("\n")[:4] == ["You", "nothing?", "test-llm", "(no answer)"]
    shade = str(window.view.tag_cget("question", "background"))
    assert str(window.view.tag_cget("question", "rmargincolor")) == shade
    assert str(window.view.tag_cget("question", "lmargincolor")) == shade


def take_picture(window, tmp_path):
    from PIL import ImageGrab

    window.update()
    x, y = window.winfo_rootx(), window.winfo_rooty()
    box = (x, y, x + window.winfo_width(), y + window.winfo_height())
    image = ImageGrab.grab(bbox=box)
    image.save(picture_path("tk_chat.png", tmp_path), optimize=True)
    assert_shows_something(image)


def test_an_error_is_shown_and_the_next_question_works(server, window):
    server.reply("one two", error_after=1, error="Out of memory")
    server.reply("All is well.")
    ask(window, "hello")
    turn_until(window.update, lambda: window.running is None)
    assert "Out of memory" in shown(window)
    ask(window, "again")
    turn_until(window.update, lambda: "All is well." in shown(window) and window.running is None)


def test_stop_works_while_the_model_is_looked_for(server, window):
    server.hold("getModelInfo")
    type_and_send(window, "hello")
    server.expect("getModelInfo")
    click(window, window.stop_button)
    assert "disabled" in window.stop_button.state()
    assert window.status["text"] == "Stopping ..."
    turn_until(window.update, lambda: window.running is None)
    assert shown(window).split("\n")[:3] == ["You", "hello", "(stopped)"]
    assert not server.predictions


def test_the_window_works_with_a_server_that_starts_later_and_forgets_what_failed(example, server):
    port = server.port
    server.close()
    with contextlib.closing(lms.Client(f"127.0.0.1:{port}")) as client:
        window = example.ChatWindow(client)
        ask(window, "lost")
        turn_until(window.update, lambda: window.running is None)
        assert "not reachable" in shown(window)
        with server_again(port) as again:
            ask(window, "found")
            turn_until(window.update, lambda: window.running is None and again.predictions)
            assert "lost" not in again.predictions[0].prompt
            window.destroy()


def test_closing_the_window_in_the_middle_stops_the_model_and_nothing_follows(
    server, window, monkeypatch
):
    before = set(threading.enumerate())
    late = []
    monkeypatch.setattr(window, "report_callback_exception", lambda *what: late.append(what))
    server.hold("predict")
    ask(window, "hello")
    call = server.expect("predict")
    call.fragment("one ")
    turn_until(window.update, lambda: "one" in shown(window))
    stream = window.reply
    window.destroy()

    call.expect_cancel()
    call.fragment("two ")
    call.success("userStopped")
    assert stream.result(LIMIT).cancel_reason == "the window was closed"
    assert len(server.received(type="channelSend")) == 1
    assert not late
    for thread in set(threading.enumerate()) - before:
        if thread.name == "lmstudio-background":
            thread.join(LIMIT)
            assert not thread.is_alive()


def test_the_window_stays_alive_while_a_fast_reply_streams(server, window):
    longest = Longest()

    def tick():
        longest()
        ticking[0] = window.after(2, tick)

    ticking = [window.after(2, tick)]
    server.reply(["word "] * 5000)
    ask(window, "hello")
    turn_until(window.update, lambda: window.running is None)
    window.after_cancel(ticking[0])
    print(f"Tk's thread was held for {1000 * longest.seconds:.0f} ms at most")
    assert shown(window).count("word") == 5000


def test_the_dispatcher_keeps_order_survives_errors_and_ends_with_its_widget(monkeypatch):
    root = tkinter.Tk()
    errors, log = [], []
    monkeypatch.setattr(root, "report_callback_exception", lambda *what: errors.append(what[0]))
    frame = tkinter.Frame(root)
    dispatch = lms.TkDispatcher(frame)
    thread = threading.Thread(
        target=lambda: [
            dispatch(lambda: log.append(threading.current_thread())),
            dispatch(lambda: 1 / 0),
            dispatch(lambda: log.append("after the error")),
            dispatch(frame.destroy),
            dispatch(lambda: log.append("too late")),
        ]
    )
    thread.start()
    turn_until(root.update, dispatch.closed.is_set)
    thread.join(LIMIT)
    dispatch(lambda: log.append("much too late"))
    root.update()
    root.destroy()

    assert log == [threading.main_thread(), "after the error"]
    assert errors == [ZeroDivisionError]
    assert dispatch.closed.reason == "the window was closed"


def test_the_end_of_a_window_is_noticed_whatever_its_program_binds_to_it():
    class Compound(tkinter.Frame):
        def bind(self, *_, **__):
            raise NotImplementedError  # as customtkinter's widgets of several parts do

    root = tkinter.Tk()
    compound, told, plain = Compound(root), [], tkinter.Frame(root)
    inner, outer = lms.TkDispatcher(compound), lms.TkDispatcher(root)
    root.bind("<Destroy>", told.append)  # without add: it replaces what the window's name has
    tagged = lms.TkDispatcher(plain)
    plain.bindtags((str(plain), "Frame", "all"))  # without the tags that it had
    plain.destroy()
    assert tagged.closed.reason == "the window was closed"
    compound.destroy()
    assert inner.closed.reason == "the window was closed"
    assert not outer.closed.is_set()
    root.destroy()
    assert outer.closed.reason == "the window was closed"
    assert told
    for widget in (compound, root):
        with pytest.raises(lms.LMStudioValueError, match="it was destroyed"):
            lms.TkDispatcher(widget)


@pytest.mark.parametrize("is_first", [True, False], ids=["one window", "after a first one"])
def test_a_call_in_a_handler_goes_on_though_the_thread_that_brings_its_answer_calls_tk(
    client, is_first
):
    splash = None if is_first else tkinter.Tk()
    root = tkinter.Tk()
    if splash is not None:
        splash.destroy()  # tkinter knows of no window now
    here, there = socket.socketpair()
    there.send(b"news")
    variable, events, answers, meanwhile = tkinter.StringVar(root, "text"), [], [], []
    client.llm.list_loaded()

    def handler():
        # As a finaliser of Tk's does there, when the garbage collector comes.
        client._session.dispatcher.reactor.post(
            lambda: answers.extend(variable.get() for _ in range(100))
        )
        root.after(0, events.append, "a timer")
        root.after_idle(events.append, "an idle task")
        root.createfilehandler(here, tkinter.READABLE, lambda *_: events.append("a file"))
        answers.append(client.llm.list_loaded()[0].identifier)
        meanwhile.extend(events)
        root.deletefilehandler(here)
        root.after(1, root.quit)

    root.after(1, handler)
    root.mainloop()
    root.destroy()
    here.close()
    there.close()
    assert answers == [*["text"] * 100, "test-llm"]
    assert meanwhile == []  # nothing else of Tk's came


def test_a_window_that_is_gone_takes_no_looks_and_no_memory(server, client):
    root = tkinter.Tk()
    frame = tkinter.Frame(root)
    server.hold("predict")
    stream = client.llm.model().respond_stream("hi")
    stream.run_in_background(dispatch=lms.TkDispatcher(frame))
    call = server.expect("predict")
    frame.destroy()
    call.expect_cancel()
    call.success("userStopped")
    stream.result(LIMIT)
    assert looks(root, 1.5) <= 25 + 2 + 3  # as with nothing that runs, though the stream is kept
    poller = tk_poller.poller_of(root)
    root.destroy()
    del root, frame
    gc.collect()
    lms.TkDispatcher(last := tkinter.Tk())
    assert poller not in tk_poller._pollers
    assert poller.interpreter is None
    last.destroy()


def test_an_iterator_may_outlive_the_window_in_whose_thread_it_began(server):
    program = f"""
import gc, threading, tkinter
import lmstudio as lms

root = tkinter.Tk()
with lms.Client({server.host!r}) as client:
    texts = iter(client.llm.model().respond_stream("hi"))
    next(texts)
    root.destroy()
    del root
    tkinter._default_root = None
    gc.collect()
    rest, box = [], [texts]
    del texts
    worker = threading.Thread(target=lambda: rest.extend(box.pop()))
    worker.start()
    worker.join()
print(len(rest) > 0)
"""
    server.reply("one two three")
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT)
    assert (done.returncode, done.stdout, done.stderr) == (0, "True\n", "")


def test_a_program_whose_window_ran_in_a_worker_thread_ends_in_good_order():
    program = """
import threading, tkinter
import lmstudio as lms

def run():
    root = tkinter.Tk()
    dispatch = lms.TkDispatcher(root)
    root.after(1, root.destroy)
    root.mainloop()
    print(dispatch.closed.reason)

thread = threading.Thread(target=run)
thread.start()
thread.join()
"""
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT)
    assert (done.returncode, done.stdout, done.stderr) == (0, "the window was closed\n", "")


def looks(root, seconds):
    """How often Tk looks for functions within a time, while nothing else happens."""
    count, ends = [0], []
    poller = tk_poller.poller_of(root)
    after = poller._after

    def counted(milliseconds):
        count[0] += 1
        return after(milliseconds)

    poller._after = counted
    poller._look_soon()
    root.after(int(1000 * seconds), lambda: ends.append(True))
    turn_until(root.update, lambda: ends)
    del poller._after
    return count[0]


def test_three_hundred_dispatchers_cost_what_one_does_and_seldom_look_when_nothing_runs():
    root = tkinter.Tk()
    dispatchers = [lms.TkDispatcher(root) for _ in range(300)]
    first = looks(root, 1.5)
    assert looks(root, 1.5) <= 25 + 2 + 3  # those after it was told to look soon, and idle ones
    assert first <= 25 + 2 + 3

    del dispatchers
    poller = tk_poller.poller_of(root)
    turn_until(root.update, lambda: poller._next_look is None)  # nobody can ask for anything
    log = []
    lms.TkDispatcher(root)(lambda: log.append("it begins again"))
    turn_until(root.update, lambda: log)
    root.destroy()


def test_it_looks_often_while_something_runs_and_is_done_with_it_at_the_end(server, client):
    root = tkinter.Tk()
    poller = tk_poller.poller_of(root)
    server.hold("predict")
    done = []
    stream = client.llm.model().respond_stream("hi")
    stream.run_in_background(on_done=done.append, dispatch=lms.TkDispatcher(root))
    call = server.expect("predict")
    pauses, after = [], poller._after
    poller._after = lambda milliseconds: (pauses.append(milliseconds), after(milliseconds))[1]
    turn_until(root.update, lambda: len(pauses) > 2 * tk_poller._LOOKS_WHEN_BUSY)
    del poller._after
    assert set(pauses) == {tk_poller._BUSY}
    call.success()
    turn_until(root.update, lambda: done)
    turn_until(root.update, lambda: not poller._running)
    root.destroy()


def test_a_light_in_a_window_goes_on_and_out_with_it_and_lets_tk_rest(server, client):
    root = tkinter.Tk()
    frame = tkinter.Frame(root)
    light = tkinter.Label(frame)
    client.on_connection_change(
        lambda is_connected: light.config(text=f"connected: {is_connected}"),
        dispatch=lms.TkDispatcher(frame),
    )
    turn_until(root.update, lambda: light.cget("text") == "connected: True")
    assert looks(root, 1.5) <= 25 + 2 + 3  # as with nothing that runs

    server.close()
    turn_until(root.update, lambda: light.cget("text") == "connected: False")
    frame.destroy()

    turn_until(root.update, lambda: not client._session.listeners)
    root.destroy()
