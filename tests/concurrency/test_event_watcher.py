"""The watching of events, without any server."""

import multiprocessing
import queue
import threading
from types import SimpleNamespace

import pytest
from concurrency.targets import Target

import lmstudio as lms
from lmstudio._concurrency import event_watcher as _watcher
from lmstudio._concurrency.cancel_token import attach, check_events

pytestmark = pytest.mark.races


class CountedEvent:
    """An event of another type, which says when it is looked at."""

    def __init__(self):
        self.looks = queue.SimpleQueue()
        self.value = False

    def is_set(self):
        self.looks.put(self.value)
        return self.value


@pytest.mark.parametrize("wrong", [1, "text", object(), [threading.Event(), 1], threading.Event])
def test_what_is_no_event_is_refused(wrong):
    with pytest.raises(lms.LMStudioValueError, match="cancel_event must be"):
        check_events(wrong)


def test_events_come_alone_or_as_any_iterable():
    event, token = threading.Event(), lms.CancelToken()

    assert check_events(None) == []
    assert check_events(event) == [event]
    assert check_events(iter((event, token))) == [event, token]


@pytest.mark.parametrize("make", [threading.Event, CountedEvent])
def test_an_event_that_is_set_already_cancels_at_once_and_is_not_watched(make):
    event, target = make(), Target()
    if isinstance(event, CountedEvent):
        event.value = True
    else:
        event.set()
    threads = threading.active_count()

    attach(target, [event])

    assert target.reasons.get_nowait() == "cancel_event was set"
    assert threading.active_count() == threads


def test_a_lone_event_is_waited_for():
    event, target = threading.Event(), Target()
    attach(target, [event])

    event.set()

    assert target.reasons.get(timeout=5) == "cancel_event was set"


def test_each_of_many_events_cancels_its_own_target():
    events = [threading.Event() for _ in range(100)]
    targets = [Target() for _ in events]
    for event, target in zip(events, targets, strict=True):
        attach(target, [event])

    for number in range(0, 100, 2):
        events[number].set()

    for number in range(0, 100, 2):
        targets[number].reasons.get(timeout=5)
    assert all(targets[number].reasons.empty() for number in range(1, 100, 2))
    for event in events:
        event.set()


def test_one_event_cancels_all_that_were_started_with_it():
    event, targets = threading.Event(), [Target() for _ in range(20)]
    for target in targets:
        attach(target, [event])

    event.set()

    for target in targets:
        target.reasons.get(timeout=5)


def test_an_event_of_another_type_is_polled_by_a_thread_of_its_own():
    event, target = CountedEvent(), Target()
    attach(target, [event])
    assert event.looks.get(timeout=5) is False  # by attach
    assert event.looks.get(timeout=5) is False  # by the watcher
    assert "lmstudio-watch-other" in {thread.name for thread in threading.enumerate()}

    event.value = True

    assert target.reasons.get(timeout=5) == "cancel_event was set"


def test_a_multiprocessing_event_works():
    event, target = multiprocessing.get_context("spawn").Event(), Target()
    attach(target, [event])

    event.set()

    assert target.reasons.get(timeout=5) == "cancel_event was set"


def test_an_event_that_hangs_does_not_delay_the_others():
    release, hung = threading.Event(), queue.SimpleQueue()

    class Hanging:
        calls = 0

        def is_set(self):
            self.calls += 1
            if self.calls > 1:  # attach looks first
                hung.put(None)
                release.wait(20)
            return False

    stuck, other, event = Target(), Target(), threading.Event()
    attach(stuck, [Hanging()])
    attach(other, [event])
    hung.get(timeout=5)

    event.set()

    assert other.reasons.get(timeout=5) == "cancel_event was set"
    stuck._is_over = True
    release.set()


