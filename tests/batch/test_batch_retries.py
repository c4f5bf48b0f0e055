"""What failed is tried again, if the caller wants it, and says how often it was."""

import attrs
import pytest

import lmstudio as lms

SCHEMA = {"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]}


@attrs.define
class Person:
    name: str


def one(model, **options):
    (outcome,) = model.respond_many(["a"], **options)
    return outcome


def test_a_servers_error_is_tried_again(server, model):
    server.reply("one two", error_after=1, repeat=2)
    server.reply("at last")
    outcome = one(model, retries=2)
    assert (outcome.attempts, outcome.result.content, outcome.error) == (3, "at last", None)


def test_after_the_last_retry_the_error_is_the_outcome(server, model):
    server.reply("one two", error_after=1, error="Out of memory", repeat=3)
    batch = model.respond_many(["a"], retries=2)
    (outcome,) = batch
    assert outcome.attempts == 3
    assert "Out of memory" in str(outcome.error)
    assert outcome.result is None
    assert (batch.numbers.failed, batch.numbers.retried) == (1, 2)


def test_a_time_limit_is_tried_again(server, model):
    server.reply("one", silent_after=0)
    server.reply("at last")
    outcome = one(model, retries=1, timeout=1.0)
    assert (outcome.attempts, outcome.result.content) == (2, "at last")


@pytest.mark.parametrize("form", [SCHEMA, Person])
def test_a_structured_reply_that_does_not_fit_is_tried_again(server, model, form):
    server.reply('{"nam')
    server.reply('{"name": "Ada"}')
    outcome = one(model, retries=1, response_format=form)
    assert (outcome.attempts, outcome.result.parsed) == (2, {"name": "Ada"})


def test_one_that_never_fits_is_the_result_and_says_why(server, model):
    server.reply('{"name": 3}', repeat=2)
    outcome = one(model, retries=1, response_format=Person)
    assert isinstance(outcome.error, lms.ValidationError)
    assert outcome.result.parsed == {"name": 3}
    assert outcome[1] is outcome.result


def test_one_that_was_cut_short_is_tried_again(server, model):
    server.reply('{"name": "A', stop_reason="maxPredictedTokensReached")
    server.reply('{"name": "Ada"}')
    assert one(model, retries=1, response_format=SCHEMA).attempts == 2


def test_the_caller_may_say_what_is_tried_again(server, model):
    server.reply("one two", error_after=1, repeat=2)
    seen = []

    def retry_if(outcome):
        seen.append((outcome.index, outcome.input, outcome.attempts, type(outcome.error)))
        return outcome.attempts < 2

    outcome = one(model, retries=5, retry_if=retry_if)
    assert outcome.attempts == 2
    assert isinstance(outcome.error, lms.LMStudioServerError)
    kind = lms.LMStudioServerError
    assert [seen[0][:3], seen[1][:3]] == [(0, "a", 1), (0, "a", 2)]
    assert all(issubclass(each[3], kind) for each in seen)


def test_what_retry_if_raises_stops_the_batch_and_loses_nothing(server, model):
    server.reply("one two", error_after=1)

    def retry_if(outcome):
        raise ZeroDivisionError

    batch = model.respond_many(["a", "b"], max_parallel=1, retries=5, retry_if=retry_if)
    with pytest.raises(ZeroDivisionError):
        list(batch)
    assert list(batch) == []
    assert list(batch.unfinished()) == ["a", "b"]


def test_an_input_that_cannot_be_sent_is_not_tried_again(server, model):
    (outcome,) = model.respond_many([3], retries=5)
    assert (outcome.attempts, type(outcome.error)) == (0, lms.LMStudioValueError)
    assert not server.predictions


def test_without_retries_there_is_one_try(server, model):
    server.reply("one two", error_after=1)
    assert one(model).attempts == 1


def test_what_would_be_tried_again_is_unfinished_after_a_stop(server, model, tmp_path):
    token = lms.CancelToken()
    server.reply("one two", error_after=1)
    batch = model.respond_many(
        ["a"],
        retries=3,
        retry_if=lambda _: token.cancel(),
        cancel_event=token,
        journal=tmp_path / "out.jsonl",
    )
    assert list(batch) == []
    assert list(batch.unfinished()) == ["a"]
    assert (tmp_path / "out.jsonl").read_bytes() == b""
