"""The I/O thread by itself: commands, timers, sockets, and its end. It knows no call."""

import socket
import threading

import pytest
from helpers import Worker, eventually

import lmstudio as lms
from lmstudio._concurrency.clock import monotonic
from lmstudio._connection.reactor import Reactor

pytestmark = pytest.mark.races


class Owner:
    """For whom the thread runs; it ends when the test says so."""

    def __init__(self):
        self.reactor = Reactor(self)
        self.reactor.sweep_at = monotonic() + 60  # it looks round when it is woken
        self.stop = threading.Event()
        self.finished = []
        self.sweeps = 0

    def sweep(self, now):
        self.sweeps += 1

    def is_done(self):
        return self.stop.is_set()

    def finish(self, failure):
        self.finished.append(failure)


@pytest.fixture
def owner():
    owner = Owner()
    yield owner
    owner.stop.set()
    owner.reactor.wake()
    owner.reactor.join(5)


def test_commands_run_in_their_order_in_the_one_thread(owner):
    seen, done = [], threading.Event()
    for number in range(100):
        owner.reactor.post(lambda number=number: seen.append((number, threading.get_ident())))
    owner.reactor.post(done.set)
    owner.reactor.start()
    owner.reactor.start()  # which starts no second one

    assert done.wait(5)
    assert [number for number, _ in seen] == list(range(100))
    assert {ident for _, ident in seen} == {owner.reactor.thread.ident}


def test_a_command_wakes_the_thread_that_rests(owner):
    owner.reactor.start()
    for _ in range(20):
        done = threading.Event()
        owner.reactor.post(done.set)
        assert done.wait(5)


def test_a_timer_runs_when_its_time_has_come_and_timers_of_one_time_keep_their_order(owner):
    seen, done = [], threading.Event()

    def arrange():
        when = monotonic() + 0.01
        owner.reactor.at(when + 0.01, lambda now: (seen.append("later"), done.set()))
        owner.reactor.at(when, lambda now: seen.append(("first", now >= when)))
        owner.reactor.at(when, lambda now: seen.append("second"))

    owner.reactor.post(arrange)
    owner.reactor.start()

    assert done.wait(5)
    assert seen == [("first", True), "second", "later"]


def test_a_socket_is_handed_to_whoever_reads_it(owner):
    ours, peer = socket.socketpair()
    seen, done = [], threading.Event()

    class Handler:
        def on_ready(self, events, now):
            seen.append(ours.recv(10))
            done.set()

    with ours, peer:
        owner.reactor.start()
        owner.reactor.post(lambda: owner.reactor.register(ours, Handler()))
        peer.sendall(b"hello")
        assert done.wait(5)
        assert seen == [b"hello"]


def test_a_failure_is_told_to_the_owner_and_ends_the_thread(owner):
    owner.reactor.start()
    owner.reactor.post(lambda: 1 / 0)
    owner.reactor.join(5)

    (failure,) = owner.finished
    assert isinstance(failure, lms.LMStudioRuntimeError)
    assert "ZeroDivisionError" in str(failure)
    assert owner.reactor.has_ended


def test_a_command_that_comes_too_late_is_done_by_whoever_posts_it(owner):
    owner.reactor.start()
    owner.stop.set()
    owner.reactor.wake()
    owner.reactor.join(5)
    done = []

    owner.reactor.post(done.append, 1)
    assert not done
    owner.reactor.drain_late_commands()

    assert done == [1]
    assert owner.finished == [None]


def test_a_thread_does_not_wait_for_itself(owner):
    owner.reactor.start()
    done = threading.Event()
    owner.reactor.post(lambda: (owner.reactor.join(5), done.set()))

    assert done.wait(4)


def test_the_owner_looks_round_after_each_round(owner):
    owner.reactor.start()
    eventually(lambda: owner.reactor._wake_writer)
    before = owner.sweeps
    owner.reactor.wake()

    eventually(lambda: owner.sweeps > before)


def test_many_threads_may_start_it_at_once(owner):
    barrier = threading.Barrier(8)

    def start():
        barrier.wait(5)
        owner.reactor.start()
        return owner.reactor.thread

    threads = {Worker.result(worker) for worker in [Worker(start) for _ in range(8)]}

    assert len(threads) == 1
