"""The clock that no test of a user's program replaces by accident."""

import ast
import time
from pathlib import Path

import lmstudio as lms
from lmstudio._concurrency import clock, deadline


def test_the_clock_is_that_of_python(monkeypatch):
    before = time.monotonic()

    assert before <= clock.monotonic() <= time.monotonic()


def test_nobody_finds_these_functions_who_looks_for_those_of_the_module():
    assert clock.monotonic is not time.monotonic
    assert clock.sleep is not time.sleep
    assert deadline.monotonic is clock.monotonic


def test_a_clock_that_stands_still_stops_nothing(server, monkeypatch):
    now = time.monotonic()
    with lms.Client(server.host) as client:
        model = client.llm.model()
        with monkeypatch.context() as frozen:
            frozen.setattr(time, "monotonic", lambda: now)
            frozen.setattr(time, "sleep", lambda seconds: None)
            server.hold("countTokens")
            token = lms.CancelToken.after(0.01)
            assert token.wait(timeout=5)
            try:
                model.count_tokens("a", timeout=0.05)
            except lms.LMStudioTimeoutError:
                timed_out = True
        assert timed_out


def test_no_other_file_of_the_package_knows_the_time():
    package = Path(lms.__file__).parent
    found = []
    for path in package.rglob("*.py"):
        # The embedded server and the terminal programs are no part of a user's program.
        if {"testing", "cli"} & set(path.relative_to(package).parts) or path.name == "clock.py":
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and not node.level:
                names = [node.module]
            else:
                continue
            found += [f"{path.name}: {name}" for name in names if name in ("time", "datetime")]

    assert found == []
