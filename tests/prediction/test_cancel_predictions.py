"""The cancellation contract of predictions, clause by clause (C1 to C8, C12 to C15)."""

import contextlib
import gc
import threading

import pytest
from helpers import Worker, cancels, eventually

import lmstudio as lms

pytestmark = pytest.mark.races


def assert_usable(server, model):
    """The same client and model answer the next question."""
    worker = Worker(model.respond, "again")
    call = server.expect("predict")
    call.fragment("fine")
    call.success()
    assert worker.result().content == "fine"


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
    loop = client._line._loop
    blocked, go_on = threading.Event(), threading.Event()
    loop.post(lambda: (blocked.set(), go_on.wait(10)))  # the I/O thread is busy elsewhere
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

        object.__setattr__(client._line._loop.connector, "find_address", slow_find)
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


# -- ways of leaving --------------------------------------------------------------------------


def test_break_stops_the_model_and_keeps_the_partial_result_and_the_stats(held, model):
    stream = model.respond_stream("hi")
    worker = Worker(held.expect, "predict")
    iterator = iter(stream)
    call = worker.result()
    call.fragment("a")
    call.fragment("b")
    for fragment in iterator:
        assert fragment.content == "a"
        break
    del iterator

    call.expect_cancel()
    call.success("userStopped", predicted_tokens_count=2)
    result = stream.result()

    assert (result.content, result.cancelled) == ("a", True)
    assert result.stats.predicted_tokens_count == 2
    assert stream.stats.predicted_tokens_count == 2
    assert len(cancels(held)) == 1


def test_break_in_a_loop_over_a_stream_nobody_keeps(server, model):
    server.reply("many words " * 500, delay=0.001)

    for _ in model.respond_stream("hi"):
        break

    server.predictions[-1].wait_finished()
    assert server.predictions[-1].cancelled_after < 600
    assert server.predictions[-1].stop_reason == "userStopped"


def test_result_notices_a_dropped_iterator_at_once(held, model):
    stream = model.respond_stream("hi")
    iterator = iter(stream)
    call = held.expect("predict")
    call.fragment("a")
    next(iterator)
    del iterator
    worker = Worker(stream.result)
    call.expect_cancel()
    call.success("userStopped")

    assert worker.result().content == "a"


def test_an_exception_in_the_loop_stops_the_model(held, model):
    stream = model.respond_stream("hi")
    stream.start()
    call = held.expect("predict")
    call.fragment("a")

    with pytest.raises(ZeroDivisionError):
        for _ in stream:
            1 / 0  # noqa: B018

    call.expect_cancel()
    call.success("userStopped")
    assert stream.result().content == "a"


def test_leaving_with_stops_the_model(held, model):
    with model.respond_stream("hi") as stream:
        call = held.expect("predict")

    call.expect_cancel()
    call.success("userStopped")
    assert stream.result().cancelled


def test_close_stops_the_model(held, model):
    stream = model.respond_stream("hi")
    stream.start()
    call = held.expect("predict")

    stream.close()

    call.expect_cancel()


def test_dropping_the_stream_stops_the_model(held, model):
    stream = model.respond_stream("hi")
    stream.start()
    call = held.expect("predict")

    del stream
    gc.collect()

    call.expect_cancel()


def test_a_stream_that_ended_by_itself_is_left_without_a_cancel(server, model):
    server.reply("Hello.")
    with model.respond_stream("hi") as stream:
        assert stream.result().content == "Hello."
    stream.close()
    del stream
    model.count_tokens("a round trip")

    assert not cancels(server)


@pytest.mark.parametrize(
    "name", ["on_first_token", "on_prediction_fragment", "on_prompt_processing_progress"]
)
@pytest.mark.parametrize("way", ["respond", "iterate"])
def test_an_exception_in_a_callback_stops_the_model_and_comes_out(held, model, name, way):
    class Enough(Exception):
        pass

    def callback(*_):
        raise Enough

    stream = model.respond_stream("hi", **{name: callback})
    worker = Worker(stream.result if way == "respond" else lambda: list(stream))
    call = held.expect("predict")
    call.progress(0.5)
    call.fragment("a")

    assert isinstance(worker.error(), Enough)
    call.expect_cancel()
    call.success("userStopped")
    result = stream.result()
    assert result.cancelled
    assert result.content == ("" if name == "on_prompt_processing_progress" else "a")
    assert_usable(held, model)


