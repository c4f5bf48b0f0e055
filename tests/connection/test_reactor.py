"""The I/O thread by itself: commands, timers, sockets, and its end. It knows no call."""

import queue
import selectors
import socket
import threading
from threading import Event

import pytest
from helpers import Worker, eventually

import lmstudio as lms
from lmstudio._concurrency.clock import monotonic
from lmstudio._concurrency.deadline import Deadline
from lmstudio._connection import reactor as _reactor
from lmstudio._connection.reactor import Reactor

pytestmark = pytest.mark.races


class Owner:
    """For whom the thread runs; it ends when the test says so."""

    def __init__(self):
        self.reactor = Reactor(self)
        self.reactor.sweep_at = monotonic() + 60  # it looks round when it is woken
        self.stop = threading.Event()
        self.finished = []
        self.turns = 0
        self.away = []

    def after_each_turn(self):
        self.turns += 1

    def sweep(self, now):
        self.reactor.sweep_at = now + 60

    def was_away(self, seconds):
        self.away.append(seconds)

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
    owner.reactor.join(Deadline(5))


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
    owner.reactor.join(Deadline(5))

    (failure,) = owner.finished
    assert isinstance(failure, lms.LMStudioRuntimeError)
    assert "ZeroDivisionError" in str(failure)
    assert owner.reactor.has_ended


def test_a_command_that_comes_too_late_is_done_by_whoever_posts_it(owner):
    owner.reactor.start()
    owner.stop.set()
    owner.reactor.wake()
    owner.reactor.join(Deadline(5))
    done = []

    owner.reactor.post(done.append, 1)
    assert not done
    owner.reactor.drain_late_commands()

    assert done == [1]
    assert owner.finished == [None]


def test_a_thread_does_not_wait_for_itself(owner):
    owner.reactor.start()
    done = threading.Event()
    owner.reactor.post(lambda: (owner.reactor.join(Deadline(5)), done.set()))

    assert done.wait(4)


def test_the_owner_is_asked_after_each_turn(owner):
    owner.reactor.start()
    eventually(lambda: owner.reactor._wake_writer)
    before = owner.turns
    owner.reactor.wake()

    eventually(lambda: owner.turns > before)


def bytes_written(reactor):
    """The wake-up bytes that nobody has taken."""
    try:
        return len(reactor._wake_reader.recv(4096, socket.MSG_PEEK))
    except BlockingIOError:
        return 0


def test_one_byte_wakes_the_thread_for_all_that_is_posted_until_it_rests_again(turns):
    seen = []

    turns.post(seen.append, 1)
    turns.post(seen.append, 2)
    assert bytes_written(turns) == 1
    turns._run_once()
    assert seen == [1, 2]
    assert not bytes_written(turns)

    turns.post(seen.append, 3)  # it has gone to rest meanwhile, for what it knows
    assert bytes_written(turns) == 1
    turns._run_once()
    assert seen == [1, 2, 3]


def test_what_is_posted_without_a_byte_is_done_before_the_thread_rests(turns):
    seen, run_commands = [], turns.run_commands
    turns.post(seen.append, "first")
    turns._take_wake_bytes()

    def just_before_the_rest():
        turns.run_commands = run_commands
        run_commands()
        turns.post(seen.append, "last")

    turns.run_commands = just_before_the_rest
    turns.sweep_at = 0.0
    turns._run_once()

    assert seen == ["first", "last"]
    assert not bytes_written(turns)


def test_a_byte_that_could_not_be_written_is_written_for_the_next_command(turns, monkeypatch):
    def interrupted():
        raise KeyboardInterrupt

    monkeypatch.setattr(turns, "wake", interrupted)
    with pytest.raises(KeyboardInterrupt):
        turns.post(print)
    monkeypatch.undo()

    turns.post(print)

    assert bytes_written(turns) == 1


def test_a_byte_that_comes_late_does_not_keep_the_next_one_from_being_written(turns, monkeypatch):
    """The thread is through with all and rests again, before the other one has gone on."""
    wake = turns.wake

    def slow():
        wake()
        turns._run_once()

    seen = []
    monkeypatch.setattr(turns, "wake", slow)
    turns.post(seen.append, 1)
    monkeypatch.undo()
    assert seen == [1]
    assert not bytes_written(turns)

    turns.post(seen.append, 2)

    assert bytes_written(turns) == 1


class Source:
    """A socket from which a message of a byte is read at a time; it may never run dry."""

    def __init__(self, reactor, number):
        self.ours, self.peer = socket.socketpair()
        self.peer.sendall(b"x" * number)
        self.read = 0
        reactor.register(self.ours, self)

    def on_ready(self, events, now):
        self.read += len(self.ours.recv(1))

    def close(self):
        self.ours.close()
        self.peer.close()


@pytest.fixture
def turns(owner):
    """A reactor whose turns the test makes, in its own thread."""
    owner.reactor._open_waker()
    yield owner.reactor
    owner.reactor._close_waker()


def test_what_has_arrived_is_read_before_time_is_judged(turns):
    source = Source(turns, 100)
    seen = []
    turns.at(monotonic() - 1, lambda now: seen.append(source.read))

    for _ in range(101):
        turns._run_once()
    source.close()

    assert seen == [100]


