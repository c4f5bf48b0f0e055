"""``lmstudio batch --dask SCHEDULER``: the rows of a file, answered by the workers of a cluster."""

import os
import signal

import pytest
from cli.batch_command import Files
from clusters.conftest import needs_dask
from helpers import eventually, free_port, needs_signals

from lmstudio.testing import Server

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning"),
]


@pytest.fixture
def set_hosts(dask_client):
    """Names each worker its LM Studio, in the environment of its process."""

    def set_hosts(servers):
        hosts = [server.host for server in servers]

        def set_host(dask_worker):
            os.environ["LMSTUDIO_HOST"] = hosts[dask_worker.name]

        dask_client.run(set_host)

    yield set_hosts
    dask_client.run(lambda: os.environ.pop("LMSTUDIO_HOST", None))


@pytest.fixture
def files(tmp_path):
    return Files(tmp_path, [], count=90)


def test_an_lm_studio_is_killed_in_the_middle_and_each_row_has_one_answer(
    dask_client, studios, set_hosts, files
):
    set_hosts(studios)
    studios[1].server.hold("predict")
    process = files.start("--dask", dask_client.scheduler.address, "--parallel", "2")
    studios[1].server.expect("predict", timeout=30)
    eventually(lambda: files.has_records(20), 30)
    studios[1].kill()
    output, errors = process.communicate(timeout=40)
    assert (process.returncode, output) == (0, ""), errors
    assert sorted(files.numbers()) == list(range(1, 91))
    for row in files.rows():
        assert row["answer"] == f"to Question {row['nr']}"
    records = files.records()
    assert len(records) == 90
    hosts = {record["host"].partition(" of ")[0] for record in records}
    assert hosts == {studios[0].host, studios[2].host}


@needs_signals
def test_ctrl_c_stops_all_workers_and_one_lm_studio_goes_on(dask_client, servers, set_hosts, files):
    set_hosts(servers)
    for server in servers:
        server.reply("quick", repeat=5)
        server.reply("word " * 100_000, delay=0.001, repeat=10)
    process = files.start("--dask", dask_client.scheduler.address, "--parallel", "1")
    for server in servers:
        server.wait_prediction(5, timeout=30).wait_tokens(2)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=30)
    assert process.returncode == 130, errors
    assert "Traceback" not in errors
    for server in servers:
        server.predictions[5].wait_finished()
        assert server.predictions[5].stop_reason == "userStopped"
    assert len(files.records()) == 15

    with Server(parallel=4) as other:
        files.hosts = [other.host]
        files.run()
        assert len(other.predictions) == 75
    assert sorted(files.numbers()) == list(range(1, 91))


@needs_dask
def test_a_scheduler_that_is_not_there_is_told(files):
    scheduler = f"tcp://127.0.0.1:{free_port()}"
    assert files.run("--dask", scheduler, code=3) == (
        f"lmstudio: No Dask scheduler answers at {scheduler}.\n"
        "  Is the address right? --dask tcp://host:8786\n"
    )


def test_pictures_and_several_hosts_are_refused(files):
    errors = files.run("--dask", "tcp://127.0.0.1:1", "--image-column", "picture", code=2)
    assert "Pictures are uploaded to one LM Studio" in errors
    files.hosts = ["one:1234", "two:1234"]
    assert "one --host" in files.run("--dask", "tcp://127.0.0.1:1", code=2)


@needs_dask
def test_an_address_that_is_none_is_told(files):
    errors = files.run("--dask", "phone://1234", code=1)
    assert errors.startswith("lmstudio: --dask phone://1234: unknown address scheme")
    assert errors.count("\n") == 1