def test_cancel_from_a_callback_ends_the_prediction_normally(held, model):
    stream = model.respond_stream(
        "hi", on_prediction_fragment=lambda fragment: stream.cancel("seen enough")
    )
    worker = Worker(stream.result)
    call = held.expect("predict")
    call.fragment("a")
    call.fragment("b")
    call.expect_cancel()
    call.success("userStopped")

    result = worker.result()

    assert (result.content, result.cancel_reason) == ("a", "seen enough")


def test_the_message_callback_gets_what_was_taken_of_a_cancelled_reply(held, model):
    messages = []
    stream = model.respond_stream("hi", on_message=messages.append)
    iterator = iter(stream)
    call = held.expect("predict")
    call.fragment("a")
    next(iterator)
    stream.cancel()
    assert list(iterator) == []
    call.success("userStopped")
    stream.result()

    assert [message.content[0].text for message in messages] == ["a"]


# -- events -----------------------------------------------------------------------------------


def event_kinds():
    class Own:
        value = False

        def is_set(self):
            return self.value

        def set(self):
            self.value = True

    return [threading.Event, lms.CancelToken, Own]


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
    class Breaking:
        is_broken = False

        def is_set(self):
            if self.is_broken:
                raise OSError("the other process is gone")
            return False

    event = Breaking()
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
    watchers = [t for t in threading.enumerate() if t.name.startswith("lmstudio-watch")]
    for thread in watchers:
        thread.join(5)
        assert not thread.is_alive()


# -- other operations (C8) --------------------------------------------------------------------


def test_a_cancelled_load_raises_with_the_reason_and_tells_the_server(server, client):
    server.hold("getOrLoad")
    token, progress = lms.CancelToken(), []
    worker = Worker(
        lambda: client.llm.model("test-vlm", cancel_event=token, on_load_progress=progress.append)
    )
    call = server.expect("getOrLoad")
    call.progress(0.5)
    eventually(lambda: progress == [0.5])

    token.cancel("too slow")

    error = worker.error()
    assert isinstance(error, lms.LMStudioCancelledError)
    assert error.reason == "too slow"
    assert "too slow" in str(error)
    call.expect_cancel()
    call.close()
    assert client.llm.model().count_tokens("still usable") > 0


def test_a_cancelled_rpc_raises_and_its_late_answer_is_dropped(server, model):
    server.hold("countTokens")
    event = threading.Event()
    worker = Worker(lambda: model.count_tokens("a b", cancel_event=event))
    call = server.expect("countTokens")

    event.set()

    assert isinstance(worker.error(), lms.LMStudioCancelledError)
    call.result({"tokenCount": 7})
    again = Worker(model.count_tokens, "a b")
    server.expect("countTokens").result({"tokenCount": 2})
    assert again.result() == 2


def test_progress_of_a_load_is_reported_upwards_once_and_up_to_one(server, client):
    server.hold("getOrLoad")
    progress = []
    worker = Worker(lambda: client.llm.model("test-vlm", on_load_progress=progress.append))
    call = server.expect("getOrLoad")
    for step in (0.25, 0.25, 0.1, 0.75):
        call.progress(step)
    call.packet({"type": "loadSuccess", "info": {"identifier": "test-vlm"}})
    call.close()

    assert worker.result().identifier == "test-vlm"
    assert progress == [0.25, 0.75, 1.0]


def test_an_exception_in_a_progress_callback_stops_the_load_and_comes_out(server, client):
    server.hold("getOrLoad")
    worker = Worker(lambda: client.llm.model("test-vlm", on_load_progress=lambda p: 1 / 0))
    call = server.expect("getOrLoad")
    call.progress(0.5)

    assert isinstance(worker.error(), ZeroDivisionError)
    call.expect_cancel()


# -- one reader (C12) -------------------------------------------------------------------------


def test_a_second_iterator_is_refused_naming_the_thread_and_cancels_nothing(held, model):
    stream = model.respond_stream("hi")
    worker = Worker(lambda: [fragment.content for fragment in stream])
    call = held.expect("predict")

    with pytest.raises(lms.LMStudioRuntimeError, match="'worker'"):
        iter(stream)

    call.expect_no_cancel()
    call.fragment("a")
    call.success()
    assert worker.result() == ["a"]


