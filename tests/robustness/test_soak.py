"""`make soak` runs, as a program of its own: for a second here."""

import subprocess
import sys
from pathlib import Path

import pytest
from helpers import WINDOWS

SOAK = Path(__file__).with_name("soak.py")


@pytest.mark.skipif(WINDOWS, reason="it counts memory and descriptors in POSIX' way")
def test_a_second_under_load_ends_with_client_and_server_agreeing():
    command = [sys.executable, SOAK, "--seconds=1"]

    done = subprocess.run(command, capture_output=True, text=True, timeout=50)

    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines()[-1] == "all agree"
