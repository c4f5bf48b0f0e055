"""`dask_cancel_token()`: a task of Dask that is not wanted any more stops its model."""

import pytest

import lmstudio as lms

pytestmark = pytest.mark.cluster


@pytest.fixture
def ask(server):
    """A task that asks a model, and gives what it has if it is stopped."""
    host = server.host

    def ask(question):
        with lms.Client(host) as client:
            token = lms.dask_cancel_token()
            assert lms.dask_cancel_token() is token
            return client.llm.model().respond(question, cancel_event=token).content

    return ask


@pytest.fixture
def long(server):
    server.reply("word " * 100_000, delay=0.001)
    return server


def is_stopped(prediction):
    prediction.wait_finished()
    return prediction.cancelled_after is not None  # its client may be gone by now, too


def test_a_task_that_is_wanted_ends_by_itself(dask_client, server, ask):
    server.reply("fine", repeat=8)
    futures = dask_client.map(ask, [f"Question {number}" for number in range(8)], pure=False)
    assert dask_client.gather(futures) == ["fine"] * 8


def test_a_future_that_is_cancelled_stops_its_model(dask_client, long, ask):
    future = dask_client.submit(ask, "Tell me a long story.", pure=False)
    prediction = long.wait_prediction(timeout=30)
    prediction.wait_tokens(3)
    future.cancel()
    assert is_stopped(prediction)


def test_a_future_that_is_dropped_stops_its_model(dask_client, long, ask):
    future = dask_client.submit(ask, "Tell me a long story.", pure=False)
    prediction = long.wait_prediction(timeout=30)
    prediction.wait_tokens(3)
    del future
    assert is_stopped(prediction)


def test_a_client_of_dask_that_is_closed_stops_its_models(local_cluster, long, ask):
    from distributed import Client

    with Client(local_cluster, set_as_default=False) as dask_client:
        future = dask_client.submit(ask, "Tell me a long story.", pure=False)
        prediction = long.wait_prediction(timeout=30)
        prediction.wait_tokens(3)
    assert future.cancelled()
    assert is_stopped(prediction)


def test_others_that_run_at_the_same_worker_go_on(dask_client, server, ask):
    server.hold("predict")
    worker = next(iter(dask_client.nthreads()))

    def seceding(ask, question):
        from distributed import secede

        secede()
        return ask(question)

    futures = [
        dask_client.submit(seceding, ask, f"Question {number}", pure=False, workers=[worker])
        for number in range(2)
    ]
    calls = {}
    for _ in range(2):
        call = server.expect("predict", timeout=30)
        text = str(call.parameter)
        calls[0 if "Question 0" in text else 1] = call
    futures[0].cancel()
    calls[0].expect_cancel()
    calls[1].fragment("fine")
    calls[1].success()
    assert futures[1].result(timeout=20) == "fine"


def test_a_worker_that_closes_stops_its_models(small_cluster, long, ask):
    with small_cluster(1) as (cluster, dask_client):
        future = dask_client.submit(ask, "Tell me a long story.", pure=False)
        prediction = long.wait_prediction(timeout=30)
        prediction.wait_tokens(3)
        cluster.scale(0)
        assert is_stopped(prediction)
        del future


def test_outside_of_a_task_there_is_none():
    with pytest.raises(lms.LMStudioRuntimeError, match="runs no task of Dask"):
        lms.dask_cancel_token()
