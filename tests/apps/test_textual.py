"""The program of docs/apps for Textual, headless."""

import pytest
from apps.running import WAYS, drive, program

pytestmark = pytest.mark.apps


@pytest.mark.parametrize("way", WAYS)
def test_the_reply_is_stopped(server, tmp_path, way):
    pytest.importorskip("textual", reason="did not run: Textual is not here")
    drive(server, tmp_path, program("README.md", "from textual"), way)
