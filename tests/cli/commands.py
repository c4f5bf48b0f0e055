"""The commands of the terminal, run as real programs against an embedded server."""

import os
import subprocess
import sys

import pytest
from helpers import WINDOWS, needs_terminal

LIMIT = 90.0 if WINDOWS else 30.0  # seconds that a program may take on a busy machine
PROGRAM = [sys.executable, "-m", "lmstudio"]


def start(server, *arguments, text=True, **settings):
    """Start a command with pipes for its output; text=False: in bytes."""
    environment = {**os.environ, **settings.pop("environment", {})}
    return subprocess.Popen(
        [*PROGRAM, "--host", server.host, *map(str, arguments)],
        stdin=settings.pop("stdin", subprocess.DEVNULL),
        stdout=settings.pop("stdout", subprocess.PIPE),
        stderr=subprocess.PIPE,
        encoding="utf-8" if text else None,
        env=environment,
        **settings,
    )


def command(server, *arguments, code=0, input="", **environment):
    """Run a command to its end, which has this exit code; what it printed."""
    done = subprocess.run(
        [*PROGRAM, "--host", server.host, *map(str, arguments)],
        input=input,
        capture_output=True,
        encoding="utf-8",
        timeout=LIMIT,
        env={**os.environ, **environment},
    )
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
    return done


def typed(server):
    """How the commands begin that are told where a server was named."""
    return f"python -m lmstudio --host {server.host}"


def terminal(server, *arguments, **settings):
    """Run a command in a terminal of its own."""
    if WINDOWS:
        pytest.skip(needs_terminal.kwargs["reason"])
    pytest.importorskip("pyte")
    from cli.terminal import Terminal

    return Terminal("-m", "lmstudio", "--host", server.host, *arguments, **settings)
