"""The name by which this program was started, so that the commands it tells can be typed."""

from __future__ import annotations

import os
import re
import sys

__all__ = ["keep_host", "program_name"]

_kept: list[str] = []  # what was typed before the command, and belongs to each that is told


def keep_host(host: str | list[str] | None) -> None:
    """Have the commands that are told ask the host that was named, if it was one."""
    hosts = host if isinstance(host, list) else [host]
    _kept.clear()
    if len(hosts) == 1 and hosts[0] is not None:
        is_plain = re.fullmatch(r"[\w.:/-]+", hosts[0])
        _kept.append("--host " + (hosts[0] if is_plain else f'"{hosts[0]}"'))


def program_name() -> str:
    """Return ``lmstudio``, or what runs the package, such as ``python -m lmstudio``; its host."""
    return " ".join([_program(), *_kept])


def _program() -> str:
    file = os.path.basename(sys.argv[0] if sys.argv else "")
    name = file[:-4] if file.lower().endswith((".exe", ".pyz")) else file
    if name and not name.endswith((".py", "-c")) and name != "-m":
        return name
    python = os.path.basename(sys.executable or "python")
    return f"{python[:-4] if python.lower().endswith('.exe') else python} -m lmstudio"
