"""What all handles of loaded models have in common, and the handle of an embedding model."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from .._concurrency.cancel_token import CancelEvent
from .._config.from_wire import kv_to_load_config
from .._config.options import AnyLoadConfig
from .._connection.endpoints import rpc
from .._connection.session import CallLimits, Limit, Line
from .._json.converter import structure
from .._values.model_info import AnyModelSpecifier, ModelInstanceInfo, specifier_to_wire
from ..errors import LMStudioProtocolError, LMStudioValueError

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from .._background.thread import BackgroundCall
    from .._batch.batch import Batch
    from .._batch.progress import Progress
    from .._connection.call import Call
    from .._connection.scope import Scope

__all__ = [
    "EmbeddingModel",
    "Namespace",
    "SyncModelHandle",
    "get_model_info",
    "read_answer",
    "text_of",
]

T = TypeVar("T")


class Namespace:
    """A part of the server, as a client offers it.

    Thread safety: all methods may be called from several threads at once.
    """

    name: str

    def __init__(
        self,
        line: Line,
        find_host: Callable[[], str | None],
        restore: Callable[[str, str | None, str], Any],
    ) -> None:
        """Offer what a line can reach; `Client` makes namespaces.

        Args:
            line: The line to the server.
            find_host: Returns the server's host, as a user would write it.
            restore: What a pickled handle calls in its new process, with the namespace's name, the
                host and the identifier.
        """
        self._line = line
        self._find_host = find_host
        self._restore = restore


def get_model_info(
    namespace: Namespace, specifier: AnyModelSpecifier, limits: CallLimits
) -> ModelInstanceInfo:
    """Return what the server says about a loaded model."""
    parameter = {"specifier": specifier_to_wire(specifier), "throwIfNotFound": True}
    result = namespace._line.call(rpc(namespace.name, "getModelInfo"), parameter, **limits)
    info: ModelInstanceInfo = structure(result, ModelInstanceInfo)
    return info


_METHODS = {"tokenize": "tokenize()", "embedString": "embed()"}  # as users call the procedures


def text_of(value: object, what: str) -> str:
    """Return a string as it is.

    Raises:
        LMStudioValueError: It is something else.
    """
    if not isinstance(value, str):
        raise LMStudioValueError(f"{what} must be a string; {value!r} was given.")
    return value


class SyncModelHandle:
    """A handle of a loaded model.

    Each method also takes `cancel_event` (an event, or several, that stop the call), `timeout`
    (seconds for the whole call) and `idle_timeout` (seconds of silence of the server). Each raises
    `LMStudioCancelledError`, `LMStudioTimeoutError`, `LMStudioModelNotFoundError` if the model is
    not loaded any more, and `LMStudioWebsocketError` if the server cannot be reached.

    Thread safety: all methods may be called from several threads at once.

    Attributes:
        identifier: The name of the loaded model, as `lms ps` shows it.
    """

    def __init__(self, model_identifier: str, namespace: Namespace) -> None:
        """Refer to a loaded model; `Client.llm` and `Client.embedding` make handles."""
        self.identifier = model_identifier
        self._namespace = namespace
        self._host = namespace._find_host()

    def __repr__(self) -> str:
        """Show the identifier."""
        return f"{type(self).__name__}(identifier={self.identifier!r})"

    def __eq__(self, other: object) -> bool:
        """Two handles are equal if they name the same model of the same server."""
        if not isinstance(other, SyncModelHandle):
            return NotImplemented
        return self._key() == other._key()

    def __hash__(self) -> int:
        """Agree with equality."""
        return hash(self._key())

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle host and identifier; a token comes from the new process's environment."""
        return self._namespace._restore, (self._namespace.name, self._host, self.identifier)

    def _key(self) -> tuple[str, str | None, str]:
        return self._namespace.name, self._host, self.identifier

    @property
    def _line(self) -> Line:
        return self._namespace._line

    @property
    def _specifier(self) -> dict[str, Any]:
        return {"type": "query", "query": {"identifier": self.identifier}}

    def _call(self, name: str, parameter: dict[str, Any], limits: CallLimits) -> Any:
        endpoint = rpc(self._namespace.name, name)
        return self._line.call(endpoint, {"specifier": self._specifier, **parameter}, **limits)

    def _call_each(
        self,
        name: str,
        key: str,
        input: str | Iterable[str],
        read: Callable[[Any], T],
        limits: CallLimits,
    ) -> Any:
        """Call a procedure for a text, or one after another without waiting for a list of them."""
        endpoint = rpc(self._namespace.name, name)
        what = f"The input of {_METHODS[name]}"
        if isinstance(input, str):
            parameters = [{key: self._specifier, "inputString": input}]
        else:
            parameters = [
                {key: self._specifier, "inputString": text_of(text, what)}
                for text in _iterate(input, what)
            ]
        results = [
            read_answer(read, result, name)
            for result in self._line.call_each(endpoint, parameters, **limits)
        ]
        return results[0] if isinstance(input, str) else results

    def unload(self, **limits: Unpack[CallLimits]) -> None:
        """Unload the model.

        Endpoint: rpc ``unloadModel``.
        """
        endpoint = rpc(self._namespace.name, "unloadModel")
        self._line.call(endpoint, {"identifier": self.identifier}, **limits)

    def get_info(self, **limits: Unpack[CallLimits]) -> ModelInstanceInfo:
        """Return what the server says about the model.

        Endpoint: rpc ``getModelInfo``.
        """
        return get_model_info(self._namespace, self.identifier, limits)

    def get_load_config(self, **limits: Unpack[CallLimits]) -> AnyLoadConfig:
        """Return the configuration with which the model was loaded, defaults included.

        Endpoint: rpc ``getLoadConfig``.
        """
        result = self._call("getLoadConfig", {}, limits)
        if self._namespace.name == "llm":
            return kv_to_load_config(result, "llm", defaults=True)
        return kv_to_load_config(result, "embedding", defaults=True)

    def get_context_length(self, **limits: Unpack[CallLimits]) -> int:
        """Return how many tokens the model takes at once; -1 if the server does not say.

        Endpoint: rpc ``getModelInfo``.
        """
        info: Any = get_model_info(self._namespace, self.identifier, limits)
        length = getattr(info, "context_length", None)
        return int(length) if length else -1

    def count_tokens(self, input: str, **limits: Unpack[CallLimits]) -> int:
        """Return how many tokens a text is for this model.

        Endpoint: rpc ``countTokens``.
        """
        text = text_of(input, "The input of count_tokens()")
        result = self._call("countTokens", {"inputString": text}, limits)
        return read_answer(lambda answer: int(answer["tokenCount"]), result, "countTokens")

    def tokenize(
        self, input: str | Iterable[str], **limits: Unpack[CallLimits]
    ) -> Sequence[int] | Sequence[Sequence[int]]:
        """Return the tokens of a text, or a list of those of each of several texts.

        Several texts are sent without waiting for each answer.

        Endpoint: rpc ``tokenize``.
        """
        tokens: Sequence[Any] = self._call_each(
            "tokenize", "specifier", input, lambda r: list(r["tokens"]), limits
        )
        return tokens


