"""Points in time, on a clock that the tests turn, and waits that end at them."""

import queue
import sys
import threading
import types

import pytest
from helpers import Worker

import lmstudio as lms
from lmstudio._concurrency import deadline as _deadline
from lmstudio._concurrency.deadline import Deadline, DeadlinePassed, receiver, slice_of


class Clock:
    """Stands still until it is turned."""

    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(_deadline, "monotonic", clock)
    return clock


class SlowInbox:
    """An inbox into which nothing comes for a while: each wait turns the clock by its limit."""

    def __init__(self, clock, empty_waits=100):
        self._clock, self._empty_waits = clock, empty_waits
        self.waits = []

    def get(self, timeout=None):
        self.waits.append(timeout)
        if len(self.waits) > self._empty_waits:
            return "item"
        self._clock.now += timeout
        raise queue.Empty


@pytest.fixture
def sliced(monkeypatch):
    """As on Windows before Python 3.14."""
    monkeypatch.setattr(_deadline, "_SLICED", True)
    monkeypatch.setattr(_deadline, "_SLICE", 0.25)


# -- points in time ---------------------------------------------------------------------------


def test_what_is_left_shrinks_to_nothing_and_never_below(clock):
    deadline = Deadline(2)
    assert deadline.remaining() == 2
    clock.now += 1.5
    assert deadline.remaining() == 0.5
    clock.now += 100
    assert deadline.remaining() == 0


def test_a_deadline_of_no_seconds_has_passed_at_once(clock):
    assert Deadline(0).remaining() == 0


def test_a_deadline_without_seconds_never_passes(clock):
    deadline = Deadline(None)
    clock.now += 1e9
    assert deadline.remaining() is None


@pytest.mark.parametrize(("seconds", "others", "left"), [(5, 2, 2), (5, 9, 5), (None, 2, 2)])
def test_of_two_deadlines_the_earlier_one_holds(clock, seconds, others, left):
    deadline = Deadline(seconds)
    assert deadline.at_most(others).remaining() == left
    assert deadline.remaining() == seconds  # as it was


def test_a_limit_counts_from_when_it_is_set(clock):
    deadline = Deadline(5)
    clock.now += 4
    assert deadline.at_most(2) is deadline
    assert deadline.at_most(0.5).remaining() == 0.5


# -- waits ------------------------------------------------------------------------------------


@pytest.fixture
def whole(monkeypatch):
    """Waits are in one piece: without Tk they are, but on Windows before Python 3.14."""
    monkeypatch.setattr(_deadline, "_SLICED", False)
    monkeypatch.delitem(sys.modules, "tkinter", raising=False)


@pytest.mark.usefixtures("whole")
@pytest.mark.parametrize("deadline", [None, Deadline(None)])
def test_without_a_deadline_no_python_of_ours_stands_between_reader_and_inbox(deadline):
    inbox = queue.SimpleQueue()
    assert receiver(inbox, deadline) == inbox.get


@pytest.mark.parametrize("seconds", [0, 0.001])
def test_a_wait_ends_at_its_deadline_if_nothing_comes(seconds):
    with pytest.raises(DeadlinePassed) as caught:
        receiver(queue.SimpleQueue(), Deadline(seconds))()
    assert caught.value.__suppress_context__


def test_the_end_of_a_wait_is_none_of_the_errors_that_users_get():
    assert not issubclass(DeadlinePassed, lms.LMStudioError)


def test_what_came_before_the_deadline_is_taken_after_it():
    inbox = queue.SimpleQueue()
    receive = receiver(inbox, Deadline(0))
    inbox.put("first")
    inbox.put(None)
    assert receive() == "first"
    assert receive() is None
    with pytest.raises(DeadlinePassed):
        receive()


@pytest.mark.parametrize("seconds", [None, 100])
def test_what_comes_ends_the_wait(seconds):
    inbox = queue.SimpleQueue()
    worker = Worker(receiver(inbox, Deadline(seconds)))
    inbox.put("item")
    assert worker.result() == "item"


@pytest.mark.usefixtures("whole")
def test_each_wait_has_what_is_left(clock):
    inbox = SlowInbox(clock, empty_waits=0)
    receive = receiver(inbox, Deadline(3))
    assert receive() == "item"
    clock.now += 2
    receive()
    clock.now += 2
    receive()
    assert inbox.waits == [3, 1, 0]


# -- waits in slices --------------------------------------------------------------------------


def test_a_wait_of_the_main_thread_may_be_cut_into_slices(clock, sliced):
    inbox = SlowInbox(clock)
    with pytest.raises(DeadlinePassed):
        receiver(inbox, Deadline(0.625))()
    assert inbox.waits == [0.25, 0.25, 0.125]


@pytest.mark.parametrize("deadline", [None, Deadline(None)])
def test_a_sliced_wait_without_a_deadline_goes_on_until_something_comes(clock, sliced, deadline):
    inbox = SlowInbox(clock, empty_waits=3)
    assert receiver(inbox, deadline)() == "item"
    assert inbox.waits == [0.25] * 4


def test_other_threads_wait_in_one_piece(clock, sliced):
    inbox = SlowInbox(clock)

    def wait():
        assert threading.current_thread() is not threading.main_thread()
        assert receiver(inbox, None) == inbox.get
        receiver(inbox, Deadline(0.625))()

    assert isinstance(Worker(wait).error(), DeadlinePassed)
    assert inbox.waits == [0.625]


# -- waits in Tk's thread ---------------------------------------------------------------------


@pytest.fixture
def served(monkeypatch):
    """Tk is there; whether more calls are likely, each time that other threads' are served."""
    answers = []
    monkeypatch.setitem(sys.modules, "tkinter", types.ModuleType("tkinter"))
    monkeypatch.setattr(_deadline, "_SLICE", 0.25)
    tk = types.SimpleNamespace(serve=lambda: answers.pop(0))
    monkeypatch.setattr(_deadline, "calls_of_tk", tk)
    return answers


@pytest.mark.usefixtures("whole")
def test_between_its_slices_a_wait_in_tks_thread_serves_other_threads_calls(clock, served):
    served[:] = [False, True, True, False]
    inbox = SlowInbox(clock, empty_waits=4)

    assert receiver(inbox, None)() == "item"
    assert inbox.waits == [0.25, 0.25, 0.001, 0.001, 0.25]
    with pytest.raises(DeadlinePassed):
        receiver(SlowInbox(clock), Deadline(0.2))()
    served[:] = [False]
    assert slice_of(Deadline(None)) == 0.25


@pytest.mark.usefixtures("whole", "served")
def test_a_wait_that_was_begun_in_tks_thread_serves_nothing_in_another(clock):
    receive = receiver(SlowInbox(clock, empty_waits=2), None)

    assert Worker(receive).result() == "item"


@pytest.mark.usefixtures("whole", "served")
def test_a_wait_in_another_thread_has_nothing_to_do_with_tk():
    inbox = queue.SimpleQueue()

    assert Worker(lambda: receiver(inbox, None)).result() == inbox.get
    assert Worker(lambda: slice_of(Deadline(None))).result() is None
