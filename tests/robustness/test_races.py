"""Races, each proven: by forcing the order, or by forging the state that the loser leaves."""

import threading

import pytest
from helpers import Worker, cancels, eventually, outcome

import lmstudio as lms
from lmstudio._connection.call import END
from lmstudio._connection.endpoints import rpc

pytestmark = pytest.mark.races


# -- cancel against the end: one winner, known to both ----------------------------------------

END_OF_CALL = {
    "success": lambda call: call.success(),
    "error": lambda call: call.error("out of memory"),
    "close": lambda call: call.close(),
    "loss": lambda call: call.connection.drop(),
}


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


# -- what Ctrl-C leaves half-way --------------------------------------------------------------


def test_a_mark_whose_wake_up_was_lost_still_cancels(held, model):
    stream = model.respond_stream("hi")
    worker = Worker(lambda: list(stream))
    call = held.expect("predict")

    stream._call.claim.set("the claim is made, and then came Ctrl-C")

    assert worker.result() == []
    call.expect_cancel()
    call.success("userStopped")
    assert stream.result().cancelled
    assert len(cancels(held)) == 1


def test_a_second_cancel_completes_an_interrupted_first_one(held, client, model):
    stream = model.respond_stream("hi")
    worker = Worker(lambda: list(stream))
    call = held.expect("predict")
    dispatcher = client._session.dispatcher
    dispatcher._look_at_claims = lambda call: None  # forged: the I/O thread does not look by itself
    stream._call.claim.set("the claim is made, and then came Ctrl-C")

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


# -- start ------------------------------------------------------------------------------------


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
    assert len(held.received(type="channelCreate")) == 1


def test_a_start_that_comes_after_the_io_thread_has_ended_fails_and_does_not_hang(server):
    client = lms.Client(server.host)
    line, model = client._session, client.llm.model()
    call = line.new_call(rpc("llm", "listLoaded"))
    stream = model.respond_stream("hi")
    client.close()
    line.is_closed = False  # forged: they looked before close() set this

    with pytest.raises(lms.LMStudioClientError, match="closed"):
        line.run(call)
    with pytest.raises(lms.LMStudioClientError, match="closed"):
        stream.result()
    assert not line.dispatcher.open


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
    created, cancelled = held.received(type="channelCreate"), cancels(held)
    if created:
        held.expect("predict").success("userStopped")

    assert stream.result().cancelled
    assert (len(created), len(cancelled)) in ((0, 0), (1, 1))


# -- what an audit found, each by the state that it left --------------------------------------


def interrupt_at(monkeypatch, target, name):
    """Make the next call of a function end in KeyboardInterrupt, after it has done its work."""
    original = getattr(target, name)

    def interrupted(*arguments):
        monkeypatch.setattr(target, name, original)
        original(*arguments)
        raise KeyboardInterrupt

    monkeypatch.setattr(target, name, interrupted)


@pytest.mark.parametrize("way", ["result", "iterate", "with", "start"])
def test_ctrl_c_right_after_the_create_was_posted_still_cancels(
    held, client, model, monkeypatch, way
):
    stream = model.respond_stream("hi")
    interrupt_at(monkeypatch, client._session.dispatcher.reactor, "post")

    with pytest.raises(KeyboardInterrupt):
        {
            "result": stream.result,
            "iterate": lambda: next(iter(stream)),
            "with": stream.__enter__,
            "start": stream.start,
        }[way]()

    eventually(lambda: stream.done() or cancels(held))
    for _ in held.received(type="channelCreate"):
        held.expect("predict").success("userStopped")
    assert stream.result().cancelled
    eventually(lambda: not client._session.dispatcher.open)
    assert len(held.received(type="channelCreate")) == len(cancels(held))


def test_ctrl_c_before_anything_was_posted_leaves_a_cancelled_stream(
    held, client, model, monkeypatch
):
    stream = model.respond_stream("hi")

    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(client._session, "start", interrupted)
    with pytest.raises(KeyboardInterrupt):
        stream.result()

    result = stream.result()
    assert (result.cancelled, result.acknowledged) == (True, False)
    assert list(stream) == []
    assert not held.received(type="channelCreate")


