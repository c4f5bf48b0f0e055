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


def test_it_runs_against_an_earlier_checkout(tmp_path):
    command = [sys.executable, BENCHMARKS / "run.py", "--rounds=2", "--scale=0.002"]
    command += [f"--against={BENCHMARKS.parent}", f"--out={tmp_path}"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)

    assert done.returncode == 0, done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["AGAINST.md"]
    results = (tmp_path / "AGAINST.md").read_text(encoding="utf-8")
    assert results.startswith("## Against the earlier commit\n")
    ratios = re.findall(
        r"^\| .*: this package / the earlier commit \| .* \|$", results, re.MULTILINE
    )
    rounds = re.findall(
        r"^\| .*\| the earlier commit \|  \|( [\d.,]+ \|){3}$", results, re.MULTILINE
    )
    assert len(ratios) == len(rounds) == 13


def test_there_are_as_many_as_the_runner_knows():
    runner = (BENCHMARKS / "run.py").read_text(encoding="utf-8")

    assert len(NAMES) == 13
    assert all(f'"{name}"' in runner for name in NAMES)
