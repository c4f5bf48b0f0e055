"""The program of docs/apps for Kivy, on a virtual screen."""

import importlib.util

import pytest
from apps.running import WAYS, drive, program
from desktop.gui import virtual_screen

pytestmark = pytest.mark.apps


# Not importorskip: an import in pytest's process would take over its sys.argv and its logging.
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.skipif(
    importlib.util.find_spec("kivy") is None, reason="did not run: Kivy is not here"
)
def test_the_reply_is_stopped(server, tmp_path, way):
    quiet = {"KIVY_NO_CONSOLELOG": "1", "KIVY_NO_ARGS": "1", "KIVY_HOME": str(tmp_path)}
    with virtual_screen() as display:
        drive(server, tmp_path, program("README.md", "from kivy"), way, DISPLAY=display, **quiet)
