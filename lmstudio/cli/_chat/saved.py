"""The file of a conversation, written after each turn, and the folder where they lie."""

from __future__ import annotations

import contextlib
import itertools
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from .._errors import CommandError
from .conversation import BadConversation, Conversation
from .places import conversations_folder, typed_path
from .private_file import make_folder, write_whole

__all__ = ["Folder", "Keeper", "read_conversation", "unused"]

LISTED = 20  # of the latest conversations
_BIGGEST = 100 * 1024 * 1024  # bytes


def read_conversation(path: Path) -> Conversation:
    """Read a saved conversation.

    Raises:
        CommandError: There is none.
    """
    try:
        if path.stat().st_size > _BIGGEST:
            raise BadConversation("it is too big")
        return Conversation.from_json(path.read_text(encoding="utf-8", errors="surrogatepass"))
    except OSError as error:
        raise CommandError(f"{path}: {error.strerror or error}") from None
    except (BadConversation, ValueError) as error:
        why = error if isinstance(error, BadConversation) else "it is no text"
        raise CommandError(f"{path} is no saved conversation: {why}.") from None


def unused(path: Path) -> Path:
    """Return a path; if there is such a file already, one with a number behind its name."""
    others = (path.with_stem(f"{path.stem}-{number}") for number in itertools.count(2))
    return next(one for one in itertools.chain([path], others) if not one.exists())


@dataclass
class Entry:
    """A saved conversation in a list."""

    path: Path
    time: float
    title: str


class Folder:
    """The saved conversations of this user, the latest first."""

    def __init__(self, path: Path | None = None) -> None:
        """Take the folder; by default the system's place for such things."""
        self.path = conversations_folder() if path is None else path

    def new_file(self) -> Path:
        """Return a path for a new conversation; the folder is made.

        Raises:
            OSError: The folder cannot be made.
        """
        make_folder(self.path)
        now = time.strftime("%Y-%m-%d_%H-%M-%S")
        return self.path / f"{now}_{os.urandom(3).hex()}.json"

    def entries(self, count: int = LISTED) -> list[Entry]:
        """Return the latest ones; what cannot be read is left out."""
        found: list[tuple[float, Path]] = []
        with contextlib.suppress(OSError):  # there is no folder
            for path in self.path.glob("*.json"):
                with contextlib.suppress(OSError):  # it was deleted, or is of somebody else
                    found.append((path.stat().st_mtime, path))
        entries = []
        for when, path in sorted(found, reverse=True):
            try:
                conversation = read_conversation(path)
            except CommandError:
                continue
            entries.append(Entry(path, when, conversation.title))
            if len(entries) == count:
                break
        return entries

    def find(self, wanted: str, command: str = "/load") -> Path:
        """Return the file that a number of the list, a path or a part of a title names.

        Raises:
            CommandError: There is none, or there are several.
        """
        given = typed_path(wanted)
        is_file = os.path.isfile(given)
        is_number = wanted.isdecimal()
        if is_file and not is_number:
            return given
        entries = self.entries()
        if is_number:
            number = int(wanted[:9])
            if 1 <= number <= len(entries):
                return entries[number - 1].path
            there = f"there are {len(entries)}" if entries else "there are none"
            raise CommandError(
                f"No saved conversation has the number {wanted}: {there}.",
                f"The file of that name: {command} .{os.sep}{wanted}" if is_file else "",
            )
        fitting = [one for one in entries if wanted.lower() in one.title.lower()]
        fitting = [one for one in fitting if one.title == wanted] or fitting
        if len(fitting) == 1:
            return fitting[0].path
        if fitting:
            numbers = [entries.index(one) + 1 for one in fitting]
            hints = [f"{command} {n}: {e.title}" for n, e in zip(numbers, fitting, strict=True)]
            raise CommandError(f"Several saved conversations fit {wanted!r}.", *hints)
        hints = [f"{command} {n}: {e.title}" for n, e in enumerate(entries[:5], start=1)]
        raise CommandError(
            f"There is no file {wanted!r}, and no saved conversation of that name.", *hints
        )


class Keeper:
    """Keeps one conversation in its file, which is made when there is something to keep."""

    def __init__(self, new_file: Callable[[], Path] | None, tell: Callable[[str], object]) -> None:
        """Take where new conversations go; None: nowhere. `tell` gets what goes wrong."""
        self._new_file = new_file
        self._tell = tell
        self.path: Path | None = None
        self._seen: tuple[int, int] | None = None
        self._text = ""  # what was written last
        self._has_told = False

    def go_on_with(self, path: Path, conversation: Conversation) -> None:
        """Keep a conversation in the file from which it was read."""
        self.path = Path(os.path.realpath(path))
        self._seen = _mark(self.path.stat())
        self._text = conversation.to_json()

    def begin_anew(self) -> None:
        """Leave the file as it is: what comes is another conversation."""
        self.path = self._seen = None
        self._text = ""

    def keep(self, conversation: Conversation) -> None:
        """Write the conversation, if there is anything new; what goes wrong is told once."""
        text = conversation.to_json()
        if self._new_file is None or not conversation.turns or text == self._text:
            return
        try:
            if self.path is not None and self._is_of_another():
                self._tell("(another program has changed the file: this goes on in a new one)")
                self.path = None
            if self.path is None:
                self.path = self._new_file()
            self._seen = _mark(write_whole(self.path, text))
            self._text = text
            self._has_told = False
        except OSError as error:
            if not self._has_told:
                self._has_told = True
                self._tell(f"(the conversation is not saved: {error.strerror or error})")

    def _is_of_another(self) -> bool:
        assert self.path is not None
        try:
            return _mark(self.path.stat()) != self._seen
        except FileNotFoundError:
            return False  # it was deleted: what is here is all there is


def _mark(found: os.stat_result) -> tuple[int, int]:
    return found.st_mtime_ns, found.st_size
