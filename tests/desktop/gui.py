"""What the tests of the windows share: a virtual screen, a loop that is turned, a tick."""

import contextlib
import os
import shutil
import subprocess
import time

import pytest

LIMIT = 20.0  # seconds


@contextlib.contextmanager
def virtual_screen():
    """An Xvfb that runs meanwhile: gives its DISPLAY. Without Xvfb the test is skipped."""
    if shutil.which("Xvfb") is None:
        pytest.skip("did not run: there is no Xvfb here (Debian: apt-get install xvfb)")
    reader, writer = os.pipe()
    command = ["Xvfb", "-displayfd", str(writer), "-screen", "0", "800x600x24", "-nolisten", "tcp"]
    command += ["-noreset"]  # GTK connects twice; a server that has lost its only client resets
    with subprocess.Popen(command, pass_fds=[writer], stderr=subprocess.DEVNULL) as process:
        os.close(writer)
        try:
            with open(reader) as numbers:
                yield f":{int(numbers.readline())}"
        finally:
            process.terminate()


class Longest:
    """Called by a timer of a GUI every few milliseconds, it notes the longest time between."""

    def __init__(self):
        self.seconds = 0.0
        self._last = time.monotonic()

    def __call__(self):
        now = time.monotonic()
        self.seconds = max(self.seconds, now - self._last)
        self._last = now


def turn_until(turn, condition):
    """Turn a GUI's loop until a condition holds."""
    deadline = time.monotonic() + LIMIT
    while not condition():
        assert time.monotonic() < deadline, "the condition never held"
        turn()


def picture_path(name, tmp_path):
    """Where a screenshot goes: to the folder that LMSTUDIO_SCREENSHOTS names, or away."""
    folder = os.environ.get("LMSTUDIO_SCREENSHOTS")
    return os.path.join(folder, name) if folder else str(tmp_path / name)


def assert_shows_something(image):
    """A blank window has one colour."""
    colours = image.convert("RGB").getcolors(maxcolors=1 << 24)
    assert len(colours) > 20


def qt_application():
    """Qt's application, without a screen; skips the test where PySide6 cannot be used."""
    os.environ["QT_QPA_PLATFORM"] = "offscreen"
    try:
        from PySide6.QtWidgets import QApplication
    except ImportError as error:
        pytest.skip(f"did not run: PySide6 cannot be used here ({error})")
    return QApplication.instance() or QApplication([])
