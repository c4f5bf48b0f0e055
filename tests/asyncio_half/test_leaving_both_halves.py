"""However one leaves, the model stops once, in both halves; callbacks and `act()`."""

import gc
import threading

import pytest
from asyncio_half.halves import in_the_middle
from helpers import Worker, cancels

import lmstudio as lms

pytestmark = pytest.mark.races


# -- leaving ----------------------------------------------------------------------------------


def test_a_dropped_iterator_stops_the_model_and_the_partial_result_is_there(held, half):
    stream, iterator, call = in_the_middle(held, half)

    del iterator

    call.expect_cancel()
    call.success("userStopped", predicted_tokens_count=1)
    result = half.result(stream)
    assert (result.content, result.cancelled) == ("a", True)
    assert stream.stats.predicted_tokens_count == 1
    assert len(cancels(held)) == 1


def test_a_dropped_stream_stops_the_model(held, half):
    stream = half.started()
    call = held.expect("predict")

    del stream
    gc.collect()

    call.expect_cancel()
    call.success("userStopped")


def test_asking_for_an_iterator_and_dropping_it_leaves_the_stream_alone(held, half):
    stream = half.started()
    call = held.expect("predict")
    half.iterate(stream)
    call.fragment("a")
    call.success()

    assert half.result(stream).content == "a"
    assert not cancels(held)


def test_cancel_all_ends_predictions_normally_and_fails_other_calls(held, half):
    held.hold("countTokens")
    stream, _, call = in_the_middle(held, half)
    worker = Worker(half.do, lambda: half.model.count_tokens("a"))
    held.expect("countTokens")

    half.client.cancel_all("enough")

    call.expect_cancel()
    call.success("userStopped")
    assert half.result(stream).cancel_reason == "enough"
    assert isinstance(worker.error(), lms.LMStudioCancelledError)


def test_closing_the_client_ends_predictions_normally_though_the_server_is_silent(held, half):
    stream, iterator, _ = in_the_middle(held, half)
    waiter = Worker(half.next, iterator)

    half.close()

    assert waiter.result() is None
    result = half.result(stream)
    assert (result.content, result.cancel_reason) == ("a", "client closed")
    with pytest.raises(lms.LMStudioClientError):
        half.result(half.stream())


# -- callbacks --------------------------------------------------------------------------------


@pytest.mark.parametrize("error", [ZeroDivisionError, StopIteration, StopAsyncIteration])
@pytest.mark.parametrize("way", ["iterate", "wait"])
def test_what_a_callback_raises_stops_the_model_and_comes_out(held, half, error, way):
    def callback(_):
        raise error

    stream = half.started(on_prediction_fragment=callback)
    call = held.expect("predict")
    if way == "iterate":
        worker = Worker(lambda: half.next(half.iterate(stream)))
    else:
        worker = Worker(half.result, stream)
    call.fragment("a")

    assert isinstance(worker.error(), error if error is ZeroDivisionError else RuntimeError)
    call.expect_cancel()
    call.success("userStopped")
    assert half.result(stream).cancelled
    assert len(cancels(held)) == 1


def test_callbacks_run_where_one_iterates_or_waits(server, half):
    server.reply("Hello.")
    seen = set()

    def callback(*_):
        seen.add(threading.current_thread().name)

    stream = half.stream(
        on_first_token=callback,
        on_prediction_fragment=callback,
        on_message=callback,
        on_prompt_processing_progress=callback,
    )
    stream.add_done_callback(callback)
    half.result(stream)

    here = threading.current_thread().name
    assert seen == {here if half.name == "threads" else "event-loop"}


def test_a_structured_reply_that_was_cut_short_is_not_parsed(held, half):
    schema = {"type": "object", "properties": {"a": {"type": "string"}}}
    stream = half.started(response_format=schema)
    call = held.expect("predict")
    call.fragment('{"a": ')
    iterator = half.iterate(stream)
    half.next(iterator)
    stream.cancel()
    call.expect_cancel()
    call.success("userStopped")

    result = half.result(stream)
    assert (result.parsed, result.structured) == (None, False)


# -- act() ------------------------------------------------------------------------------------


def test_a_cancelled_act_answers_every_request_and_stops_the_model(held, half):
    token, chat = lms.CancelToken(), lms.Chat()
    chat.add_user_message("go")
    is_running = threading.Event()

    def wait_for_ever(context: lms.ToolCallContext) -> str:
        """Wait until it is stopped."""
        is_running.set()
        assert context.cancel_token.wait(10)
        context.cancel_token.raise_if_cancelled()
        return "never"

    worker = Worker(
        half.do,
        lambda: half.model.act(chat, [wait_for_ever], on_message=chat.append, cancel_event=token),
    )
    call = held.expect("predict")
    call.tool_call("wait_for_ever", {})
    assert is_running.wait(10)

    token.cancel("enough")

    call.expect_cancel()
    call.success("userStopped")
    result = worker.result()
    assert (result.cancelled, result.cancel_reason) == (True, "enough")
    assert [message.role for message in chat] == ["user", "assistant", "tool"]
    assert chat[2].content[0].content == "cancelled"
    assert len(cancels(held)) == 1
