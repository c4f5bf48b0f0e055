"""The right to read a stream: one thread has it, and Ctrl-C cannot make it stay."""

import threading

import pytest
from helpers import Worker

from lmstudio._prediction.right_to_read import RightToRead

pytestmark = pytest.mark.races


def test_one_thread_has_it_at_a_time():
    right, holds, go_on = RightToRead(), threading.Event(), threading.Event()

    def hold():
        with right.held() as is_mine:
            holds.set()
            go_on.wait(10)
            return is_mine

    worker = Worker(hold)
    assert holds.wait(5)
    with right.held() as is_mine:
        assert not is_mine
    assert right.get(0) == worker.ident  # looking took nothing
    go_on.set()

    assert worker.result() is True
    with right.held() as is_mine:
        assert is_mine
    assert not right


def test_a_callback_of_the_thread_that_reads_neither_takes_nor_gives_it_back():
    right = RightToRead()
    with right.held():
        right.calling = threading.get_ident()
        with right.held() as is_mine:
            assert not is_mine
        assert right.get(0) == threading.get_ident()
        right.calling = 0
    assert not right


def test_ctrl_c_in_the_step_that_takes_it_leaves_it_free():
    class Interrupted(RightToRead):
        def setdefault(self, key, value):
            super().setdefault(key, value)
            raise KeyboardInterrupt  # it is taken, and nobody could note that

    right = Interrupted()
    with pytest.raises(KeyboardInterrupt), right.held():
        pass

    assert not right


def test_what_comes_between_two_steps_of_the_reading_does_not_get_it():
    right = RightToRead()
    with right.held():
        with right.held() as is_mine:  # in a finaliser, or a signal handler
            assert not is_mine
        assert right.get(0) == threading.get_ident()


def test_what_a_thread_has_left_behind_when_it_ended_another_one_takes():
    right = RightToRead()

    def read_and_end():
        right.note_reader(threading.get_ident())
        right[0] = threading.get_ident()

    Worker(read_and_end).result()
    with right.held() as is_mine:
        assert is_mine
    assert right.get(0) is None


def test_what_a_living_thread_has_nobody_else_takes():
    right, holds, go_on = RightToRead(), threading.Event(), threading.Event()

    def read():
        with right.held():
            right.note_reader(threading.get_ident())
            holds.set()
            go_on.wait(10)

    worker = Worker(read)
    assert holds.wait(5)
    assert not right.is_left_by_the_dead()
    with right.held() as is_mine:
        assert not is_mine
    go_on.set()
    worker.result()


def test_the_thread_that_read_last_is_remembered():
    right = RightToRead()
    right.note_reader(threading.get_ident())

    assert right.last == (threading.get_ident(), threading.current_thread())
