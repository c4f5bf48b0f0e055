"""`Once`: who is first knows it, and nobody else."""

import threading

import pytest
from helpers import Worker

from lmstudio._concurrency.once import Once

pytestmark = pytest.mark.races


def test_the_first_value_stays():
    once = Once()
    assert not once
    assert once.value is None

    assert once.set("first") is True
    assert once.set("second") is False
    assert once
    assert once.value == "first"


def test_equal_values_are_told_apart():
    once = Once()

    assert [once.set(None), once.set(None)] == [True, False]
    assert once
    assert once.value is None


def test_of_many_threads_exactly_one_is_first():
    once, barrier = Once(), threading.Barrier(8)

    def claim(number):
        barrier.wait(5)
        return once.set(number)

    workers = [Worker(claim, number) for number in range(8)]

    winners = [number for number, worker in enumerate(workers) if worker.result()]
    assert winners == [once.value]
