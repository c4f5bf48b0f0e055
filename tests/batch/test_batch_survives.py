"""Servers are killed through a batch, and so is the process itself: each input has one outcome."""

import collections
import json
import os
import random
import subprocess
import sys
import threading
import time
from contextlib import ExitStack
from pathlib import Path

import pytest
from batch.storms import Echo, Host, Storm

import lmstudio as lms
from lmstudio._batch import hosts as _hosts

LIMIT = 50.0  # seconds of one run of the program
SIZES = [300, pytest.param(5_000, marks=[pytest.mark.long, pytest.mark.timeout(400)])]

# asyncio loses sight of what connects while its server is closed.
pytestmark = pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")


def questions(count):
    """Of every three two are equal."""
    return [f"Question {number - (number % 3 == 1)}" for number in range(count)]


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch):
    monkeypatch.setattr(_hosts, "LONGEST_PAUSE", 0.2)


@pytest.mark.parametrize("ordered", [True, False])
@pytest.mark.parametrize("count", SIZES)
def test_a_storm_over_three_hosts_loses_nothing_and_doubles_nothing(count, ordered):
    inputs = questions(count)
    with ExitStack() as stack:
        hosts = [
            stack.enter_context(Host(engine=Echo(seed, faults=0.03, delay=0.004)))
            for seed in range(3)
        ]
        clients = [stack.enter_context(lms.Client(host.host)) for host in hosts]
        models = [client.llm.model() for client in clients]
        batch = lms.respond_many(
            models, iter(inputs), max_parallel=8, ordered=ordered, retries=20, timeout=20
        )
        outcomes = []
        with Storm(hosts[:2], pause=0.3) as storm:
            for outcome in batch:
                outcomes.append(outcome)
                if len(outcomes) == count // 2:
                    hosts[2].kill()  # for good
        assert storm.kills or count < 1000
    indices = [outcome.index for outcome in outcomes]
    assert (indices if ordered else sorted(indices)) == list(range(count))
    assert [inputs[outcome.index] for outcome in outcomes] == [
        outcome.input for outcome in outcomes
    ]
    assert not [outcome for outcome in outcomes if outcome.error]
    assert all(outcome.result.content == f"to {outcome.input}" for outcome in outcomes)
    assert list(batch.unfinished()) == []
    assert batch.numbers.done == count
    assert batch.numbers.retried == sum(outcome.attempts - 1 for outcome in outcomes) > 0


PROGRAM = """
import sys
import lmstudio as lms
from lmstudio._batch import hosts
from batch.test_batch_survives import questions
hosts.LONGEST_PAUSE = 0.2
journal, count, *names = sys.argv[1:]
models = [lms.LLM("test-llm", lms.Client(name).llm) for name in names]
inputs = questions(int(count))
batch = lms.respond_many(
    models, inputs, max_parallel=8, ordered=True, retries=20, timeout=20, journal=journal
)
for outcome in batch:
    assert outcome.result.content == "to " + inputs[outcome.index], outcome
    print(outcome.index, flush=True)
print("all")
"""


@pytest.mark.parametrize("count", SIZES)
def test_a_process_that_is_killed_ten_times_writes_each_outcome_once(tmp_path, count):
    journal = tmp_path / "out.jsonl"
    dice = random.Random(count)
    kills = 10
    with ExitStack() as stack:
        hosts = [
            stack.enter_context(Host(engine=Echo(seed, faults=0.03, delay=0.004)))
            for seed in range(3)
        ]
        names = [host.host for host in hosts]
        command = [sys.executable, "-c", PROGRAM, str(journal), str(count), *names]
        places = Path(lms.__file__).parents[1], Path(__file__).parents[1]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, places))}
        stack.enter_context(Storm(hosts[:2], pause=0.5))
        for run in range(kills + 1):
            process = subprocess.Popen(
                command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
            )
            overdue = threading.Timer(LIMIT, process.kill)
            overdue.start()
            before = _lines(journal)
            given = 0
            # At some place of what is left, counted from the first that was not there before.
            until = len(before) + max(1, (count - len(before)) // (kills + 2 - run))
            for line in process.stdout:
                given += line.strip() != "all"
                if run < kills and given >= until:
                    time.sleep(dice.uniform(0, 0.01))  # wherever it is then
                    process.kill()
                    break
            process.stdout.close()
            errors = process.stderr.read()
            process.wait()
            process.stderr.close()
            overdue.cancel()
            assert errors == ""
            # Whatever was given was there.
            assert given <= len(_lines(journal)), run
            assert _lines(journal)[: len(before)] == before
        assert process.returncode == 0
    records = _lines(journal)
    assert sorted(record["index"] for record in records) == list(range(count))
    keys = collections.Counter((record["input"], record["occurrence"]) for record in records)
    assert set(keys.values()) == {1}
    assert all("error" not in record for record in records)


def _lines(journal):
    """The whole lines of a journal."""
    data = journal.read_bytes() if journal.exists() else b""
    return [json.loads(line) for line in data.splitlines(keepends=True) if line.endswith(b"\n")]
