"""Races of reading: nothing is lost, nobody hangs, and nothing is left behind."""

import gc
import threading
import time

import pytest
from helpers import Sequencer, Worker, eventually, outcome

import lmstudio as lms
from lmstudio._concurrency.deadline import Deadline
from lmstudio._connection.port import ClientPort

pytestmark = pytest.mark.races


def test_a_fragment_that_is_being_folded_is_in_the_result_and_reaches_the_loop(held, model):
    order = Sequencer()
    stream = model.respond_stream("hi")
    fold = stream._reader._accumulator.fragment

    class SlowAccumulator:
        def fragment(self, packet):
            with order(0):
                pass  # the reader is inside the lock, past its look at the mark
            with order(2):
                return fold(packet)

        def __getattr__(self, name):
            return getattr(inner, name)

    inner, stream._reader._accumulator = stream._reader._accumulator, SlowAccumulator()
    reader = Worker(lambda: [fragment.content for fragment in stream])
    call = held.expect("predict")
    call.fragment("a")
    with order(1):
        stream.cancel()
        call.success("userStopped")
    waiting = Worker(stream.result)

    assert reader.result() == ["a"]
    assert waiting.result().content == "a"


def test_no_fragment_is_folded_after_a_result_was_given(held, model):
    stream = model.respond_stream("hi")
    stream.start()
    iterator = iter(stream)
    call = held.expect("predict")
    call.fragment("a")
    assert next(iterator).content == "a"
    order = Sequencer()
    receive = iterator._receive

    def slow_receive():
        item = receive()
        with order(0):
            pass  # the reader holds "b", and has not looked at the mark again
        with order(2):
            return item

    iterator._receive = slow_receive
    reader = Worker(lambda: [fragment.content for fragment in iterator])
    call.fragment("b")
    with order(1):
        stream.cancel()
        call.success("userStopped")
        assert stream.result().content == "a"

    assert reader.result() == []
    assert stream.result().content == "a"


def test_what_the_loop_saw_is_what_the_result_holds_wherever_the_cancel_comes(server, client):
    model = client.llm.model()
    server.reply(["x"] * 400, repeat=1000)
    for limit in range(0, 60, 3):
        stream = model.respond_stream("hi")
        taken = []
        enough = threading.Event()
        canceller = Worker(lambda e=enough, s=stream: e.wait(5) and s.cancel())
        if limit == 0:
            enough.set()
        for fragment in stream:
            taken.append(fragment.content)
            if len(taken) == limit:
                enough.set()
        enough.set()
        canceller.result()

        assert "".join(taken) == stream.result().content


def test_a_reader_that_gives_up_hands_the_reading_to_a_waiter(held, model):
    stream = model.respond_stream("hi")
    impatient = Worker(outcome, lambda: stream.result(timeout=0.05))
    eventually(lambda: stream._reader.right.last[0] == impatient.ident)
    patient = Worker(stream.result)
    call = held.expect("predict")
    assert isinstance(impatient.result(), lms.LMStudioTimeoutError)
    call.fragment("a")
    call.success()

    assert patient.result().content == "a"


@pytest.mark.parametrize("of", ["fragments", "progress"])
def test_the_limit_of_result_holds_between_two_items_though_callbacks_are_slow(held, model, of):
    seen, go_on = [], threading.Event()

    def slow(what):
        seen.append(what)
        go_on.wait(10)

    names = {"fragments": "on_prediction_fragment", "progress": "on_prompt_processing_progress"}
    stream = model.respond_stream("hi", **{names[of]: slow})
    stream.start()
    call = held.expect("predict")
    for number in range(5):
        call.fragment("a") if of == "fragments" else call.progress((number + 1) / 10)
    eventually(lambda: stream._call.inbox.qsize() == 5)
    waiting = Worker(outcome, lambda: stream.result(timeout=0.1))
    eventually(lambda: seen)
    passed = Deadline(0.1)
    eventually(lambda: passed.remaining() == 0)
    go_on.set()

    assert isinstance(waiting.result(), lms.LMStudioTimeoutError)
    assert len(seen) <= 2  # of the progress, 0.0 is told before the first that came
    call.success()
    assert Worker(stream.result).result().content == ("aaaaa" if of == "fragments" else "")


