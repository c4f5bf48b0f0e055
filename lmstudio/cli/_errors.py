"""Errors in a terminal's words: what is wrong, and below it the commands that mend it."""

from __future__ import annotations

import difflib
import errno
import re
import sys
from collections.abc import Sequence

import lmstudio as lms

from ._name import program_name
from ._screen import one_line

__all__ = ["FAILED", "NO_SERVER", "CommandError", "complain", "in_words", "list_some", "nearest"]

FAILED = 1  # the exit codes, as docs/cli.md has them
NOT_UNDERSTOOD = 2
NO_SERVER = 3

# What speaks of Python: a call, a class, an argument.
_PYTHON = re.compile(r"\b(client|lmstudio|lms)\.\w+|\b\w+=|\b\w+\(|\bLMStudio\w*Error")
_PLACE = re.compile(r"\b(?:ws|http)(s?)://([^/\s]+)/\w*")
_TOKEN_SOURCE = re.compile(r"The environment variable (\w+)")
_MOST_NAMES = 8


class CommandError(lms.LMStudioError):
    """An error in the terminal's words.

    Attributes:
        what: What is wrong, one sentence.
        hints: How to mend it, each a line.
        code: The exit code of a program that it ends.
    """

    def __init__(self, what: str, *hints: str, code: int = FAILED) -> None:
        """Take the words; those of a server need not be cleaned."""
        self.what = one_line(what)
        self.hints = [one_line(hint) for hint in hints if hint.strip()]
        self.code = code
        super().__init__(" ".join([self.what, *self.hints]))


def complain(error: object) -> int:
    """Say on stderr what is wrong and how to mend it; return the exit code for it."""
    told = in_words(error)
    print(f"lmstudio: {told.what}", *told.hints, sep="\n  ", file=sys.stderr, flush=True)
    return told.code


def in_words(error: object) -> CommandError:
    """Return any error of this package, or words of ours, as a terminal tells it."""
    if isinstance(error, CommandError):
        return error
    if isinstance(error, lms.LMStudioServerError) and error.server_error is not None:
        told = _of_server(error, error.server_error)
    elif isinstance(error, lms.LMStudioConnectionLostError):
        look = f"Is it still running? {program_name()} doctor"
        told = CommandError(_plain(str(error)), look, code=NO_SERVER)
    elif isinstance(error, lms.LMStudioWebsocketError):
        told = _unreachable(str(error))
    elif isinstance(error, lms.LMStudioCancelledError):
        told = CommandError("Stopped.")
    elif isinstance(error, lms.LMStudioValueError):
        told = _of_value(str(error))
    elif isinstance(error, OSError) and not isinstance(error, lms.LMStudioError):
        what = error.strerror or str(error)
        room = "Make room there, then the same command again." * (error.errno == errno.ENOSPC)
        told = CommandError(f"{error.filename}: {what}" if error.filename else what, room)
    else:
        told = CommandError(_plain(str(error)))
    if isinstance(error, lms.LMStudioError):
        told.partial = error.partial
    return told


def _of_server(
    error: lms.LMStudioServerError, details: lms.errors.SerializedLMSExtendedError
) -> CommandError:
    title = str(details.title or details.root_title or "")
    if str(error).startswith("Authentication failed"):
        return _refused(str(error), title)
    cause = "" if details.cause is None or str(details.cause) in title else str(details.cause)
    if title in ("", "Unknown error"):
        title, cause = cause or str(error), ""
    suggestion = "" if details.suggestion is None else str(details.suggestion)
    if _PYTHON.search(suggestion):
        suggestion = ""
    return CommandError(title, cause, suggestion, _kind_hint(details.display_data))


def _kind_hint(data: object) -> str:
    """Return what to do with a model of the other kind."""
    if not isinstance(data, dict) or data.get("code") != "generic.domainMismatch":
        return ""
    key, kind = data.get("path"), data.get("actualDomain")
    if kind == "embedding":
        return f"It turns texts into vectors: {program_name()} embed --model {key} TEXT"
    return f"It is a language model: {program_name()} chat --model {key}" if kind == "llm" else ""


