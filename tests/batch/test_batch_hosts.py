"""One batch over several hosts: each has its own places and losses, and none its own queue."""

import asyncio

import pytest
from batch.storms import Echo, Host
from helpers import Worker, eventually

import lmstudio as lms
from lmstudio._batch import hosts as _hosts
from lmstudio.testing import Server

# asyncio loses sight of what connects while its server is closed.
pytestmark = pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch):
    monkeypatch.setattr(_hosts, "FIRST_PAUSE", 0.005)
    monkeypatch.setattr(_hosts, "LONGEST_PAUSE", 0.02)


@pytest.fixture
def two():
    with (
        Server() as first,
        Server() as second,
        lms.Client(first.host) as one,
        lms.Client(second.host) as other,
    ):
        yield first, second, [one.llm.model(), other.llm.model()]


def test_whoever_is_free_takes_the_next_input(two):
    first, second, models = two
    first.hold("predict")
    batch = lms.respond_many(models, [str(number) for number in range(20)], max_parallel=2)
    worker = Worker(list, batch)
    calls = [first.expect("predict") for _ in range(2)]
    eventually(lambda: batch.numbers.done == 18)  # all the others
    for call in calls:
        call.success()
    outcomes = worker.result()
    assert sorted(outcome.index for outcome in outcomes) == list(range(20))
    by_host = [outcome.host for outcome in outcomes]
    assert (by_host.count(first.host), by_host.count(second.host)) == (2, 18)


def test_the_loss_of_one_host_is_its_own(two):
    first, second, models = two
    first.hold("predict")
    batch = lms.respond_many(models, [str(number) for number in range(20)], max_parallel=2)
    worker = Worker(list, batch)
    for _ in range(2):
        first.expect("predict")
    first.drop_all()
    first.close()
    outcomes = worker.result()
    assert sorted(outcome.index for outcome in outcomes) == list(range(20))
    assert {outcome.host for outcome in outcomes} == {second.host}
    assert all(outcome.error is None for outcome in outcomes)


def test_a_host_that_refuses_for_good_leaves_and_the_last_ends_the_batch(two):
    _, second, models = two
    wrong = [lms.LLM("nothing", model._namespace) for model in models]
    outcomes = list(lms.respond_many([wrong[0], models[1]], [str(n) for n in range(10)]))
    assert {outcome.host for outcome in outcomes} == {second.host}
    assert len(outcomes) == 10

    batch = lms.respond_many(wrong, [str(number) for number in range(10)])
    with pytest.raises(lms.LMStudioModelNotFoundError):
        list(batch)
    assert list(batch.unfinished()) == [str(number) for number in range(10)]


def test_a_host_that_comes_back_takes_part_again():
    with Host(engine=Echo()) as first, Host(engine=Echo()) as second:
        clients = [lms.Client(host.host) for host in (first, second)]
        models = [client.llm.model() for client in clients]
        first.kill()
        seen = []

        def inputs():
            number = 0
            while first.host not in seen:  # endless, unless it comes back
                yield f"Question {number}"
                number += 1
                if number == 30:
                    first.start()

        for outcome in lms.respond_many(models, inputs(), max_parallel=2):
            assert outcome.error is None
            assert outcome.result.content == f"to {outcome.input}"
            seen.append(outcome.host)
        for client in clients:
            client.close()


def test_cancel_all_of_one_client_stops_all_of_it(two):
    first, second, models = two
    for server in (first, second):
        server.reply("word " * 100_000, delay=0.001, repeat=2)
    batch = lms.respond_many(models, ["a"] * 10, max_parallel=1)
    worker = Worker(list, batch)
    for server in (first, second):
        server.wait_prediction().wait_tokens(2)
    models[1]._session.cancel_all("enough")
    outcomes = worker.result()
    assert [outcome.cancelled for outcome in outcomes] == [True, True]
    assert len(list(batch.unfinished())) == 10


def test_places_may_be_what_the_server_says(server, model):
    server.hold("predict")
    batch = model.respond_many(["a"] * 20, max_parallel=None)
    worker = Worker(list, batch)
    places = model.get_load_config().max_parallel_predictions or 4
    calls = [server.expect("predict") for _ in range(places)]
    assert batch._count == places
    server.release("predict")
    for call in calls:
        call.success()
    assert len(worker.result()) == 20


@pytest.mark.parametrize("models", ["x", [3], None, 3])
def test_what_are_no_models_is_told(models):
    with pytest.raises(lms.LMStudioValueError, match="models must be a list of handles"):
        lms.respond_many(models, ["a"])


def test_models_of_both_halves_are_no_batch(server, model):
    async def main():
        async with lms.AsyncClient(server.host) as client:
            with pytest.raises(lms.LMStudioValueError, match="of one kind of clients"):
                lms.respond_many([model, await client.llm.model()], ["a"])

    asyncio.run(main())


async def _all(batch):
    return [outcome async for outcome in batch]


def test_tasks_have_several_hosts_too(two):
    first, second, _ = two
    for server in (first, second):
        server.hold("predict")

    async def main():
        async with lms.AsyncClient(first.host) as one, lms.AsyncClient(second.host) as other:
            models = [await one.llm.model(), await other.llm.model()]
            batch = lms.respond_many(models, [str(number) for number in range(20)], ordered=True)
            task = asyncio.create_task(_all(batch))
            calls = [await asyncio.to_thread(one.expect, "predict") for one in (first, second)]
            for server, call in zip((first, second), calls, strict=True):
                server.release("predict")
                call.proceed()
            return await task

    outcomes = asyncio.run(main())
    assert [outcome.index for outcome in outcomes] == list(range(20))
    assert {outcome.host for outcome in outcomes} == {first.host, second.host}


@pytest.mark.parametrize("is_first", [True, False])
def test_a_host_that_is_away_is_the_reason_of_the_end_before_one_that_left(two, is_first):
    first, _, models = two
    wrong = lms.LLM("nothing", models[1]._namespace)
    first.drop_all()
    first.close()
    handles = [models[0], wrong] if is_first else [wrong, models[0]]
    batch = lms.respond_many(handles, ["a", "b", "c"], patience=0.05)
    with pytest.raises(lms.LMStudioWebsocketError):
        list(batch)
    assert list(batch.unfinished()) == ["a", "b", "c"]


def test_an_empty_list_of_models_is_told_as_such():
    with pytest.raises(lms.LMStudioValueError, match="models is empty"):
        lms.respond_many([], ["a"])
