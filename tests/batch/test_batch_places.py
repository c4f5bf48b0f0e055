"""How many inputs of a batch run at once, when nobody says it: as many as the model has places."""

import asyncio
import itertools

import pytest
from batch.storms import Echo, Host
from helpers import Worker, eventually

import lmstudio as lms
from lmstudio._batch import hosts as _hosts
from lmstudio._batch import inquiry as _inquiry
from lmstudio.testing import Server

KEY = "llm.load.numParallelSessions"


@pytest.fixture
def narrow(client):
    """A model that was loaded for two predictions at once."""
    return client.llm.load_new_instance("test-llm", config={"max_parallel_predictions": 2})


def first_pair(batch):
    return Worker(lambda: next(batch))


def runs_at_once(server, batch, number):
    """Wait until so many inputs run, and see that no other was read; then end all."""
    worker = first_pair(batch)
    calls = [server.expect("predict") for _ in range(number)]
    assert batch._count == number
    batch.cancel()
    for call in calls:
        call.expect_cancel()
        call.success("userStopped")
    worker.result()
    list(batch)


def asked(server):
    return server.received("rpcCall", endpoint="getLoadConfig")


def test_a_model_is_asked_once_for_its_places_and_all_are_used(server, narrow):
    server.hold("predict")
    runs_at_once(server, narrow.respond_many(["hi"] * 9), 2)

    (message,) = asked(server)
    assert message["parameter"] == {
        "specifier": {"type": "query", "query": {"identifier": narrow.identifier}}
    }
    runs_at_once(server, narrow.complete_many(["hi"] * 9, max_parallel=None), 2)


def test_four_run_where_the_server_does_not_say(server, model):
    server.hold("predict")
    runs_at_once(server, model.respond_many(["hi"] * 9), 4)


def states(server):
    return server.received("rpcCall", endpoint="getInstanceProcessingState")


@pytest.mark.parametrize(("queued", "places"), [(0, 4), (1, 3), (3, 1), (4, 1), (50, 1)])
def test_what_is_queued_at_a_model_takes_its_places_but_for_one(server, model, queued, places):
    server.hold("predict")
    server.hold("getInstanceProcessingState")
    batch = model.respond_many(["hi"] * 9)
    worker = first_pair(batch)
    state = server.expect("getInstanceProcessingState")
    calls = [server.expect("predict")]
    assert batch._count == 1  # until it is known
    state.result({"status": "generating", "queued": queued})
    calls += [server.expect("predict") for _ in range(places - 1)]
    assert batch._count == places
    for call in calls:
        call.success()
    worker.result()
    batch.cancel()


def test_a_batch_leaves_room_as_soon_as_others_wait(server, model, monkeypatch):
    monkeypatch.setattr(_inquiry, "ASK_AGAIN", 0.0)
    server.hold("predict")
    server.hold("getInstanceProcessingState")
    batch = model.respond_many(["hi"] * 20)
    worker = first_pair(batch)
    server.expect("getInstanceProcessingState").result({"status": "idle", "queued": 0})
    calls = [server.expect("predict") for _ in range(4)]
    (host,) = batch._hosts
    server.expect("getInstanceProcessingState").result({"status": "generating", "queued": 2})
    eventually(lambda: host.places == 2)
    for call in calls[:2]:  # two of its own run on, so nothing follows these
        call.success()
    worker.result()
    worker = first_pair(batch)
    state = server.expect("getInstanceProcessingState")
    worker.result()
    assert batch._count == 4
    worker = first_pair(batch)
    state.result({"status": "generating", "queued": 0})
    calls += [server.expect("predict") for _ in range(2)]
    batch.cancel()
    for call in calls[2:]:
        call.expect_cancel()
        call.success("userStopped")
    worker.result()
    list(batch)


def test_a_server_that_knows_no_state_is_asked_once(server, model, monkeypatch):
    monkeypatch.setattr(_inquiry, "ASK_AGAIN", 0.0)
    server.hold("getInstanceProcessingState")
    batch = model.respond_many(["hi"] * 40)
    worker = Worker(list, batch)
    server.expect("getInstanceProcessingState").error("Unknown endpoint")
    assert len(worker.result()) == 40
    assert len(states(server)) == 1


def test_no_server_makes_a_batch_begin_everything_at_once(server, model):
    server.hold("predict")
    server.hold("getLoadConfig")
    batch = model.respond_many(str(number) for number in itertools.count())
    worker = first_pair(batch)
    server.expect("getLoadConfig").result({"fields": [{"key": KEY, "value": 10**9}]})
    calls = [server.expect("predict") for _ in range(1_000)]
    assert batch._count == 1_000
    batch.cancel()
    for call in calls:
        call.expect_cancel()
        call.success("userStopped")
    worker.result()
    list(batch)


