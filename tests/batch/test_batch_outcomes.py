"""What a batch gives: pairs that know their input, in order or not, and vectors in chunks."""

import pickle

import pytest
from batch.storms import Echo
from helpers import Worker, eventually

import lmstudio as lms
from lmstudio.testing import Server


def test_an_outcome_is_a_pair_that_has_its_input(server, model):
    rows = [{"text": "a"}, {"text": "b"}]
    server.reply("one")
    server.reply("two", error_after=0)
    first, second = model.respond_many(
        rows, to_prompt=lambda row: row["text"], ordered=True, max_parallel=1
    )
    index, result = first
    assert (index, result.content) == (0, "one")
    assert first == (0, first.result)
    assert first.input is rows[0]
    assert (first.index, first.attempts, first.host) == (0, 1, server.host)
    assert (first.error, first.cancelled, first.recorded) == (None, False, False)
    assert second.error is second[1]
    assert second.result is None
    there = pickle.loads(pickle.dumps(first))
    assert (there, there.input, there.host) == (first, rows[0], server.host)


def test_what_to_prompt_raises_stops_the_batch_and_loses_nothing(server, model):
    rows = [{"text": "a"}, {}, {"text": "c"}]
    batch = model.respond_many(rows, to_prompt=lambda row: row["text"], max_parallel=3)
    with pytest.raises(KeyError):
        list(batch)
    list(batch)
    assert list(batch.unfinished()) in (rows, rows[1:])  # the first may have been answered


def test_in_order_a_slow_first_reply_holds_up_no_place():
    with Server(engine=Echo()) as server, lms.Client(server.host) as client:
        server.hold("predict")
        inputs = [str(number) for number in range(200)]
        batch = client.llm.model().respond_many(inputs, max_parallel=4, ordered=True)
        worker = Worker(list, batch)
        first = server.expect("predict")
        server.release("predict")
        eventually(lambda: batch.numbers.done == 199)  # all the others, by three places
        first.success()
        assert [outcome.index for outcome in worker.result()] == list(range(200))


def test_ahead_bounds_what_waits_for_an_earlier_one(server, model):
    server.hold("predict")
    batch = model.respond_many((str(n) for n in range(50)), max_parallel=2, ordered=True, ahead=1)
    worker = Worker(list, batch)
    first = server.expect("predict")
    for _ in range(2):
        server.expect("predict").success()
    eventually(lambda: batch.numbers.done == 2)
    assert batch._count == 3
    server.release("predict")
    first.success()
    assert len(worker.result()) == 50


def test_an_unknown_argument_is_named(model):
    with pytest.raises(TypeError, match="'retrys' is no argument"):
        model.respond_many(["a"], retrys=3)


def test_vectors_come_in_chunks_at_once(server, client):
    model = client.embedding.model()
    server.hold("embedString")
    batch = model.embed_many((f"text {n}" for n in range(30)), max_parallel=2, chunk=5)
    worker = Worker(list, batch)
    calls = [server.expect("embedString") for _ in range(10)]
    assert batch._count == 10
    server.release("embedString")
    for call in calls:
        call.result({"embedding": [1.0]})
    outcomes = worker.result()
    assert sorted(outcome.index for outcome in outcomes) == list(range(30))
    assert all(outcome.input == f"text {outcome.index}" for outcome in outcomes)


@pytest.mark.parametrize("chunk", [0, None, "x", 1.5])
def test_a_chunk_is_a_number(client, chunk):
    with pytest.raises(lms.LMStudioValueError, match="chunk must be"):
        client.embedding.model().embed_many(["a"], chunk=chunk)


def test_a_time_budget_for_all_of_it_keeps_what_there_is(server, model, alarm):
    server.reply("quick", repeat=2)
    server.reply("word " * 100_000, delay=0.001, repeat=2)
    token = lms.CancelToken.after(0.5)
    batch = model.respond_many(["a"] * 10, max_parallel=2, cancel_event=token)
    worker = Worker(list, batch)
    eventually(lambda: batch.numbers.done == 2)
    alarm.set()
    outcomes = worker.result()
    assert [outcome.cancelled for outcome in outcomes].count(False) == 2
    assert len(list(batch.unfinished())) == 8


def test_inputs_that_cannot_say_how_many_they_are_are_inputs_all_the_same(server, model):
    class Loader:
        def __iter__(self):
            return iter(["a", "b"])

        def __len__(self):
            raise TypeError("object of type 'Rows' has no len()")

    batch = model.respond_many(Loader())
    assert len(list(batch)) == 2
    assert batch.numbers.total is None


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("retry_errors", "belongs to the journal, as in journal=lms.BatchJournal(path, retry_er"),
        ("input_id", "belongs to the journal, as in journal=lms.BatchJournal(path, input_id="),
        ("time_limit", "use cancel_event=lms.CancelToken.after"),
        ("nothing", "'nothing' is no argument of methods for batches.$"),
    ],
)
def test_an_argument_of_another_place_is_told_with_that(model, name, words):
    with pytest.raises(TypeError, match=words.replace("(", r"\(")):
        model.respond_many(["a"], **{name: 1})


def test_rows_without_a_prompt_are_told_what_makes_one(model):
    (outcome,) = model.respond_many([{"id": 1, "text": "a"}])
    assert str(outcome.error).endswith("For rows, pass to_prompt=.")


def test_what_is_unfinished_can_be_counted_and_then_asked(server, model):
    inputs = [f"Question {number}" for number in range(8)]
    batch = model.respond_many(iter(inputs), max_parallel=1, ahead=1, ordered=True)
    for _ in batch:
        break
    rest = list(batch.unfinished())
    assert rest[-6:] == inputs[-6:]
    assert list(batch.unfinished()) == rest
    again = batch.unfinished()
    assert [next(again), *batch.unfinished()] == [rest[0], *rest]
    assert [outcome.input for outcome in model.respond_many(again, ordered=True)] == rest[1:]


def test_the_clock_of_a_batch_stops_when_it_is_left_or_has_raised(model):
    batch = model.respond_many(["a", "b", "c"], max_parallel=1)
    for _ in batch:
        break
    assert batch.numbers.ended
    assert batch.numbers.seconds == batch.numbers.seconds

    batch = model.respond_many(["a"], to_prompt=lambda text: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        list(batch)
    assert batch.numbers.seconds == batch.numbers.seconds


def test_a_progress_function_may_have_a_default_for_the_total(model):
    told = []

    def pair(done, total=None):
        told.append((done, total))

    def numbers(numbers, *, verbose=False):
        told.append(numbers.done)

    list(model.respond_many(["a"], progress=pair))
    list(model.respond_many(["a"], progress=numbers))
    assert told == [(1, 1), 1]
