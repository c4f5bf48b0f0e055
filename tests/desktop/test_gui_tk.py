"""The chat window in Tk works, on a virtual screen: runs `gui_tk_window.py` in its own process."""

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from desktop.gui import virtual_screen

WINDOW = Path(__file__).with_name("gui_tk_window.py")


@pytest.mark.gui
@pytest.mark.skipif(
    importlib.util.find_spec("_tkinter") is None, reason="did not run: this Python has no tkinter"
)
def test_the_window_in_tk_works_with_real_events(capsys):
    with virtual_screen() as display:
        done = subprocess.run(
            [sys.executable, "-m", "pytest", "-q", "-s", "-p", "no:cacheprovider", WINDOW],
            cwd=WINDOW.parent.parent,
            env={**os.environ, "DISPLAY": display},
            capture_output=True,
            text=True,
            timeout=55,
        )
    with capsys.disabled():
        print("", *re.findall("Tk's thread was held.*", done.stdout), sep="\n")
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"^\d+ passed in ", done.stdout, re.MULTILINE), done.stdout
