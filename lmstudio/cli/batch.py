"""``lmstudio batch``: the rows of a file, answered by one or several LM Studios."""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import json
import os
import signal
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import lmstudio as lms

from ._answers import Answer, Answers, answer_of, failed
from ._ctrl_c import on_ctrl_c
from ._dask import dask_client
from ._errors import FAILED, complain
from ._hosts import Models, connect, hosts_of, watch
from ._input import PIPE, FileError, Input, Row
from ._output import Output
from ._questions import Questions, check_image
from ._screen import has_no_reader, one_line
from ._totals import told

__all__ = ["run"]

_CTRL_C = "Ctrl-C"
_IS_ANOTHER = "asks something else"  # in what the journal says of an input that is not its own
# What ends a batch that had begun.
_ENDS = (
    lms.LMStudioWebsocketError,
    lms.LMStudioServerError,
    lms.LMStudioTimeoutError,
    lms.LMStudioClientError,
    lms.LMStudioRuntimeError,
    lms.LMStudioOSError,
)

SOME_FAILED, TIME_LIMIT, CTRL_C = 4, 124, 130


def run(options: argparse.Namespace) -> int:
    """Answer all rows that are not answered yet.

    Returns:
        0 if all are; 4 if some failed, 3 if no LM Studio is there, 1 if it could not go on, 124
        after the time limit, 130 after Ctrl-C.

    Raises:
        KeyboardInterrupt: Ctrl-C came before the first row was asked, or a second time.
        BrokenPipeError: Nobody reads the output any more.
    """
    try:
        with contextlib.ExitStack() as stack:
            source = Input(options)
            stack.callback(source.close)
            job = _Job(options, source)
            if options.dask is not None:
                return job.run([], stack.enter_context(dask_client(options.dask)))
            return job.run(connect(options, stack))
    except (lms.LMStudioError, FileError) as error:
        return complain(error)
    except OSError as error:
        if has_no_reader(error):  # stdout or stderr
            raise
        complain(f"{error.strerror}: {error.filename or options.output}")
        return FAILED


class _Interrupted(Exception):
    """It was stopped while the input was being read, which may take for ever from a pipe."""


class _Counted:
    """Inputs of which it is known how many there are."""

    def __init__(self, inputs: Iterable[Any], count: int) -> None:
        self._inputs = inputs
        self._count = count

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[Any]:
        return iter(self._inputs)


