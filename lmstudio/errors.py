"""Every exception of this package.

`LMStudioUnknownMessageWarning` is there for programs that name it; nothing raises it yet.

The tree::

    LMStudioError
    |-- LMStudioOSError            (also OSError)       a local file could not be read
    |-- LMStudioRuntimeError       (also RuntimeError)  an object was used out of turn
    |-- LMStudioValueError         (also ValueError)    bad input; nothing was sent
    |   `-- ValidationError                            a reply that does not fit its class
    |-- LMStudioTimeoutError       (also TimeoutError)  a time limit passed
    |-- LMStudioServerError        LM Studio reported a problem
    |   |-- LMStudioModelNotFoundError
    |   |-- LMStudioPresetNotFoundError
    |   |-- LMStudioChannelClosedError
    |   `-- LMStudioPredictionError
    `-- LMStudioClientError        noticed on this side
        |-- LMStudioCancelledError
        |-- LMStudioProtocolError
        |-- LMStudioUnknownMessageWarning  (also UserWarning)
        `-- LMStudioWebsocketError
            `-- LMStudioConnectionLostError

And a warning: `LMStudioOptionWarning` (a `UserWarning`).
"""

import json
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar

if not hasattr(sys.modules[str(__package__)], "_HOME"):  # it is the official package
    from ._other_package import refuse

    refuse(__name__)

import attrs

if TYPE_CHECKING:
    from ._values.results import PredictionResult

__all__ = [
    "LMStudioCancelledError",
    "LMStudioChannelClosedError",
    "LMStudioClientError",
    "LMStudioConnectionLostError",
    "LMStudioError",
    "LMStudioModelNotFoundError",
    "LMStudioOSError",
    "LMStudioOptionWarning",
    "LMStudioPredictionError",
    "LMStudioPresetNotFoundError",
    "LMStudioProtocolError",
    "LMStudioRuntimeError",
    "LMStudioServerError",
    "LMStudioTimeoutError",
    "LMStudioUnknownMessageWarning",
    "LMStudioValueError",
    "LMStudioWebsocketError",
    "SerializedLMSExtendedError",
]


E = TypeVar("E", bound="LMStudioError")


class LMStudioError(Exception):
    """Base class of every error raised by this package.

    Attributes:
        partial: For an error that ended a running prediction, what had been received until
            then (`stats.stop_reason` is ``"failed"``); otherwise None.
    """

    if TYPE_CHECKING:
        partial: PredictionResult | None
    else:
        partial = None

    _lets_nobody_in = False  # whether no other call of the same client can do better

    def fresh(self: E) -> E:
        """Return a copy without traceback: one object raised by many would grow one of them all.

        By hand, since packages such as Dask change what `copy` does with exceptions.
        """
        copy = type(self).__new__(type(self), *self.args)
        copy.args = self.args
        vars(copy).update(vars(self))
        return copy


class LMStudioOSError(OSError, LMStudioError):
    """The operating system refused something, such as reading a local file."""


class LMStudioRuntimeError(RuntimeError, LMStudioError):
    """An object was used out of turn, such as one stream in two threads at once."""


class LMStudioValueError(ValueError, LMStudioError):
    """An argument has a value that cannot be used; nothing was sent."""


class LMStudioTimeoutError(LMStudioError, TimeoutError):
    """A time limit passed before the operation ended."""


