"""What the tests of apps share: programs of docs/apps in a process of their own, and their end."""

import contextlib
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

from helpers import cancels, found_by_programs

HERE = Path(__file__).parent
PAGES = HERE.parents[1] / "docs" / "apps"
LIMIT = 20.0  # seconds
STORY = "word " * 10_000  # with a delay of 2 ms it takes longer than any test looks at it
WAYS = ["stop", "early", "window", "end"]  # see drive.py


def programs(page):
    """The programs of a page of docs/apps."""
    text = (PAGES / page).read_text(encoding="utf-8")
    return re.findall(r"^```python\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


def program(page, words):
    """The only program of a page that has these words."""
    (found,) = (program for program in programs(page) if words in program)
    return found


@contextlib.contextmanager
def running(command, server, tmp_path, stdin=None, **environment):
    """A process whose `lms.llm()` is the server's, ended at the end if it still runs."""
    name, path = found_by_programs(server, tmp_path)
    environment = {
        **os.environ,
        name: path,
        "PYTHONPATH": os.pathsep.join([str(HERE.parents[1]), os.environ.get("PYTHONPATH", "")]),
        "PYTHONUNBUFFERED": "1",
        **environment,
    }
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    options["stdin"] = subprocess.DEVNULL if stdin is None else stdin
    with subprocess.Popen(command, cwd=tmp_path, env=environment, **options) as process:
        try:
            yield process
        finally:
            if process.poll() is None:
                process.kill()


def drive(server, tmp_path, program, way, **environment):
    """Run a program that has a window to its end, driven by drive.py; its reply is stopped once."""
    server.reply(STORY, delay=0.002, prefill=60 if way == "early" else 0)
    (tmp_path / "program.py").write_text(program, encoding="utf-8")
    command = [sys.executable, HERE / "drive.py", tmp_path / "program.py", way]
    with running(command, server, tmp_path, **environment) as process:
        if way == "early":
            server.wait_prediction(timeout=LIMIT).wait_phase("prefill")
            (tmp_path / "asked").touch()
        stdout, stderr = process.communicate(timeout=LIMIT * 2)
    stderr = stderr.replace("This plugin does not support propagateSizeHints()\n", "")
    assert (process.returncode, stdout, stderr) == (0, "ended\n", "")
    prediction = assert_stopped_once(server)
    if way == "early":
        assert prediction.cancelled_after == 0


def end(process, number=signal.SIGTERM):
    """Send a signal that ends a process; gives what it wrote to stderr."""
    process.send_signal(number)
    _, stderr = process.communicate(timeout=LIMIT)
    return stderr


def assert_stopped_once(server):
    """The server's only prediction, which must have got one cancel, before it was finished."""
    (prediction,) = server.predictions
    prediction.wait_finished(LIMIT)
    assert prediction.cancelled_after is not None
    assert len(cancels(server)) == 1
    return prediction
