"""What is shown to users who test their applications passes, where they have nothing of ours.

Each example runs in a pytest of its own, in a folder outside of this project: the fixtures come
from the installed plugin alone.
"""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import lmstudio as lms

ROOT = Path(__file__).parent.parent
LIMIT = 50.0  # seconds


def run_pytest(folder):
    """Run the tests in a folder, warnings being errors; return how many passed (none may fail)."""
    inherited = {key: value for key, value in os.environ.items() if not key.startswith("PYTEST_")}
    done = subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "-q", "-W", "error"),
            *(
                "-p",
                "no:cacheprovider",
                "-p",
                "no:asyncio",
            ),  # it warns of what is not set for it
        ],
        cwd=folder,
        env={**inherited, "PYTHONDONTWRITEBYTECODE": "1"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=LIMIT,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    outcome = re.search(r"^(\d+) passed(?:, \d+ skipped)? in ", done.stdout, re.MULTILINE)
    assert outcome, done.stdout
    return int(outcome[1])


def test_the_tests_of_the_example_application_pass(tmp_path):
    folder = shutil.copytree(ROOT / "examples" / "testing", tmp_path / "testing")
    assert run_pytest(folder) >= 9


def test_the_agent_is_stopped_in_the_middle_of_a_call_of_an_mcp_server(tmp_path):
    done = subprocess.run(
        [sys.executable, "-W", "error", ROOT / "examples" / "agent_plugin.py"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=LIMIT,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    first, *lines = done.stdout.splitlines()
    assert first == "tools: search"
    assert lines[:3] == [f"  tool 0: searching shelf {shelf} of 100" for shelf in (1, 2, 3)]
    assert lines[-3:] == [
        "rounds 1, cancelled True: cancel_event was set",
        "chat system, user, assistant, tool",
        "the server saw: search({'query': 'light'}) aborted",
    ]


def test_the_tests_on_the_page_about_testing_pass(tmp_path):
    page = (ROOT / "docs" / "testing.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```python\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    tests = [block for block in blocks if re.search(r"^def test_", block, re.MULTILINE)]
    for number, block in enumerate(tests):
        (tmp_path / f"test_{number}.py").write_text(block)
    assert run_pytest(tmp_path) >= len(tests) > 3


def test_the_tests_of_the_tutorial_pass_after_each_step(tmp_path):
    page = (ROOT / "docs" / "tutorials" / "testing.md").read_text(encoding="utf-8")
    passed = []
    for step in page.split("\n## Step ")[1:]:
        for block in re.findall(r"^```python\n(.*?)^```", step, re.MULTILINE | re.DOTALL):
            (tmp_path / re.match(r"# (\w+\.py)\n", block)[1]).write_text(block)
        passed.append(run_pytest(tmp_path))
    assert passed == [1, 3, 6]


@pytest.mark.skipif(sys.version_info < (3, 11), reason="Python reads TOML from 3.11 on")
def test_the_script_on_the_page_about_testing_can_be_played(tmp_path):
    page = (ROOT / "docs" / "testing.md").read_text(encoding="utf-8")
    (script,) = re.findall(r"^```toml\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    (tmp_path / "replies.toml").write_text(script)
    command = ["-m", "lmstudio.testing", "--port", "0", "--script", "replies.toml"]
    server = subprocess.Popen(
        [sys.executable, *command], cwd=tmp_path, stdout=subprocess.PIPE, text=True
    )
    try:
        host = server.stdout.readline().split()[-1]
        with lms.Client(host) as client:
            model = client.llm.model()
            assert model.respond("What colour is it?").content == "It is green."
            with pytest.raises(lms.LMStudioServerError, match="Out of memory"):
                model.respond("Count.")
    finally:
        server.terminate()
        server.communicate(timeout=LIMIT)
