"""`BatchJournal`: the file that makes a batch resumable, and how its inputs are known again."""

import os
from collections.abc import Callable
from typing import Any

from .._api.callbacks import check_callback
from .._api.checks import check_flag
from .._api.public import public
from .._api.shown import shown
from ..errors import LMStudioValueError


class BatchJournal:
    """A file with a record for each outcome; what is there is given, not asked again.

    A record is one line. It is written before its outcome is given, in one piece past all buffers
    of this process: a kill of the process loses nothing that was given, and the next run cuts off a
    last record that is not whole. With `fsync` a failure of the machine's power loses nothing
    either. The file is made with the mode 0600 (which means nothing on Windows), and locked against
    a second batch.

    An input is known again by what `input_id` returns, else by what is asked, and its number among
    those that ask the same; so inputs may be added, taken away and moved. What an answer would
    change besides the prompt and the form of the reply (the model, the configuration) is not
    looked at.

    Thread safety: immutable; one batch at a time.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        input_id: Callable[[Any], str | int] | None = None,
        fsync: bool = False,
        retry_errors: bool = False,
    ) -> None:
        """Name a file; a batch opens it.

        Args:
            path: The file; it is made if it does not exist.
            input_id: Called with an input; returns its own name, a string or a whole number, which
                no other input has. An id that a second input has too, or that the journal has for
                something else, is an error that ends the batch.
            fsync: Wait for the disk with each record.
            retry_errors: Ask again what the journal has an error for, or a structured reply that
                does not fit. The new record counts.

        Raises:
            LMStudioValueError: An argument cannot be used.
        """
        if not isinstance(path, (str, os.PathLike)):
            raise LMStudioValueError(
                f"journal must be a path or a BatchJournal; {shown(path)} was given."
            )
        check_callback("input_id", input_id, "input")
        self.path: str = os.fsdecode(path)
        self.input_id = input_id
        self.fsync: bool = check_flag(fsync, "fsync")
        self.retry_errors: bool = check_flag(retry_errors, "retry_errors")

    def __repr__(self) -> str:
        """Show the path."""
        return f"BatchJournal({self.path!r})"


def as_journal(journal: str | os.PathLike[str] | BatchJournal) -> BatchJournal:
    """Return what was given as `journal=` as one.

    Raises:
        LMStudioValueError: It is no path.
    """
    return journal if isinstance(journal, BatchJournal) else BatchJournal(journal)


public(BatchJournal)
