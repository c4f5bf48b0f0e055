"""The files of a batch besides its input: output and journal, and whether they can be such."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from ._input import PIPE, FileError, Input, check_form
from ._rows import WRONG

__all__ = ["check_names", "journal_of"]


def check_names(options: argparse.Namespace) -> None:
    """Refuse names that no file has, or that are of other kinds of files.

    Raises:
        FileError: One is.
    """
    for argument, name in (
        ("IN", options.input),
        ("OUT", options.output),
        ("--journal", options.journal),
        ("--schema", options.schema),
    ):
        if name == "":
            raise FileError(f"{argument} is empty: it must be a file.", code=WRONG)
    check_form(options.output, options.format)


def journal_of(options: argparse.Namespace, source: Input) -> str | None:
    """Return the path of the journal, or None if there is to be none.

    Raises:
        FileError: It is one of the other files, or the output is not of a batch.
    """
    path: str | None = options.journal
    if options.output == PIPE:
        if path is None and options.retry_errors:
            raise FileError("--retry-errors needs a journal: name it by --journal.", code=WRONG)
    else:
        output = Path(options.output)
        if output.exists() and not output.is_file():
            raise FileError(f"{output} is no file.", "For standard output: -")
        _check_folder(output)
        path = f"{output}.journal" if path is None else path
        if _is_same(output, source.path):
            raise FileError("The input and the output are the same file.", code=WRONG)
        if not os.path.exists(path) and output.exists() and output.stat().st_size:
            raise FileError(
                f"{output} would be overwritten: it is there, and its journal {path} is not.",
                "Move it away, or name another output.",
            )
        if _is_same(Path(path), output):
            raise FileError("The output and the journal are the same file.", code=WRONG)
    if path is not None:
        if _is_same(Path(path), source.path):
            raise FileError("The input and the journal are the same file.", code=WRONG)
        _check_folder(Path(path))
    return path


def _check_folder(path: Path) -> None:
    folder = path.parent
    if not folder.is_dir():
        raise FileError(f"{path}: there is no folder {folder}.", "Make it, or name another.")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise FileError(
            f"{path}: nothing may be written in the folder {folder}.", "Name another one."
        )


def _is_same(path: Path, other: Path | None) -> bool:
    if other is None:
        return False
    return path.samefile(other) if path.exists() and other.exists() else path == other
