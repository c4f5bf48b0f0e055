"""The queue of callbacks: visits of the thread that runs them, one callback at a time."""

import gc
import queue
import threading
import types
import weakref

import pytest
from desktop.background import LIMIT
from helpers import Worker

import lmstudio as lms
from lmstudio._background.callback_queue import CallbackQueue
from lmstudio._concurrency.callback_gate import CallbackGate

pytestmark = pytest.mark.races


def outbox(dispatch, log):
    return CallbackQueue(
        CallbackGate(), dispatch, log.append, on_text=log.append, on_done=None, on_error=None
    )


def test_a_visit_leaves_what_comes_meanwhile_to_the_next_one(window):
    log = []
    box = outbox(window, log)
    box.run(lambda: box.run(log.append, "second"))
    window.run_one()
    assert log == []  # another visit is asked for, so that the window can do other things first
    window.run_one()
    assert log == ["second"]


def test_a_toolkit_that_keeps_methods_weakly_calls_what_nobody_else_keeps(window):
    def dispatch(function):  # as Kivy's clock does, which passes the seconds on, too
        is_method = isinstance(function, types.MethodType)
        kept = weakref.WeakMethod(function) if is_method else lambda: function
        window(lambda: kept() and kept()(0.02))

    log = []
    box = outbox(dispatch, log)
    box.run(log.append, "first")
    del box
    gc.collect()
    window.run_one()
    assert log == ["first"]


def test_two_threads_without_dispatch_run_one_callback_at_a_time():
    log, inside, go_on = [], threading.Event(), threading.Event()

    def slow():
        inside.set()
        assert go_on.wait(LIMIT)
        log.append("slow")

    box = outbox(None, log)
    first = Worker(box.run, slow)
    assert inside.wait(LIMIT)
    box.run(log.append, "quick")  # returns at once: the first thread runs it
    assert log == []
    go_on.set()
    first.result()
    assert log == ["slow", "quick"]


def test_a_dispatch_that_calls_at_once_hides_no_exception(server, model, monkeypatch):
    seen = queue.SimpleQueue()
    monkeypatch.setattr(threading, "excepthook", lambda args: seen.put(args.exc_value))
    future = model.respond_stream("hi").run_in_background(
        on_done=lambda _: 1 / 0, dispatch=lambda function: function()
    )
    assert isinstance(seen.get(timeout=LIMIT), ZeroDivisionError)
    assert future.result(LIMIT).content


def test_an_exception_in_the_last_callback_is_that_of_a_thread(server, model, monkeypatch):
    reported = queue.SimpleQueue()
    monkeypatch.setattr(threading, "excepthook", reported.put)
    future = model.respond_stream("hi").run_in_background(on_done=lambda result: 1 / 0)
    assert reported.get(timeout=LIMIT).exc_type is ZeroDivisionError
    assert future.result(LIMIT).content


def test_a_text_that_is_due_is_given_though_another_callback_comes_before_it(window):
    log = []
    box = outbox(window, log)
    box.run(log.append, "first")
    box.text("text")
    box.bring_text()
    window.run_one()
    assert log == ["first", "text"]


def test_a_callback_for_each_fragment_does_not_bring_the_text_earlier():
    log = []
    box = outbox(None, log)
    for number in range(3):
        box.text(f"{number} ")
        box.run(box.beside_text(log.append), number)
    assert log == [0, 1, 2]
    box.bring_text()
    assert log == [0, 1, 2, "0 1 2 "]
    box.text("3")
    box.run(log.append, "a message")  # in order: the text belongs before it
    assert log[-2:] == ["3", "a message"]


def test_a_toolkit_may_pass_something_on_to_what_it_calls(server, model):
    """As Kivy's `Clock.schedule_once` does, with the seconds that have passed."""
    calls = queue.SimpleQueue()
    done = []
    stream = model.respond_stream("hi")
    stream.run_in_background(on_done=done.append, dispatch=calls.put)
    while not done:
        calls.get(timeout=LIMIT)(0.016)
    assert done[0].content


def test_whether_a_button_is_checked_is_no_reason(server, model):
    """Qt's `clicked` passes it to what it is connected with."""
    server.hold("predict")
    stream = model.respond_stream("hi")
    stream.cancel(False)
    token = lms.CancelToken()
    token.cancel(True)

    assert stream.result().cancel_reason is None
    assert stream.cancelled()
    assert token.is_set() and token.reason is None
