"""The input of a batch: one question a line, read when it is needed."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Iterator
from typing import Any, BinaryIO

from ._output import FileError, Output, digest_of

__all__ = ["count_lines", "lines_to_do", "question_of"]


def lines_to_do(
    source: BinaryIO, output: Output, schema: bytes
) -> Iterator[tuple[int, int, bytes]]:
    """Give the number, digest and text of each line that has no result yet. Empty ones have none.

    Raises:
        FileError: The input is not the one that was answered before.
    """
    number = 0
    for number, line in enumerate(source, start=1):
        digest = digest_of(line, schema)
        if not output.is_done(number, digest) and line.strip():
            yield number, digest, line
    if output.last > number:
        raise FileError(
            f"The input has {number} lines, but line {output.last} was answered before. "
            "Name another output file, or take the input as it was."
        )


def count_lines(source: BinaryIO, output: Output, schema: bytes) -> int | None:
    """Return how many lines are to do; None for a pipe, which can be read but once.

    Raises:
        FileError: The input is not the one that was answered before.
    """
    if not stat.S_ISREG(os.fstat(source.fileno()).st_mode):
        return None
    count = sum(1 for _ in lines_to_do(source, output, schema))
    source.seek(0)
    return count


def question_of(line: bytes) -> Any:
    """Return what `respond()` takes.

    Raises:
        ValueError: The line holds no question.
    """
    try:
        data = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"This is no JSON: {error}") from None
    if isinstance(data, dict) and ("prompt" in data) != ("messages" in data):
        if isinstance(data.get("prompt"), str):
            return data["prompt"]
        if isinstance(data.get("messages"), list) and data["messages"]:
            return {"messages": data["messages"]}
    raise ValueError('A line must be {"prompt": "..."} or {"messages": [...]}.')
