"""examples/dask_batch.py: a whole program over a Dask cluster."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from batch.storms import Echo, Host
from helpers import end_session

EXAMPLE = Path(__file__).parents[2] / "examples" / "dask_batch.py"
LIMIT = 50.0  # seconds

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning"),
]


@pytest.fixture
def journal(tmp_path):
    return tmp_path / "answers.jsonl"


@pytest.fixture
def start(journal):
    """Starts the program, and ends it at last."""
    pytest.importorskip("distributed", reason="did not run: Dask is not here")
    started = []

    def start(studios):
        command = [sys.executable, "-u", EXAMPLE, journal, *(studio.host for studio in studios)]
        process = subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        end_session(process, LIMIT)


def records(journal):
    return [json.loads(line) for line in journal.read_text(encoding="utf-8").splitlines()]


def test_an_lm_studio_is_killed_in_the_middle_and_each_question_has_one_answer(
    start, studios, journal
):
    studios[1].server.hold("predict")
    process = start(studios)
    studios[1].server.expect("predict", timeout=30)
    lines = [process.stdout.readline() for _ in range(20)]
    studios[1].kill()
    lines += process.stdout  # (`communicate` would lose what is in its buffer)
    errors = process.stderr.read()
    assert process.wait(LIMIT) == 0, errors
    totals = lines.pop()
    assert totals.startswith("100 of 100")
    assert sorted(int(line.partition(" ")[0]) for line in lines) == list(range(100))
    written = records(journal)
    assert sorted(record["index"] for record in written) == list(range(100))
    for record in written:
        number = record["index"]
        assert record["content"] == f"to Say in one word what {number} times {number} is."
    assert {record["host"].partition(" of ")[0] for record in written} == {
        studios[0].host,
        studios[2].host,
    }


def test_a_program_that_was_killed_goes_on_with_the_same_command(start, journal):
    with Host(engine=Echo(delay=0.1), parallel=2) as studio:
        process = start([studio])
        for _ in range(20):
            process.stdout.readline()
        process.kill()
        process.communicate(timeout=LIMIT)
        before = records(journal)
        assert 20 <= len(before) < 100
    with Host(engine=Echo(), parallel=4) as studio:
        output, errors = start([studio]).communicate(timeout=LIMIT)
    assert output.splitlines()[-1].startswith("100 of 100"), errors
    after = records(journal)
    assert after[: len(before)] == before
    assert sorted(record["index"] for record in after) == list(range(100))
