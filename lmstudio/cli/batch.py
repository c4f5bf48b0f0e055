"""``python -m lmstudio batch``: answer each line of a file with a line of another."""

from __future__ import annotations

import argparse
import importlib.util
import json
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

import lmstudio as lms

from ._ctrl_c import on_ctrl_c
from ._errors import complain
from ._input import count_lines, lines_to_do, question_of
from ._model import get_model
from ._output import FileError, Output
from ._screen import has_no_reader, make_screen, one_line

__all__ = ["run"]


def run(options: argparse.Namespace) -> int:
    """Answer all lines that are not answered yet.

    Returns:
        0 if all have their result or error, 1 if the run could not go on, 130 after Ctrl-C.

    Raises:
        KeyboardInterrupt: Ctrl-C came before the first line, or a second time.
    """
    source, target = Path(options.input), Path(options.output)
    try:
        schema_text = b"" if options.schema is None else Path(options.schema).read_bytes()
        schema = _parse_schema(options.schema, schema_text)
        if target.exists() and source.samefile(target):
            raise FileError("The input and the output are the same file.")
        with source.open("rb") as lines:
            output = Output(target)
            try:
                batch = _Run(lines, output, schema_text)
                with lms.Client(options.host) as client:
                    model = get_model(client, options.model, make_screen(sys.stderr))
                    return batch.answer(model, options, schema)
            finally:
                output.close()
    except (lms.LMStudioError, FileError) as error:
        complain(error)
    except OSError as error:
        if has_no_reader(error):  # stderr
            raise
        complain(f"{error.strerror}: {error.filename or target}")
    return 1


def _parse_schema(path: str | None, text: bytes) -> Any:
    try:
        return None if path is None else json.loads(text)
    except (ValueError, RecursionError) as error:
        raise FileError(f"{path} is no JSON: {error}") from None


class _Interrupted(Exception):
    """Ctrl-C came while the input was being read, which may take for ever from a pipe."""


class _Counted:
    """Inputs of which the bar is to know how many there are."""

    def __init__(self, inputs: Iterable[Any], count: int) -> None:
        self._inputs = inputs
        self._count = count

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[Any]:
        return iter(self._inputs)


class _Run:
    """One run over the input."""

    def __init__(self, source: BinaryIO, output: Output, schema: bytes) -> None:
        """Compare the input with what is done.

        Raises:
            FileError: It is not the one that was answered before.
        """
        self._source = source
        self._output = output
        self._schema = schema
        self._done_before = output.count
        self._to_do = count_lines(source, output, schema)
        # Line, digest and what is wrong with it, by index in the batch.
        self._under_way: dict[int, tuple[int, int, str | None]] = {}
        self._count = 0  # of inputs that were given to the batch
        self._results = 0
        self._errors = 0
        self._is_reading = False
        self._is_stopped = False
        self._gone: str | None = None

    def answer(self, model: lms.LLM, options: argparse.Namespace, schema: Any) -> int:
        """Answer all of it, say how it went, and return the exit code."""
        limits: dict[str, Any] = {}
        if options.timeout is not None:  # the only limit then: silence is no shorter one
            limits = {"timeout": options.timeout, "idle_timeout": options.timeout}
        has_bar = sys.stderr.isatty() and importlib.util.find_spec("rich") is not None
        questions: Iterable[Any] = self._questions()
        batch = model.respond_many(
            questions if self._to_do is None else _Counted(questions, self._to_do),
            max_parallel=options.parallel,
            response_format=schema,
            progress="rich" if has_bar else None,
            patience=0,
            **limits,
        )

        # (An exception could come between a result and its line in the file.)
        def stop() -> None:
            self._is_stopped = True
            batch.cancel("Ctrl-C")
            if self._is_reading:
                raise _Interrupted

        try:
            with on_ctrl_c(stop):
                for index, outcome in batch:
                    self._take(index, outcome, has_schema=schema is not None)
        except _Interrupted:
            pass  # what was under way has been given before
        except (lms.LMStudioWebsocketError, lms.LMStudioServerError) as error:
            self._gone = one_line(error)
        finally:
            print(self._summary(), file=sys.stderr, flush=True)
        if self._gone is not None:
            complain(self._gone)
            print("The same command goes on later.", file=sys.stderr)
            return 1
        if batch.cancelled():
            print("Stopped. The same command goes on.", file=sys.stderr)
            return 130
        return 0

    def _questions(self) -> Iterator[Any]:
        lines = lines_to_do(self._source, self._output, self._schema)
        while True:
            self._is_reading = True
            found = None if self._is_stopped else next(lines, None)
            self._is_reading = False
            if found is None:
                return
            number, digest, line = found
            question = problem = None
            try:
                question = question_of(line)
            except ValueError as error:
                problem = str(error)
            self._under_way[self._count] = number, digest, problem
            self._count += 1
            yield question  # None is an error of the batch too, so that the bar counts it

    def _take(
        self, index: int, outcome: lms.PredictionResult | lms.LMStudioError, *, has_schema: bool
    ) -> None:
        line, digest, problem = self._under_way.pop(index)
        if isinstance(outcome, lms.LMStudioCancelledError):
            pass  # the next run does it
        elif isinstance(outcome, lms.LMStudioError):
            record = {"error": problem or str(outcome), "type": type(outcome).__name__}
            self._output.append(line, digest, record)
            self._errors += 1
        elif not outcome.cancelled:
            self._output.append(line, digest, _record(outcome, has_schema))
            self._results += 1

    def _summary(self) -> str:
        counts = [_counted(self._results, "result"), _counted(self._errors, "error")]
        if self._done_before:
            counts.append(f"{self._done_before} done before")
        if self._to_do is None:
            return f"{', '.join(counts)}."
        left = self._to_do - self._results - self._errors
        if left:
            counts.append(f"{left} to do")
        return f"{_counted(self._done_before + self._to_do, 'line')}: {', '.join(counts)}."


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def _record(result: lms.PredictionResult, has_schema: bool) -> dict[str, Any]:
    stats = result.stats
    record = {
        "content": result.content,
        "stop_reason": stats.stop_reason,
        "prompt_tokens": stats.prompt_tokens_count,
        "predicted_tokens": stats.predicted_tokens_count,
    }
    return {**record, "parsed": result.parsed} if has_schema else record
