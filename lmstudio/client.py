"""`Client`, and the default client behind `lmstudio.llm()` and its like."""

from __future__ import annotations

import ssl
import threading
import weakref
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any

from . import _process
from ._address import Identity, parse_api_host
from ._connect import Connector
from ._deadline import Deadline, check_seconds
from ._discovery import Discovery, find_local, is_lm_studio
from ._line import CallLimits, Limit, Line
from ._llm import LLM
from .catalog import (
    DEFAULT_TTL,
    DownloadedEmbeddingModel,
    DownloadedLlm,
    EmbeddingNamespace,
    LlmNamespace,
    ModelLoadingCallback,
    SystemNamespace,
)
from .config import EmbeddingLoadModelConfig, LlmLoadModelConfig
from .errors import LMStudioRuntimeError, LMStudioValueError
from .models import EmbeddingModel, Namespace

if TYPE_CHECKING:
    from typing_extensions import Self, Unpack

__all__ = [
    "Client",
    "close_default_client",
    "configure_default_client",
    "embedding_model",
    "get_default_client",
    "list_downloaded_models",
    "list_loaded_models",
    "llm",
]


class Client:
    """A connection to one LM Studio server, shared by any number of threads.

    It connects at the first call, and again after a connection was lost. One thread of its own
    does all reading and writing; it ends with `close()`, or when the client is collected.

    Thread safety: everything may be called from several threads at once.
    """

    def __init__(
        self,
        api_host: str | None = None,
        api_token: str | None = None,
        *,
        timeout: float | None = None,
        idle_timeout: Limit = ...,
        cancel_grace: float = 2.0,
        connect_timeout: float = 5.0,
        ssl_context: ssl.SSLContext | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        """Prepare a client; nothing is sent yet.

        Args:
            api_host: ``host:port`` or a URL (http, https, ws, wss); None: the LM Studio that
                runs on this machine.
            api_token: An API token of LM Studio; None: the one in ``LM_API_TOKEN`` or
                ``LMSTUDIO_API_TOKEN``, else a guest.
            timeout: Seconds for each whole call, unless it sets its own; None: no limit.
            idle_timeout: Seconds of silence of the server, likewise; by default that of
                `set_sync_api_timeout()`.
            cancel_grace: Seconds that a result may wait for the server's last word after a cancel.
            connect_timeout: Seconds in which a connection must be open and accepted.
            ssl_context: For https and wss, instead of the system's certificates.
            headers: Sent with each websocket handshake, for example for a reverse proxy.

        Raises:
            LMStudioValueError: An argument cannot be used.
        """
        self._identity = Identity(api_token)
        self._discovery = Discovery(api_host, headers or {}, ssl_context)
        connect_limit = check_seconds(connect_timeout, "connect_timeout")
        grace = check_seconds(cancel_grace, "cancel_grace")
        if connect_limit is None or grace is None:
            raise LMStudioValueError("connect_timeout and cancel_grace must be finite.")
        self._connect_timeout = connect_limit
        self._line = Line(
            Connector(
                find_address=self._discovery.find,
                identity=self._identity,
                headers=dict(headers or {}),
                ssl_context=ssl_context,
            ),
            connect_timeout=connect_limit,
            timeout=check_seconds(timeout, "timeout"),
            idle_timeout=...
            if idle_timeout is ...
            else check_seconds(idle_timeout, "idle_timeout"),
            cancel_grace=grace,
        )
        discovery = self._discovery  # the namespaces must not hold the client

        def find_host() -> str | None:
            return None if discovery.found is None else discovery.found.api_host

        self._llm = LlmNamespace(self._line, find_host, _restore_handle)
        self._embedding = EmbeddingNamespace(self._line, find_host, _restore_handle)
        self._system = SystemNamespace(self._llm, self._embedding)

    def __repr__(self) -> str:
        """Show the host, never the token."""
        found = self._discovery.found
        return f"{type(self).__name__}({found.api_host if found else None!r})"

    def __enter__(self) -> Self:
        """Make sure that the server answers.

        Raises:
            LMStudioWebsocketError: It does not.
        """
        self._discovery.check(Deadline(self._connect_timeout))
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close the client."""
        self.close()

    @property
    def api_host(self) -> str:
        """The server's ``host:port`` or URL.

        Raises:
            LMStudioRuntimeError: None was given, and none was looked for yet.
        """
        if self._discovery.found is None:
            raise LMStudioRuntimeError("No server was looked for yet; make a call first.")
        return self._discovery.found.api_host

    @property
    def llm(self) -> LlmNamespace:
        """The language models."""
        return self._llm

    @property
    def embedding(self) -> EmbeddingNamespace:
        """The embedding models."""
        return self._embedding

    @property
    def system(self) -> SystemNamespace:
        """What concerns the whole server."""
        return self._system

    def list_downloaded_models(
        self, namespace: str | None = None, **limits: Unpack[CallLimits]
    ) -> Sequence[DownloadedLlm | DownloadedEmbeddingModel]:
        """Return the models that are there for loading.

        Args:
            namespace: ``llm`` or ``embedding``; None: both.
            **limits: `cancel_event`, `timeout`, `idle_timeout`.

        Raises:
            LMStudioValueError: There is no such namespace.

        Endpoint: rpc ``system/listDownloadedModels``.
        """
        models = self._system.list_downloaded_models
        return [m for m in models(**limits) if _check(namespace) in (None, m.type)]

    def list_loaded_models(
        self, namespace: str | None = None, **limits: Unpack[CallLimits]
    ) -> Sequence[LLM | EmbeddingModel]:
        """Return handles of the models that are loaded.

        Args:
            namespace: ``llm`` or ``embedding``; None: both.
            **limits: `cancel_event`, `timeout`, `idle_timeout`.

        Raises:
            LMStudioValueError: There is no such namespace.

        Endpoint: rpc ``listLoaded``.
        """
        loaded: list[LLM | EmbeddingModel] = []
        if _check(namespace) in (None, "llm"):
            loaded.extend(self._llm.list_loaded(**limits))
        if namespace in (None, "embedding"):
            loaded.extend(self._embedding.list_loaded(**limits))
        return loaded

    def cancel_all(self, reason: Any = None) -> None:
        """Cancel everything that runs on this client; it stays usable. Never blocks.

        Args:
            reason: Anything; it is found as `cancel_reason` on results.
        """
        self._line.cancel_all(reason)

    def close(self, timeout: float = 2.0) -> None:
        """Cancel what runs, say goodbye and end the client's thread.

        Predictions end normally with what they have; other calls raise `LMStudioCancelledError`,
        and later ones `LMStudioClientError`. No callback starts after this; one that is running in
        another thread is awaited.

        Args:
            timeout: Seconds after which this returns at the latest.
        """
        self._line.close(check_seconds(timeout, "timeout"))

    @classmethod
    def is_valid_api_host(cls, api_host: str) -> bool:
        """Return whether an LM Studio answers there, within a second.

        Endpoint: ``GET /lmstudio-greeting``.

        Raises:
            LMStudioValueError: `api_host` cannot be read.
        """
        return is_lm_studio(parse_api_host(api_host), Deadline(None))

    @classmethod
    def find_default_local_api_host(cls) -> str | None:
        """Return the ``host:port`` of the LM Studio on this machine, or None.

        Raises:
            LMStudioWebsocketError: No server answers where ``LMS_API_SERVER_INFO_PATH`` points.
        """
        found = find_local(Deadline(None))
        return None if found is None else found.api_host


def _check(namespace: str | None) -> str | None:
    if namespace not in (None, "llm", "embedding"):
        raise LMStudioValueError(
            f"There is no model namespace {namespace!r}; there are 'llm' and 'embedding'."
        )
    return namespace


# The namespaces of unpickled handles: handles of one server share a line while any of them lives.
_restored: weakref.WeakValueDictionary[tuple[object, str, str | None], Namespace]
_restored = weakref.WeakValueDictionary()
_restored_lock = threading.Lock()


def _restore_handle(kind: str, api_host: str | None, identifier: str) -> LLM | EmbeddingModel:
    """Make a handle that was pickled, perhaps in another process."""
    key = (_process.current, kind, api_host)  # a forked child needs a line of its own
    with _restored_lock:
        namespace = _restored.get(key)
        if namespace is None:
            client = Client(api_host)
            namespace = _restored[key] = client.llm if kind == "llm" else client.embedding
    if isinstance(namespace, LlmNamespace):
        return LLM(identifier, namespace)
    return EmbeddingModel(identifier, namespace)


class _Default:
    """The default client and what it is made with. The lock guards all of it."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.process = _process.current
        self.host: str | None = None
        self.token: str | None = None
        self.client: Client | None = None


_default = _Default()


def _current_default() -> _Default:
    global _default
    if _default.process is not _process.current:  # a forked child starts anew
        inherited, _default = _default, _Default()
        _default.host, _default.token = inherited.host, inherited.token
    return _default


def configure_default_client(api_host: str | None = None, api_token: str | None = None) -> None:
    """Say which server the default client uses; a default client that exists is closed.

    Args:
        api_host: ``host:port`` or a URL; None: the LM Studio that runs on this machine.
        api_token: An API token; None: the one in the environment, else a guest.
    """
    default = _current_default()
    with default.lock:
        default.host, default.token = api_host, api_token
        previous, default.client = default.client, None
    if previous is not None:
        previous.close()


def get_default_client(api_host: str | None = None) -> Client:
    """Return the default client, making it if there is none.

    Args:
        api_host: Makes the default client use this server from now on; None: as configured.

    Raises:
        LMStudioWebsocketError: No server answers.
    """
    if api_host is not None:
        configure_default_client(api_host, _current_default().token)
    default = _current_default()
    with default.lock:
        client = default.client
        if client is None:
            client = default.client = Client(default.host, default.token)
    try:
        client._discovery.check_once(Deadline(client._connect_timeout))
    except BaseException:
        with default.lock:
            if default.client is client:
                default.client = None
        client.close()
        raise
    return client


def close_default_client() -> None:
    """Close the default client, if there is one; the next use makes a new one."""
    default = _current_default()
    with default.lock:
        previous, default.client = default.client, None
    if previous is not None:
        previous.close()


def llm(
    model_key: str | None = None,
    /,
    *,
    ttl: int | None = DEFAULT_TTL,
    config: LlmLoadModelConfig | dict[str, Any] | None = None,
    on_load_progress: ModelLoadingCallback | None = None,
    **limits: Unpack[CallLimits],
) -> LLM:
    """Return a handle of a language model of the default client, loading it if need be.

    See `Client.llm.model()` for the arguments and what it raises.
    """
    return get_default_client().llm.model(
        model_key, ttl=ttl, config=config, on_load_progress=on_load_progress, **limits
    )


def embedding_model(
    model_key: str | None = None,
    /,
    *,
    ttl: int | None = DEFAULT_TTL,
    config: EmbeddingLoadModelConfig | dict[str, Any] | None = None,
    on_load_progress: ModelLoadingCallback | None = None,
    **limits: Unpack[CallLimits],
) -> EmbeddingModel:
    """Return a handle of an embedding model of the default client, loading it if need be.

    See `Client.llm.model()` for the arguments and what it raises.
    """
    return get_default_client().embedding.model(
        model_key, ttl=ttl, config=config, on_load_progress=on_load_progress, **limits
    )


def list_downloaded_models(
    namespace: str | None = None, **limits: Unpack[CallLimits]
) -> Sequence[DownloadedLlm | DownloadedEmbeddingModel]:
    """Return the default client's models that are there for loading.

    See `Client.list_downloaded_models()`.
    """
    return get_default_client().list_downloaded_models(namespace, **limits)


def list_loaded_models(
    namespace: str | None = None, **limits: Unpack[CallLimits]
) -> Sequence[LLM | EmbeddingModel]:
    """Return handles of the default client's models that are loaded.

    See `Client.list_loaded_models()`.
    """
    return get_default_client().list_loaded_models(namespace, **limits)
