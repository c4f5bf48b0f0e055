"""`texts()` and `tokens_per_second`: what apps show while the model writes."""

import gc
import inspect

import pytest
from helpers import Worker, assert_usable, cancels

import lmstudio as lms

pytestmark = pytest.mark.races


def in_the_middle(held, model):
    """The texts of a stream after the first, the stream, and the server's side of it."""
    stream = model.respond_stream("hi")
    stream.start()
    call = held.expect("predict")
    call.fragment("a")
    texts = stream.texts()
    assert next(texts) == "a"
    return texts, stream, call


# -- texts() ------------------------------------------------------------------------------------


def test_they_are_the_answer_as_it_comes(server, model):
    server.reply("It is green.", reasoning="Hm, a colour.")
    stream = model.respond_stream("hi")

    texts = list(stream.texts())

    assert len(texts) > 1
    assert all(texts)
    assert "".join(texts) == stream.result().answer == "It is green."


def test_with_the_reasoning_they_are_all_of_it(server, model):
    server.reply("It is green.", reasoning="Hm, a colour.")
    stream = model.respond_stream("hi")

    text = "".join(stream.texts(reasoning=True))

    assert text == stream.result().content
    assert "Hm, a colour." in text


def test_frameworks_take_them_for_a_generator(model):
    texts = model.respond_stream("hi").texts()

    assert inspect.isgenerator(texts)
    assert iter(texts) is texts


@pytest.mark.parametrize("leave", ["close", "drop", "throw"])
def test_leaving_them_stops_the_model(held, model, leave):
    texts, stream, call = in_the_middle(held, model)

    if leave == "close":
        texts.close()
    elif leave == "throw":
        with pytest.raises(ZeroDivisionError):
            texts.throw(ZeroDivisionError())
    del texts
    gc.collect()

    call.expect_cancel()
    call.success("userStopped")
    result = stream.result()
    assert (result.content, result.cancelled) == ("a", True)
    assert len(cancels(held)) == 1


def test_the_first_step_starts_the_prediction(server, model):
    texts = model.respond_stream("hi").texts()
    assert not server.predictions

    assert next(texts)
    assert len(server.predictions) == 1
    texts.close()


def test_those_that_were_never_asked_for_a_text_own_nothing(server, model):
    server.reply("It is green.")
    stream = model.respond_stream("hi")
    stream.texts().close()
    stream.texts()

    assert stream.result().content == "It is green."


def test_at_the_end_nothing_is_cancelled(server, model):
    stream = model.respond_stream("hi")
    texts = stream.texts()
    assert "".join(texts)
    texts.close()

    assert not stream.result().cancelled
    assert not cancels(server)


def test_what_ends_the_prediction_is_raised_in_their_steps(server, model):
    server.reply("one two three", error_after=2, error="Out of memory")

    with pytest.raises(lms.LMStudioServerError, match="Out of memory"):
        list(model.respond_stream("hi").texts())
    assert_usable(server, model)


def test_a_cancel_ends_them(held, model):
    texts, stream, call = in_the_middle(held, model)

    assert stream.cancel()

    assert list(texts) == []
    call.expect_cancel()
    call.success("userStopped")


def test_while_somebody_reads_the_stream_there_are_no_others(held, model):
    texts, stream, call = in_the_middle(held, model)

    with pytest.raises(lms.LMStudioRuntimeError, match="is reading this stream"):
        stream.texts()

    call.success()
    assert list(texts) == []


def test_each_step_may_be_in_another_thread(server, model):
    server.reply("It is green.")
    texts = model.respond_stream("hi").texts()
    read = []
    while (text := Worker(next, texts, None).result()) is not None:
        read.append(text)

    assert "".join(read) == "It is green."


# -- on_message ---------------------------------------------------------------------------------


def test_a_message_knows_its_answer_for_a_model_with_marks_of_its_own(held, model):
    """The words of its marks say nothing to us; its server does."""
    chat = lms.Chat()
    chat.add_user_message("hi")
    messages = []
    worker = Worker(lambda: model.respond(chat, on_message=messages.append))
    call = held.expect("predict")
    call.fragment("<|analysis|>", is_structural=True)
    call.fragment("Hm.", reasoning_type="reasoning")
    call.fragment("<|final|>", is_structural=True)
    call.fragment("Yes.")
    call.success()
    worker.result()

    (message,) = messages
    assert message.text == "<|analysis|>Hm.<|final|>Yes."
    assert (message.reasoning_content, message.answer) == ("Hm.", "Yes.")
    assert chat.append(message, reasoning=False).text == "Yes."
    message.content = [lms.TextData(text="No.")]  # by its owner: what was marked is gone
    assert (message.reasoning_content, message.answer) == ("", "No.")


def test_a_run_may_keep_its_reasoning_out_of_the_chat(server, model):
    server.reply("I will add.", reasoning="Hm.", tool_calls=[{"name": "add", "arguments": {}}])
    server.reply("It is 3.", reasoning="So.")
    chat = lms.Chat()
    chat.add_user_message("hi")

    def add() -> int:
        """Add."""
        return 3

    model.act(chat, [add], on_message=lambda message: chat.append(message, reasoning=False))

    assert [message.text for message in chat] == ["hi", "I will add.", "3", "It is 3."]
    assert [call.name for call in chat[1].tool_calls] == ["add"]


# -- tokens_per_second --------------------------------------------------------------------------


def test_the_speed_can_be_read_in_any_thread_while_another_one_iterates(held, model):
    texts, stream, call = in_the_middle(held, model)
    assert stream.tokens_per_second is None  # one token tells nothing
    worker = Worker(lambda: [next(texts) for _ in range(20)])
    for _ in range(20):
        call.fragment("b")
    worker.result()

    speed = stream.tokens_per_second

    assert isinstance(speed, float)
    assert speed > 0
    call.success(tokens_per_second=7)
    assert list(texts) == []
    worker = Worker(stream.result)
    assert worker.result().stats.tokens_per_second == 7
    assert stream.tokens_per_second == 7


def test_a_count_beyond_all_numbers_is_no_speed(held, model):
    texts, stream, call = in_the_middle(held, model)
    call.fragment("b", tokens_count=10**309)
    call.fragment("c")
    next(texts), next(texts)
    assert stream.tokens_per_second is None
    call.success()


def test_before_the_first_token_there_is_no_speed(model):
    assert model.respond_stream("hi").tokens_per_second is None


def test_a_fragment_may_hold_several_tokens(model, monkeypatch):
    stream = model.respond_stream("hi")
    reader = stream._reader
    packets = [{"content": "a"}, {"content": "b c d", "tokensCount": 3}, {"content": "e"}]
    for number, packet in enumerate([*packets, {"content": "?", "tokensCount": "many"}]):
        reader._accumulator.fragment(packet)
        stream._call.heard = 10.0 + number
        if number == 0:
            reader._first_tokens = reader._arrived()

    assert reader._accumulator.tokens_count == 6
    assert stream.tokens_per_second == pytest.approx(5 / 3)


def test_what_has_arrived_and_was_not_read_yet_counts(model):
    """The model is as fast as it is, however slow its reader."""
    stream = model.respond_stream("hi")
    reader, call = stream._reader, stream._call
    reader._accumulator.fragment({"content": "a"})
    call.heard = 10.0
    reader._first_tokens = reader._arrived()
    for _ in range(8):
        call.inbox.put({"type": "fragment"})
    call.heard = 12.0

    assert stream.tokens_per_second == pytest.approx(4.0)
