"""`JournalFile`: the open journal of one batch: what it has, and how a line is added to it."""

from __future__ import annotations

import json
import logging
import os
import stat
import threading
import weakref
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import suppress
from io import FileIO
from typing import Any, TypeVar

from .._api.shown import shown
from .._concurrency import fork
from ..errors import LMStudioOSError, LMStudioRuntimeError, LMStudioValueError
from .file_lock import lock
from .journal import BatchJournal
from .records import DIGITS, digest_of, restore

logger = logging.getLogger(__name__)

T = TypeVar("T")

_CHUNK = 64 * 1024  # bytes
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
        """Name it; `open` opens it, and `load` reads what it has.

        Args:
            journal: Which file, and how inputs are known.
            kind: What tells the questions of a batch from others of the same text.
            is_left: Whether the batch has ended or was stopped: then the next one of this process
                may take its place.
        """
        self._journal = journal
        self._path = os.path.abspath(journal.path)  # the folder may change until it is opened
        self._kind = kind
        self._is_left = is_left
        self._known: dict[str | int | tuple[str | int], int] = {}  # where the line begins
        self._seen: dict[str, int] = {}  # how often each digest came
        self._ids: set[str | int] = set()  # that came
        self._end = 0
        self._written_from = 0  # where the lines of this batch begin
        self._lines: deque[tuple[Key, bytes]] = deque()  # that are still to be written
        self._begun: tuple[int, tuple[Key, bytes]] | None = None  # the place of one of them
        self.unmatched = 0  # records that no input was found to belong to, so far
        self._has_name = False
        self._is_broken = False
        self._is_closed = False
        self._is_loaded = False
        self._process = fork.current  # in a forked child nobody has a turn
        self._turn = threading.Lock()  # only threads of event loops take it: see `in_turn`
        self._file: FileIO | None = None
        self._reader: FileIO | None = None

    def open(self) -> None:
        """Open and lock it.

        Raises:
            LMStudioRuntimeError: Another batch writes it.
            LMStudioValueError: It is no file.
            LMStudioOSError: It cannot be opened.
        """
        try:
            if os.path.exists(self._path) and not stat.S_ISREG(os.stat(self._path).st_mode):
                raise LMStudioValueError(f"The journal {self._path!r} is not a file.")
            is_new = not os.path.exists(self._path)
            self._file = file = open(self._path, "r+b", buffering=0, opener=_make)  # noqa: SIM115
            weakref.finalize(self, file.close)
            # At once: later the path may be another file.
            self._reader = open(self._path, "rb", buffering=0)  # noqa: SIM115
            weakref.finalize(self, self._reader.close)
        except (OSError, ValueError) as error:
            if isinstance(error, LMStudioValueError):
                raise
            raise _failed("opened", self._path, error) from error
        try:
            found = os.fstat(file.fileno())
            self._has_name = found.st_nlink > 0  # some file systems do not say
            key = found.st_dev, found.st_ino
            if not lock(file) and not self._take_over(key, file):
                raise LMStudioRuntimeError(
                    f"Another batch writes the journal {self._path!r}. Wait for it, or "
                    "stop it and drop it (del batch)."
                )
            _open[key] = self
            if is_new and self._journal.fsync:
                _sync_folder(self._path)
        except BaseException:
            self.close()
            raise

    def _take_over(self, key: tuple[int, int], file: FileIO) -> bool:
        other = _open.get(key)
        if other is None or not other._is_left():
            return False
        other.close()
        return lock(file)

    def load(self) -> None:
        """Read what it has; cut off a last line that is not whole. Opens it, if that was not done.

        Raises:
            LMStudioRuntimeError: Another batch writes it.
            LMStudioValueError: It holds something else, or is no file.
            LMStudioOSError: It cannot be opened or read.
        """
        if self._is_loaded or self._is_closed:
            return
        if self._file is None:
            self.open()
        assert self._file is not None and self._reader is not None
        try:
            self._reader.seek(0)
            self._read(self._reader, self._file)
        except OSError as error:
            raise _failed("read", self._path, error) from error
        self._is_loaded = True

    def in_turn(self, work: Callable[..., T], *arguments: Any) -> T:
        """Do something of this in a thread of an event loop, which has no Ctrl-C.

        A task that was cancelled leaves its thread in the middle, and the next one waits for it.
        """
        try:
            with self._turn:
                return work(*arguments)
        finally:
            if self._is_closed:  # meanwhile; `close` looks in the other order
                self._close_files()

    def _read(self, reader: FileIO, file: FileIO) -> None:
        known: dict[str | int | tuple[str | int], int] = {}
        end = 0  # of the last line that is whole
        for number, line in enumerate(_lines_of(reader), start=1):
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
                file.truncate(end)
                break
            if is_last:  # an editor may have taken it
                file.seek(end + len(line))
                file.write(b"\n")
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
            raise LMStudioValueError(f"Two inputs have the id {shown(own)}: each needs its own.")
        self._ids.add(own)
        return Key(digest, own, 1)

    def has(self, key: Key) -> bool:
        """Whether it has a record of an input."""
        return key.name in self._known

    def find(self, key: Key, response_type: type | None) -> tuple[dict[str, Any], Any]:
        """Return the record of an input that it has, and the result or error that this holds.

        Raises:
            LMStudioValueError: An input with this name asked something else, or somebody has
                changed the record.
            LMStudioOSError: It cannot be read.
        """
        at = self._known[key.name]
        assert self._reader is not None
        try:
            self._reader.seek(at)
            record: dict[str, Any] = json.loads(next(_lines_of(self._reader), b""))
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
    def is_behind(self) -> bool:
        """Whether there are lines to be written."""
        return bool(self._lines) and not (self._is_broken or self._is_closed)

    def add(self, index: int, key: Key, record: dict[str, Any]) -> None:
        """Have `write` write the record of an input. May be repeated, wherever Ctrl-C came."""
        named = {"occurrence": key.occurrence} if key.id is None else {"id": key.id}
        whole = {"index": index, **named, "input": key.digest, **record}
        text = json.dumps(whole, ensure_ascii=False, default=str)
        self._lines.append((key, text.encode("utf-8", "backslashreplace") + b"\n"))

    def write(self) -> None:
        """Write what was added, past all buffers of this process; with `fsync` wait for the disk.

        May be repeated, wherever Ctrl-C came.

        Raises:
            LMStudioOSError: It cannot be written; nothing more will be.
        """
        file = self._file
        if file is None or self._is_closed:
            return
        try:
            self._write(file)
        except OSError as error:
            self._is_broken = True
            with suppress(OSError):
                file.truncate(self._end)
            raise _failed("written", self._path, error) from error

    def _write(self, file: FileIO) -> None:
        # Each step may be the last before Ctrl-C; what is begun again goes to the same place.
        while not self._is_broken and (self._lines or self._begun is not None):
            if self._begun is None:
                self._begun = self._end, self._lines[0]
            place, line = self._begun
            key, data = line
            at = self._known.get(key.name)
            if at is None or at < self._written_from or at == place:
                self._write_line(file, place, data)
                self._known[key.name] = place
                self._end = place + len(data)
            if self._lines and self._lines[0] is line:
                self._lines.popleft()
            self._begun = None
        if self._journal.fsync and not self._is_broken:
            os.fsync(file.fileno())

    def _write_line(self, file: FileIO, place: int, data: bytes) -> None:
        if self._has_name and not os.fstat(file.fileno()).st_nlink:
            raise OSError("somebody has deleted or replaced the file")  # as editors do
        file.seek(place)
        left = memoryview(data)
        while left:
            left = left[file.write(left) :]

    def close(self) -> None:
        """Close it, and let another batch have it. May be repeated."""
        self._is_closed = True
        # Else a thread that a cancelled task has left is in the middle of it, and closes it.
        if not self._turn.locked() or self._process is not fork.current:
            self._close_files()

    def _close_files(self) -> None:
        for file in (self._reader, self._file):
            if file is not None:
                file.close()


def _lines_of(file: FileIO) -> Iterator[bytes]:
    """Read lines from where the file stands.

    A `BufferedReader` has a lock: a child that is forked while a thread reads could not close it.
    """
    begun: list[bytes] = []
    while chunk := file.read(_CHUNK):
        first, *others = chunk.split(b"\n")
        begun.append(first)
        for other in others:
            yield b"".join(begun) + b"\n"
            begun = [other]
    if any(begun):
        yield b"".join(begun)


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