def test_a_concurrent_next_is_refused_and_cancels_nothing(held, model):
    stream = model.respond_stream("hi")
    iterator = iter(stream)
    worker = Worker(lambda: [fragment.content for fragment in iterator])
    call = held.expect("predict")
    eventually(lambda: stream._turn)

    with pytest.raises(lms.LMStudioRuntimeError, match="'worker'"):
        next(iterator)

    call.expect_no_cancel()
    call.fragment("a")
    call.success()
    assert worker.result() == ["a"]


def test_an_iterator_may_pass_from_one_thread_to_another(held, model):
    stream = model.respond_stream("hi")
    iterator = iter(stream)
    call = held.expect("predict")
    call.fragment("a")
    call.fragment("b")
    call.success()

    assert next(iterator).content == "a"
    assert Worker(lambda: [f.content for f in iterator]).result() == ["b"]
    assert stream.result().content == "ab"


def test_result_reads_on_when_the_iterating_thread_has_ended(held, model):
    stream = model.respond_stream("hi")
    iterator = iter(stream)
    call = held.expect("predict")
    call.fragment("a")
    Worker(lambda: next(iterator)).result()
    call.fragment("b")
    call.success()

    assert stream.result(timeout=10).content == "ab"


# -- closing (C13) ----------------------------------------------------------------------------


def test_cancel_all_stops_what_runs_and_the_client_stays_usable(held, client, model):
    streams = [model.respond_stream(str(number)) for number in range(3)]
    for stream in streams:
        stream.start()
    calls = [held.expect("predict") for _ in streams]

    client.cancel_all("stop button")

    for call in calls:
        call.expect_cancel()
        call.success("userStopped")
    assert [s.result().cancel_reason for s in streams] == ["stop button"] * 3
    assert_usable(held, model)


def test_close_ends_predictions_normally_and_other_calls_with_an_error(held, client, model):
    held.hold("countTokens")
    stream = model.respond_stream("hi")
    iterating = Worker(lambda: [fragment.content for fragment in stream])
    prediction = held.expect("predict")
    prediction.fragment("a")
    eventually(lambda: stream._reader._has_fragment)
    counting = Worker(model.count_tokens, "a")
    held.expect("countTokens")

    client.close()

    assert iterating.result() == ["a"]
    result = stream.result()
    assert (result.content, result.cancel_reason) == ("a", "client closed")
    assert isinstance(counting.error(), lms.LMStudioCancelledError)
    prediction.expect_cancel()
    with pytest.raises(lms.LMStudioClientError, match="closed"):
        model.respond("too late")
    with pytest.raises(lms.LMStudioClientError, match="closed"):
        model.count_tokens("too late")
    client.close()  # any number of times


def test_close_is_bounded_when_the_server_has_stopped_reading(held, client, model):
    stream = model.respond_stream("x" * 8_000_000)
    stream.start()
    held.wait_for(lambda: held.connections)
    held.connections[0].pause()
    worker = Worker(client.close, 0.1)

    worker.result(timeout=5)

    assert stream.result().cancelled


def test_no_callback_starts_after_close_and_one_that_runs_is_awaited(held, client, model):
    in_callback, go_on, seen = threading.Event(), threading.Event(), []

    def on_fragment(fragment):
        seen.append(fragment.content)
        in_callback.set()
        go_on.wait(10)

    worker = Worker(lambda: model.respond("hi", on_prediction_fragment=on_fragment))
    call = held.expect("predict")
    call.fragment("a")
    call.fragment("b")
    assert in_callback.wait(5)
    closing = Worker(client.close, 10)
    call.expect_cancel()
    assert closing.is_alive()  # it waits for the callback
    go_on.set()
    closing.result()

    assert worker.result().content == "a"
    assert seen == ["a"]


def test_close_from_a_callback_does_not_wait_for_itself(held, client, model):
    worker = Worker(lambda: model.respond("hi", on_prediction_fragment=lambda f: client.close(10)))
    with contextlib.suppress(ConnectionError):  # closed before the server could look
        held.expect("predict").fragment("a")

    assert worker.result(timeout=8).cancel_reason == "client closed"


def test_a_client_that_was_never_used_closes(server):
    client = lms.Client(server.host)

    client.close()

    with pytest.raises(lms.LMStudioClientError, match="closed"):
        client.llm.list_loaded()
