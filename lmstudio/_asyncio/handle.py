# Made by tests/api/make_asyncio.py out of _handles/handle.py.
"""What all handles of loaded models have in common."""

import functools
import operator
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar, overload

from .._api.backports import Unpack
from .._api.public import public
from .._api.shown import shown
from .._config.embedding_load_options import AnyLoadConfig
from .._config.to_wire import ModelKind
from .._connection.limits import CallLimits
from .._connection.request import Request
from .._requests import models
from .._values.devices import DeviceIdentifier
from .._values.model_info import (
    ModelInstanceInfo,
    ModelProcessingState,
    named,
)
from ..errors import LMStudioValueError
from .session import AsyncSession

T = TypeVar("T")

# What newcomers look for on a model of the other kind.
_OF_ONE_KIND = (
    ("llm", "a language model", ("respond", "respond_stream", "respond_many", "complete", "act")),
    ("embedding", "an embedding model", ("embed", "embed_many")),
)


class AsyncNamespace:
    """The models of one kind, as a client offers them.

    Thread safety: the tasks of one event loop.
    """

    kind: ModelKind

    def __init__(
        self,
        session: AsyncSession,
        find_host: Callable[[], str | None],
        restore: Callable[..., Any],
    ) -> None:
        """Offer what a session can reach; `AsyncClient` makes namespaces.

        Args:
            session: The session with the server.
            find_host: Returns the server's host, as a user would write it.
            restore: What a pickled handle calls in its new process, with the kind of model, the
                host, the identifier, and the device if the handle names one.
        """
        self._session = session
        self._find_host = find_host
        self._restore = restore

    def __repr__(self) -> str:
        """Show the server."""
        return namespace_text(self, self._find_host())


def namespace_text(namespace: object, host: str | None) -> str:
    """Return how a namespace is shown."""
    return f"<{type(namespace).__name__} of {host or 'a server that was not looked for yet'}>"


