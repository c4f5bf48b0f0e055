"""The gate in front of callbacks: closed, it lets none start, and waits for those that run."""

import threading
from collections import deque

import pytest
from helpers import Worker, eventually

from lmstudio._concurrency.callback_gate import CallbackGate
from lmstudio._concurrency.deadline import Deadline

pytestmark = pytest.mark.races

NEVER = Deadline(None)


class Held:
    """A callback that runs until the test lets it end."""

    def __init__(self, gate):
        self._entered, self._release = threading.Event(), threading.Event()
        self._worker = Worker(gate.run, self._wait)
        assert self._entered.wait(10)

    def _wait(self):
        self._entered.set()
        assert self._release.wait(10)
        return "done"

    def is_running(self):
        return self._worker.is_alive()

    def end(self):
        self._release.set()
        return self._worker.result()


def assert_waits(gate, closing):
    """Somebody closes the gate, and waits."""
    eventually(lambda: gate._waiters)
    assert closing.is_alive()


# -- open -------------------------------------------------------------------------------------


def test_a_callback_is_called_here_with_its_arguments_and_gives_its_result():
    def callback(*arguments):
        return threading.get_ident(), arguments

    assert CallbackGate().run(callback, 1, None) == (threading.get_ident(), (1, None))


@pytest.mark.parametrize("kind", [ValueError, KeyboardInterrupt, SystemExit])
def test_what_a_callback_raises_comes_out_and_it_counts_as_ended(kind):
    gate = CallbackGate()

    def fail():
        raise kind("my own")

    with pytest.raises(kind, match="my own"):
        gate.run(fail)

    Worker(gate.close, NEVER).result()


def test_callbacks_of_several_threads_run_side_by_side():
    gate, together = CallbackGate(), threading.Barrier(3)
    workers = [Worker(gate.run, together.wait, 10) for _ in range(3)]
    assert sorted(worker.result() for worker in workers) == [0, 1, 2]


# -- closed -----------------------------------------------------------------------------------


def test_a_closed_gate_calls_nothing_however_often_it_is_closed():
    gate = CallbackGate()
    gate.close(NEVER)
    gate.close(NEVER)
    assert gate.run(pytest.fail, "it was called") is None


def test_closing_waits_for_every_callback_that_other_threads_run():
    gate = CallbackGate()
    first, second = Held(gate), Held(gate)
    closing = Worker(gate.close, NEVER)
    assert_waits(gate, closing)

    assert first.end() == "done"
    assert_waits(gate, closing)

    assert second.end() == "done"
    closing.result()


def test_who_comes_while_it_is_being_closed_is_not_called_and_does_not_end_the_wait():
    gate = CallbackGate()
    held = Held(gate)
    closing = Worker(gate.close, NEVER)
    assert_waits(gate, closing)

    assert gate.run(pytest.fail, "it was called") is None

    assert_waits(gate, closing)
    held.end()
    closing.result()


def test_all_who_close_it_wait_and_are_told():
    gate = CallbackGate()
    held = Held(gate)
    closing = [Worker(gate.close, NEVER) for _ in range(3)]
    eventually(lambda: len(gate._waiters) == 3)
    assert all(worker.is_alive() for worker in closing)

    held.end()
    for worker in closing:
        worker.result()


def test_closing_waits_no_longer_than_its_deadline_and_the_callback_goes_on():
    gate = CallbackGate()
    held = Held(gate)

    gate.close(Deadline(0))

    assert held.is_running()
    assert gate.run(pytest.fail, "it was called") is None
    assert held.end() == "done"


# -- closed by a callback ---------------------------------------------------------------------


def test_a_callback_that_closes_the_gate_does_not_wait_for_itself():
    gate = CallbackGate()

    def close():
        gate.close(NEVER)
        return gate.run(pytest.fail, "it was called")

    assert Worker(gate.run, close).result() is None


def test_a_callback_inside_a_callback_does_not_wait_for_the_outer_one():
    gate = CallbackGate()
    Worker(gate.run, gate.run, gate.run, gate.close, NEVER).result()


def test_a_callback_that_closes_the_gate_waits_for_those_of_other_threads():
    gate = CallbackGate()
    held = Held(gate)
    closing = Worker(gate.run, gate.close, NEVER)
    assert_waits(gate, closing)

    held.end()
    closing.result()


def test_callbacks_that_close_it_side_by_side_wait_for_each_other_up_to_their_deadlines():
    gate, together = CallbackGate(), threading.Barrier(2)

    def close():
        together.wait(10)
        gate.close(Deadline(0.01))

    for worker in [Worker(gate.run, close) for _ in range(2)]:
        worker.result()


# -- races ------------------------------------------------------------------------------------


def test_a_gate_that_is_closed_right_after_a_callback_was_announced_lets_it_not_start():
    gate = CallbackGate()

    class Running(dict):
        def __setitem__(self, key, value):
            super().__setitem__(key, value)
            Worker(gate.close, Deadline(0)).result()

    gate._running = Running()

    assert gate.run(pytest.fail, "it was called") is None
    assert not gate._running


def test_a_callback_that_comes_while_the_closing_thread_looks_around_does_not_start():
    gate = CallbackGate()
    came = []

    class Waiters(deque):
        def append(self, waiter):
            super().append(waiter)
            came.append(Worker(gate.run, pytest.fail, "it was called").result())

    gate._waiters = Waiters()
    gate.close(NEVER)

    assert came == [None]


def test_a_callback_that_ends_while_another_one_wakes_the_closing_thread_ends_well():
    """Forged: the last waiter is taken between the look at them and the taking."""

    class Waiters(deque):
        looks = 0

        def __bool__(self):
            self.looks += 1
            return True

    gate = CallbackGate()
    gate._waiters = Waiters()
    assert gate.run(lambda: "done") == "done"
    assert gate._waiters.looks == 1


def test_once_the_gate_is_closed_no_callback_starts_or_runs():
    gate, together = CallbackGate(), threading.Barrier(5)
    has_returned, late = threading.Event(), []

    def callback():
        before = has_returned.is_set()
        late.extend([before, has_returned.is_set()])

    def call():
        together.wait(10)
        while not gate._is_closed:
            gate.run(callback)
        gate.run(callback)

    def close():
        together.wait(10)
        gate.close(NEVER)
        has_returned.set()

    workers = [Worker(call) for _ in range(4)]
    closing = Worker(close)
    closing.result()
    for worker in workers:
        worker.result()
    assert not any(late)
