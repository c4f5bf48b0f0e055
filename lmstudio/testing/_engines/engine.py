"""What an engine is: it gets a request, yields tokens, and stops when told."""

from __future__ import annotations

import hashlib
import math
import re
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Literal, TypeAlias

import attrs

from .._protocol import argument_checks as checks
from .._protocol.public import public
from .models_on_disk import Model

_EMBEDDING_SIZE = 32

FaultKind = Literal["error", "drop", "close", "silence", "garbage"]
ReasoningType = Literal["none", "reasoning", "reasoningStartTag", "reasoningEndTag"]


@attrs.frozen(kw_only=True)
@public
class GenerationRequest:
    """What an engine is asked to generate.

    Args:
        model: The model that was asked.
        messages: The chat, as on the wire; empty for raw text.
        prompt: The same as one text, the chat template applied.
        raw: Whether the prompt is to be continued as it is, with no chat.
        config: The prediction config, all layers merged, key to value as on the wire.
        context_length: Longest context of the loaded instance, in tokens.
        stop: Set when the client has cancelled: end soon, without an exception.
        abandoned: Set when nobody waits any more (connection lost, server closing): end now.
        script: What the engine's `admit` has returned for this prediction.
        report_progress: Call it during prompt processing with the number of tokens processed,
            their total, and how many of these came from a cache.
        report_stats: Call it with what the stats are to say also if a limit or a stop string of
            the client ends the reply, as on the wire.

    Thread safety:
        Used by the one worker thread of the generation.
    """

    model: Model
    messages: Sequence[dict[str, Any]]
    prompt: str
    raw: bool
    config: dict[str, Any]
    context_length: int
    stop: threading.Event
    abandoned: threading.Event
    report_progress: Callable[[int, int, int], None]
    script: Any = None
    report_stats: Callable[[dict[str, Any]], object] = lambda stats: None

    def checked(self, key: str) -> Any:
        """Return the value of an on/off config entry, or None if it is off or absent."""
        entry = self.config.get(key)
        if isinstance(entry, dict):
            return entry.get("value") if entry.get("checked") else None
        return entry

    @property
    def max_tokens(self) -> int | None:
        """Largest number of tokens to predict, if the client has limited it."""
        limit = self.checked("llm.prediction.maxPredictedTokens")
        return int(limit) if isinstance(limit, (int, float)) and limit is not False else None

    @property
    def stop_strings(self) -> list[str]:
        """The texts that end the prediction; they are not part of it."""
        given = self.config.get("llm.prediction.stopStrings")
        return [one for one in given if isinstance(one, str) and one] if given else []

    @property
    def draft_model(self) -> str | None:
        """The name of the draft model that the client wants; None if it wants none."""
        name = self.config.get("llm.prediction.speculativeDecoding.draftModel")
        return name if isinstance(name, str) and name else None

    @property
    def json_schema(self) -> Any:
        """The JSON schema that the reply must fit; None if there is none."""
        structured = self.config.get("llm.prediction.structured")
        if isinstance(structured, dict) and structured.get("type") == "json":
            return structured.get("jsonSchema", {})
        return None

    @property
    def last_user_text(self) -> str:
        """The text of the last message of the user, or the whole prompt of raw text."""
        for message in reversed(self.messages):
            if message.get("role") == "user":
                return text_of(message)
        return self.prompt if self.raw else ""


@checks.names_checked
@attrs.frozen
@public
class Token:
    """A piece of the reply.

    Args:
        text: Its text.
        reasoning_type: Which part of a reasoning reply it is.
        is_structural: Whether it is markup of the model's format.
        contains_drafted: Whether a draft model has guessed it.
        count: Number of tokens in it.
        tokens: The tokens with their log probabilities, as on the wire.
    """

    text: str
    reasoning_type: ReasoningType = "none"
    is_structural: bool = False
    contains_drafted: bool = False
    count: int = 1
    tokens: Sequence[dict[str, Any]] | None = None


@checks.names_checked
@attrs.frozen
@public
class ToolCall:
    """A request of the model to call a tool.

    Args:
        name: Name of the tool.
        arguments: Its arguments.
        id: Identifier of the call; made up if None.
        pieces: Number of packets that the arguments' text comes in.
        failure: If given, the request cannot be parsed, and this is the error's title.
    """

    name: str
    arguments: dict[str, Any] = attrs.field(factory=dict)
    id: str | None = None
    pieces: int = 2
    failure: str | None = None


@checks.names_checked
@attrs.frozen
@public
class Finish:
    """The end of a reply, with what the engine knows about it.

    Args:
        stop_reason: As on the wire ("eosFound", ...).
        stats: Further entries of the stats, as on the wire.
    """

    stop_reason: str = "eosFound"
    stats: dict[str, Any] = attrs.field(factory=dict)


