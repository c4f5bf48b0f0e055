"""The programs of docs/apps/qt.md, offscreen: with a dispatcher, and with a QThread."""

import pytest
from apps.running import WAYS, drive, program

pytestmark = pytest.mark.apps
PROGRAMS = {
    "dispatcher": program("qt.md", "QtDispatcher"),
    "thread": program("qt.md", "QThread"),
}


@pytest.mark.parametrize("program", PROGRAMS.values(), ids=PROGRAMS)
@pytest.mark.parametrize("way", WAYS)
def test_the_reply_is_stopped(server, tmp_path, way, program):
    pytest.importorskip("PySide6.QtWidgets", reason="did not run: PySide6 is not here")
    drive(server, tmp_path, program, way, QT_QPA_PLATFORM="offscreen")
