"""The program of docs/apps for wx, on a virtual screen."""

import importlib.util

import pytest
from apps.running import WAYS, drive, program
from desktop.gui import virtual_screen

pytestmark = pytest.mark.apps


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.skipif(importlib.util.find_spec("wx") is None, reason="did not run: wx is not here")
def test_the_reply_is_stopped(server, tmp_path, way):
    with virtual_screen() as display:
        drive(server, tmp_path, program("README.md", "import wx"), way, DISPLAY=display)
