"""What became of a row: out of an outcome of the batch, or out of a line of its journal."""

from __future__ import annotations

import json
from typing import Any, NamedTuple

import lmstudio as lms

from .._json.schema_check import schema_problems
from ._input import FileError

__all__ = ["Answer", "Answers", "answer_of", "failed"]


class Answer(NamedTuple):
    """What became of a row."""

    text: str | None
    parsed: Any
    reasoning: str
    error: str | None
    stats: dict[str, Any]


def failed(error: str) -> Answer:
    """Return that of a row that could not be asked."""
    return Answer(None, None, "", error, {})


def answer_of(outcome: lms.BatchOutcome[Any], schema: Any) -> Answer:
    """Return what an outcome says."""
    error = None if outcome.error is None else str(outcome.error)
    result = outcome.result
    if result is None:
        return failed(str(outcome.error))
    stats = {name: getattr(result.stats, name) for name in _STATS}
    parsed = None
    if schema is not None and error is None:
        parsed = result.parsed if result.structured else _decoded(result.answer)
    return Answer(result.answer, parsed, result.reasoning_content, error, stats)


class Answers:
    """The answers that a journal has, by the names of rows. docs/batch.md tells its form."""

    def __init__(self, path: str, schema: Any) -> None:
        """Find them.

        Raises:
            FileError: It is no journal.
            OSError: It cannot be read.
        """
        self._file = open(path, "rb")  # noqa: SIM115
        self._schema = schema
        self._places: dict[Any, int] = {}
        end = 0
        for number, line in enumerate(self._file, start=1):
            try:
                record = json.loads(line)
                self._places[record.get("id")] = end  # the later line counts
                _answer_in(record, None)
            except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
                if line.endswith(b"\n"):
                    self.close()
                    raise FileError(
                        f"Line {number} of {path} is no record of a batch.",
                        "Name another output or journal.",
                    ) from None
            end += len(line)

    @property
    def names(self) -> list[Any]:
        """The names of the rows that it knows by name."""
        return [name for name in self._places if name is not None]

    def get(self, key: object) -> Answer | None:
        """Return what a row was answered; None: not yet."""
        place = self._places.get(key)
        if place is None:
            return None
        self._file.seek(place)
        try:
            return _answer_in(json.loads(self._file.readline()), self._schema)
        except ValueError:  # the last line, which is not whole
            return None

    def close(self) -> None:
        """Close the journal."""
        self._file.close()


_STATS = ("stop_reason", "prompt_tokens_count", "predicted_tokens_count")


def _answer_in(record: dict[str, Any], schema: Any) -> Answer:
    if "error" in record:
        return failed(record["error"])
    content, stats = record["content"], record["stats"]
    text = record.get("answer", content)
    parsed, error = None, None
    if schema is not None:  # it is judged as the batch judges what it has just been told
        try:
            parsed = record["parsed"] if "parsed" in record else _decoded(text)
        except ValueError:
            error = "The reply is no JSON."
        else:
            if record.get("parsed", "") is None:
                error = f"The reply was cut short: {stats['stop_reason']}."
            elif problems := schema_problems(parsed, schema):
                parsed, error = None, f"The reply does not fit its schema: {'; '.join(problems)}."
    return Answer(text, parsed, record.get("reasoning_content", ""), error, stats)


def _decoded(text: str) -> Any:
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("It nests too deep.") from None
