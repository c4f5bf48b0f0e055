"""Where conversations and typed lines are kept on this system."""

from __future__ import annotations

import os
import sys
from pathlib import Path

__all__ = ["conversations_folder", "typed_lines_file", "typed_path"]

_NAME = "lmstudio-chat"


def conversations_folder() -> Path:
    """Return the folder of the saved conversations, which need not exist."""
    return _data() / "conversations"


def typed_lines_file() -> Path:
    """Return the file of the lines that were typed, which need not exist."""
    return _data() / "typed.jsonl"


def typed_path(text: str) -> Path:
    """Return the path that somebody typed; what names nobody's home is left as it is.

    It may be no path at all: only `os.path` says then, without an error, that nothing is there.
    """
    return Path(os.path.expanduser(text))


def _data() -> Path:
    try:
        import platformdirs
    except ImportError:
        return _usual_data() / _NAME
    return platformdirs.user_data_path(_NAME, appauthor=False)


def _usual_data() -> Path:
    """Return the same place without platformdirs, so that installing it moves nothing."""
    if sys.platform == "win32":
        given = os.environ.get("LOCALAPPDATA", "")
        return Path(given) if given else Path.home() / "AppData" / "Local"
    given = os.environ.get("XDG_DATA_HOME", "").strip()
    if given:
        return Path(given)
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Application Support"
    return Path.home() / ".local" / "share"
