"""``lmstudio batch``: the rows of a file, answered by one or several LM Studios."""

from __future__ import annotations

import argparse
import contextlib
import errno
import importlib.util
import os
import re
import sys
from collections.abc import Collection, Iterator
from typing import Any

import lmstudio as lms

from ._answers import Answer, Answers, answer_of, failed
from ._ctrl_c import on_ctrl_c
from ._dask import dask_client
from ._errors import FAILED, complain
from ._files import check_names, journal_of
from ._hosts import Absent, Models, check_vision, connect, hosts_of, joining, watch
from ._input import PIPE, Counted, FileError, Input, Row, is_own_key
from ._output import Output
from ._questions import Questions, check_image
from ._rows import WRONG
from ._schema import in_terms_of_schema, read_schema
from ._screen import has_no_reader, one_line
from ._stop import CTRL_C, Interrupted, Stop
from ._totals import told

__all__ = ["run"]

_IS_ANOTHER = "asks something else"  # in what the journal says of an input that is not its own
_IS_FULL = (errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC))  # Windows lacks the latter
# What ends a batch that had begun.
_ENDS = (
    lms.LMStudioWebsocketError,
    lms.LMStudioServerError,
    lms.LMStudioTimeoutError,
    lms.LMStudioClientError,
    lms.LMStudioRuntimeError,
    lms.LMStudioOSError,
)

SOME_FAILED, TIME_LIMIT, INTERRUPTED = 4, 124, 130


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
        check_names(options)
        with contextlib.ExitStack() as stack:
            stop = Stop(options.time_limit)
            stack.enter_context(stop.alarm())
            try:
                with stop.reading():
                    source = Input(options)
                    stack.callback(source.close)
                    job = _Job(options, source, stop)
                if options.dask is not None:
                    models, dask = [], stack.enter_context(dask_client(options.dask))
                else:
                    models, dask = job.connect(stack), None
            except (Interrupted, lms.LMStudioCancelledError):
                if not stop.token.is_set():
                    raise
                _say("The time limit has passed. Nothing was asked.")
                return TIME_LIMIT
            return job.run(models, dask)
    except lms.LMStudioError as error:
        return complain(error)
    except OSError as error:
        if has_no_reader(error):  # stdout or stderr
            raise
        complain(f"{error.strerror}: {error.filename or options.output}")
        return FAILED