def test_an_is_set_that_raises_later_fails_its_target_only():
    class Broken:
        calls = 0

        def is_set(self):
            self.calls += 1
            if self.calls > 1:
                raise RuntimeError("gone")
            return False

    broken, other, event = Target(), Target(), threading.Event()
    attach(broken, [Broken()])
    attach(other, [event])

    assert isinstance(broken.errors.get(timeout=5), RuntimeError)
    event.set()
    other.reasons.get(timeout=5)


@pytest.mark.parametrize("make", [threading.Event, CountedEvent])
def test_the_watching_ends_when_the_target_is_over_or_gone(make):
    over, gone = Target(), Target()
    event, other = make(), make()
    attach(over, [event])
    attach(gone, [other])
    watchers = [t for t in threading.enumerate() if t.name.startswith("lmstudio-watch")]
    assert watchers

    over._is_over = True
    del gone
    for thread in watchers:
        thread.join(5)

    assert not any(thread.is_alive() for thread in watchers)
    assert not _watcher._state.value.watched
    assert not _watcher._state.value.others


def test_a_new_event_is_seen_while_the_watcher_waits_for_another():
    lone, target, later = threading.Event(), Target(), Target()
    attach(target, [lone])
    second = threading.Event()
    attach(later, [second])

    second.set()
    later.reasons.get(timeout=5)
    lone.set()
    target.reasons.get(timeout=5)


def test_a_callback_that_raises_in_the_watcher_does_not_end_the_watching(capfd):
    timer = lms.CancelToken.after(0.01)
    ran = threading.Event()
    timer.on_cancel(ran.set)
    timer.on_cancel(lambda: 1 / 0)
    assert ran.wait(5)
    event, target = threading.Event(), Target()
    attach(target, [event])

    event.set()

    assert target.reasons.get(timeout=5) == "cancel_event was set"
    assert capfd.readouterr() == ("", "")


def test_a_callback_that_hangs_does_not_delay_other_events():
    go_on, hangs = threading.Event(), threading.Event()
    timer = lms.CancelToken.after(0.01)
    timer.on_cancel(lambda: (hangs.set(), go_on.wait(10)))
    assert hangs.wait(5)
    event, target = threading.Event(), Target()
    attach(target, [event])

    event.set()

    assert target.reasons.get(timeout=5) == "cancel_event was set"
    go_on.set()


def test_a_watcher_that_could_not_be_started_is_started_for_the_next_event(monkeypatch):
    def refuse(*_, refusal):
        raise lms.LMStudioRuntimeError(f"{refusal} any more: can't start new thread")

    event, first, second = threading.Event(), Target(), Target()
    with monkeypatch.context() as patched:
        patched.setattr(_watcher, "start_daemon", refuse)
        with pytest.raises(lms.LMStudioRuntimeError, match="cannot be watched"):
            attach(first, [event])

    attach(second, [event])
    event.set()

    assert second.reasons.get(timeout=5) == "cancel_event was set"


class LockWithHook:
    """A lock that calls a function after it was let go for the second time with nothing to watch.

    The first time the watcher has forgotten the last event; the second time it has seen that.
    """

    def __init__(self, state, hook):
        self.lock = threading.Lock()
        self.state = state
        self.hook = hook
        self.times = 0

    def __enter__(self):
        self.lock.acquire()

    def __exit__(self, *exception):
        self.times += not self.state.watched
        is_time = self.times == 2 and not self.state.watched
        self.lock.release()
        if is_time:
            self.hook()


def test_an_event_that_comes_while_the_watcher_ends_is_watched(monkeypatch):
    state, event, target = _watcher._State(), threading.Event(), Target()
    monkeypatch.setattr(_watcher, "_state", SimpleNamespace(value=state))
    for _ in range(2):  # two, so that it polls: one that waits for a lone event is replaced anyway
        over = _watcher._Watched(threading.Event(), None)
        state.watched[id(over.event)] = over
    state.generation = state.generations = 1
    state.lock = LockWithHook(state, lambda: attach(target, [event]))

    _watcher._watch_plain(state, 1)  # as the thread does

    event.set()
    assert target.reasons.get(timeout=5) == "cancel_event was set"