class _Job:
    """One run over the input."""

    def __init__(self, options: argparse.Namespace, source: Input) -> None:
        """Check everything that can be, before anybody is asked.

        Raises:
            FileError: A file cannot be used.
            OSError: Likewise.
        """
        self._options = options
        self._source = source
        self._schema = _read_schema(options.schema)
        check_image(options.image)
        has_images = options.image is not None or options.image_column is not None
        if has_images and (len(hosts_of(options)) > 1 or options.dask is not None):
            raise FileError("Pictures are uploaded to one LM Studio: name one --host.")
        if options.dask is not None and len(hosts_of(options)) > 1:
            raise FileError("With --dask there is one --host: what each worker is to connect to.")
        self._journal = _journal_of(options, source)
        self._total = source.check()
        self._output = Output(options.output, options.format, source, self._schema)
        # What is in a file can be made anew, out of the journal and the input.
        self._is_made_anew = self._output.path is not None and source.is_file
        self._answers: Answers | None = None
        self._late: dict[Any, Answer] = {}  # of rows that could not be asked, by key
        self._has_added = False
        self._has_failed = False  # a row that was asked
        self._has_told = False
        self._is_reading = False

    def run(self, models: Models, dask: Any = None) -> int:
        """Answer all of it, say how it went, and return the exit code.

        Args:
            models: What answers; or nothing, and
            dask: the client of a Dask cluster.

        Raises:
            FileError: The rows are not those of the journal.
            LMStudioError: It cannot begin.
            OSError: The output cannot be written.
        """
        options = self._options
        limit = options.time_limit
        self._stop = lms.CancelToken() if limit is None else lms.CancelToken.after(limit)
        batch = self._begin(models, dask)
        gone: lms.LMStudioError | None = None
        try:
            with on_ctrl_c(self._stop_all), _alarm(limit, self._stop_all), watch(models):
                self._open_output()
                try:
                    self._take_all(batch)
                except _ENDS as error:
                    gone = error
                numbers, is_stopped = batch.numbers, batch.cancelled()
                self._finish_output()
        finally:
            self._output.close()
            self._forget_answers()
        print(told(numbers), file=sys.stderr, flush=True)
        return self._code(numbers, gone, is_stopped)

    def _code(
        self, numbers: lms.BatchNumbers, gone: lms.LMStudioError | None, is_stopped: bool
    ) -> int:
        """Say what is to be done next, and return the exit code."""
        again = "The same command goes on." if self._journal is not None else ""
        if gone is not None:
            code = complain(gone)
            _say(again)
            return code
        if is_stopped:
            is_ctrl_c = self._stop.reason == _CTRL_C
            _say(f"{'Stopped' if is_ctrl_c else 'The time limit has passed'}. {again}")
            return CTRL_C if is_ctrl_c else TIME_LIMIT
        if numbers.unmatched:
            _say(f"{numbers.unmatched:,} answers in {self._journal} belong to no row (any more).")
        if not numbers.failed:
            return 0
        if self._journal is not None and self._has_failed:
            _say("To ask again what failed: the same command with --retry-errors.")
        return SOME_FAILED

    # -- the batch ----------------------------------------------------------------------------

    def _begin(self, models: Models, dask: Any) -> lms.Batch[Any]:
        options = self._options
        self._questions = Questions(
            models[0][1] if models else None,
            system=options.system,
            image=options.image,
            patience=options.patience,
            stop=self._stop,
        )
        limits: dict[str, Any] = {}
        if options.timeout is not None:  # the only limit then: silence is no shorter one
            limits = {"timeout": options.timeout, "idle_timeout": options.timeout}
        journal = None
        if self._journal is not None:
            journal = lms.BatchJournal(
                self._journal, input_id=lambda row: row.key, retry_errors=options.retry_errors
            )
        wanted = {"temperature": options.temperature, "max_tokens": options.max_tokens}
        config: Any = {name: value for name, value in wanted.items() if value is not None}
        is_shown_rows = options.output == PIPE and sys.stdout.isatty()
        has_bar = sys.stderr.isatty() and importlib.util.find_spec("rich") is not None
        rows = self._rows()
        inputs = rows if self._total is None else _Counted(rows, self._total)
        how: dict[str, Any] = {
            "max_parallel": options.parallel,
            "ordered": options.ordered,
            "response_format": self._schema,
            "config": config,
            "progress": "rich" if has_bar and not is_shown_rows else None,
            "cancel_event": self._stop,
            "patience": options.patience,
            "retries": options.retries,
            "journal": journal,
            "to_prompt": self._questions.ask,
            **limits,
        }
        if dask is not None:
            (host,) = hosts_of(options)
            return lms.respond_many_on_dask(dask, inputs, api_host=host, model=options.model, **how)
        return lms.respond_many([model for _, _, model in models], inputs, **how)

    def _rows(self) -> Iterator[Row]:
        rows = self._source.rows()
        while True:
            self._is_reading = True
            row = None if self._stop.is_set() else next(rows, None)
            self._is_reading = False
            if row is None:
                return
            yield row

    def _stop_all(self, reason: str = _CTRL_C) -> None:
        # (An exception could come between an answer and its row in the file.)
        self._stop.cancel(reason)
        if self._is_reading:
            raise _Interrupted

    def _take_all(self, batch: lms.Batch[Any]) -> None:
        while True:
            try:
                for outcome in batch:
                    self._take(outcome)
                return
            except _Interrupted:
                return  # what was under way has been given before
            except lms.LMStudioCancelledError:
                if not self._stop.is_set():
                    raise
                # It was uploading; what had finished meanwhile is given now.
            except lms.LMStudioValueError as error:
                if _IS_ANOTHER not in str(error) or self._options.id is not None:
                    raise
                raise FileError(
                    "--system, --schema or --image is not what it was when the answers in "
                    f"{self._journal} were given. Take what it was, or name another output."
                ) from None

    def _take(self, outcome: lms.BatchOutcome[Any]) -> None:
        if outcome.cancelled:
            return  # the next run does it
        row: Row = outcome.input
        answer = answer_of(outcome, is_structured=self._schema is not None)
        is_known = outcome.recorded or row.key is None
        error = answer.error
        if row.key is None:
            answer, error = _unreadable(row), row.problem
        elif not outcome.attempts:  # it could not be asked
            error = row.problem or error or ""
            answer = self._late[row.key] = failed(error)
        elif error is not None:
            self._has_failed = True
        if error is not None and not outcome.recorded:
            self._questions.upload_again()
            if not self._has_told:  # the others are counted
                self._has_told = True
                complain(f"Line {row.line} failed: {error}")
        if not (is_known and self._is_made_anew):
            self._output.add(row, answer)
            self._has_added = True

    # -- the output ---------------------------------------------------------------------------

    def _open_output(self) -> None:
        """Write what is known from earlier runs, and let more be added."""
        self._read_answers()
        if self._is_made_anew:
            self._output.make(self._source.rows(), self._known_before)
        if self._options.image_column is None:
            self._forget_answers()
        else:
            self._questions.is_answered = lambda row: self._known_before(row) is not None
        self._output.open(anew=not self._is_made_anew)

    def _finish_output(self) -> None:
        """Bring the rows into their order."""
        if self._is_made_anew and self._has_added:
            self._read_answers()
            self._output.make(self._source.rows(), self._known)

    def _read_answers(self) -> None:
        self._forget_answers()
        if self._journal is not None:
            self._answers = Answers(self._journal, is_structured=self._schema is not None)

    def _forget_answers(self) -> None:
        if self._answers is not None:
            self._answers.close()
            self._answers = None

    def _known(self, row: Row) -> Answer | None:
        """Return what became of a row, if anything did."""
        if row.problem is not None:
            return _unreadable(row)
        answer = None if self._answers is None else self._answers.get(row.key)
        return self._late.get(row.key) if answer is None else answer

    def _known_before(self, row: Row) -> Answer | None:
        """Return what became of a row in an earlier run, unless it is to be asked again."""
        answer = self._known(row)
        is_wrong = answer is not None and answer.error is not None and row.problem is None
        return None if is_wrong and self._options.retry_errors else answer


