"""A fake LM Studio in a home folder of its own: its files name a program that is our own server."""

import json
import os
import signal
import sys
import time
from pathlib import Path

from helpers import WINDOWS, eventually

ROOT = Path(__file__).parents[2]
LIMIT = 60.0  # seconds in which an embedded server must have started, on a busy machine


class Installation:
    """What is in the home folder; `processes()` are those that were started and still run."""

    def __init__(self, user, home=None):
        self.user = user
        self.home = home or user / ".lmstudio"
        self.internal = self.home / ".internal"
        self.internal.mkdir(parents=True)
        for folder in (self.home, self.internal):
            folder.chmod(0o755)
        self.info = self.internal / "http-server.json"
        self.log = user / "started.txt"

    def program(self, name, code):
        """Write a program that notes how it was started, and then runs some code of Python."""
        script = self.user / f"{name}.py"
        script.write_text(
            "import json, os, sys, time\n"
            f"log = {str(self.log)!r}\n"
            "entry = {'pid': os.getpid(), 'name': sys.argv[1], 'arguments': sys.argv[2:],\n"
            "         'cwd': os.getcwd(), 'display': os.environ.get('DISPLAY')}\n"
            "with open(log, 'a') as file:\n"
            "    file.write(json.dumps(entry) + '\\n')\n"
            f"sys.path.insert(0, {str(ROOT)!r})\n"
            f"{code}\n",
            encoding="utf-8",
        )
        if WINDOWS:
            path = self.user / f"{name}.cmd"
            # %~dp0 is its own folder; cmd reads files in a code page of its own
            path.write_text(f'@"{sys.executable}" "%~dp0{script.name}" {name} %*\n')
        else:
            path = self.user / name
            path.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{script}" {name} "$@"\n')
        path.chmod(0o755)
        script.chmod(0o644)
        return path

    def server(self, name="llmster", before=""):
        """A program that is a server, and notes its port."""
        return self.program(
            name,
            f"{before}\n"
            "from lmstudio.testing.__main__ import main\n"
            f"sys.exit(main(['--port', '0', '--info-file', {str(self.info)!r}]))",
        )

    def name(self, path, file="llmster", **more):
        """Write the file in which LM Studio notes where it is."""
        target = self.internal / f"{file}-install-location.json"
        named = {"path": str(path), "argv": [str(path)], "cwd": str(self.user), **more}
        target.write_text(json.dumps(named))
        target.chmod(0o644)
        return target

    def started(self):
        """What the programs have noted, in order."""
        if not self.log.exists():
            return []
        return [json.loads(line) for line in self.log.read_text().splitlines()]

    def expect(self, count):
        """Wait until so many programs have noted how they were started."""
        eventually(lambda: len(self.started()) >= count, LIMIT)
        assert len(self.started()) == count

    def stop(self):
        """End all that was started."""
        for entry in self.started():
            _end(entry["pid"])


def _end(pid):
    if WINDOWS:
        try:
            os.kill(pid, signal.SIGTERM)
        except OSError:
            pass
        return
    deadline = time.monotonic() + LIMIT
    try:
        os.kill(pid, signal.SIGKILL)
        while time.monotonic() < deadline:  # until it is gone, also from the list of processes
            os.kill(pid, 0)
            time.sleep(0.005)
    except OSError:
        pass


def wait_until_it_ends(entry):
    """Wait for a process of a program to end, and to be gone from the list of processes."""

    eventually(lambda: not _is_running(entry["pid"]), LIMIT)


def _is_running(pid):
    if WINDOWS:  # os.kill(pid, 0) would be Ctrl-C there
        return _windows_runs(pid)
    try:
        os.kill(pid, 0)
    except OSError:
        return False
    return True


def _windows_runs(pid):
    import _winapi

    synchronize = 0x100000  # the right to wait for it
    try:
        handle = _winapi.OpenProcess(synchronize, False, pid)
    except OSError:
        return False
    try:
        return _winapi.WaitForSingleObject(handle, 0) == _winapi.WAIT_TIMEOUT
    finally:
        _winapi.CloseHandle(handle)