def test_a_number_that_is_given_is_not_asked_for(server, narrow):
    server.hold("predict")
    runs_at_once(server, narrow.respond_many(["hi"] * 9, max_parallel=3), 3)
    assert not asked(server)
    assert not states(server)


@pytest.mark.parametrize(
    "answer",
    [
        {"fields": [{"key": KEY, "value": value}]}
        for value in (0, -1, 2.5, True, "2", None, {"checked": True, "value": 2})
    ]
    + [{"fields": []}, {}, None, "2"],
)
def test_what_is_no_number_of_places_stands_for_four(server, model, answer):
    server.hold("predict")
    server.hold("getLoadConfig")
    batch = model.respond_many(["hi"] * 9)
    worker = first_pair(batch)
    server.expect("getLoadConfig").result(answer)
    calls = [server.expect("predict") for _ in range(4)]
    assert batch._count == 4
    for call in calls:
        call.success()
    worker.result()
    batch.cancel()


def test_an_error_of_the_question_is_no_error_of_the_batch(server, model):
    server.hold("getLoadConfig")
    batch = model.respond_many(["a", "b"])
    worker = Worker(lambda: dict(batch))
    server.expect("getLoadConfig").error("Not today")

    outcomes = worker.result()

    assert [type(outcomes[index]) for index in (0, 1)] == [lms.PredictionResult] * 2


def test_a_host_that_says_nothing_holds_up_no_other(server, model):
    with Server() as other, lms.Client(other.host) as client:
        other.hold("getLoadConfig")
        silent = client.llm.model()
        outcomes = list(lms.respond_many([silent, model], [str(n) for n in range(20)]))
        assert {outcome.host for outcome in outcomes} == {server.host}
        assert len(outcomes) == 20


@pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")  # of asyncio, at the server's end
def test_a_host_that_comes_later_is_asked_for_its_places_then(monkeypatch):
    monkeypatch.setattr(_hosts, "LONGEST_PAUSE", 0.02)
    loaded = {"test-llm": {"max_parallel_predictions": 7}}
    with Host(engine=Echo(delay=0.001)) as host, lms.Client(host.host) as client:
        model = client.llm.load_new_instance("test-llm", "wide", config=loaded["test-llm"])
        host.kill()
        batch = model.respond_many((str(number) for number in range(10**6)), patience=None)
        worker = Worker(lambda: [next(batch) for _ in range(50)])
        (one,) = batch._hosts
        eventually(lambda: one.is_down)
        assert one.places == 4
        host.start()
        with lms.Client(host.host) as second:
            second.llm.load_new_instance("test-llm", "wide", config=loaded["test-llm"])
        worker.result()
        worker = Worker(lambda: [next(batch) for _ in range(500)])
        eventually(lambda: one.places == 7)
        worker.result()
        batch.cancel()
        assert len(list(batch)) <= 40


def test_a_batch_that_is_cancelled_before_its_start_asks_nothing(server, model):
    token = lms.CancelToken()
    token.cancel()
    assert list(model.respond_many(["a"], cancel_event=token)) == []
    assert not asked(server)


def test_a_batch_is_cancelled_while_it_asks(server, model):
    server.hold("getLoadConfig")
    token = lms.CancelToken()
    worker = Worker(lambda: list(model.respond_many(["a", "b"], cancel_event=token)))
    server.expect("getLoadConfig")

    token.cancel("enough")

    assert worker.result() == []
    assert not server.predictions


def test_an_embedding_model_is_not_asked(server, client):
    embedding = client.embedding.model()
    server.hold("embedString")
    batch = embedding.embed_many(["a"] * 9, chunk=1)
    worker = first_pair(batch)
    calls = [server.expect("embedString") for _ in range(4)]
    eventually(lambda: batch._count == 4)
    for call in calls:
        call.result({"embedding": [1.0]})
    assert worker.result()[1] == [1.0]
    batch.cancel()
    list(batch)
    assert not asked(server)


def test_a_task_uses_all_places_too():
    async def run(server):
        async with lms.AsyncClient(server.host) as client:
            config = {"max_parallel_predictions": 2}
            model = await client.llm.load_new_instance("test-llm", config=config)
            server.reply("word " * 100_000, delay=0.001, repeat=2)
            batch = model.respond_many(["hi"] * 9)
            task = asyncio.ensure_future(anext(batch))
            await asyncio.to_thread(server.wait_prediction, 1)
            assert batch._count == 2
            batch.cancel()
            await task
            return [pair async for pair in batch]

    with Server() as server:
        assert len(asyncio.run(asyncio.wait_for(run(server), 20.0))) == 1
        assert len(asked(server)) == 1
        for prediction in server.predictions:
            prediction.wait_finished()
