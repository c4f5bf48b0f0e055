"""`JournalFile`: the open journal of one batch: what it has, and how a line is added to it."""

from __future__ import annotations

import json
import logging
import os
import stat
import weakref
from collections.abc import Callable
from contextlib import suppress
from io import BufferedReader
from typing import Any

from .._api.shown import shown
from .._concurrency import fork
from ..errors import LMStudioOSError, LMStudioRuntimeError, LMStudioValueError
from .file_lock import lock
from .journal import BatchJournal
from .records import DIGITS, digest_of, restore

logger = logging.getLogger(__name__)

_BEGINNING = b'{"index": '  # of each line, so that half a line is known for one

# Those that are open in this process, by the file's identity.
_open: weakref.WeakValueDictionary[tuple[int, int], JournalFile] = weakref.WeakValueDictionary()


class Key:
    """How one input is found in the journal."""

    __slots__ = ("digest", "id", "occurrence")

    def __init__(self, digest: str, id: str | int | None, occurrence: int) -> None:
        """Hold its digest, and its own name or its number among equal ones."""
        self.digest = digest
        self.id = id
        self.occurrence = occurrence

    @property
    def name(self) -> str | int | tuple[str | int]:
        """What it is kept by: a name of its own, or digest and number (in another type)."""
        if self.id is not None:
            return (self.id,)
        return self.digest if self.occurrence == 1 else f"{self.digest} {self.occurrence}"


