"""Races of what runs in the background: each order is forced, or what it leaves is forged."""

import concurrent.futures
import contextlib
import queue
import sys
import threading
import types
import weakref

import pytest
from desktop.background import LIMIT, start_held
from helpers import Worker, eventually

import lmstudio as lms
from lmstudio._background import thread as _background
from lmstudio._client import run_in_background as background
from lmstudio._connection.scope import CancelScope
from lmstudio._prediction.stream import PredictionStream

pytestmark = pytest.mark.races


@contextlib.contextmanager
def traced(note):
    """Call ``note(frame, event)`` whenever a function of Python is entered or left."""

    def trace(frame, event, _argument):
        if frame.f_code.co_filename in (contextlib.__file__, __file__):
            return None  # what `note` raises must not keep this from being undone
        frame.f_trace_lines = False
        if event in ("call", "return"):
            note(frame, event)
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        yield
    finally:
        sys.settrace(before)


# -- Ctrl-C -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "look",
    [
        lambda future: future.done(),
        lambda future: future.running(),
        lambda future: future.add_done_callback(lambda _: None),
        lambda future: future.exception(timeout=0),
    ],
)
def test_ctrl_c_while_a_future_is_looked_at_leaves_it_unlocked(server, model, look):
    future, call = start_held(server, model.respond_stream("hi"))
    step, is_interrupted = 0, True
    while is_interrupted:
        step, is_interrupted, seen = step + 1, False, 0

        def interrupt(frame, event, step=step):
            nonlocal seen
            if frame.f_code.co_filename != __file__:
                seen += 1
                if seen == step:
                    raise KeyboardInterrupt

        try:
            with traced(interrupt):
                look(future)
        except KeyboardInterrupt:
            is_interrupted = True
        except concurrent.futures.TimeoutError:
            pass

        def is_unlocked():
            is_mine = future._condition.acquire(timeout=0)
            if is_mine:
                future._condition.release()
            return is_mine

        assert Worker(is_unlocked).result(LIMIT), f"locked by Ctrl-C at step {step}"
    assert step > 1
    call.success()
    assert future.result(LIMIT).content == ""


def test_a_future_that_stays_locked_holds_up_no_other_stream(server, model):
    first, first_call = start_held(server, model.respond_stream("hi"))
    second, second_call = start_held(server, model.respond_stream("hi"))
    locked, release = threading.Event(), threading.Event()

    def hold():
        with first._condition:
            locked.set()
            release.wait(LIMIT)

    holder = Worker(hold)
    assert locked.wait(LIMIT)
    first_call.success()
    second_call.success()

    assert second.result(LIMIT).stats.stop_reason == "eosFound"
    release.set()
    holder.result(LIMIT)
    assert first.result(LIMIT).stats.stop_reason == "eosFound"


def test_ctrl_c_while_a_stream_is_handed_over_stops_it(server, model, monkeypatch):
    hand_over = PredictionStream._hand_over

    def interrupted(self, *arguments):
        hand_over(self, *arguments)
        raise KeyboardInterrupt

    monkeypatch.setattr(PredictionStream, "_hand_over", interrupted)
    server.hold("predict")
    stream = model.respond_stream("hi")
    stream.start()
    call = server.expect("predict")
    with pytest.raises(KeyboardInterrupt):
        stream.run_in_background()

    call.expect_cancel()
    call.success("userStopped")
    assert stream.result(LIMIT).cancelled


def test_ctrl_c_while_a_call_is_started_stops_it(server, model, monkeypatch):
    calls = []

    def interrupted(_job):
        calls.append(server.expect("predict"))
        raise KeyboardInterrupt

    monkeypatch.setattr(background, "add", interrupted)
    server.hold("predict")
    with pytest.raises(KeyboardInterrupt):
        lms.run_in_background(model.respond, "hi", on_text=lambda _: None)

    calls[0].expect_cancel()
    calls[0].success("userStopped")


def test_ctrl_c_in_the_body_of_a_loop_stops_the_batch(server, model):
    server.reply("quick", repeat=2)
    server.reply("word " * 100_000, delay=0.001, repeat=2)
    inputs = iter(f"Question {number}" for number in range(50))
    batch = model.respond_many(inputs, max_parallel=2)
    with pytest.raises(KeyboardInterrupt):
        for _ in batch:
            raise KeyboardInterrupt

    assert batch.cancelled()
    rest = dict(batch)
    assert len(rest) <= 3  # of which some may not have been sent
    assert next(inputs, None) is not None  # nothing more was read
    assert all(isinstance(outcome, lms.PredictionResult) for outcome in rest.values())


# -- exits in callbacks -----------------------------------------------------------------------


def test_a_done_callback_that_exits_keeps_on_done_and_the_other_streams(server, model):
    ended = threading.Event()
    future, call = start_held(server, model.respond_stream("hi"), on_done=lambda _: ended.set())
    future.add_done_callback(lambda _: sys.exit("leave"))
    other, other_call = start_held(server, model.respond_stream("hi"))
    call.success()
    assert ended.wait(LIMIT)
    other_call.success()

    assert other.result(LIMIT).stats.stop_reason == "eosFound"


def test_a_done_callback_that_exits_keeps_on_done_of_a_call(monkeypatch):
    monkeypatch.setattr(threading, "excepthook", lambda _: None)  # it is given SystemExit as well
    done = threading.Event()
    attached = threading.Event()

    def work(cancel_event=None):
        attached.wait(LIMIT)

    future = lms.run_in_background(work, on_done=lambda _: done.set())
    future.add_done_callback(lambda _: sys.exit("leave"))
    attached.set()

    assert done.wait(LIMIT)
    # Before the hook is put back, which the thread calls at its very end.
    eventually(lambda: not any(t.name == "lmstudio-call" for t in threading.enumerate()))


