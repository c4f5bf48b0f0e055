"""Races, each proven: by forcing the order, or by forging the state that the loser leaves."""

import gc
import threading
import weakref

import pytest
from helpers import Sequencer, Worker, eventually

import lmstudio as lms
from lmstudio._call import END
from lmstudio._endpoints import rpc


@pytest.fixture
def model(client):
    return client.llm.model()


@pytest.fixture
def held(server):
    server.hold("predict")
    return server


def cancels(server):
    return [m for m in server.received(type="channelSend") if m["message"]["type"] == "cancel"]


# -- cancel against the end: one winner, known to both ------------------------------------------


END_OF_CALL = {
    "success": lambda call: call.success(),
    "error": lambda call: call.error("out of memory"),
    "close": lambda call: call.close(),
    "loss": lambda call: call.connection.drop(),
}


def outcome(read):
    """What a reader got: "ended", or the error."""
    try:
        read()
    except lms.LMStudioError as error:
        return error
    return "ended"


@pytest.mark.parametrize("end", END_OF_CALL)
def test_a_cancel_before_the_end_is_taken_wins(held, model, end):
    stream = model.respond_stream("hi")
    stream.start()
    END_OF_CALL[end](held.expect("predict"))
    eventually(stream.done)  # the server's end waits in the inbox

    assert stream.cancel("me") is True

    assert outcome(lambda: list(stream)) == "ended"
    assert stream.result().cancel_reason == "me"
    assert stream.result().acknowledged is (end == "success")


@pytest.mark.parametrize("end", END_OF_CALL)
def test_a_cancel_after_the_end_is_taken_loses(held, model, end):
    stream = model.respond_stream("hi")
    worker = Worker(outcome, lambda: list(stream))
    END_OF_CALL[end](held.expect("predict"))
    in_loop = worker.result()

    assert stream.cancel("me") is False

    in_result = outcome(stream.result)
    assert type(in_loop) is type(in_result)
    assert (in_loop == "ended") is (end == "success")
    if end == "success":
        assert not stream.result().cancelled


@pytest.mark.parametrize("end", END_OF_CALL)
def test_a_cancel_beside_the_taking_of_the_end_has_one_winner(held, model, end):
    stream = model.respond_stream("hi")
    stream.start()
    END_OF_CALL[end](held.expect("predict"))
    eventually(stream.done)
    barrier = threading.Barrier(2)

    def read():
        barrier.wait(5)
        return outcome(stream.result)

    def cancel():
        barrier.wait(5)
        return stream.cancel("me")

    reader, canceller = Worker(read), Worker(cancel)
    has_won, got = canceller.result(), reader.result()

    assert stream.cancelled() is has_won
    if has_won:
        assert got == "ended"
        assert stream.result().cancelled
    else:
        assert (got == "ended") is (end == "success")


# -- what Ctrl-C leaves half-way ----------------------------------------------------------------


def test_a_mark_whose_wake_up_was_lost_still_cancels(held, model):
    stream = model.respond_stream("hi")
    worker = Worker(lambda: list(stream))
    call = held.expect("predict")

    stream._call.mark[0] = (object(), "the mark is left, and then came Ctrl-C")

    assert worker.result() == []
    call.expect_cancel()
    call.success("userStopped")
    assert stream.result().cancelled
    assert len(cancels(held)) == 1


def test_a_second_cancel_completes_an_interrupted_first_one(held, client, model):
    stream = model.respond_stream("hi")
    worker = Worker(lambda: list(stream))
    call = held.expect("predict")
    client._line._loop._next_look = float("inf")  # the I/O thread does not look by itself
    stream._call.mark[0] = (object(), "the mark is left, and then came Ctrl-C")

    assert stream.cancel("second") is False

    assert worker.result() == []
    call.expect_cancel()
    call.success("userStopped")


def test_a_terminal_item_that_was_taken_and_lost_does_not_hang_result(held, model):
    stream = model.respond_stream("hi")
    stream.start()
    call = held.expect("predict")
    call.success()
    eventually(stream.done)
    assert stream._call.inbox.get(timeout=5) is END  # taken, and then came Ctrl-C ...
    stream.cancel("interrupted")  # ... which cancels

    assert stream.result().cancelled


# -- start --------------------------------------------------------------------------------------


def test_many_threads_in_result_start_a_stream_once_and_agree(held, model):
    stream = model.respond_stream("hi")
    barrier = threading.Barrier(8)

    def result():
        barrier.wait(5)
        return stream.result()

    workers = [Worker(result) for _ in range(8)]
    call = held.expect("predict")
    call.fragment("a")
    call.success()

    assert len({id(worker.result()) for worker in workers}) == 1
    assert len(held.received(endpoint="predict")) == 1


def test_a_start_that_comes_after_the_io_thread_has_ended_fails_and_does_not_hang(server):
    client = lms.Client(server.host)
    line, model = client._line, client.llm.model()
    call = line.new_call(rpc("llm", "listLoaded"))
    stream = model.respond_stream("hi")
    client.close()
    line._is_closed = False  # forged: they looked before close() set this

    with pytest.raises(lms.LMStudioClientError, match="closed"):
        line.run(call)
    with pytest.raises(lms.LMStudioClientError, match="closed"):
        stream.result()
    assert not line._loop.open


@pytest.mark.parametrize("operation", ["predict", "count"])
def test_close_beside_a_start_ends_the_call_in_one_way_or_the_other(server, operation):
    client = lms.Client(server.host)
    model = client.llm.model()
    barrier = threading.Barrier(2)

    def work():
        barrier.wait(5)
        return model.respond("hi") if operation == "predict" else model.count_tokens("a b")

    worker = Worker(outcome, work)
    barrier.wait(5)
    client.close()

    got = worker.result()
    assert got == "ended" or isinstance(got, lms.LMStudioClientError)


def test_cancel_beside_start_sends_at_most_one_create_and_as_many_cancels(held, model):
    stream = model.respond_stream("hi")
    barrier = threading.Barrier(2)

    def start():
        barrier.wait(5)
        stream.start()

    def cancel():
        barrier.wait(5)
        assert stream.cancel()

    workers = [Worker(start), Worker(cancel)]
    for worker in workers:
        worker.result()
    model.count_tokens("a round trip")
    created, cancelled = held.received(endpoint="predict"), cancels(held)
    if created:
        held.expect("predict").success("userStopped")

    assert stream.result().cancelled
    assert (len(created), len(cancelled)) in ((0, 0), (1, 1))


# -- reading ------------------------------------------------------------------------------------


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
    eventually(lambda: stream._turn)
    patient = Worker(stream.result)
    call = held.expect("predict")
    assert isinstance(impatient.result(), lms.LMStudioTimeoutError)
    call.fragment("a")
    call.success()

    assert patient.result().content == "a"


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
    loop = client._line._loop
    token = lms.CancelToken()
    server.reply("abc", repeat=50)
    for _ in range(20):
        model.respond("hi", cancel_event=token)
    for _ in range(20):
        model.count_tokens("a")

    assert not loop.open
    assert not token._targets
    assert not loop._links["llm"].protocol.calls
    gc.collect()
    timed = [entry[3]() for entry in loop._timers if isinstance(entry[3], weakref.ref)]
    assert timed
    assert not any(timed)


def test_timers_of_finished_calls_are_swept(client):
    model = client.llm.model()
    loop = client._line._loop
    for number in range(600):
        model.count_tokens(str(number))

    assert len(loop._timers) < 300
