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


def test_what_a_thread_has_left_behind_it_can_take_again():
    right = RightToRead()
    right[0] = threading.get_ident()

    with right.held() as is_mine:
        assert is_mine
    assert not right


def test_the_thread_that_read_last_is_remembered():
    right = RightToRead()
    right.note_reader(threading.get_ident())

    assert right.last == (threading.get_ident(), threading.current_thread())
