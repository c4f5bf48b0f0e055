"""The program of docs/apps/tk.md, on a virtual screen."""

import pytest
from apps.running import WAYS, drive, program
from desktop.gui import virtual_screen

pytestmark = pytest.mark.gui


@pytest.mark.parametrize("way", WAYS)
def test_the_reply_is_stopped(server, tmp_path, way):
    pytest.importorskip("tkinter", reason="did not run: this Python has no tkinter")
    with virtual_screen() as display:
        drive(server, tmp_path, program("tk.md", "TkDispatcher"), way, DISPLAY=display)