class _Job:
    """One run over the input."""

    def __init__(self, options: argparse.Namespace, source: Input, stop: Stop) -> None:
        """Check everything that can be, before anybody is asked.

        Raises:
            FileError: A file cannot be used.
            OSError: Likewise.
        """
        self._options = options
        self._source = source
        self._stop = stop
        self._schema = None if options.schema is None else read_schema(options.schema)
        check_image(options.image)
        has_images = options.image is not None or options.image_column is not None
        if has_images and (len(hosts_of(options)) > 1 or options.dask is not None):
            raise FileError("Pictures are uploaded to one LM Studio: name one --host.", code=WRONG)
        if options.dask is not None and len(hosts_of(options)) > 1:
            raise FileError(
                "With --dask there is one --host: what each worker is to connect to.", code=WRONG
            )
        self._journal = journal_of(options, source)
        self._total = source.check()
        self._output = Output(options.output, options.format, source, self._schema)
        # What is in a file can be made anew, out of the journal and the input.
        self._is_made_anew = self._output.path is not None and source.is_file
        self._answers: Answers | None = None
        self._late: dict[Any, Answer] = {}  # of rows that could not be asked, by key
        self._absent: Absent = []  # hosts that may still come
        self._has_added = False
        self._has_failed = False  # a row that was asked
        self._failed_before = 0  # rows, in earlier runs
        self._has_told = False

    def connect(self, stack: contextlib.ExitStack) -> Models:
        """Return the models that are to answer; wait until one is there.

        Raises:
            LMStudioCancelledError: The time limit passed meanwhile.
            LMStudioError: None has come in time, or it takes no pictures.
        """
        models, self._absent = connect(self._options, stack, self._stop.token)
        if self._options.image or self._options.image_column:
            check_vision(models[0][2], self._stop.token)
        return models

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
        try:
            batch = self._begin(models, dask)
        except lms.LMStudioValueError as error:
            raise in_terms_of_schema(error, self._options.schema) from None
        except lms.LMStudioOSError as error:  # of the journal
            raise self._in_words(error) from None
        gone: Exception | None = None
        try:
            with (
                on_ctrl_c(self._stop),
                watch(models, self._options.patience),
                joining(batch, self._absent, self._options.model),
            ):
                self._open_output()
                try:
                    self._take_all(batch)
                except _ENDS as error:
                    gone = error
                except OSError as error:  # of the output
                    if has_no_reader(error):
                        raise
                    gone = error
                numbers, is_stopped = batch.numbers, batch.cancelled()
                if gone is None or isinstance(gone, lms.LMStudioError):
                    try:
                        self._finish_output()
                    except OSError as error:
                        gone = gone or error
        finally:
            self._output.close()
            self._forget_answers()
        print(told(numbers, self._failed_before), file=sys.stderr, flush=True)
        return self._code(numbers, gone, is_stopped)

    def _code(self, numbers: lms.BatchNumbers, gone: Exception | None, is_stopped: bool) -> int:
        """Say what is to be done next, and return the exit code."""
        again = "Run the same command again to continue." if self._journal is not None else ""
        if gone is not None:
            code = complain(self._in_words(gone))
            if again:
                _say(again)
            return code
        if is_stopped:
            is_ctrl_c = self._stop.token.reason == CTRL_C
            _say(f"{'Stopped' if is_ctrl_c else 'The time limit has passed'}. {again}")
            return INTERRUPTED if is_ctrl_c else TIME_LIMIT
        if numbers.unmatched:
            what = "answer" if numbers.unmatched == 1 else "answers"
            belong = "belongs" if numbers.unmatched == 1 else "belong"
            _say(f"{numbers.unmatched:,} {what} in {self._journal} {belong} to no row (any more).")
        if not numbers.failed:
            return 0
        if self._journal is not None and self._has_failed:
            _say("Add --retry-errors to ask the failed rows again.")
        return SOME_FAILED

    def _in_words(self, gone: Exception) -> Exception:
        """Return what ended it, with what to do."""
        if not isinstance(gone, (OSError, lms.LMStudioOSError)):
            return gone
        if isinstance(gone, lms.LMStudioTimeoutError):
            return gone
        is_full = gone.errno in _IS_FULL
        output = "Standard output" if self._options.output == PIPE else self._options.output
        name = self._journal if isinstance(gone, lms.LMStudioOSError) else output
        if gone.filename == self._source.name:
            name = gone.filename
        why = os.strerror(gone.errno) if gone.errno else str(gone)
        return FileError(f"{name}: {why}.", "Make room on that disk." if is_full else "")

    # -- the batch ----------------------------------------------------------------------------

    def _begin(self, models: Models, dask: Any) -> lms.Batch[Any]:
        options = self._options
        self._questions = Questions(
            models[0][1] if models else None,
            system=options.system,
            image=options.image,
            patience=options.patience,
            stop=self._stop.token,
        )
        limits: dict[str, Any] = {}
        if options.timeout is not None:  # the only limit then: silence is no shorter one
            limits = {"timeout": options.timeout, "idle_timeout": options.timeout}
        if options.idle_timeout is not None:
            limits["idle_timeout"] = options.idle_timeout
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
        inputs = rows if self._total is None else Counted(rows, self._total)
        how: dict[str, Any] = {
            "max_parallel": options.parallel,
            "ordered": options.ordered,
            "response_format": self._schema,
            "config": config,
            "progress": "rich" if has_bar and not is_shown_rows else None,
            "cancel_event": self._stop.token,
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
            with self._stop.reading():
                row = None if self._stop.token.is_set() else next(rows, None)
            if row is None:
                return
            self._output.check(row)
            yield row

    def _take_all(self, batch: lms.Batch[Any]) -> None:
        while True:
            try:
                for outcome in batch:
                    self._take(outcome)
                return
            except Interrupted:
                return  # what was under way has been given before
            except lms.LMStudioCancelledError:
                if not self._stop.token.is_set():
                    raise
                # It was uploading; what had finished meanwhile is given now.
            except lms.LMStudioValueError as error:
                if _IS_ANOTHER not in str(error):
                    raise
                what = "One of --system, --schema, --image"
                if self._options.id is not None:
                    found = re.search(r"with the id (.*?) is not the one", str(error))
                    row = "" if found is None else f" with the {self._options.id} {found[1]}"
                    what = f"The row{row} itself, or one of --system, --schema, --image,"
                raise FileError(
                    f"{what} is not what it was when the answers in {self._journal} were given.",
                    "Use the earlier settings, or name another output.",
                ) from None

    def _take(self, outcome: lms.BatchOutcome[Any]) -> None:
        if outcome.cancelled:
            return  # the next run does it
        row: Row = outcome.input
        answer = answer_of(outcome, self._schema)
        is_known = outcome.recorded or row.key is None
        error = answer.error
        if row.key is None:
            answer, error = _unreadable(row), row.problem
        elif not outcome.attempts:  # it could not be asked
            error = row.problem or error or ""
            answer = self._late[row.key] = failed(f"Line {row.line}: {error}")
        elif error is not None:
            self._has_failed = True
            self._failed_before += outcome.recorded
        if error is not None and not outcome.recorded:
            self._questions.upload_again()
            if not self._has_told:  # the others are counted
                self._has_told = True
                has_id = self._options.id is not None and row.key is not None
                named = f" ({self._options.id} {row.key})" if has_id else ""
                complain(f"Line {row.line}{named} failed: {error}")
        if not (is_known and self._is_made_anew):
            self._output.add(row, answer)
            self._has_added = True

    # -- the output ---------------------------------------------------------------------------

    def _open_output(self) -> None:
        """Write what is known from earlier runs, and let more be added."""
        self._read_answers()
        if self._answers is not None:
            self._check_names_of_rows(self._answers.names)
        if self._is_made_anew:
            self._output.make(self._source.rows(), self._known_before)
        if self._options.image_column is None:
            self._forget_answers()
        else:
            self._questions.is_answered = lambda row: self._known_before(row) is not None
        self._output.open(anew=not self._is_made_anew)

    def _check_names_of_rows(self, names: Collection[Any]) -> None:
        """Refuse a journal of rows that are known by something else: all would be asked again."""
        own = [name for name in names if not is_own_key(name)]
        if self._options.id is None and own:
            raise FileError(
                f"The rows in {self._journal} are known by names of their own, such as {own[0]!r}.",
                "Say which field has them, as before: --id NAME",
                "Or name another output.",
            )
        if self._options.id is None or own or not names:
            return
        if not all(map(is_own_key, self._source.keys)):
            raise FileError(
                f"The rows in {self._journal} are known by what they ask, not by --id.",
                "Leave --id out, as before, or name another output.",
            )

    def _finish_output(self) -> None:
        """Bring the rows into their order."""
        if self._is_made_anew and self._has_added:
            self._read_answers()
            self._output.make(self._source.rows(), self._known)

    def _read_answers(self) -> None:
        self._forget_answers()
        if self._journal is not None:
            self._answers = Answers(self._journal, self._schema)

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


def _say(words: str) -> None:
    print(one_line(words), file=sys.stderr, flush=True)
