"""`CancelToken`, without any server."""

import gc
import pickle
import queue
import threading
import weakref

import pytest
from concurrency.targets import Target

import lmstudio as lms
from lmstudio._concurrency.cancel_token import attach

pytestmark = pytest.mark.races


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
    token._claim[0] = (object(), "the mark is left, and then came Ctrl-C")

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
