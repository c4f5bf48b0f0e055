"""The cancellation contract of predictions: every phase, and every kind of event."""

import threading

import pytest
from helpers import BreakableEvent, Worker, assert_usable, cancels, eventually

import lmstudio as lms

pytestmark = pytest.mark.races


# -- phases -----------------------------------------------------------------------------------


def test_cancel_before_the_start_sends_nothing(held, model):
    stream = model.respond_stream("hi")

    assert stream.cancel("changed my mind") is True
    assert stream.cancelled()
    assert stream.done()
    assert list(stream) == []
    result = stream.result()

    assert (result.cancelled, result.cancel_reason) == (True, "changed my mind")
    assert (result.content, result.acknowledged) == ("", False)
    assert result.stats.stop_reason == "userStopped"
    assert result.model_info is result.load_config is result.prediction_config is None
    model.count_tokens("a round trip")
    assert not held.received(endpoint="predict")
    assert not cancels(held)


def test_cancel_right_after_the_start_withdraws_a_create_that_is_not_written(held, client, model):
    reactor = client._session.dispatcher.reactor
    blocked, go_on = threading.Event(), threading.Event()
    reactor.post(lambda: (blocked.set(), go_on.wait(10)))  # the I/O thread is busy elsewhere
    assert blocked.wait(5)
    stream = model.respond_stream("hi")
    stream.start()
    stream.cancel()
    go_on.set()

    result = stream.result()

    assert result.cancelled
    assert not result.acknowledged
    model.count_tokens("a round trip")
    assert not held.received(endpoint="predict")
    assert not cancels(held)


def test_cancel_while_connecting_sends_nothing_and_releases_at_once(held):
    in_lookup, go_on = threading.Event(), threading.Event()
    with lms.Client(held.host) as client:
        model = lms.LLM("test-llm", client.llm)
        find = client._discovery.find

        def slow_find(deadline):
            in_lookup.set()
            go_on.wait(10)
            return find(deadline)

        object.__setattr__(client._session._connector, "find_address", slow_find)
        stream = model.respond_stream("hi")
        worker = Worker(lambda: list(stream))
        assert in_lookup.wait(5)

        stream.cancel()

        assert worker.result() == []
        assert stream.result().cancelled
        go_on.set()
        model.count_tokens("a round trip")
        assert not held.received(endpoint="predict")
        assert_usable(held, model)


def test_cancel_before_the_first_token_keeps_the_stream_usable(held, model):
    stream = model.respond_stream("a long prompt")
    worker = Worker(lambda: [fragment.content for fragment in stream])
    call = held.expect("predict")
    call.progress(0.3)

    assert stream.cancel("stop")
    assert worker.result() == []  # the loop ends though the server has not answered
    call.expect_cancel()
    call.success("userStopped", predicted_tokens_count=0)
    result = stream.result()

    assert result.cancelled
    assert result.acknowledged
    assert result.content == ""
    assert result.stats.stop_reason == "userStopped"
    assert result.stats.predicted_tokens_count == 0
    assert result.model_info is not None
    assert_usable(held, model)


def test_cancel_with_no_message_ever_from_the_server(held, server):
    with lms.Client(server.host, cancel_grace=0.05) as client:
        stream = client.llm.model().respond_stream("hi")
        worker = Worker(lambda: list(stream))
        call = held.expect("predict")

        stream.cancel()

        assert worker.result() == []
        result = stream.result()
        assert result.cancelled
        assert not result.acknowledged
        call.expect_cancel()
        assert_usable(held, client.llm.model())


def test_cancel_in_the_middle_keeps_what_was_taken(held, model):
    stream = model.respond_stream("hi")
    stream.start()
    iterator = iter(stream)
    call = held.expect("predict")
    call.fragment("a")
    call.fragment("b")
    taken = [next(iterator).content, next(iterator).content]
    call.fragment("unread")
    stream.cancel()

    assert list(iterator) == []
    call.expect_cancel()
    call.fragment("late")
    call.success("userStopped")
    assert "".join(taken) == stream.result().content == "ab"


@pytest.mark.parametrize("make", [lms.CancelToken, threading.Event])
def test_an_event_wins_with_the_whole_reply_unread(held, model, make):
    event = make()
    stream = model.respond_stream("hi", cancel_event=event)
    stream.start()
    iterator = iter(stream)
    call = held.expect("predict")
    for _ in range(3):
        call.fragment("x")
    call.success()
    next(iterator)
    eventually(stream.done)

    event.set()
    eventually(stream.cancelled)

    assert list(iterator) == []
    assert stream.result().content == "x"
    assert not cancels(held)


def test_cancel_wins_with_the_whole_reply_unread(held, model):
    stream = model.respond_stream("hi")
    stream.start()
    call = held.expect("predict")
    for _ in range(1000):
        call.packet({"type": "fragment", "fragment": {"content": "x"}})
    call.success("eosFound", predicted_tokens_count=1000)
    iterator = iter(stream)
    assert next(iterator).content == "x"
    eventually(lambda: stream.done())

    assert stream.cancel() is True

    assert list(iterator) == []
    result = stream.result()
    assert (result.content, result.cancelled, result.acknowledged) == ("x", True, True)
    assert result.stats.stop_reason == "userStopped"  # whatever the server said
    assert result.stats.predicted_tokens_count == 1000
    assert not cancels(held)  # the server's end had been seen