def _refused(text: str, title: str) -> CommandError:
    source = _TOKEN_SOURCE.search(text)
    if "whose last connection has closed" in text:
        hint = "Wait until other programs with this token have ended, or restart LM Studio's server"
    elif source is not None:
        hint = f"Check the API token in {source[1]}: LM Studio's Developer page has them"
    else:
        hint = (
            "Copy a token from LM Studio's Developer page, and set it: "
            + ("set" if sys.platform == "win32" else "export")
            + " LM_API_TOKEN=sk-lm-..."
        )
    return CommandError(f"LM Studio does not let us in: {title}", hint, code=NO_SERVER)


def _unreachable(text: str) -> CommandError:
    name = program_name()
    look = f"What is wrong: {name} doctor"
    elsewhere = "Is it elsewhere? --host host:port"
    if "LMS_API_SERVER_INFO_PATH" in text:
        return CommandError(_plain(text), elsewhere, look, code=NO_SERVER)
    start = "Start it, and switch on its local server (or: lms server start)."
    if "at any default port" in text:
        return CommandError(
            "No LM Studio answers on this machine.", start, elsewhere, look, code=NO_SERVER
        )
    place = _PLACE.search(text)
    what = _plain(text.replace(" Is LM Studio running? Is its local server on?", ""))
    if place is not None and place[1]:
        start = "Does it speak TLS there? LM Studio itself does not: --host http://host:port"
        what = what.partition(" Does that port speak TLS?")[0]
    elif "refused" in what or "in time" in what or "connect_timeout" in what:
        elsewhere = "Is it elsewhere, or behind TLS? --host host:port, or --host https://..."
    else:  # a name that nobody knows, a certificate, somebody else
        start = ""
        elsewhere = "Is the host right? --host host:port"
    return CommandError(what, start, elsewhere, look, code=NO_SERVER)


def _of_value(text: str) -> CommandError:
    if text.startswith("api_host must not hold an API token"):
        hint = "Set LM_API_TOKEN instead."
        return CommandError("--host must not hold an API token.", hint, code=NOT_UNDERSTOOD)
    if text.startswith("api_host must not hold a user name"):
        return CommandError("--host must not hold a user name.", code=NOT_UNDERSTOOD)
    if text.startswith("api_host"):
        what, _, example = text.partition(". Write ")
        hint = f"Write {example}".replace("'", "") if example else ""
        what = f"{what.rstrip('.')}.".replace("api_host", "--host", 1)
        return CommandError(what, hint, code=NOT_UNDERSTOOD)
    if "is not an LM Studio API token" in text:
        what, _, hint = text.partition(". ")
        return CommandError(f"{what}.", hint)
    if ": LM Studio refuses that." in text:
        what, refused, _ = text.partition(": LM Studio refuses that.")
        return CommandError(f"{what}{refused}", f"Which there are: {program_name()} ls")
    return CommandError(_plain(text))


def _plain(text: str) -> str:
    """Return words without what speaks of Python, as far as it is known."""
    text = _PLACE.sub(r"\2", text)
    text = text.replace(" The next call connects again.", "")
    text = re.sub(r"\[(?:Errno|WinError) -?\d+\] ", "", text)
    return re.sub(r"\b(?:idle_|tool_|connect_)?timeout=(\S+)", r"\1", text)


def nearest(wanted: str, names: Sequence[str]) -> str | None:
    """Return the name that was probably meant; None if none is near."""
    wanted = wanted.lower()
    by_lower = {name.lower(): name for name in reversed(names)}
    inside = [name for lower, name in by_lower.items() if wanted in lower]
    if len(inside) == 1:
        return inside[0]
    found = difflib.get_close_matches(wanted, by_lower, 1, 0.6)
    if found:
        return by_lower[found[0]]
    parts = {part: name for lower, name in by_lower.items() for part in re.split(r"[/@-]", lower)}
    found = difflib.get_close_matches(wanted, parts, 1, 0.7)
    return parts[found[0]] if found else None


def list_some(names: Sequence[str], wanted: str = "") -> str:
    """Return names in a row, those nearest to a wanted one first, and how many more there are."""
    if wanted:
        near = difflib.get_close_matches(wanted, names, _MOST_NAMES, 0.0)
        names = [*near, *(name for name in names if name not in near)]
    more = f" and {len(names) - _MOST_NAMES} more" if len(names) > _MOST_NAMES else ""
    return ", ".join(names[:_MOST_NAMES]) + more
