"""The program of docs/apps/tk.md, on a virtual screen."""

import pytest
from apps.running import WAYS, drive, program
from desktop.gui import virtual_screen

pytestmark = pytest.mark.apps


@pytest.mark.parametrize("way", WAYS)
def test_the_reply_is_stopped(server, tmp_path, way):
    pytest.importorskip("tkinter", reason="did not run: this Python has no tkinter")
    with virtual_screen() as display:
        drive(server, tmp_path, program("tk.md", "TkDispatcher"), way, DISPLAY=display)


@pytest.mark.parametrize("way", WAYS)
def test_the_same_in_customtkinter(server, tmp_path, way):
    pytest.importorskip("customtkinter", reason="did not run: customtkinter is not here")
    changed = program("tk.md", "TkDispatcher").replace("import tkinter", "import customtkinter")
    for old, new in NAMES.items():
        assert old in changed
        changed = changed.replace(old, new)
    with virtual_screen() as display:
        drive(server, tmp_path, changed, way, DISPLAY=display)


NAMES = {  # as the page says
    "tk.Tk()": "tk.CTk()",
    "tk.Text": "tk.CTkTextbox",
    "tk.Entry": "tk.CTkEntry",
    "tk.Button": "tk.CTkButton",
    "stop.config": "stop.configure",
}