def test_a_peer_that_sends_for_ever_does_not_stop_the_clocks(turns):
    source = Source(turns, 10_000)
    seen = []
    turns.at(monotonic() - 1, lambda now: seen.append(source.read))

    for _ in range(1000):
        turns._run_once()
    source.close()

    assert len(seen) == 1


def test_a_peer_that_keeps_the_thread_busy_does_not_stop_the_clocks(turns):
    """A turn may take long: 64 KiB hold many thousand small messages."""
    source = Source(turns, 100)
    seen = []
    turns.at(monotonic() - 1, lambda now: seen.append(source.read))

    turns._run_once()
    turns._late_since -= 10.0  # so long it has taken
    turns._run_once()
    source.close()

    assert seen == [2]


def test_a_stop_among_late_turns_does_not_cut_short_the_reading(turns):
    source = Source(turns, 100)
    seen = []
    turns.at(monotonic() - 1, lambda now: seen.append(source.read))

    turns._run_once()
    turns._late_since -= 10.0
    turns._last_turn -= 10.0
    for _ in range(100):
        turns._run_once()
    source.close()

    assert seen == [100]


def test_time_is_judged_as_it_was_before_the_look_at_the_sockets(turns, monkeypatch):
    """A process that is stopped after the look must not take that time for the server's silence."""
    select, seen, stopped = turns.selector.select, [], []
    monkeypatch.setattr(
        "lmstudio._connection.reactor.monotonic", lambda: monotonic() + 60 * len(stopped)
    )
    turns.at(monotonic() + 30, seen.append)

    def stopped_after(timeout):
        events = select(0)
        stopped.append("for a minute")
        return events

    turns.selector.select = stopped_after
    turns._run_once()
    assert not seen  # it is over by now, but nobody has looked since

    turns._run_once()
    assert len(seen) == 1


@pytest.mark.parametrize("where", ["before the look", "in the look"])
def test_the_owner_learns_how_long_the_thread_could_not_run(owner, turns, where):
    turns.wake()
    turns._run_once()
    assert owner.away == []

    select = turns.selector.select
    if where == "in the look":
        turns.sweep_at = 0.0
        turns.selector.select = lambda timeout: Event().wait(0.2) or select(0)
    else:
        turns._last_turn -= 0.2
    turns.wake()
    turns._run_once()

    (seconds,) = owner.away
    assert 0.15 < seconds < 30


def test_a_thread_that_always_comes_late_is_not_away_each_time(owner, turns):
    """Or a program that computes in many threads would put off the end of a silence for ever."""
    for _ in range(5):
        turns._last_turn -= 0.2
        turns.wake()
        turns._run_once()
    assert len(owner.away) == 1

    turns.wake()
    turns._run_once()  # in time
    turns._last_turn -= 0.2
    turns.wake()
    turns._run_once()
    assert len(owner.away) == 2


@pytest.mark.parametrize("failing", ["DefaultSelector", "socketpair"])
def test_a_start_without_descriptors_leaves_none_open(owner, monkeypatch, failing):
    def no_descriptors(*_):
        raise OSError(24, "Too many open files")

    opened = []
    real = selectors.DefaultSelector
    monkeypatch.setattr(selectors, "DefaultSelector", lambda: opened.append(real()) or opened[-1])
    place = {"DefaultSelector": selectors, "socketpair": socket}[failing]
    monkeypatch.setattr(place, failing, no_descriptors)

    owner.reactor.start()
    owner.reactor.join(Deadline(5))

    (failure,) = owner.finished
    assert "Too many open files" in str(failure)
    assert all(selector.get_map() is None for selector in opened)  # closed
    assert owner.reactor.has_ended


def test_a_signal_handler_may_start_it_in_the_middle_of_its_start(owner, monkeypatch):
    start = _reactor.start_daemon

    def interrupted(*arguments, **options):
        monkeypatch.setattr(_reactor, "start_daemon", start)
        owner.reactor.start()
        return start(*arguments, **options)

    monkeypatch.setattr(_reactor, "start_daemon", interrupted)

    Worker(owner.reactor.start).result()

    seen, done = [], threading.Event()
    for _ in range(10):
        owner.reactor.post(lambda: seen.append(threading.get_ident()))
    owner.reactor.post(done.set)
    assert done.wait(5)
    assert len(set(seen)) == 1
    eventually(lambda: len(io_threads()) == 1)


def io_threads():
    return [thread for thread in threading.enumerate() if thread.name == "lmstudio-io"]


def test_a_signal_handler_may_join_it_in_the_middle_of_joining_it(owner, monkeypatch):
    receiver = _reactor.receiver
    owner.reactor.start()

    def interrupted(inbox, deadline):
        monkeypatch.setattr(_reactor, "receiver", receiver)
        owner.reactor.join(Deadline(0.01))
        owner.stop.set()
        owner.reactor.wake()
        return receiver(inbox, deadline)

    monkeypatch.setattr(_reactor, "receiver", interrupted)
    owner.reactor.join(Deadline(5))

    assert owner.reactor._has_left


def test_many_threads_may_start_it_at_once(owner):
    barrier = threading.Barrier(8)

    def start():
        ran_in = queue.SimpleQueue()
        barrier.wait(5)
        owner.reactor.start()
        owner.reactor.post(lambda: ran_in.put(threading.get_ident()))
        return ran_in.get(timeout=5)

    threads = {Worker.result(worker) for worker in [Worker(start) for _ in range(8)]}

    assert len(threads) == 1