@attrs.frozen(kw_only=True)
class SerializedLMSExtendedError:
    """What LM Studio says about an error; every field is optional on the wire.

    Attributes:
        title: What is wrong, in a few words.
        cause: Why.
        suggestion: What to do about it.
        error_data: More about it, for programs.
        display_data: What LM Studio shows in its windows; ``code`` tells what kind of error it is.
        stack: Where in LM Studio it comes from.
        root_title: The title of the error that this one comes from.
    """

    title: Any = "Unknown error"
    cause: Any = None
    suggestion: Any = None
    error_data: Any = None
    display_data: Any = None
    stack: Any = None
    root_title: Any = None

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "SerializedLMSExtendedError":
        """Read what a server sent, with camelCase keys; others are ignored."""
        # By hand: an error must be readable even if it is malformed, and without cattrs.
        return cls(**{name: data[key] for name, key in _KEYS.items() if data.get(key) is not None})

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as a dict with camelCase keys, without those that are None."""
        values = {key: getattr(self, name) for name, key in _KEYS.items()}
        return {key: value for key, value in values.items() if value is not None}


_KEYS = {
    "title": "title",
    "cause": "cause",
    "suggestion": "suggestion",
    "error_data": "errorData",
    "display_data": "displayData",
    "stack": "stack",
    "root_title": "rootTitle",
}


class LMStudioServerError(LMStudioError):
    """A problem that LM Studio reported.

    Attributes:
        server_error: The server's own description, or None if there was none.
    """

    server_error: SerializedLMSExtendedError | None

    def __init__(self, message: str, details: Mapping[str, Any] | None = None) -> None:
        """Join the message with the server's details (a decoded ``error`` object)."""
        self.server_error = None
        if details is not None:
            self.server_error = SerializedLMSExtendedError.from_dict(details)
        if self.server_error is not None:
            words = _describe(self.server_error)
            # Some of LM Studio's own titles begin with these words.
            message = words if words.startswith(f"{message}: ") else f"{message}: {words}"
        super().__init__(message)

    @staticmethod
    def from_details(message: str, details: Mapping[str, Any]) -> "LMStudioServerError":
        """Return the class that fits the server's error code, ready to be raised."""
        display_data = details.get("displayData")
        code = display_data.get("code") if isinstance(display_data, Mapping) else None
        return _CLASS_OF_CODE.get(str(code), LMStudioServerError)(message, details)


class LMStudioModelNotFoundError(LMStudioServerError):
    """No model fits the given key, identifier or query."""


class LMStudioPresetNotFoundError(LMStudioServerError):
    """No preset fits the given name."""


class LMStudioChannelClosedError(LMStudioServerError):
    """LM Studio closed a channel before it had sent the outcome."""


class LMStudioPredictionError(LMStudioServerError):
    """A problem with what a prediction produced, such as a tool call that cannot be made.

    Of a tool call that failed, what the tool raised is the error's ``__cause__``.

    Attributes:
        raw_content: Of a tool call: the model's own text of it, or of all its calls, which need not
            be JSON; None: it is not known.
        tool_name: Of a tool call: the name of the tool; None: it is not known.
        tool_arguments: Of a tool call: what the model gave as arguments; None: nothing, or nothing
            that can be read.
    """

    def __init__(
        self,
        message: str,
        details: Mapping[str, Any] | None = None,
        *,
        raw_content: str | None = None,
        tool_name: str | None = None,
        tool_arguments: dict[str, Any] | None = None,
    ) -> None:
        """Keep what is known of a tool call beside the message."""
        super().__init__(message, details)
        self.raw_content = raw_content
        self.tool_name = tool_name
        self.tool_arguments = tool_arguments


class LMStudioClientError(LMStudioError):
    """A problem that was noticed on this side of the connection."""


class LMStudioCancelledError(LMStudioClientError):
    """An operation was cancelled before it had ended.

    Attributes:
        reason: What was given to `cancel()`, or None.
    """

    def __init__(self, message: str = "The operation was cancelled.", reason: Any = None) -> None:
        """Keep the reason beside the message."""
        super().__init__(message)
        self.reason = reason


class LMStudioProtocolError(LMStudioClientError):
    """The server sent something that is not LM Studio's protocol."""


class LMStudioUnknownMessageWarning(LMStudioClientError, UserWarning):
    """The server sent a message of an unknown kind."""


class LMStudioOptionWarning(UserWarning):
    """An option that was given does not exist, and is not sent.

    It is issued at the line that called this package. A program whose output is its user's takes
    out all, or makes them errors with "error"::

        warnings.simplefilter("ignore", lmstudio.LMStudioOptionWarning)

    ``Client(strict_options=True)`` makes it an error, too.
    """


class LMStudioWebsocketError(LMStudioClientError):
    """A connection could not be opened, or is not open."""