# -- who reads, and who runs the callbacks of the end -----------------------------------------


def test_a_waiter_in_result_leaves_the_callbacks_of_the_end_to_the_background(
    server, model, monkeypatch
):
    finish, returned, threads = PredictionStream._finish_reading, threading.Event(), []

    def finish_late(self):
        if threading.current_thread().name == "lmstudio-background":
            assert returned.wait(LIMIT)
        finish(self)

    monkeypatch.setattr(PredictionStream, "_finish_reading", finish_late)
    stream = model.respond_stream(
        "hi", on_message=lambda _: threads.append(threading.current_thread().name)
    )
    future, call = start_held(server, stream)
    call.success()
    stream.result(LIMIT)
    returned.set()

    assert future.result(LIMIT).stats.stop_reason == "eosFound"
    assert threads == ["lmstudio-background"]


def test_a_result_that_looked_before_the_hand_over_takes_no_text(server, model, monkeypatch):
    look, texts, futures = PredictionStream._is_read_by_another, [], []

    def look_before(self):
        is_read = look(self)
        if not futures:
            futures.append(self.run_in_background(on_text=texts.append))
        return is_read

    monkeypatch.setattr(PredictionStream, "_is_read_by_another", look_before)
    server.reply(["one", " two"])
    stream = model.respond_stream("hi")

    assert stream.result(LIMIT).content == "one two"
    assert futures[0].result(LIMIT).content == "one two"
    eventually(lambda: "".join(texts) == "one two")


def test_a_stream_that_always_has_more_leaves_the_others_their_turn(server, model):
    other, other_call = start_held(server, model.respond_stream("hi"))
    stream = model.respond_stream("hi", on_prediction_fragment=lambda _: feed())
    count = 0

    def feed():
        nonlocal count
        count += 1
        if count == 3:
            other_call.success()
        if count < 1000 and not other.done():
            call.fragment("x")
            eventually(lambda: stream._call.inbox.qsize() > 0)

    future, call = start_held(server, stream, interval=0.001)
    call.fragment("x")
    assert other.result(LIMIT).stats.stop_reason == "eosFound"
    call.success()
    future.result(LIMIT)
    assert count < 1000


def test_a_callback_that_waits_for_the_call_it_belongs_to_is_told_so(client):
    futures, errors, arrived = [], [], threading.Event()

    def wait(_share):
        assert arrived.wait(LIMIT)
        futures[0].result()

    future = lms.run_in_background(
        client.llm.load_new_instance, "test-llm", on_load_progress=wait, on_error=errors.append
    )
    futures.append(future)
    arrived.set()

    assert isinstance(future.exception(LIMIT), lms.LMStudioRuntimeError)
    eventually(lambda: errors)
    assert "A callback waits for something" in str(errors[0])


def test_a_batch_in_a_callback_of_the_background_is_refused_at_once(model):
    errors, ended = [], threading.Event()

    def iterate(_result):
        try:
            next(model.respond_many(["hi"]))
        except lms.LMStudioRuntimeError as error:
            errors.append(str(error))
        ended.set()

    model.respond_stream("hi").run_in_background(on_done=iterate)
    assert ended.wait(LIMIT)
    assert "A callback waits for something" in errors[0]


# -- a job that has ended and does not know it ------------------------------------------------


def test_a_job_whose_call_has_ended_does_not_keep_the_thread_busy():
    class Stuck:
        """Its call has ended, but nothing tells its reader so (as after the exit hook)."""

        interval = 60.0

        call = types.SimpleNamespace(outcome=object(), waiters=[], inbox=queue.SimpleQueue())
        polls = 0

        def poll(self):
            self.polls += 1
            return not others_done.is_set()

    class Quick:
        interval, call = 0.01, None

        def poll(self):
            polls.append(stuck.polls)
            return False

    others_done, polls, stuck = threading.Event(), [], Stuck()
    _background.add(stuck)
    for number in range(1, 6):
        _background.add(Quick())
        eventually(lambda number=number: len(polls) == number)
    seen = stuck.polls
    others_done.set()
    for waiter in list(stuck.call.waiters):
        waiter.put(None)  # now it is told
    eventually(lambda: not _background._state.value.running)
    assert seen == 1


# -- cancel_all -------------------------------------------------------------------------------


@pytest.mark.parametrize("way", ["cancel_all", "close"])
def test_a_scope_that_is_added_meanwhile_does_not_disturb_a_cancel_of_all(server, model, way):
    client, added = lms.Client(server.host), []
    client.llm.list_loaded()
    stream = client.llm.model().respond_stream("hi")
    server.hold("predict")
    stream.start()
    server.expect("predict")
    keep = [CancelScope(client._session, queue.SimpleQueue()) for _ in range(3)]
    client._session.scopes.update({id(scope): scope for scope in keep})

    def add(frame, _event):
        if frame.f_code.co_filename == weakref.__file__:
            added.append(CancelScope(client._session, queue.SimpleQueue()))
            client._session.scopes.data[id(added[-1])] = weakref.KeyedRef(
                added[-1], lambda _: None, id(added[-1])
            )

    with traced(add):
        client.cancel_all() if way == "cancel_all" else client.close(1.0)

    assert added
    assert stream.cancelled()
    assert all(scope.is_set() for scope in keep)
    client._session.scopes.clear()
    client.close()
