"""What to say where files of the official package, which has the same name, lie among ours.

Two installers, or pip with --ignore-installed, put both packages into one folder: the last has the
files that both have, others of the first are left. Imported only where that is so, and by `doctor`.
"""

from __future__ import annotations

import os
import sys
from typing import NoReturn

__all__ = ["files_in", "guard", "how_to_mend", "is_imported", "refuse"]

# What the official package has and this one never has. (Its folder _sdk_models hides our file.)
FILES = (
    "_api_server_ports.py",
    "_kv_config.py",
    "_logging.py",
    "_sdk_models/__init__.py",
    "_ws_impl.py",
    "_ws_thread.py",
    "plugin/__init__.py",
)
_MODULES = {name.partition("/")[0].removesuffix(".py") for name in FILES}
_FOLDER = os.path.dirname(__file__)


def files_in(folder: str) -> list[str]:
    """Return which files of the official package lie in a folder."""
    return [name for name in FILES if os.path.isfile(os.path.join(folder, name))]


def how_to_mend(folder: str) -> str:
    """Say what to do about a folder, ``lmstudio``, in which two packages lie."""
    return (
        "To mend it: pip uninstall lmstudio, again and again until none is installed; delete what "
        f"is left of lmstudio and lmstudio-*.dist-info in {os.path.dirname(folder)}; then install "
        "the one that you want."
    )


def guard() -> None:
    """Let the import of a file of the official package fail, and say why."""
    if _Guard not in sys.meta_path:
        sys.meta_path.insert(0, _Guard)


class _Guard:
    """Asked by each import, before it looks into folders."""

    @staticmethod
    def find_spec(name: str, path: object = None, target: object = None) -> None:
        package, _, module = name.partition(".")
        if package == __package__ and module in _MODULES:
            raise ImportError(
                f"{name} is a file of the official package, which has the same name as this one "
                f"and was installed into the same folder, {_FOLDER}. {how_to_mend(_FOLDER)}",
                name=name,
            )


def is_imported() -> tuple[bool, str]:
    """Return whether ``import lmstudio`` gives this package, and if not, what to say of it."""
    package = sys.modules[str(__package__)]
    if hasattr(package, "_HOME"):
        return True, ""
    file = getattr(package, "__file__", None)
    if file is None:
        return False, (
            f"`import lmstudio` gives nothing: {_FOLDER} has no __init__.py any more. Another "
            f"package of this name was uninstalled, and took it along. {how_to_mend(_FOLDER)}"
        )
    folder = os.path.dirname(file)
    where = "among files of this one" if folder == _FOLDER else f"and not this one in {_FOLDER}"
    return False, (
        f"`import lmstudio` gives the official package {getattr(package, '__version__', '')} in "
        f"{folder}, {where}; both have the same name. {how_to_mend(folder)}"
    )


def refuse(name: str) -> NoReturn:
    """Raise where a module of this package is imported, but ``lmstudio`` is another one.

    Its classes would not be those that the program knows: no `except` would catch these errors.
    """
    raise ImportError(f"{name} cannot be used: {is_imported()[1]}", name=name)
