"""The benchmarks run: each with tiny counts, without the other clients. No time is judged here."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.bench

BENCHMARKS = Path(__file__).parent.parent / "benchmarks"
NAMES = [
    path.stem
    for path in sorted(BENCHMARKS.glob("*.py"))
    if "def measure(rounds, scale)" in path.read_text()
]


@pytest.mark.parametrize("name", NAMES)
def test_it_runs_and_tells_what_it_found(tmp_path, name):
    command = [sys.executable, BENCHMARKS / "run.py", "--rounds=1", "--scale=0.002", "--alone"]
    done = subprocess.run(
        [*command, f"--out={tmp_path}", name], capture_output=True, text=True, timeout=50
    )

    assert done.returncode == 0, done.stderr
    results = (tmp_path / "RESULTS.md").read_text(encoding="utf-8")
    assert re.search(r"^\| .* \| .* \| .* \|$", results, re.MULTILINE)
    assert "Not here, so not measured: official lmstudio, openai, ollama." in results


def test_there_are_as_many_as_the_runner_knows():
    runner = (BENCHMARKS / "run.py").read_text(encoding="utf-8")

    assert len(NAMES) == 11
    assert all(f'"{name}"' in runner for name in NAMES)