class LMStudioConnectionLostError(LMStudioWebsocketError):
    """The connection ended while an operation was running.

    Attributes:
        close_code: The websocket close code that the server sent, or None if it sent none.
    """

    def __init__(self, message: str, close_code: int | None = None) -> None:
        """Keep the close code beside the message."""
        super().__init__(message)
        self.close_code = close_code


_CLASS_OF_CODE: dict[str, type[LMStudioServerError]] = {
    "generic.noModelMatchingQuery": LMStudioModelNotFoundError,
    "generic.pathNotFound": LMStudioModelNotFoundError,
    "generic.identifierNotFound": LMStudioModelNotFoundError,
    "generic.specificModelUnloaded": LMStudioModelNotFoundError,
    "generic.presetNotFound": LMStudioPresetNotFoundError,
}


_LONGEST = 1000  # characters of one thing that a server says; all of it is in `server_error`


def _describe(error: SerializedLMSExtendedError) -> str:
    """Return the server's words in the order in which a person wants them."""
    title = str(error.title or error.root_title or "Unknown error")
    if error.root_title and not title.startswith(str(error.root_title)):
        title = f"{error.root_title}: {title}"
    lines = [_cut(title)]
    if error.cause is not None:
        lines.append(f"Cause: {_cut(str(error.cause))}")
    if error.suggestion is not None:
        lines.append(f"Suggestion: {_cut(str(error.suggestion))}")
    if error.display_data is not None:
        lines.append(_explained(error.display_data) or f"Details: {_shown(error.display_data)}")
    if error.error_data is not None:
        lines.append(f"Error data: {_shown(error.error_data)}")
    return "\n  ".join(lines)


# What the details of these codes list, and under which names.
_LISTED = {
    "generic.pathNotFound": ("Downloaded", "path", "availablePathsSample", "totalModels"),
    "generic.identifierNotFound": (
        *("Loaded", "identifier", "loadedModelsSample", "totalLoadedModels"),
    ),
    "generic.noModelMatchingQuery": (
        *("Loaded", "query", "loadedModelsSample", "totalLoadedModels"),
    ),
    "generic.presetNotFound": (
        *("Presets", "specifiedFuzzyPresetIdentifier"),
        *("availablePresetsSample", "totalAvailablePresets"),
    ),
}


def _explained(data: Any) -> str | None:
    """Return what the details of an error mean, if that is known."""
    code = data.get("code") if isinstance(data, Mapping) else None
    if code == "generic.domainMismatch":
        path, domain = data.get("path"), data.get("actualDomain")
        kind = {"llm": "a language model", "embedding": "an embedding model"}.get(str(domain))
        if isinstance(path, str) and kind is not None:
            return f"It is {kind}, which is loaded by client.{domain}.model({_cut(path)!r})."
    if not isinstance(code, str) or code not in _LISTED:
        return None
    label, wanted, sample, total = _LISTED[code]
    names, name, count = data.get(sample), data.get(wanted), data.get(total)
    name = name.get("identifier") if isinstance(name, Mapping) else name
    if not isinstance(names, list):
        return None
    names = [each.get("identifier") if isinstance(each, Mapping) else each for each in names]
    if not all(isinstance(each, str) for each in names):
        return None
    if isinstance(name, str):
        names = _nearest_first(names, name)
    more = f" and {count - len(names)} more" if type(count) is int and count > len(names) else ""
    return _cut(f"{label}: {', '.join(names) or 'none'}{more}.")


def _nearest_first(names: list[str], wanted: str) -> list[str]:
    import difflib  # most programs need not load it here

    matcher = difflib.SequenceMatcher(b=wanted.lower())

    def likeness(name: str) -> float:
        matcher.set_seq1(name.lower()[:_LONGEST])
        return matcher.ratio()

    return sorted(names, key=likeness, reverse=True)


def _cut(text: str) -> str:
    """Return a text that is no longer than an error may be: it might repeat a whole prompt."""
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}... ({len(text):,} characters)"


def _shown(data: Any) -> str:
    try:
        return _cut(json.dumps(data, default=str))
    except (ValueError, RecursionError):  # however odd it is, it must not hide the error
        return "(cannot be shown)"


for _name in __all__:  # pickles and texts name the package, not this file
    globals()[_name].__module__ = "lmstudio"
