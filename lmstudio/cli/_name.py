"""The name by which this program was started, so that the commands it tells can be typed."""

from __future__ import annotations

import os
import sys

__all__ = ["program_name"]


def program_name() -> str:
    """Return ``lmstudio``, or what runs the package, such as ``python -m lmstudio``."""
    file = os.path.basename(sys.argv[0] if sys.argv else "")
    name = file[:-4] if file.lower().endswith((".exe", ".pyz")) else file
    if name and not name.endswith((".py", "-c")) and name != "-m":
        return name
    python = os.path.basename(sys.executable or "python")
    return f"{python[:-4] if python.lower().endswith('.exe') else python} -m lmstudio"
