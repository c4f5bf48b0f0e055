"""The files of a batch besides its input: output, journal and schema, as far as they can be."""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path
from typing import Any

import lmstudio as lms

from ._input import PIPE, FileError, Input, check_form
from ._rows import WRONG

__all__ = ["check_names", "in_terms_of_schema", "journal_of", "read_schema"]


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


def read_schema(path: str | None) -> Any:
    """Return the JSON schema in a file.

    Raises:
        FileError: It is none.
        OSError: It cannot be read.
    """
    if path is None:
        return None
    try:
        schema = json.loads(Path(path).read_bytes())
    except (ValueError, RecursionError) as error:
        raise FileError(f"--schema {path} is no JSON: {error}") from None
    if not isinstance(schema, dict):
        raise FileError(f"--schema {path} is no JSON schema, which is an object.", _EXAMPLE)
    return schema


_EXAMPLE = 'Such as: {"type": "object", "properties": {"topic": {"type": "string"}}}'


def in_terms_of_schema(error: lms.LMStudioValueError, path: str | None) -> Exception:
    """Return an error of the API about a schema as one about its file."""
    text = str(error)
    if path is None or "response" not in text:
        return error
    if text.startswith("The response_format is no JSON Schema: "):
        why = text.partition(": ")[2].partition(". ")[0].rstrip(".")
        return FileError(f"--schema {path} is no JSON schema: {why}.", _EXAMPLE)
    return FileError(f"--schema {path} is no JSON schema: it has no type.", _EXAMPLE)


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
