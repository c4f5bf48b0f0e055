"""The file of a JSON schema that replies follow."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import lmstudio as lms

from ._errors import FAILED
from ._rows import FileError

__all__ = ["in_terms_of_schema", "read_schema"]

_EXAMPLE = 'Such as: {"type": "object", "properties": {"topic": {"type": "string"}}}'


def read_schema(path: str, code: int = FAILED) -> dict[str, Any]:
    """Return the JSON schema in a file.

    Raises:
        FileError: It is none, or cannot be read; with this exit code.
    """
    try:
        schema = json.loads(Path(path).read_bytes())
    except OSError as error:
        raise FileError(f"--schema {path}: {error.strerror or error}", code=code) from None
    except (ValueError, RecursionError) as error:
        raise FileError(f"--schema {path} is no JSON: {error}", code=code) from None
    if not isinstance(schema, dict):
        what = f"--schema {path} is no JSON schema, which is an object."
        raise FileError(what, _EXAMPLE, code=code)
    return schema


def in_terms_of_schema(
    error: lms.LMStudioValueError, path: str | None, code: int = FAILED
) -> lms.LMStudioError:
    """Return an error of the API about a schema as one about its file."""
    text = str(error)
    if path is None or "response" not in text:
        return error
    why = "it has no type"
    if text.startswith("The response_format is no JSON Schema: "):
        why = text.partition(": ")[2].partition(". ")[0].rstrip(".")
    return FileError(f"--schema {path} is no JSON schema: {why}.", _EXAMPLE, code=code)
