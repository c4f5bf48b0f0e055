"""`CancelToken` and the watching of events, without any server."""

import gc
import multiprocessing
import pickle
import queue
import threading
import weakref

import pytest

import lmstudio as lms
from lmstudio._concurrency import event_watcher as _watcher
from lmstudio._concurrency.cancel_token import attach, check_events

pytestmark = pytest.mark.races


class Target:
    """What an event cancels, recording with which reason."""

    def __init__(self):
        self.reasons = queue.SimpleQueue()
        self.errors = queue.SimpleQueue()
        self._is_over = False
        self.tokens = []
        self._runs_user_code = False

    def cancel(self, reason=None):
        self.reasons.put(reason)
        self._is_over = True
        return True

    def _watch_failed(self, error):
        self.errors.put(error)
        self._is_over = True


class CountedEvent:
    """An event of another type, which says when it is looked at."""

    def __init__(self):
        self.looks = queue.SimpleQueue()
        self.value = False

    def is_set(self):
        self.looks.put(self.value)
        return self.value


def test_a_token_is_an_event_that_is_set_once_with_the_first_reason():
    token = lms.CancelToken()

    assert not token.is_set()
    assert token.cancel("first") is True
    assert token.cancel("second") is False
    token.set()

    assert token.is_set()
    assert token.reason == "first"
    assert token.wait(timeout=0)


def test_a_token_cannot_be_cleared():
    with pytest.raises(lms.LMStudioRuntimeError, match="make a new one"):
        lms.CancelToken().clear()


def test_waiting_for_a_token_ends_with_the_time_limit():
    assert lms.CancelToken().wait(timeout=0.001) is False


def test_every_waiter_of_a_token_wakes():
    token = lms.CancelToken()
    barrier = threading.Barrier(9)
    woken = queue.SimpleQueue()

    def wait():
        barrier.wait(5)
        woken.put(token.wait(timeout=10))

    threads = [threading.Thread(target=wait) for _ in range(8)]
    for thread in threads:
        thread.start()
    barrier.wait(5)
    token.cancel()
    for thread in threads:
        thread.join(5)

    assert [woken.get(timeout=1) for _ in threads] == [True] * 8
    assert not token._waiters


def test_a_waiter_that_was_not_woken_by_an_interrupted_cancel_is_woken_by_the_next():
    token = lms.CancelToken()
    waiter = queue.SimpleQueue()
    token._waiters.append(waiter)
    token._mark[0] = (object(), "the mark is left, and then came Ctrl-C")

    token.cancel()

    assert waiter.get_nowait() is None


def test_exactly_one_of_many_cancelling_threads_is_the_first():
    token = lms.CancelToken()
    barrier = threading.Barrier(8)
    answers = queue.SimpleQueue()

    def cancel():
        barrier.wait(5)
        answers.put(token.cancel())

    threads = [threading.Thread(target=cancel) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(5)

    assert sorted(answers.get(timeout=1) for _ in threads) == [False] * 7 + [True]


def test_callbacks_run_once_in_the_cancelling_thread():
    token = lms.CancelToken()
    seen = []
    token.on_cancel(lambda: seen.append(threading.current_thread()))
    thread = threading.Thread(target=token.cancel)
    thread.start()
    thread.join(5)
    token.cancel()

    assert seen == [thread]

    token.on_cancel(lambda: seen.append(threading.current_thread()))

    assert seen == [thread, threading.current_thread()]


def test_all_callbacks_run_even_if_one_raises_and_what_it_raised_comes_out():
    token = lms.CancelToken()
    seen = []
    token.on_cancel(lambda: 1 / 0)
    token.on_cancel(lambda: seen.append(1))

    with pytest.raises(ZeroDivisionError):
        token.cancel()

    assert seen == [1]
    assert token.is_set()


def test_raise_if_cancelled_carries_the_reason():
    token = lms.CancelToken()
    token.raise_if_cancelled()
    token.cancel("enough")

    with pytest.raises(lms.LMStudioCancelledError, match="enough") as caught:
        token.raise_if_cancelled()

    assert caught.value.reason == "enough"


def test_a_token_cancels_its_targets_with_its_reason_and_holds_them_weakly():
    token, kept, dropped = lms.CancelToken(), Target(), Target()
    attach(kept, [token])
    attach(dropped, [token])
    reference = weakref.ref(dropped)
    del dropped
    gc.collect()

    token.cancel("stop")

    assert reference() is None
    assert kept.reasons.get_nowait() == "stop"
    assert not token._targets


def test_the_tie_between_token_and_target_ends_with_the_call():
    token, target = lms.CancelToken(), Target()
    attach(target, [token])
    for tied in target.tokens:
        tied._unlink(target)

    token.cancel()

    assert target.reasons.empty()


def test_a_token_of_any_follows_tokens_and_events():
    first, second, event = lms.CancelToken(), lms.CancelToken(), threading.Event()
    by_token = lms.CancelToken.any(first, event)
    by_event = lms.CancelToken.any(second, event)
    already = lms.CancelToken.any(first)

    first.cancel("stop")
    event.set()

    assert by_token.is_set()
    assert by_token.reason == "stop"
    assert already.is_set()
    assert by_event.wait(timeout=5)
    assert not second.is_set()


def test_a_token_of_after_cancels_itself():
    token = lms.CancelToken.after(0.01)

    assert token.wait(timeout=5)
    assert "0.01 s" in token.reason


def test_a_token_refuses_to_be_pickled_and_names_what_works():
    with pytest.raises(TypeError, match=r"multiprocessing\.Event"):
        pickle.dumps(lms.CancelToken())


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
    assert not _watcher._state.watched
    assert not _watcher._state.others


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
    def refuse(*_):
        raise RuntimeError("can't start new thread")

    event, first, second = threading.Event(), Target(), Target()
    with monkeypatch.context() as patched:
        patched.setattr(_watcher, "_start", refuse)
        with pytest.raises(lms.LMStudioRuntimeError, match="cannot be watched"):
            attach(first, [event])

    attach(second, [event])
    event.set()

    assert second.reasons.get(timeout=5) == "cancel_event was set"


def test_every_dependent_token_is_cancelled_though_one_of_them_raises():
    root = lms.CancelToken()
    children = [lms.CancelToken.any(root) for _ in range(3)]
    children[0].on_cancel(lambda: 1 / 0)

    with pytest.raises(ZeroDivisionError):
        root.cancel()

    assert [child.is_set() for child in children] == [True] * 3


def test_dropped_targets_do_not_pile_up_in_a_token():
    token = lms.CancelToken()
    for _ in range(1000):
        lms.CancelToken.any(token)
    gc.collect()

    assert len(token._targets) < 250


def test_a_wait_of_any_length_is_possible():
    token = lms.CancelToken()
    token.set()

    assert token.wait(timeout=1e18)
