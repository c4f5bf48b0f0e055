"""Other threads' calls of Tk are let through while the main thread waits; Tcl is a stand-in."""

import gc
import sys
import threading
import types
import unittest.mock

import pytest
from helpers import Worker, eventually

from lmstudio._concurrency import tk_calls


class Tcl:
    """An interpreter that serves other threads' calls so many times."""

    def __init__(self, *served):
        self._served = list(served)

    def dooneevent(self, flags):
        assert flags == 2 | 64  # DONT_WAIT; no window's events, files, timers, idle tasks
        served = self._served.pop(0)
        if isinstance(served, Exception):
            raise served
        return served


@pytest.fixture
def clock(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(tk_calls, "monotonic", lambda: now[0])
    return now


@pytest.fixture
def with_tcl(monkeypatch):
    """Let `_tkinter` make such an interpreter; return how it was asked for one."""

    def put(*served):
        wishes, tcl = [], Tcl(*served)
        maker = types.SimpleNamespace(create=lambda *wish: (wishes.append(wish), tcl)[1])
        monkeypatch.setitem(sys.modules, "_tkinter", maker)
        return wishes

    monkeypatch.setattr(tk_calls, "_PUMPS_MESSAGES", False)
    return put


def test_calls_are_served_until_there_is_none_and_the_next_is_expected_soon(clock, with_tcl):
    wishes = with_tcl(0, 1, 1, 0, 0, 0)
    calls = tk_calls._CallsOfTk()

    assert not calls.serve()
    assert calls.serve()
    assert calls.serve()  # none came, but one may
    clock[0] += 1.0
    assert not calls.serve()
    assert wishes == [(None, "", "Tcl", False, 0, False)]  # once, and without a window


def test_an_error_of_tcls_is_no_error_of_a_wait(clock, with_tcl):
    with_tcl(RuntimeError("no more"))
    assert not tk_calls._CallsOfTk().serve()


def test_a_stand_in_for_tkinter_costs_no_more_than_a_look(clock, monkeypatch):
    monkeypatch.setattr(tk_calls, "_PUMPS_MESSAGES", False)
    mock = unittest.mock.MagicMock()
    monkeypatch.setitem(sys.modules, "_tkinter", mock)
    assert not tk_calls._CallsOfTk().serve()
    assert mock.create.return_value.dooneevent.call_count == 1


def test_where_tcl_looks_at_messages_too_it_is_asked_only_while_somebody_calls_tk(
    clock, with_tcl, monkeypatch
):
    with_tcl(1, 0)
    monkeypatch.setattr(tk_calls, "_PUMPS_MESSAGES", True)
    is_called = [False, True]
    monkeypatch.setattr(tk_calls, "_is_tk_called_elsewhere", lambda: is_called.pop(0))
    calls = tk_calls._CallsOfTk()

    assert not calls.serve()
    assert calls.serve()


@pytest.mark.parametrize(
    ("module", "body"),
    [("tkinter.font", "take()"), ("PIL.ImageTk", "widget.tk.call()")],
    ids=["in tkinter", "by the interpreter of a widget"],
)
def test_who_is_inside_of_a_call_of_tk_is_seen(module, body):
    assert not tk_calls._is_tk_called_elsewhere()
    lock = threading.Lock()
    widget = types.SimpleNamespace(tk=types.SimpleNamespace(call=lock.acquire))
    # It waits in C, as Tk's calls do.
    names = {"__name__": module, "take": lock.acquire, "widget": widget}
    exec(f"def call():\n    {body}", names)
    lock.acquire()
    worker = Worker(names["call"])
    eventually(tk_calls._is_tk_called_elsewhere)
    lock.release()
    worker.result()
    assert gc.isenabled()


def test_the_garbage_collector_stays_off_where_a_program_has_it_off():
    gc.disable()
    try:
        tk_calls._is_tk_called_elsewhere()
        assert not gc.isenabled()
    finally:
        gc.enable()