@checks.names_checked
@attrs.frozen
@public
class Fault:
    """Something that goes wrong on the way: the prediction ends here.

    Args:
        kind: "error" (a channel error), "drop" (TCP reset), "close" (the channel closes without
            a result), "silence" (nothing more comes), "garbage" (a frame that is no JSON, then
            nothing more).
        title: Title of the error, or the garbage.
        fields: Further fields of the error, as on the wire.
    """

    kind: FaultKind
    title: str = ""
    fields: dict[str, Any] = attrs.field(factory=dict)


Event: TypeAlias = str | Token | ToolCall | Finish | Fault


@public
class Engine(ABC):
    """Makes the replies of a server; subclass it to make your own.

    One engine may serve many predictions at once, each in its own worker thread.

    Attributes:
        parallel: How many predictions one model instance runs at once; the others are queued.
        blocking: Whether `tokenize`, `embed` and `apply_template` are too slow for the server's
            loop thread, and get a thread of their own.
        models: The models that a server with this engine has; empty for the server's own.
        bos_token: What begins a chat where a client asks for the chat as a text; empty if the
            template has it itself.
        eos_token: What ends an answer there, likewise.

    Thread safety:
        All methods may be called from several threads at once.
    """

    parallel: int = 1_000
    blocking: bool = False
    models: Sequence[Model] = ()
    bos_token: str = "<s>"
    eos_token: str = "</s>"

    @abstractmethod
    def generate(self, request: GenerationRequest) -> Iterator[Event]:
        """Yield the reply.

        A `str` is a token of the answer. The server honours the limit of tokens and the stop
        strings: it just takes no more. The iterator ends the reply (with "eosFound", or with what
        a `Finish` says) and must end soon after `request.stop` or `request.abandoned` is set.

        Args:
            request: What to generate.

        Raises:
            Exception: Any exception fails the prediction: the client sees its text as an error.
        """

    def admit(self) -> Any:
        """Return what the next prediction is to be given as `GenerationRequest.script`.

        Called in the order in which the clients have asked, before any waiting; it must not block.
        """
        return None

    def tokenize(self, model: Model, text: str) -> list[int]:
        """Return the tokens of a text, as numbers."""
        return [_number(piece) for piece in split_tokens(text)]

    def embed(self, model: Model, text: str) -> list[float]:
        """Return the embedding of a text: texts that share words are near each other."""
        vector = [0.0] * _EMBEDDING_SIZE
        for piece in split_tokens(text.lower()):
            for at, byte in enumerate(_digest(piece.strip(), _EMBEDDING_SIZE)):
                vector[at] += byte / 127.5 - 1.0
        length = math.sqrt(sum(one * one for one in vector)) or 1.0
        return [round(one / length, 6) for one in vector]

    def apply_template(self, model: Model, messages: Sequence[dict[str, Any]]) -> str:
        """Return a chat as the one text that the model sees."""
        lines = [f"<|{message['role']}|>{text_of(message)}\n" for message in messages]
        return "".join(lines) + "<|assistant|>"


def split_tokens(text: str) -> list[str]:
    """Cut a text into token-like pieces: words with the space before them, and punctuation."""
    return re.findall(r"</?s>|\s?\w+|\s?[^\w\s]|\s", text)


def forced_tool(request: GenerationRequest) -> str | None:
    """Return the tool that a model without a mind of its own has to call now, or None.

    The first tool that the last message of the user names, or just the first one if the client
    requires a call; none when the last message is a tool's result.
    """
    choice = request.config.get("llm.prediction.toolChoice") or {}
    names = [tool["function"]["name"] for tool in _tools(request)]
    last = request.messages[-1].get("role") if request.messages else None
    if not names or last != "user" or choice.get("mode") == "none":
        return None
    named = [name for name in names if name in request.last_user_text]
    if named:
        return str(named[0])
    return str(names[0]) if choice.get("mode") == "required" else None


def tool_schema(request: GenerationRequest, name: str) -> dict[str, Any]:
    """Return the JSON schema of a tool's arguments."""
    for tool in _tools(request):
        if tool["function"]["name"] == name:
            return dict(tool["function"].get("parameters") or {"type": "object"})
    return {"type": "object"}


def _tools(request: GenerationRequest) -> list[dict[str, Any]]:
    entry = request.config.get("llm.prediction.tools")
    if not isinstance(entry, dict) or entry.get("type") != "toolArray":
        return []
    return list(entry.get("tools") or ())


def text_of(message: dict[str, Any]) -> str:
    """Return the text of a message as it is on the wire."""
    parts = []
    for part in message.get("content", ()):
        if part.get("type") == "text":
            parts.append(part["text"])
        elif part.get("type") == "toolCallResult":
            parts.append(part["content"])
    return "".join(parts)


def _number(piece: str) -> int:
    return int.from_bytes(_digest(piece, 2), "big")


def _digest(piece: str, size: int) -> bytes:
    return hashlib.blake2b(piece.encode("utf-8", "replace"), digest_size=size).digest()
