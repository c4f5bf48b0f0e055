"""The program of docs/apps for Celery: a worker with a pool of processes, and a broker of files."""

import signal
import sys

import pytest
from apps.running import LIMIT, STORY, assert_stopped_once, end, program, running
from helpers import WINDOWS

pytestmark = [pytest.mark.apps, pytest.mark.skipif(WINDOWS, reason="Celery has no Windows")]
SETTINGS = """
broker_url = "filesystem://"
broker_transport_options = {"data_folder_in": "queue", "data_folder_out": "queue"}
broker_transport_options["control_folder"] = "control"
broker_connection_retry_on_startup = True
result_backend = "file://results"
worker_concurrency = 1
"""


@pytest.fixture
def worker(server, tmp_path):
    pytest.importorskip("celery", reason="did not run: Celery is not here")
    for folder in ("queue", "control", "results"):
        (tmp_path / folder).mkdir()
    (tmp_path / "celeryconfig.py").write_text(SETTINGS)
    text = program("README.md", "import celery")
    (tmp_path / "program.py").write_text(text, encoding="utf-8")
    command = [sys.executable, "-m", "celery", "-A", "program", "worker", "--loglevel", "ERROR"]
    with running(command, server, tmp_path) as process:
        yield process


def caller(server, tmp_path, source):
    """Run a program that calls tasks, and gives what it printed."""
    command = [sys.executable, "-c", "from program import *\n" + source]
    with running(command, server, tmp_path) as process:
        stdout, stderr = process.communicate(timeout=LIMIT)
    assert process.returncode == 0, stderr
    return stdout.strip()


@pytest.mark.parametrize("prefill", [0, 60])
def test_an_abort_stops_the_model_and_keeps_what_had_come(server, worker, tmp_path, prefill):
    server.reply(STORY, delay=0.002, prefill=prefill)
    name = caller(server, tmp_path, "print(reply.delay('Tell me a long story.').id)")
    prediction = server.wait_prediction(timeout=LIMIT)
    prediction.wait_phase("prefill") if prefill else prediction.wait_tokens(20)
    abort = f"task = reply.AsyncResult({name!r}); task.abort()"
    caller(server, tmp_path, abort)
    assert_stopped_once(server)
    assert "Traceback" not in end(worker)


@pytest.mark.parametrize("number", ["SIGUSR1", "SIGTERM"])
def test_a_revoked_task_stops_its_model(server, worker, tmp_path, number):
    server.reply(STORY, delay=0.002)
    name = caller(server, tmp_path, "print(reply.delay('Tell me a long story.').id)")
    server.wait_prediction(timeout=LIMIT).wait_tokens(20)
    caller(server, tmp_path, f"app.control.revoke({name!r}, terminate=True, signal={number!r})")
    prediction = server.predictions[0].wait_finished(LIMIT)
    assert prediction.tokens_sent < 10_000  # by a cancel, or by the end of the process


def test_the_end_of_the_worker_stops_the_model(server, worker, tmp_path):
    server.reply(STORY, delay=0.002)
    caller(server, tmp_path, "reply.delay('Tell me a long story.')")
    server.wait_prediction(timeout=LIMIT).wait_tokens(20)
    worker.send_signal(signal.SIGQUIT)  # after one, as after SIGTERM, Celery waits for the task
    told = any("again will terminate" in line for line in worker.stdout)
    assert told, worker.stderr.read()
    worker.send_signal(signal.SIGQUIT)
    worker.communicate(timeout=LIMIT)
    prediction = server.predictions[0].wait_finished(LIMIT)
    assert prediction.tokens_sent < 10_000