def _unreadable(row: Row) -> Answer:
    # Of such a row often nothing else tells which it is.
    return failed(f"Line {row.line}: {row.problem}")


def _read_schema(path: str | None) -> Any:
    if path is None:
        return None
    try:
        return json.loads(Path(path).read_bytes())
    except (ValueError, RecursionError) as error:
        raise FileError(f"{path} is no JSON: {error}") from None


def _journal_of(options: argparse.Namespace, source: Input) -> str | None:
    """Return the path of the journal, or None if there is to be none.

    Raises:
        FileError: It is one of the other files, or the output is not of a batch.
    """
    path: str | None = options.journal
    if options.output == PIPE:
        if path is None and options.retry_errors:
            raise FileError("--retry-errors needs a journal: name it by --journal.")
    else:
        output = Path(options.output)
        if output.exists() and not output.is_file():
            raise FileError(f"{output} is no file. For standard output there is -.")
        path = f"{output}.journal" if path is None else path
        if _is_same(output, source.path):
            raise FileError("The input and the output are the same file.")
        if not os.path.exists(path) and output.exists() and output.stat().st_size:
            raise FileError(
                f"{output} would be overwritten: it is there, and its journal {path} is not. "
                "Move it away, or name another output."
            )
        if _is_same(Path(path), output):
            raise FileError("The output and the journal are the same file.")
    if path is not None and _is_same(Path(path), source.path):
        raise FileError("The input and the journal are the same file.")
    return path


def _is_same(path: Path, other: Path | None) -> bool:
    if other is None:
        return False
    return path.samefile(other) if path.exists() and other.exists() else path == other


@contextlib.contextmanager
def _alarm(seconds: float | None, stop: Callable[[str], object]) -> Iterator[None]:
    """Have a time limit also end the wait for the next row of a pipe, where a system can."""
    if seconds is None or not hasattr(signal, "setitimer"):
        yield
        return
    usual = signal.signal(signal.SIGALRM, lambda *_: stop("time limit"))
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, usual)


def _say(words: str) -> None:
    print(one_line(words), file=sys.stderr, flush=True)
