"""The example that classifies 2,000 rows by two hosts, with failures, Ctrl-C and a resume."""

import csv
import json
import random
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from batch.storms import Echo
from helpers import eventually, needs_signals

from lmstudio.testing import Fault, Server

EXAMPLE = Path(__file__).parents[2] / "examples" / "classify.py"
LIMIT = 50.0  # seconds
COUNT = 2_000
MOST_LINES = 25


class Labels(Echo):
    """Answers with JSON that fits, but for some that does not, and some that fail."""

    def __init__(self, seed):
        super().__init__(seed)
        self._luck = random.Random(seed)

    def generate(self, request):
        luck = self._luck.random()
        if luck < 0.02:
            yield Fault("error", "Out of luck")
        elif luck < 0.04:
            yield Fault("drop")
        elif luck < 0.06:
            yield '{"topic": '
        else:
            number = int(request.last_user_text.split()[-1])
            yield json.dumps({"topic": f"topic {number}", "is_complaint": number % 2 == 0})


def start(folder, hosts):
    command = [sys.executable, EXAMPLE, folder / "rows.csv", folder / "out.csv", *hosts]
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, encoding="utf-8"
    )


def test_it_is_as_short_as_it_claims():
    _, _, code = EXAMPLE.read_text(encoding="utf-8").split('"""', 2)
    assert len([line for line in code.splitlines() if line.strip()]) <= MOST_LINES


@needs_signals
def test_two_thousand_rows_with_failures_ctrl_c_and_a_resume(tmp_path):
    pytest.importorskip("pydantic", reason="did not run: pydantic is not here")
    with (tmp_path / "rows.csv").open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["id", "text"])
        table.writerows([f"row {number}", f"Message {number}"] for number in range(COUNT))
    with Server(engine=Labels(1)) as first, Server(engine=Labels(2)) as second:
        hosts = [first.host, second.host]
        process = start(tmp_path, hosts)
        journal = tmp_path / "out.csv.journal"
        eventually(lambda: journal.exists() and journal.read_bytes().count(b"\n") > 300, LIMIT)
        process.send_signal(signal.SIGINT)
        output, errors = process.communicate(timeout=LIMIT)
        assert errors.rstrip().endswith("KeyboardInterrupt")
        assert " of 2,000" in output
        assert not (tmp_path / "out.csv").exists()
        answered = journal.read_bytes().count(b"\n")
        assert 300 < answered < COUNT

        process = start(tmp_path, hosts)
        output, errors = process.communicate(timeout=LIMIT)
    assert (process.returncode, errors) == (0, "")
    assert output.startswith("2,000 of 2,000, ")
    assert " retried" in output
    with (tmp_path / "out.csv").open(newline="") as file:
        rows = list(csv.reader(file))
    assert rows.pop(0) == ["id", "topic", "is_complaint", "error"]
    assert [row[0] for row in rows] == [f"row {number}" for number in range(COUNT)]
    for number, (_, topic, is_complaint, error) in enumerate(rows):
        assert (topic, is_complaint, error) == (f"topic {number}", str(number % 2 == 0), "")
    ids = [json.loads(line)["id"] for line in journal.read_bytes().splitlines()]
    assert len(ids) == len(set(ids)) == COUNT