class AsyncModelHandle:
    """A handle of a loaded model.

    Each method also takes `cancel_event` (an event, or several, that stop the call), `timeout`
    (seconds for the whole call) and `idle_timeout` (seconds of silence of the server). Each raises
    `LMStudioCancelledError`, `LMStudioTimeoutError`, `LMStudioModelNotFoundError` if the model is
    not loaded any more, and `LMStudioWebsocketError` if the server cannot be reached.

    Thread safety: the tasks of one event loop.

    Attributes:
        identifier: The name of the loaded model, as `lms ps` shows it.
    """

    def __init__(
        self,
        model_identifier: str,
        namespace: AsyncNamespace | None = None,
        device_identifier: DeviceIdentifier = ...,
    ) -> None:
        """Refer to a loaded model; `AsyncClient.llm` and `AsyncClient.embedding` make handles.

        Args:
            model_identifier: The name of the loaded model.
            namespace: `AsyncClient.llm` or `AsyncClient.embedding`.
            device_identifier: The device of LM Link that has it; None: the server itself; ``...``:
                whichever the server finds first.

        Raises:
            LMStudioValueError: There is no namespace, which only a client has.
        """
        if namespace is None:
            raise LMStudioValueError(
                "A handle comes from a client: client.llm.model('key') or "
                "client.embedding.model('key')."
            )
        self.identifier = model_identifier
        self._device = device_identifier
        self._namespace = namespace
        self._host = namespace._find_host()

    if not TYPE_CHECKING:  # a type checker would take any name for one that exists

        def __getattr__(self, name):
            """Say whose method it is, if it is one of the other kind of models."""
            words = f"{type(self).__name__!r} object has no attribute {name!r}"
            for kind, what, names in _OF_ONE_KIND:
                if name in names:
                    words += f": {what} has it, as client.{kind}.model('key') returns one"
            raise AttributeError(words, name=name, obj=self)

    def __repr__(self) -> str:
        """Show the identifier, and the device if there is one."""
        device = f", device_identifier={self._device!r}" if isinstance(self._device, str) else ""
        return f"{type(self).__name__}(identifier={self.identifier!r}{device})"

    def __eq__(self, other: object) -> bool:
        """Two handles are equal if they name the same model of the same server."""
        if not isinstance(other, AsyncModelHandle):
            return NotImplemented
        return self._key() == other._key()

    def __hash__(self) -> int:
        """Agree with equality."""
        return hash(self._key())

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle host and identifier; a token comes from the new process's environment."""
        device = () if self._device is ... else (self._device,)
        arguments = (self._namespace.kind, self._host, self.identifier, *device)
        restore: Any = self._namespace._restore  # a method of a class
        # By the name of both: cloudpickle (of Dask, Ray, Spark) would write down the method itself.
        return operator.methodcaller(restore.__name__, *arguments), (restore.__self__,)

    def _key(self) -> tuple[str, str | None, str, DeviceIdentifier]:
        return self._namespace.kind, self._host, self.identifier, self._device

    @property
    def _session(self) -> AsyncSession:
        return self._namespace._session

    @property
    def _specifier(self) -> dict[str, Any]:
        return named(self.identifier, self._device)

    async def _for_texts(
        self,
        request: Callable[[str], Request[T]],
        input: str | Iterable[str],
        name: str,
        limits: CallLimits,
    ) -> T | list[T]:
        """Ask for one text, or for each of several without waiting for each answer."""
        if isinstance(input, str):
            return await self._session.async_call(request(input), **limits)
        if not isinstance(input, Iterable) or isinstance(input, (bytes, bytearray, Mapping)):
            raise LMStudioValueError(
                f"The input of {name}() must be a string or several; {shown(input)} was given."
            )
        # All of them first: a wrong one is found before anything is sent.
        return await self._session.async_call_each([request(text) for text in input], **limits)

    async def unload(self, **limits: Unpack[CallLimits]) -> None:
        """Unload the model.

        Endpoint: rpc ``unloadModel``.
        """
        request = models.unload(self._namespace.kind, self.identifier, self._device)
        await self._session.async_call(request, **limits)

    async def get_info(self, **limits: Unpack[CallLimits]) -> ModelInstanceInfo:
        """Return what the server says about the model.

        Endpoint: rpc ``getModelInfo``.
        """
        request = models.get_info(self._namespace.kind, self._specifier)
        return await self._session.async_call(request, **limits)

    async def get_load_config(self, **limits: Unpack[CallLimits]) -> AnyLoadConfig:
        """Return the configuration with which the model was loaded, defaults included.

        Endpoint: rpc ``getLoadConfig``.
        """
        request = models.get_load_config(self._namespace.kind, self._specifier)
        return await self._session.async_call(request, **limits)

    async def get_processing_state(self, **limits: Unpack[CallLimits]) -> ModelProcessingState:
        """Return what the model is doing now, and how many requests wait for it.

        It is answered while the model works, and counts the requests of all clients.

        Endpoint: rpc ``getInstanceProcessingState``.
        """
        request = models.get_processing_state(self._namespace.kind, self._specifier)
        return await self._session.async_call(request, **limits)

    async def get_context_length(self, **limits: Unpack[CallLimits]) -> int:
        """Return how many tokens the model takes at once; -1 if the server does not say.

        Endpoint: rpc ``getModelInfo``.
        """
        request = models.get_context_length(self._namespace.kind, self._specifier)
        return await self._session.async_call(request, **limits)

    async def count_tokens(self, input: str, **limits: Unpack[CallLimits]) -> int:
        """Return how many tokens a text is for this model.

        Endpoint: rpc ``countTokens``.
        """
        request = models.count_tokens(self._namespace.kind, self._specifier, input)
        return await self._session.async_call(request, **limits)

    @overload
    async def tokenize(  # type: ignore[overload-overlap]  # a text is an iterable of texts, too
        self, input: str, **limits: Unpack[CallLimits]
    ) -> Sequence[int]: ...
    @overload
    async def tokenize(
        self, input: Iterable[str], **limits: Unpack[CallLimits]
    ) -> Sequence[Sequence[int]]: ...
    async def tokenize(
        self, input: str | Iterable[str], **limits: Unpack[CallLimits]
    ) -> Sequence[int] | Sequence[Sequence[int]]:
        """Return the tokens of a text, or a list of those of each of several texts.

        Several texts are sent without waiting for each answer.

        Endpoint: rpc ``tokenize``.
        """
        request = functools.partial(models.tokenize, self._namespace.kind, self._specifier)
        return await self._for_texts(request, input, "tokenize", limits)


public(AsyncModelHandle)
