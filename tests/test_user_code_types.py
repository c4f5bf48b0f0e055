"""What type checkers find in code as users write it: every mistake, and nothing else."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import lmstudio

CODE = Path(__file__).with_name("typed_user_code.py")
PYRIGHT = Path(sys.prefix, "js", "node_modules", "pyright", "index.js")
LIMIT = 200  # seconds

pytestmark = pytest.mark.timeout(LIMIT + 20)


@pytest.fixture
def project(tmp_path):
    """A project of somebody's own that contains the code."""
    shutil.copy(CODE, tmp_path / "user_code.py")
    return tmp_path


@pytest.fixture
def check(project):
    """Run a type checker there, with this package among those that are installed."""
    environment = os.environ | {"PYTHONPATH": str(Path(lmstudio.__file__).parents[1])}

    def run(*command):
        return subprocess.run(
            command, cwd=project, env=environment, capture_output=True, text=True, timeout=LIMIT
        )

    return run


def wrong_lines():
    """The lines that are mistakes on purpose."""
    lines = CODE.read_text(encoding="utf-8").splitlines()
    return {number: line for number, line in enumerate(lines, 1) if line.endswith("# WRONG")}


def assert_found(problems, output):
    """Hold what was found, texts by line, against the mistakes."""
    wrong = wrong_lines()
    assert len(wrong) > 30
    assert not {line: text for line, text in problems.items() if line not in wrong}, output
    assert not {line: text for line, text in wrong.items() if line not in problems}, output


def test_mypy_finds_the_mistakes_of_users_and_nothing_else(check):
    pytest.importorskip("mypy", reason="mypy is not here: `make test` installs it")

    done = check(
        *(sys.executable, "-m", "mypy", "--strict", "--config-file=", "--cache-dir=cache"),
        *("--no-error-summary", "--output=json", "user_code.py"),
    )

    assert done.stderr == ""
    found = [json.loads(line) for line in done.stdout.splitlines()]
    errors = {one["line"]: one["message"] for one in found if one["severity"] == "error"}
    assert {one["file"] for one in found} == {"user_code.py"}
    assert_found(errors, done.stdout)


def test_pyright_finds_the_mistakes_of_users_and_nothing_else(project, check):
    node = shutil.which("node")
    if node is None or not PYRIGHT.exists():
        pytest.skip("pyright is not here: `make test` installs it where there is npm")
    settings = {"include": ["user_code.py"], "typeCheckingMode": "strict"}
    (project / "pyrightconfig.json").write_text(json.dumps(settings), encoding="utf-8")

    done = check(node, PYRIGHT, "--outputjson", "--pythonpath", sys.executable)

    assert done.stderr == ""
    report = json.loads(done.stdout)
    assert report["summary"]["filesAnalyzed"] == 1
    found = [one for one in report["generalDiagnostics"] if one["severity"] == "error"]
    errors = {one["range"]["start"]["line"] + 1: one["message"] for one in found}
    assert_found(errors, done.stdout)
