"""``lmstudio embed``: texts to vectors, as lines of JSON or as a file of numpy."""

from __future__ import annotations

import argparse
import contextlib
import itertools
import os
import stat
import sys
from collections.abc import Callable, Iterable, Iterator
from typing import Any, TextIO

import lmstudio as lms

from ._bar import Bar
from ._errors import CommandError
from ._model import get_embedding_model
from ._npy import NpyFile
from ._show import as_json
from ._texts import lines_of

__all__ = ["run"]

# Takes a text and its vector.
Take = Callable[[str, Any], None]


def run(options: argparse.Namespace) -> int:
    """Write the vector of each text, in their order; return 0.

    Raises:
        CommandError: There is no text, or one that cannot be read; no model; no such output.
        OSError: A file cannot be read or written.
        LMStudioError: A text cannot be embedded. Of what came before it the lines are written.
    """
    if not options.texts and options.output is not None:
        _check_apart(options.file, options.output)
    texts = lines_of(options.texts, options.file)
    first = list(itertools.islice(texts, 1))  # what is wrong with a file is told at once
    bar = Bar()
    with lms.Client(options.host) as client, _output(options.output) as take:
        model = get_embedding_model(client, options.model, bar)
        is_shown = options.output is None and sys.stdout.isatty()
        _embed(
            model,
            itertools.chain(first, texts),
            take,
            None if is_shown else bar,
            len(options.texts),
        )
    return 0


def _check_apart(file: str | None, output: str) -> None:
    """Raise a CommandError if the vectors would take the place of the texts."""
    try:
        source = os.fstat(sys.stdin.fileno()) if file in (None, "-") else os.stat(str(file))
        is_same = os.path.samestat(source, os.stat(output)) and stat.S_ISREG(source.st_mode)
    except (OSError, ValueError):
        return  # one of them is not there
    if is_same:
        hint = "Name another file: --output vectors.jsonl"
        raise CommandError(f"{output} is the file of the texts.", hint, code=2)


def _embed(
    model: lms.EmbeddingModel, texts: Iterable[str], take: Take, bar: Bar | None, count: int
) -> None:
    batch = model.embed_many(texts, ordered=True, patience=0)
    try:
        for done, outcome in enumerate(batch, start=1):
            _, vector = outcome
            if isinstance(vector, lms.LMStudioError):
                raise vector
            take(outcome.input, vector)
            if bar is not None:
                bar.count(done, "texts", of=count)
    finally:
        if bar is not None:
            bar.end()


@contextlib.contextmanager
def _output(path: str | None) -> Iterator[Take]:
    """Give what writes a text and its vector.

    Raises:
        CommandError: It is no file of a known kind.
        OSError: It cannot be written.
    """
    kind = "jsonl" if path is None else path.lower().rpartition(".")[2]
    if kind not in ("npy", "jsonl", "ndjson"):
        raise CommandError(
            f"{path} is neither a .npy nor a .jsonl file.",
            *("numpy.load() reads: --output vectors.npy", "A line each: --output vectors.jsonl"),
            code=2,
        )
    if path is None:
        yield _lines(sys.stdout)
        return
    try:
        if kind == "npy":
            with NpyFile(path) as file:
                yield lambda _, vector: file.append(vector)
        else:
            with open(path, "w", encoding="utf-8", errors="replace") as lines:
                yield _lines(lines)
    except OSError as error:
        if error.filename is None and not isinstance(error, lms.LMStudioError):
            error.filename = path  # the disk is full
        raise


def _lines(out: TextIO) -> Take:
    def take(text: str, vector: Any) -> None:
        print(as_json({"text": text, "embedding": list(vector)}), file=out, flush=True)

    return take