class JournalFile:
    """A journal that is open, and locked. It belongs to the thread that iterates.

    A line goes to a place that is fixed before it is written: so a write that Ctrl-C, or a kill,
    came into is repeated to the same place.
    """

    def __init__(self, journal: BatchJournal, kind: str, is_left: Callable[[], bool]) -> None:
        """Open and lock it; `load` reads what it has.

        Args:
            journal: Which file, and how inputs are known.
            kind: What tells the questions of a batch from others of the same text.
            is_left: Whether the batch has ended or was stopped: then the next one of this process
                may take its place.

        Raises:
            LMStudioRuntimeError: Another batch writes it.
            LMStudioValueError: It is no file.
            LMStudioOSError: It cannot be opened.
        """
        self._journal = journal
        self._path = journal.path
        self._kind = kind
        self._is_left = is_left
        self._known: dict[str | int | tuple[str | int], int] = {}  # where the line begins
        self._seen: dict[str, int] = {}  # how often each digest came
        self._ids: set[str | int] = set()  # that came
        self._end = 0
        self._written_from = 0  # where the lines of this batch begin
        self._pending: tuple[int, bytes, Key] | None = None  # a line that is being written
        self.unmatched = 0  # records that no input was found to belong to, so far
        self._is_broken = False
        self._is_loaded = False
        try:
            if os.path.exists(self._path) and not stat.S_ISREG(os.stat(self._path).st_mode):
                raise LMStudioValueError(f"The journal {self._path!r} is no file.")
            is_new = not os.path.exists(self._path)
            self._file = open(self._path, "r+b", buffering=0, opener=_make)  # noqa: SIM115
            weakref.finalize(self, self._file.close)
            # At once: later the path may be another file, as after a change of the folder.
            self._reader = open(self._path, "rb")  # noqa: SIM115
            weakref.finalize(self, self._reader.close)
        except (OSError, ValueError) as error:
            if isinstance(error, LMStudioValueError):
                raise
            raise _failed("opened", self._path, error) from error
        try:
            found = os.fstat(self._file.fileno())
            self._has_name = found.st_nlink > 0  # some file systems do not say
            key = found.st_dev, found.st_ino
            if not lock(self._file) and not self._take_over(key):
                raise LMStudioRuntimeError(
                    f"Another batch writes the journal {self._path!r}. Wait for it, or stop it."
                )
            _open[key] = self
            if is_new and journal.fsync:
                _sync_folder(self._path)
        except BaseException:
            self.close()
            raise

    def _take_over(self, key: tuple[int, int]) -> bool:
        other = _open.get(key)
        if other is None or not other._is_left():
            return False
        other.close()
        return lock(self._file)

    def load(self) -> None:
        """Read what it has; cut off a last line that is not whole.

        Raises:
            LMStudioValueError: It holds something else.
            LMStudioOSError: It cannot be read.
        """
        if self._is_loaded:
            return
        try:
            self._reader.seek(0)
            self._read(self._reader)
        except OSError as error:
            raise _failed("read", self._path, error) from error
        self._is_loaded = True

    def _read(self, lines: BufferedReader) -> None:
        known: dict[str | int | tuple[str | int], int] = {}
        end = 0  # of the last line that is whole
        for number, line in enumerate(lines, start=1):
            is_last = not line.endswith(b"\n")
            try:
                known[_name_of(json.loads(line))] = end
            except (ValueError, TypeError, KeyError, OverflowError, RecursionError):
                is_half = line.startswith(_BEGINNING) or _BEGINNING.startswith(line)
                # After a power failure some file systems have zeros where a line was to be.
                is_half |= end > 0 and not line.strip(b"\0")
                if not (is_last and is_half):
                    raise LMStudioValueError(
                        f"Line {number} of {self._path!r} is no record of a batch. Name another "
                        "file as its journal."
                    ) from None
                self._file.truncate(end)
                break
            if is_last:  # an editor may have taken it
                self._file.seek(end + len(line))
                self._file.write(b"\n")
                end += len(line) + 1
                break
            end += len(line)
        self._known, self.unmatched = known, len(known)
        self._end = self._written_from = end

    def key(self, item: Any, prompt: Any) -> Key:
        """Return how an input is known.

        Raises:
            LMStudioValueError: Its own name is none, or another input has had it.
            Exception: What `input_id` raised.
        """
        digest = digest_of(self._kind, prompt)
        own = None if self._journal.input_id is None else self._journal.input_id(item)
        if own is None and self._journal.input_id is None:
            occurrence = self._seen[digest] = self._seen.get(digest, 0) + 1
            return Key(digest, None, occurrence)
        if not isinstance(own, (str, int)) or isinstance(own, bool):
            raise LMStudioValueError(
                f"input_id must return a string or a whole number; it returned {shown(own)}."
            )
        if own in self._ids:
            raise LMStudioValueError(f"Two inputs have the id {shown(own)}.")
        self._ids.add(own)
        return Key(digest, own, 1)

    def find(self, key: Key, response_type: type | None) -> tuple[dict[str, Any], Any] | None:
        """Return the record of an input and the result or error that it holds, if there is one.

        Raises:
            LMStudioValueError: An input with this name asked something else, or somebody has
                changed the record.
            LMStudioOSError: It cannot be read.
        """
        at = self._known.get(key.name)
        if at is None:
            return None
        try:
            self._reader.seek(at)
            record: dict[str, Any] = json.loads(self._reader.readline())
            outcome = restore(record, response_type)
        except OSError as error:
            raise _failed("read", self._path, error) from error
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise LMStudioValueError(
                f"The record at byte {at} of {self._path!r} cannot be used: {error}. Take that "
                "line away, or name another file as its journal."
            ) from error
        if record["input"] != key.digest:
            raise LMStudioValueError(
                f"The input with the id {shown(key.id)} is not the one that was answered before "
                f"({self._path!r} has its answer): it asks something else, or wants a reply of "
                "another form. Name another journal, or take the input as it was."
            )
        self.unmatched -= 1
        return record, outcome

    @property
    def wants_errors_again(self) -> bool:
        """Whether what ended with an error is to be asked again."""
        return self._journal.retry_errors

    @property
    def wants_sync(self) -> bool:
        """Whether each line is to wait for the disk."""
        return self._journal.fsync and not (self._is_broken or self._file.closed)

    def append(self, index: int, key: Key, record: dict[str, Any]) -> None:
        """Write the record of an input. May be repeated, wherever Ctrl-C came.

        Raises:
            LMStudioOSError: It cannot be written; nothing more will be.
        """
        if self._pending is not None:
            self._write_pending()
        at = self._known.get(key.name)
        if self._is_broken or self._file.closed or (at is not None and at >= self._written_from):
            return
        named = {"occurrence": key.occurrence} if key.id is None else {"id": key.id}
        whole = {"index": index, **named, "input": key.digest, **record}
        text = json.dumps(whole, ensure_ascii=False, default=str)
        data = text.encode("utf-8", "backslashreplace") + b"\n"
        self._pending = self._end, data, key
        self._write_pending()

    def _write_pending(self) -> None:
        assert self._pending is not None
        at, data, key = self._pending
        try:
            if self._has_name and not os.fstat(self._file.fileno()).st_nlink:
                raise OSError("somebody has deleted or replaced the file")  # as editors do
            self._file.seek(at)
            left = memoryview(data)
            while left:
                left = left[self._file.write(left) :]
        except OSError as error:
            self._is_broken, self._pending = True, None
            with suppress(OSError):
                self._file.truncate(at)
            raise _failed("written", self._path, error) from error
        self._known[key.name] = at
        self._end = at + len(data)
        self._pending = None

    def sync(self) -> None:
        """Wait for the disk.

        Raises:
            LMStudioOSError: It could not.
        """
        try:
            os.fsync(self._file.fileno())
        except OSError as error:
            self._is_broken = True
            raise _failed("written", self._path, error) from error

    def close(self) -> None:
        """Close it, and let another batch have it. May be repeated."""
        self._reader.close()
        self._file.close()


def _make(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_CREAT, 0o600)


def _name_of(record: Any) -> str | int | tuple[str | int]:
    digest, own = record["input"], record.get("id")
    forms = {"content": str, "embedding": list, "error": str}
    forms |= {"stats": dict} if "content" in record else {}
    are_right = [isinstance(record[name], form) for name, form in forms.items() if name in record]
    if len(digest) != DIGITS or not are_right or not all(are_right):
        raise ValueError("no record")
    if "content" in record:
        record["stats"]["stop_reason"]
    int(digest, 16)
    occurrence = int(record["occurrence"]) if own is None else 1
    return Key(digest, own, occurrence).name


def _failed(what: str, path: str, error: Exception) -> LMStudioOSError:
    problem = LMStudioOSError(f"The journal {path!r} could not be {what}: {error}")
    problem.errno = getattr(error, "errno", None)
    return problem


def _sync_folder(path: str) -> None:
    """Have the new name itself survive; not every system knows how."""
    with suppress(OSError):
        folder = os.open(os.path.dirname(os.path.abspath(path)), os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def _let_go_of_parent() -> None:
    """In a forked child: hold no lock of the parent's, which outlives it otherwise."""
    for ref in _open.valuerefs():
        journal = ref()
        if journal is not None:
            journal.close()
    _open.clear()


fork.in_child(_let_go_of_parent)
