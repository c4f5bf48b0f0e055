"""What the tests of the terminal programs share."""

import pytest
from helpers import HOME


@pytest.fixture
def data_home(tmp_path, monkeypatch):
    """A home of its own for what `chat` keeps; the folder of its conversations and typed lines."""
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv(HOME, str(home))
    monkeypatch.setenv("XDG_DATA_HOME", str(home / "data"))
    monkeypatch.setenv("WIN_PD_OVERRIDE_LOCAL_APPDATA", str(home / "data"))
    monkeypatch.setenv("LOCALAPPDATA", str(home / "data"))
    return home / "data" / "lmstudio-chat"