class EmbeddingModel(SyncModelHandle):
    """A handle of a loaded embedding model.

    Thread safety: all methods may be called from several threads at once.
    """

    def embed(
        self, input: str | Iterable[str], **limits: Unpack[CallLimits]
    ) -> Sequence[float] | Sequence[Sequence[float]]:
        """Return the vector of a text, or a list of those of each of several texts.

        Several texts are sent without waiting for each answer.

        Endpoint: rpc ``embedString``.
        """
        vectors: Sequence[Any] = self._call_each(
            "embedString", "modelSpecifier", input, lambda r: list(r["embedding"]), limits
        )
        return vectors

    def embed_many(
        self,
        inputs: Iterable[str],
        *,
        max_parallel: int = 4,
        ordered: bool = False,
        cancel_event: CancelEvent = None,
        timeout: Limit = ...,
        idle_timeout: Limit = ...,
        progress: Progress = None,
    ) -> Batch[Sequence[float]]:
        """Return an iterator over the vectors of many texts, which are read as they are needed.

        For a list that fits into memory, `embed()` is quicker. See `LLM.respond_many()` for the
        arguments, and `Batch` for what comes.

        Endpoint: rpc ``embedString``.

        Raises:
            LMStudioValueError: An argument cannot be used.
            LMStudioClientError: The client is closed.
        """
        from .._batch.batch import (  # here: programs without batches need not
            Batch,
            call_in_background,
        )

        endpoint = rpc(self._namespace.name, "embedString")

        def read(result: Any) -> Sequence[float]:
            return read_answer(lambda answer: list(answer["embedding"]), result, "embedString")

        def start(text: Any, scope: Scope) -> tuple[Call, BackgroundCall[Sequence[float]]]:
            parameter = {
                "modelSpecifier": self._specifier,
                "inputString": text_of(text, f"The input of {_METHODS['embedString']}"),
            }
            call = self._line.new_call(
                endpoint, parameter, timeout=timeout, idle_timeout=idle_timeout
            )
            return call, call_in_background(self._line, call, read, scope)

        return Batch(
            self._line,
            start,
            inputs,
            max_parallel=max_parallel,
            ordered=ordered,
            cancel_event=cancel_event,
            progress=progress,
        )


def _iterate(input: object, what: str) -> Iterable[object]:
    if not isinstance(input, Iterable) or isinstance(input, (bytes, bytearray, Mapping)):
        raise LMStudioValueError(f"{what} must be a string or several; {input!r} was given.")
    return input


def read_answer(read: Callable[[Any], T], result: Any, name: str) -> T:
    """Return what `read` finds in the result of the procedure `name`.

    Raises:
        LMStudioProtocolError: It finds nothing.
    """
    try:
        return read(result)
    except (KeyError, TypeError, ValueError, OverflowError):
        raise LMStudioProtocolError(f"LM Studio's answer to {name} is malformed.") from None