def test_cancel_after_the_end_does_nothing(server, model):
    server.reply("Hello.")
    stream = model.respond_stream("hi")
    assert list(stream)

    assert stream.cancel("too late") is False

    result = stream.result()
    assert (result.cancelled, result.cancel_reason) == (False, None)
    assert not stream.cancelled()
    assert not cancels(server)


def test_exactly_one_of_many_cancelling_threads_wins_and_one_cancel_is_sent(held, model):
    stream = model.respond_stream("hi")
    stream.start()
    call = held.expect("predict")
    barrier = threading.Barrier(8)

    def cancel(number):
        barrier.wait(5)
        return stream.cancel(number)

    workers = [Worker(cancel, number) for number in range(8)]
    answers = [worker.result() for worker in workers]
    call.expect_cancel()
    call.success("userStopped")

    assert sorted(answers) == [False] * 7 + [True]
    assert stream.result().cancel_reason == answers.index(True)
    model.count_tokens("a round trip")
    assert len(cancels(held)) == 1


def test_the_server_may_end_a_cancelled_channel_in_any_way(held, model):
    for end in (lambda call: call.close(), lambda call: call.error("stopped")):
        stream = model.respond_stream("hi")
        stream.start()
        iterator = iter(stream)
        call = held.expect("predict")
        call.fragment("a")
        assert next(iterator).content == "a"
        stream.cancel()
        call.expect_cancel()
        end(call)

        result = stream.result()

        assert (result.content, result.cancelled, result.acknowledged) == ("a", True, False)


def test_late_messages_are_dropped_in_silence(held, model, capfd):
    stream = model.respond_stream("hi")
    stream.start()
    call = held.expect("predict")
    stream.cancel()
    call.expect_cancel()
    for _ in range(50):
        call.fragment("late")
    call.success("userStopped")
    call.connection.send_text(
        f'{{"type": "channelSend", "channelId": {call.id}, "message": {{"type": "fragment"}}}}'
    )

    assert stream.result().content == ""
    assert_usable(held, model)
    assert capfd.readouterr() == ("", "")


# -- events -----------------------------------------------------------------------------------


def event_kinds():
    class Own:
        value = False

        def is_set(self):
            return self.value

        def set(self):
            self.value = True

    return [threading.Event, lms.CancelToken, Own]


@pytest.mark.usefixtures("patient_first_look")
@pytest.mark.parametrize("make", event_kinds())
def test_an_event_that_is_set_already_sends_nothing(held, model, make):
    event = make()
    event.set()

    result = model.respond("hi", cancel_event=event)

    assert result.cancelled
    model.count_tokens("a round trip")
    assert not held.received(endpoint="predict")


@pytest.mark.parametrize("make", event_kinds())
@pytest.mark.parametrize("phase", ["no message yet", "prompt processing", "generating"])
def test_an_event_stops_a_prediction_in_every_phase(held, model, make, phase):
    event = make()
    worker = Worker(lambda: model.respond("hi", cancel_event=event))
    call = held.expect("predict")
    if phase != "no message yet":
        call.progress(0.5)
    if phase == "generating":
        call.fragment("a")
    event.set()
    call.expect_cancel()
    call.success("userStopped")

    result = worker.result()

    assert result.cancelled
    assert result.stats.stop_reason == "userStopped"
    assert_usable(held, model)


def test_an_event_acts_with_nobody_iterating(held, model):
    event = threading.Event()
    stream = model.respond_stream("hi", cancel_event=event)
    stream.start()
    call = held.expect("predict")
    call.fragment("a")

    event.set()

    call.expect_cancel()
    call.success("userStopped")
    assert stream.result().content == ""


def test_any_of_several_events_stops_it(held, model):
    token, event = lms.CancelToken(), threading.Event()
    worker = Worker(lambda: model.respond("hi", cancel_event=iter([event, token])))
    call = held.expect("predict")

    token.cancel("by the token")

    call.expect_cancel()
    call.success("userStopped")
    assert worker.result().cancel_reason == "by the token"


def test_one_token_stops_many_predictions(held, model):
    token = lms.CancelToken()
    workers = [Worker(lambda: model.respond("hi", cancel_event=token)) for _ in range(5)]
    calls = [held.expect("predict") for _ in workers]

    token.cancel()

    for call in calls:
        call.expect_cancel()
        call.success("userStopped")
    assert all(worker.result().cancelled for worker in workers)


def test_a_wrong_event_is_refused_before_anything_is_sent(held, model):
    with pytest.raises(lms.LMStudioValueError, match="is_set"):
        model.respond_stream("hi", cancel_event=5)


def test_an_is_set_that_raises_fails_its_call(held, model):
    event = BreakableEvent()
    worker = Worker(lambda: model.respond("hi", cancel_event=event))
    call = held.expect("predict")
    event.is_broken = True
    call.expect_cancel()

    assert "the other process is gone" in str(worker.error())
    assert_usable(held, model)


def test_the_watching_of_an_event_ends_with_the_prediction(server, model):
    event, token = threading.Event(), lms.CancelToken()
    server.reply("Hello.")

    model.respond("hi", cancel_event=[event, token])

    assert not token._targets
    eventually(lambda: not any(t.name.startswith("lmstudio-watch") for t in threading.enumerate()))


def test_an_event_that_is_broken_from_the_start_is_a_clear_error(model):
    class Broken:
        def is_set(self):
            raise OSError("gone")

    stream = model.respond_stream("hi", cancel_event=Broken())

    for _ in range(2):
        with pytest.raises(lms.LMStudioRuntimeError, match=r"cannot be watched.*gone"):
            stream.result()
