"""`CancelToken`, without any server."""

import gc
import pickle
import queue
import threading
import weakref

import pytest
from concurrency.targets import Target, call_at, ctrl_c, interrupt

import lmstudio as lms
from lmstudio._concurrency import cancel_token
from lmstudio._concurrency.cancel_token import attach, resume_interrupted
from lmstudio._concurrency.targets import Targets

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


# -- many tokens, and long chains of them -----------------------------------------------------


def test_a_chain_of_tokens_of_any_length_is_followed():
    root, button, seen = lms.CancelToken(), lms.CancelToken(), []
    token = root
    for turn in range(20_000):
        token = lms.CancelToken.any(token, button)
        if turn % 2_000 == 0:
            token.on_cancel(lambda turn=turn: seen.append(turn))
    target = Target()
    attach(target, [token])

    assert root.cancel("enough") is True

    assert target.reasons.get_nowait() == "enough"
    assert target.reasons.empty()
    assert sorted(seen) == list(range(0, 20_000, 2_000))
    assert repr(token) == "<CancelToken: cancelled, reason='enough'>"
    assert token.cancel() is root.cancel() is False
    assert len(seen) == 10


def test_a_long_chain_of_tokens_can_be_dropped():
    token = lms.CancelToken()
    root = weakref.ref(token)
    for _ in range(50_000):
        token = lms.CancelToken.any(token)

    del token

    assert root() is None


def test_a_token_that_is_reached_in_many_ways_is_cancelled_once():
    root, seen = lms.CancelToken(), []
    layer = [root]
    for _ in range(40):  # 2 ** 40 ways
        layer = [lms.CancelToken.any(*layer), lms.CancelToken.any(*layer)]
    layer[0].on_cancel(lambda: seen.append("left"))
    layer[1].on_cancel(lambda: seen.append("right"))
    target = Target()
    attach(target, layer)

    root.cancel("stop")

    assert sorted(seen) == ["left", "right"]
    assert set(target.reasons.get_nowait() for _ in layer) == {"stop"}


def test_a_token_that_was_cancelled_before_hands_its_own_reason_on():
    root, middle = lms.CancelToken(), lms.CancelToken()
    middle._follow(root)
    with pytest.raises(ZeroDivisionError):
        middle.on_cancel(lambda: 1 / 0)
        middle.cancel("the first")
    last = Target()
    attach(last, [middle])

    root.cancel("the second")

    assert middle.reason == last.reasons.get_nowait() == "the first"


def test_callbacks_of_those_that_depend_on_a_token_run_before_its_own():
    root, seen = lms.CancelToken(), []
    tokens = {"root": root}
    for name, source in [("a", "root"), ("a1", "a"), ("a2", "a"), ("b", "root")]:
        tokens[name] = lms.CancelToken.any(tokens[source])
    for name, token in tokens.items():
        token.on_cancel(lambda name=name: seen.append(name))

    root.cancel()

    assert seen == ["a1", "a2", "a", "b", "root"]


def test_to_link_a_target_costs_the_same_however_many_there_are(monkeypatch):
    looks, listed = [], Targets._listed
    monkeypatch.setattr(Targets, "_listed", lambda self: looks.append(len(self)) or listed(self))
    targets, kept = Targets(), [Target() for _ in range(10_000)]
    for target in kept:
        targets.add(target)
        targets.add(Target())  # dropped at once

    assert sum(looks) < 10 * len(kept)
    assert targets.living() == kept

    del looks[:]
    for target in kept:
        targets.discard(target)
    assert not looks
    assert targets.living() == []


def test_a_target_is_not_lost_to_one_that_was_dropped_with_the_same_identity():
    targets, kept = Targets(), []
    for _ in range(1000):  # CPython gives the memory of one to the next
        targets.add(Target())
        kept.append(Target())
        targets.add(kept[-1])
        targets.discard(Target())

    targets._purge()

    assert targets.living() == kept


# -- interrupted by Ctrl-C --------------------------------------------------------------------


@pytest.fixture
def at_once(monkeypatch):
    """A cancel counts as interrupted at once."""
    monkeypatch.setattr(cancel_token, "_UNDER_WAY", 0.0)


def test_what_an_interrupted_cancel_did_not_reach_is_reached_by_the_next_caller():
    root, ran, target = lms.CancelToken(), [], Target()
    middle = lms.CancelToken.any(root)
    last = lms.CancelToken.any(middle)
    attach(target, [last])
    last.on_cancel(lambda: ran.append(1))
    assert interrupt(root, "stop")
    assert (root.is_set(), middle.is_set(), ran) == (True, False, [])

    assert root.cancel("again") is False

    assert (last.reason, target.reasons.get_nowait(), ran) == ("stop", "stop", [1])
    assert root not in [token for _, token in cancel_token._unfinished.values()]


