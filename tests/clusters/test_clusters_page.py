"""The programs of docs/clusters.md, each in a process of its own, with an LM Studio beside it."""

import importlib.util
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from clusters.conftest import needs_dask
from helpers import end_session, found_by_programs, needs_signals

pytestmark = pytest.mark.cluster

PAGE = Path(__file__).parents[2] / "docs" / "clusters.md"
BLOCKS = re.findall(r"^```python\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL)
DASK_BATCH, DASK_TASK, RAY = BLOCKS
LIMIT = 50.0  # seconds

needs_ray = pytest.mark.skipif(
    importlib.util.find_spec("ray") is None, reason="did not run: Ray is not here"
)


@pytest.fixture
def start(server, tmp_path):
    """Starts a program that finds `server` as the LM Studio of its machine."""
    name, path = found_by_programs(server, tmp_path)
    environment = {
        **os.environ,
        name: path,
        "RAY_AUTH_MODE": "disabled",
        "RAY_USAGE_STATS_ENABLED": "0",
    }
    started = []

    def start(program):
        (tmp_path / "program.py").write_text(program)
        process = subprocess.Popen(
            [sys.executable, "-u", tmp_path / "program.py"],
            cwd=tmp_path,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,  # so that Ctrl-C is only its own
        )
        started.append(process)
        return process

    yield start
    for process in started:
        end_session(process, LIMIT)


def numbers(lines):
    return sorted(int(line.partition(" ")[0]) for line in lines)


@needs_dask
def test_a_batch_over_the_workers_of_dask(server, start, tmp_path):
    server.reply("Once upon a time.", repeat=20)
    output, errors = start(DASK_BATCH).communicate(timeout=LIMIT)
    *lines, totals = output.splitlines()
    assert numbers(lines) == list(range(20)), errors
    assert all("Once upon a time." in line for line in lines)
    assert totals.startswith("20, ")
    assert (tmp_path / "stories.jsonl").read_bytes().count(b"\n") == 20


@needs_dask
def test_a_task_of_dask_that_takes_too_long_stops_its_model(server, start):
    server.reply("word " * 100_000, delay=0.001)
    process = start(DASK_TASK)
    output, errors = process.communicate(timeout=LIMIT)
    assert (process.returncode, output) == (0, ""), errors
    (prediction,) = server.predictions
    prediction.wait_finished()
    assert prediction.stop_reason == "userStopped"


@needs_ray
@pytest.mark.timeout(120)
def test_tasks_of_ray_answer_all_inputs(server, start):
    server.reply("Once upon a time.", repeat=20)
    process = start(RAY)
    output, errors = process.communicate(timeout=100)
    assert process.returncode == 0, errors
    lines = [line for line in output.splitlines() if "Once upon a time." in line]
    assert numbers(lines) == list(range(20))


@needs_ray
@needs_signals
@pytest.mark.timeout(120)
def test_ctrl_c_in_a_program_over_ray_stops_its_models(server, start):
    server.reply("word " * 100_000, delay=0.001, repeat=20)
    process = start(RAY)
    running = [server.wait_prediction(number, timeout=60) for number in range(4)]
    for prediction in running:
        prediction.wait_tokens(2)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert "KeyboardInterrupt" in errors
    for prediction in running:
        prediction.wait_finished()
        assert prediction.cancelled_after is not None  # or its worker was ended


CANCEL = """
ray.init()
task = ask.remote(lms.llm(), 0, "Tell me a long story.")
input()
ray.cancel(task)
try:
    ray.get(task)
except ray.exceptions.TaskCancelledError:
    print("cancelled")
input()
ray.shutdown()
"""


@needs_ray
@pytest.mark.timeout(120)
def test_a_task_of_ray_that_is_cancelled_stops_its_model(server, start):
    server.reply("word " * 100_000, delay=0.001)
    process = start(RAY.partition("ray.init()")[0] + CANCEL)
    prediction = server.wait_prediction(timeout=60)
    prediction.wait_tokens(2)
    process.stdin.write("\n")
    process.stdin.flush()
    assert process.stdout.readline() == "cancelled\n"
    prediction.wait_finished()
    assert prediction.cancelled_after is not None
    assert server.received(type="channelSend")  # it was told, and not only left
    process.communicate("\n", timeout=60)
