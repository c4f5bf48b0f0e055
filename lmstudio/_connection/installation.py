"""Where LM Studio is installed, as its own files say, and how it is started without a window."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import attrs

from ..errors import LMStudioOSError
from .discovery import home_pointer, lm_studio_home, read_small_file
from .trusted_files import check_trusted

# In LM Studio's folder, and the argument that has it run without a window. llmster has none.
_FILES = (
    ("llmster-install-location.json", None),
    ("app-install-location.json", "--run-as-service"),
)


@attrs.frozen
class Installation:
    """An LM Studio, or llmster, that can be started.

    Attributes:
        path: The program.
        arguments: What it is started with.
        folder: Where it is started.
        named_by: LM Studio's file that names it.
    """

    path: Path
    arguments: list[str]
    folder: Path
    named_by: Path

    def start(self) -> subprocess.Popen[bytes]:
        """Start it by itself: it outlives this process, and has nothing of it but the environment.

        Raises:
            LMStudioOSError: It cannot be started.
        """
        environment = dict(os.environ)
        options: dict[str, Any] = {"start_new_session": True}  # Ctrl-C and the terminal's end
        if sys.platform == "win32":
            # No window of a console, also for what it starts itself; Ctrl-C does not reach it.
            flags = subprocess.CREATE_NO_WINDOW | subprocess.CREATE_NEW_PROCESS_GROUP
            options = {"creationflags": flags}
        elif sys.platform == "linux":
            environment.setdefault("DISPLAY", ":0")  # as `lms` does
        try:
            return subprocess.Popen(
                [str(self.path), *self.arguments],
                cwd=self.folder,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                close_fds=True,
                **options,
            )
        except (OSError, ValueError) as error:  # a name may be none to the system
            raise LMStudioOSError(
                f"LM Studio could not be started: {str(self.path)!r}, which "
                f"{str(self.named_by)!r} names: {error}"
            ) from None


def find_installation() -> Installation:
    """Return what LM Studio's files name: llmster, else the app.

    Raises:
        LMStudioOSError: None of them names a program that is there; or one of them, or that
            program, could have been changed by other users.
    """
    looked_at = []
    try:
        pointer, home = home_pointer(), lm_studio_home()
    except (OSError, RuntimeError) as error:  # as of a home folder that nobody knows
        raise _not_found([str(error)]) from None
    if os.path.lexists(pointer):
        check_trusted(pointer)
    for name, argument in _FILES:
        file = home.absolute() / ".internal" / name
        if not os.path.lexists(file):
            looked_at.append(f"there is no {str(file)!r}")
            continue
        check_trusted(file)
        found = _read(file)
        if isinstance(found, str):
            looked_at.append(f"{str(file)!r} {found}")
            continue
        path, folder, is_folder_run = found
        check_trusted(path)
        if is_folder_run:
            check_trusted(folder)
        arguments = ["."] if is_folder_run else []
        return Installation(path, arguments + ([argument] if argument else []), folder, file)
    raise _not_found(looked_at)


def _read(file: Path) -> tuple[Path, Path, bool] | str:
    """Return the program, its folder, and whether it runs what is in there; or what is wrong."""
    try:
        named = json.loads(read_small_file(file))
        path, argv, cwd = named["path"], named.get("argv"), named.get("cwd")
        if not (isinstance(path, str) and path):
            raise TypeError
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return "names no program"
    if not os.path.isabs(path):
        return f"names {path!r}, which is no absolute path"
    if not os.path.isfile(path):
        return f"names {path!r}, which is not there"
    folder = Path(cwd) if isinstance(cwd, str) and os.path.isabs(cwd) else Path(path).parent
    # That of a developer of LM Studio: Electron, which runs what is in the folder.
    is_folder_run = isinstance(argv, list) and argv[1:2] == ["."]
    return Path(path), folder, is_folder_run


def _not_found(looked_at: list[str]) -> LMStudioOSError:
    return LMStudioOSError(
        "No LM Studio answers on this machine, and none was found that could be started: "
        f"{'; '.join(looked_at)}. Install LM Studio (https://lmstudio.ai) and run it once, so that "
        "it notes where it is; or start it yourself."
    )