def test_what_an_interrupted_cancel_did_not_reach_is_reached_without_another_one(at_once):
    root, ran, target = lms.CancelToken(), queue.SimpleQueue(), Target()
    last = lms.CancelToken.any(lms.CancelToken.any(root))
    attach(target, [last])
    last.on_cancel(lambda: ran.put(threading.current_thread().name))
    assert interrupt(root, "stop")

    resume_interrupted()

    assert (last.reason, target.reasons.get_nowait()) == ("stop", "stop")
    assert ran.get(timeout=5) == "lmstudio-cancel"
    assert not cancel_token._unfinished


def test_a_cancel_that_is_under_way_is_left_to_its_thread(monkeypatch):
    monkeypatch.setattr(cancel_token, "_UNDER_WAY", 60.0)
    root = lms.CancelToken()
    last = lms.CancelToken.any(root)
    assert interrupt(root, "stop")

    resume_interrupted()

    assert not last.is_set()
    root.cancel()


def test_ctrl_c_at_any_line_of_a_cancel_is_mended_by_the_next(at_once):
    """In each trial Ctrl-C comes one line later, until it comes after the cancel."""
    for line in range(1000):
        root, ran, target = lms.CancelToken(), [], Target()
        last = lms.CancelToken.any(lms.CancelToken.any(root))
        attach(target, [last])
        root.on_cancel(lambda ran=ran: ran.append("root"))
        last.on_cancel(lambda ran=ran: ran.append("last"))
        try:
            call_at(line, ctrl_c, lambda root=root: root.cancel("stop"))
        except KeyboardInterrupt:
            pass
        else:
            break
        resume_interrupted()
        assert last.is_set() == root.is_set() == (not target.reasons.empty())
        root.cancel("stop")
        assert target.reasons.get_nowait() == "stop"
        so_far = list(ran)  # "lmstudio-cancel" may run them just now
        assert len(so_far) == len(set(so_far))  # each once at most
    assert line > 30
    assert ran == ["last", "root"]


def test_a_finaliser_may_cancel_and_link_at_any_line_of_a_cancel():
    """The garbage collector may run one anywhere: here it comes one line later in each trial."""
    for line in range(1000):
        root, ran, target, late = lms.CancelToken(), [], Target(), Target()
        last = lms.CancelToken.any(lms.CancelToken.any(root))
        attach(target, [last])
        last.on_cancel(lambda ran=ran: ran.append(1))

        def finaliser(root=root, last=last, late=late):
            attach(late, [last])
            root.cancel("by the finaliser")

        came = call_at(line, finaliser, lambda root=root: root.cancel("stop"))
        reason = root.reason
        assert reason in ("stop", "by the finaliser")
        assert (last.reason, target.reasons.get_nowait(), ran) == (reason, reason, [1])
        if not came:
            break
        assert late.reasons.get_nowait() == reason
    assert line > 30


def test_ctrl_c_at_any_line_of_a_start_leaves_token_and_event_in_order():
    for line in range(1000):
        root, event = lms.CancelToken(), threading.Event()
        before, after = Target(), Target()
        attach(before, [root, event])
        try:
            call_at(line, ctrl_c, lambda s=(root, event): attach(Target(), list(s)))
        except KeyboardInterrupt:
            is_over = False
        else:
            is_over = True
        attach(after, [root, event])

        if line % 2:
            event.set()
        else:
            root.cancel("cancel_event was set")

        for target in (before, after):
            assert target.reasons.get(timeout=5) == "cancel_event was set"
        if is_over:
            break
    assert line > 30


# -- reasons that cannot be told --------------------------------------------------------------


class Unspeakable:
    """A reason whose words are an error."""

    def __repr__(self):
        raise RuntimeError("no words")

    __str__ = __repr__


def test_a_reason_without_words_does_not_replace_the_error():
    token, reason = lms.CancelToken(), Unspeakable()
    token.cancel(reason)

    with pytest.raises(lms.LMStudioCancelledError, match="<Unspeakable, whose str") as caught:
        token.raise_if_cancelled()

    assert caught.value.reason is reason
    assert "<Unspeakable, whose repr() raised RuntimeError>" in repr(token)


def test_a_token_may_be_its_own_reason():
    token = lms.CancelToken()
    token.cancel(token)

    assert "CancelToken" in repr(token)


def test_no_time_at_all_has_passed_at_once():
    token = lms.CancelToken.after(0)
    assert token.is_set()
    assert token.reason == "0 s have passed"


def test_a_wait_for_less_than_no_time_only_looks():
    token = lms.CancelToken()
    assert token.wait(-0.05) is False
    token.cancel()
    assert token.wait(-0.05) is True
    with pytest.raises(lms.LMStudioValueError):
        lms.CancelToken().wait("1")