def test_result_with_no_time_takes_what_is_there(held, model):
    stream = model.respond_stream("hi")
    stream.start()
    call = held.expect("predict")
    call.fragment("a")
    call.success()
    eventually(stream.done)

    assert stream.result(timeout=0).content == "a"


def test_result_with_no_time_returns_in_the_moment_in_which_the_end_is_told(
    held, model, monkeypatch
):
    stored, may_tell = threading.Event(), threading.Event()
    forget = ClientPort.forget

    def forget_late(port, call):  # in the I/O thread: the outcome is stored, and END is not put
        if call is stream._call:
            stored.set()
            assert may_tell.wait(10)
        forget(port, call)

    monkeypatch.setattr(ClientPort, "forget", forget_late)
    stream = model.respond_stream("hi")
    stream.start()
    call = held.expect("predict")
    call.fragment("a")
    call.success()
    assert stored.wait(10)
    assert stream.done()
    waiting = Worker(stream.result, 0)
    eventually(lambda: not stream._call.inbox.qsize())  # the text is taken

    may_tell.set()

    assert waiting.result().content == "a"


def test_what_is_done_is_read_to_its_end_by_a_result_without_time(held, model):
    stream = model.respond_stream(
        "hi",
        on_prediction_fragment=lambda _: time.sleep(0.02),  # slow: the limit has passed
    )
    stream.start()
    call = held.expect("predict")
    for _ in range(4):
        call.fragment("a")
    call.success()
    eventually(stream.done)

    assert stream.result(timeout=0).content == "aaaa"


def test_a_right_that_ctrl_c_left_behind_holds_up_nobody(held, model):
    stream = model.respond_stream("hi")
    iterator = iter(stream)
    held_by = Worker(next, iterator)
    call = held.expect("predict")
    call.fragment("a")
    held_by.result()
    stream._reader.right[0] = threading.get_ident()  # what a Ctrl-C in the last step leaves
    stream._call.cancel("interrupted")
    call.expect_cancel()
    call.success("userStopped")

    assert Worker(lambda: list(stream)).result() == []  # though somebody holds the iterator
    assert Worker(stream.result).result().content == "a"
    told = []
    stream.add_done_callback(told.append)
    assert told == [stream]


def test_a_right_that_ctrl_c_left_behind_does_not_hold_up_the_background(held, model):
    stream = model.respond_stream("hi")
    stream.start()
    call = held.expect("predict")
    stream._reader.right[0] = threading.get_ident()
    stream.cancel("interrupted")
    call.expect_cancel()
    call.success("userStopped")

    assert stream.run_in_background().result(10).cancelled


def test_a_waiter_takes_over_when_the_iterator_is_dropped_elsewhere(held, model):
    stream = model.respond_stream("hi")
    kept = {}
    go_on = threading.Event()

    def iterate():
        kept["iterator"] = iter(stream)
        next(kept["iterator"])
        go_on.wait(10)
        kept.clear()

    iterating = Worker(iterate)
    call = held.expect("predict")
    call.fragment("a")
    eventually(lambda: stream._reader._has_fragment)
    waiting = Worker(stream.result)
    go_on.set()
    iterating.result()
    call.expect_cancel()
    call.success("userStopped")

    assert waiting.result().content == "a"


def test_a_stream_in_a_reference_cycle_is_cancelled_when_it_is_collected(held, model):
    stream = model.respond_stream("hi")
    stream.myself = stream
    stream.start()
    call = held.expect("predict")

    del stream
    gc.collect()

    call.expect_cancel()


def test_finished_calls_leave_nothing_behind(server, client):
    model = client.llm.model()
    dispatcher = client._session.dispatcher
    token = lms.CancelToken()
    server.reply("abc", repeat=50)
    for _ in range(20):
        model.respond("hi", cancel_event=token)
    for _ in range(20):
        model.count_tokens("a")

    assert not dispatcher.open
    assert not token._targets
    assert not dispatcher._ports["llm"].protocol.calls


def test_time_limits_of_finished_calls_leave_nothing_behind(client):
    model = client.llm.model()
    dispatcher = client._session.dispatcher
    for number in range(600):
        model.count_tokens(str(number))

    assert not dispatcher.open
    assert len(dispatcher.reactor._timers) < 10