@pytest.mark.parametrize("thread", ["the same", "another"])
def test_a_turn_that_ctrl_c_left_taken_holds_up_nobody(held, model, thread):
    stream = model.respond_stream("hi")
    stream.start()
    iterator = iter(stream)
    call = held.expect("predict")
    call.fragment("a")
    assert next(iterator).content == "a"
    stream._reader.right[0] = threading.get_ident()  # interrupted just before it was given back,
    stream._call.cancel("interrupted")  # which stops the prediction in any case
    call.success("userStopped")

    def read_on():
        return list(iterator), stream.result(), list(stream)

    rest, result, again = read_on() if thread == "the same" else Worker(read_on).result()

    assert (rest, result.content, again) == ([], "a", [])
    assert result.cancelled


def test_an_event_that_stays_set_cancels_once(held, model):
    event = threading.Event()
    stream = model.respond_stream("hi", cancel_event=event)
    stream.start()
    call = held.expect("predict")
    event.set()
    call.expect_cancel()
    watchers = [t for t in threading.enumerate() if t.name == "lmstudio-watch"]
    for thread in watchers:
        thread.join(5)  # it ends though the server has not answered

    assert not any(thread.is_alive() for thread in watchers)
    assert stream._call.inbox.qsize() <= 2
    call.success("userStopped")
    assert stream.result().cancelled


def test_a_create_that_the_full_socket_did_not_take_is_withdrawn(held, client, model):
    model.count_tokens("a")
    held.connections[0].pause()
    streams = [model.respond_stream("x" * 4_000_000) for _ in range(3)]
    for stream in streams:
        stream.start()
    link = client._session.dispatcher._ports["llm"]
    eventually(lambda: len(link._waiting) == 2)

    streams[2].cancel()
    assert streams[2].result().cancelled  # at once, though the server reads nothing
    held.connections[0].resume()
    calls = [held.expect("predict") for _ in range(2)]
    for call in calls:
        call.success()

    assert [stream.result().cancelled for stream in streams] == [False, False, True]
    assert len(held.received(type="channelCreate")) == 2


def test_result_in_a_callback_of_its_own_unfinished_stream_is_refused(held, model):
    errors = []

    def on_fragment(fragment):
        for read in (stream.result, lambda: next(iter(stream))):
            with pytest.raises(lms.LMStudioRuntimeError) as caught:
                read()
            errors.append(str(caught.value))

    stream = model.respond_stream("hi", on_prediction_fragment=on_fragment)
    worker = Worker(stream.result)
    call = held.expect("predict")
    call.fragment("a")
    call.success()

    assert worker.result().content == "a"
    assert "has not ended" in errors[0]
    assert not stream.cancelled()


def test_result_in_a_callback_after_a_cancel_gives_the_partial_result(held, model):
    seen = []

    def on_fragment(fragment):
        stream.cancel()
        seen.append(stream.result().content)

    stream = model.respond_stream("hi", on_prediction_fragment=on_fragment)
    worker = Worker(stream.result)
    call = held.expect("predict")
    call.fragment("a")
    call.expect_cancel()
    call.success("userStopped")

    assert worker.result().content == "a"
    assert seen == ["a"]


def test_done_callbacks_run_when_another_callback_raised(held, model):
    def broken(*_):
        raise ZeroDivisionError

    for name in ("on_prediction_fragment", "on_message"):
        stream = model.respond_stream("hi", **{name: broken})
        done = []
        stream.add_done_callback(lambda s, done=done: done.append(s.cancelled()))
        worker = Worker(stream.result)
        call = held.expect("predict")
        call.fragment("a")
        call.success()

        assert isinstance(worker.error(), ZeroDivisionError)
        assert len(done) == 1


def test_a_start_that_races_close_sends_nothing_after_the_goodbye(held, client, model):
    loop = client._session.dispatcher
    model.count_tokens("a")
    blocked, go_on = threading.Event(), threading.Event()
    loop.reactor.post(lambda: (blocked.set(), go_on.wait(10)))
    assert blocked.wait(5)
    closing = Worker(client.close)
    eventually(lambda: loop.reactor.commands)
    client._session.is_closed = False  # forged: start() looked before close() set this
    stream = model.respond_stream("hi")
    stream.start()
    go_on.set()
    closing.result()

    assert stream.result().cancel_reason == "client closed"
    assert not held.received(type="channelCreate")


def test_two_threads_on_one_loop_are_one(server, client):
    model = client.llm.model()
    loop = client._session.dispatcher
    second = threading.Thread(target=loop.reactor._run)
    second.start()
    second.join(5)

    assert not second.is_alive()
    assert model.count_tokens("a b") == 2
