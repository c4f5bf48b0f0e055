"""``python -m lmstudio batch``: answer each line of a file with a line of another."""

from __future__ import annotations

import argparse
import importlib.util
import json
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import lmstudio as lms

from ._output import Output, OutputError, digest_of
from ._screen import make_screen
from .chat import get_model

__all__ = ["run"]


def run(options: argparse.Namespace) -> int:
    """Answer all lines that are not answered yet; return 0, 1 after an error, 130 after Ctrl-C."""
    source, target = Path(options.input), Path(options.output)
    try:
        schema = _read_schema(options.schema)
        if target.exists() and source.samefile(target):
            raise OutputError("The input and the output are the same file.")
        with source.open("rb"):
            pass
        output = Output(target)
    except (OSError, ValueError, OutputError) as error:
        return _fail(error)
    try:
        with lms.Client(options.host) as client:
            model = get_model(client, options.model, make_screen())
            return _Run(source, output).answer(model, options, schema)
    except (lms.LMStudioError, OutputError, OSError) as error:
        return _fail(error)
    except KeyboardInterrupt:
        return 130
    finally:
        output.close()


def _read_schema(path: str | None) -> Any:
    try:
        return None if path is None else json.loads(Path(path).read_bytes())
    except ValueError as error:
        raise ValueError(f"{path} is no JSON: {error}") from None


def _fail(error: Exception) -> int:
    words = str(error)
    if isinstance(error, OSError) and error.filename:
        words = f"{error.strerror}: {error.filename}"
    print(f"lmstudio: {words}", file=sys.stderr)
    return 1


class _Run:
    """One run over the input."""

    def __init__(self, source: Path, output: Output) -> None:
        self._source = source
        self._output = output
        self._under_way: dict[int, tuple[int, int]] = {}  # line and digest, by index in the batch
        self._count = 0  # of inputs that were given to the batch
        self._results = 0
        self._errors = 0
        self._lost: lms.LMStudioWebsocketError | None = None

    def __len__(self) -> int:
        """How many lines are still to be answered, for the bar."""
        with self._source.open("rb") as lines:
            return sum(1 for line in lines if line.strip()) - self._output.count

    def __iter__(self) -> Iterator[Any]:
        """Give what is to be answered, line by line."""
        with self._source.open("rb") as lines:
            for number, line in enumerate(lines, start=1):
                digest = digest_of(line)
                if not line.strip() or self._output.is_done(number, digest):
                    continue
                try:
                    question = _read(line)
                except ValueError as error:
                    self._write_error(number, digest, str(error), "LMStudioValueError")
                    continue
                self._under_way[self._count] = number, digest
                self._count += 1
                yield question

    def answer(self, model: lms.LLM, options: argparse.Namespace, schema: Any) -> int:
        """Answer all of it, and say how it went."""
        shows_bar = sys.stderr.isatty() and importlib.util.find_spec("rich") is not None
        done_before = self._output.count
        limits: dict[str, Any] = {} if options.timeout is None else {"timeout": options.timeout}
        batch = model.respond_many(
            self,
            max_parallel=options.parallel,
            response_format=schema,
            progress="rich" if shows_bar else None,
            **limits,
        )
        # Not as an exception, which could come between a result and its line in the file.
        usual = signal.getsignal(signal.SIGINT)

        def stop(*_: object) -> None:
            batch.cancel("Ctrl-C")
            signal.signal(signal.SIGINT, usual)  # a second Ctrl-C leaves at once

        signal.signal(signal.SIGINT, stop)
        try:
            self._take(batch)
        finally:
            signal.signal(signal.SIGINT, usual)
            before = f", {done_before} were done before" if done_before else ""
            counts = f"{_counted(self._results, 'result')}, {_counted(self._errors, 'error')}"
            print(f"{counts}{before}.", file=sys.stderr)
        if self._lost is not None:
            print(f"lmstudio: {self._lost}\nThe same command goes on.", file=sys.stderr)
            return 1
        if batch.cancelled():
            print("Stopped. The same command goes on.", file=sys.stderr)
            return 130
        return 0

    def _take(self, batch: lms.Batch[lms.PredictionResult]) -> None:
        for index, outcome in batch:
            line, digest = self._under_way.pop(index)
            if isinstance(outcome, lms.LMStudioWebsocketError):
                self._lost = self._lost or outcome  # the others would fail too
                batch.cancel("the server is gone")
            elif isinstance(outcome, lms.LMStudioError):
                if not isinstance(outcome, lms.LMStudioCancelledError):
                    self._write_error(line, digest, str(outcome), type(outcome).__name__)
            elif not outcome.cancelled:
                self._results += 1
                self._output.append(line, digest, _record(outcome))

    def _write_error(self, line: int, digest: int, words: str, kind: str) -> None:
        self._errors += 1
        self._output.append(line, digest, {"error": words, "type": kind})


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def _read(line: bytes) -> Any:
    """Return the question of a line.

    Raises:
        ValueError: There is none.
    """
    try:
        data = json.loads(line)
    except ValueError as error:
        raise ValueError(f"This is no JSON: {error}") from None
    if isinstance(data, dict) and isinstance(data.get("prompt"), str):
        return data["prompt"]
    if isinstance(data, dict) and isinstance(data.get("messages"), list):
        return {"messages": data["messages"]}
    raise ValueError('A line must be {"prompt": "..."} or {"messages": [...]}.')


def _record(result: lms.PredictionResult) -> dict[str, Any]:
    stats = result.stats
    record = {
        "content": result.content,
        "stop_reason": stats.stop_reason,
        "prompt_tokens": stats.prompt_tokens_count,
        "predicted_tokens": stats.predicted_tokens_count,
    }
    return {**record, "parsed": result.parsed} if result.structured else record
