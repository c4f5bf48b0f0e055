"""The example programs for batches: the plain one, and the one over a Dask cluster."""

import importlib.util
import os
import pickle
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from helpers import Worker, eventually, needs_signals

import lmstudio as lms
from lmstudio.testing import Server

EXAMPLES = Path(__file__).parents[2] / "examples"
LIMIT = 30.0  # seconds


def start_plain(server, folder):
    (folder / "lines.txt").write_text("".join(f"line {number}\n" for number in range(20)))
    return subprocess.Popen(
        [sys.executable, EXAMPLES / "batch.py", folder / "lines.txt", "--host", server.host],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_the_plain_example_answers_every_line(server, tmp_path):
    output, errors = start_plain(server, tmp_path).communicate(timeout=LIMIT)
    assert errors == ""
    assert sorted(int(line.split(":")[0]) for line in output.splitlines()) == list(range(1, 21))


@needs_signals
def test_ctrl_c_in_the_plain_example_leaves_what_is_finished(server, tmp_path):
    server.reply("quick", repeat=3)
    server.reply("word " * 10_000, delay=0.001, repeat=20)
    process = start_plain(server, tmp_path)
    lines = [process.stdout.readline() for _ in range(3)]
    eventually(lambda: len(server.predictions) == 7)  # four long ones run
    server.predictions[6].wait_tokens(3)
    process.send_signal(signal.SIGINT)
    output, errors = process.communicate(timeout=LIMIT)
    assert (process.returncode, output, errors) == (130, "", "Stopped.\n")
    assert all(line.endswith(": quick\n") for line in lines)
    for prediction in server.predictions[3:]:
        prediction.wait_finished()
        assert prediction.stop_reason == "userStopped"


def test_handles_and_chats_travel(client):
    chat = lms.Chat("You are brief.")
    chat.add_user_message("hi")
    model = client.llm.model()
    there = pickle.loads(pickle.dumps((model, chat)))
    assert there == (model, chat)
    assert there[0].respond(there[1]).content


# -- over a cluster -----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def cluster():
    distributed = pytest.importorskip("distributed", reason="did not run: Dask is not here")
    with (
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=4, dashboard_address=None, silence_logs=50
        ) as local,
        distributed.Client(local) as cluster,
    ):
        yield cluster


@pytest.fixture
def dask_batch(cluster):
    spec = importlib.util.spec_from_file_location("dask_batch", EXAMPLES / "dask_batch.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    sys.modules["dask_batch"] = module
    cluster.upload_file(os.fspath(EXAMPLES / "dask_batch.py"))
    yield module
    del sys.modules["dask_batch"]


@pytest.fixture
def hosts():
    with Server(parallel=4) as first, Server(parallel=4) as second:
        clients = [lms.Client(server.host) for server in (first, second)]
        yield first, second, [client.llm.model() for client in clients]
        for client in clients:
            client.close()


@pytest.fixture
def no_leaks():
    """The cluster keeps threads and sockets for the whole module."""


@pytest.mark.cluster
@pytest.mark.usefixtures("no_leaks")
def test_the_work_is_spread_over_both_hosts(cluster, dask_batch, hosts):
    first, second, models = hosts
    outcomes = list(dask_batch.run(cluster, models, [f"Question {n}" for n in range(40)]))
    assert sorted(number for number, _, _ in outcomes) == list(range(40))
    assert {host for _, host, _ in outcomes} == {first.host, second.host}
    assert (len(first.predictions), len(second.predictions)) == (20, 20)


@pytest.mark.cluster
@pytest.mark.usefixtures("no_leaks")
def test_a_host_that_dies_gives_its_work_to_the_other(cluster, dask_batch, hosts):
    first, second, models = hosts
    first.hold("predict")
    outcomes = []
    worker = threading.Thread(
        target=lambda: outcomes.extend(
            dask_batch.run(cluster, models, [f"Question {n}" for n in range(20)])
        )
    )
    worker.start()
    first.expect("predict")
    first.close()
    worker.join(LIMIT)
    assert sorted(number for number, _, _ in outcomes) == list(range(20))
    assert {host for _, host, _ in outcomes} == {second.host}
    assert all(answer for _, _, answer in outcomes)


@pytest.mark.cluster
@pytest.mark.usefixtures("no_leaks")
def test_one_event_stops_everything_everywhere(cluster, dask_batch, hosts):
    from distributed import Event

    first, second, models = hosts
    for server in (first, second):
        server.reply("word " * 100_000, delay=0.001, repeat=20)
    outcomes = []
    worker = threading.Thread(
        target=lambda: outcomes.extend(
            dask_batch.run(cluster, models, [f"Question {n}" for n in range(20)])
        )
    )
    worker.start()
    for server in (first, second):
        server.wait_prediction().wait_tokens(3)
    Event(dask_batch.STOP, client=cluster).set()
    worker.join(LIMIT)
    assert not worker.is_alive()
    assert [answer for _, _, answer in outcomes] == [""] * 20
    for server in (first, second):
        for prediction in server.predictions:
            prediction.wait_finished()
            assert prediction.stop_reason == "userStopped"
    Event(dask_batch.STOP, client=cluster).clear()


@pytest.mark.cluster
def test_errors_of_one_cause_share_nothing_though_dask_changes_how_they_are_copied(server, client):
    pickling = pytest.importorskip("tblib.pickling_support", reason="did not run: no Dask here")
    pickling.install(lms.LMStudioConnectionLostError)  # as Dask does when it is imported
    model = client.llm.model()
    server.hold("predict")
    server.hold("countTokens")
    stream = model.respond_stream("hi")
    stream.start()
    server.expect("predict").fragment("one")
    counting = Worker(model.count_tokens, "hi")
    server.expect("countTokens").connection.drop()

    with pytest.raises(lms.LMStudioConnectionLostError) as lost:
        stream.result()
    assert lost.value.partial.content == "one"
    assert counting.error().partial is None
    assert stream._call.outcome.error.partial is None
    assert str(counting.error()) == str(lost.value)
