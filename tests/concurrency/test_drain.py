"""Taking what lies in a deque, beside others that do the same."""

import itertools
import threading
from collections import deque

import pytest
from helpers import Worker
from robustness.signal_points import interrupted_at

from lmstudio._concurrency.drain import drain

pytestmark = pytest.mark.races


def test_what_is_there_is_taken_in_its_order():
    items = deque([1, 2, 3])

    assert list(drain(items)) == [1, 2, 3]
    assert not items


def test_what_comes_meanwhile_is_taken_too():
    items, taken = deque([1]), []

    for item in drain(items):
        taken.append(item)
        if item < 3:
            items.append(item + 1)

    assert taken == [1, 2, 3]


def test_what_an_exception_leaves_behind_stays():
    items = deque([1, 2])

    with pytest.raises(ZeroDivisionError):
        for _ in drain(items):
            raise ZeroDivisionError

    assert list(items) == [2]


def test_another_thread_may_take_the_last_one_between_the_look_and_the_taking():
    class Stolen(deque):
        def __bool__(self):
            return True  # as it was when this thread looked

    assert list(drain(Stolen())) == []


def test_each_item_goes_to_one_of_several_threads():
    items, together = deque(range(1000)), threading.Barrier(4)

    def take():
        together.wait(10)
        return list(drain(items))

    workers = [Worker(take) for _ in range(4)]

    assert sorted(item for worker in workers for item in worker.result()) == list(range(1000))


def test_ctrl_c_at_any_point_loses_no_item():
    for step in itertools.count():
        items, taken = deque([1, 2, 3]), []
        try:
            with interrupted_at(step) as where:
                for item in drain(items):
                    taken.append(item)
        except KeyboardInterrupt:
            pass
        if not where:
            break
        assert sorted([*taken, *items]) == [1, 2, 3], where
    assert step
