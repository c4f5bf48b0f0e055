"""`Client`: a connection to one LM Studio server."""

from __future__ import annotations

import ssl
import threading
import weakref
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import Any, Literal, NoReturn, overload

from .._api.backports import Self, Unpack
from .._api.checks import check_count, check_flag, check_seconds
from .._api.public import public
from .._api.secret import Secret
from .._api.shown import shown
from .._background.connection_watch import ConnectionWatch
from .._concurrency.callback_gate import Dispatch
from .._concurrency.cancel_token import check_events
from .._concurrency.clock import monotonic
from .._concurrency.deadline import Deadline
from .._concurrency.fork import PerProcess
from .._concurrency.threads import check_may_wait
from .._config.to_wire import ModelKind
from .._connection.address import Identity, parse_api_host
from .._connection.connect import Connector
from .._connection.discovery import Discovery, find_local, is_lm_studio
from .._connection.limits import CallLimits, TimeLimit
from .._connection.route import Route, check_headers, check_ssl_context, parse_proxy
from .._connection.session import Session
from .._handles.diagnostics import DiagnosticsNamespace
from .._handles.downloaded import DownloadedEmbeddingModel, DownloadedLlm
from .._handles.embedding_model import EmbeddingModel
from .._handles.files import FilesNamespace
from .._handles.handle import Namespace
from .._handles.llm import LLM
from .._handles.namespaces import EmbeddingNamespace, LlmNamespace
from .._handles.plugins import PluginsNamespace
from .._handles.repository import RepositoryNamespace
from .._handles.system import SystemNamespace
from .._requests.uploads import UploadProgressCallback
from .._values.devices import DeviceIdentifier
from .._values.local_file import MAX_UPLOAD_BYTES, LocalFileInput
from .._values.messages import FileHandle
from ..errors import LMStudioRuntimeError, LMStudioValueError


class Client:
    """A connection to one LM Studio server, shared by any number of threads.

    It connects at the first call, and again after a connection was lost. One thread of its own
    does all reading and writing; it ends with `close()`, or when the client is collected.

    What it can do is in its parts: `llm`, `embedding`, `files`, `repository`, `plugins`, `system`
    and `diagnostics`. ``client.llm.model()`` returns an `LLM`, which replies: see
    ``help(lmstudio.LlmNamespace.model)`` and ``help(lmstudio.LLM)``.

    Thread safety: everything may be called from several threads at once.
    """

    def __init__(
        self,
        api_host: str | None = None,
        api_token: str | None = None,
        *,
        timeout: float | None = None,
        idle_timeout: TimeLimit = ...,
        cancel_grace: float = 2.0,
        connect_timeout: float = 5.0,
        ssl_context: ssl.SSLContext | None = None,
        headers: Mapping[str, str] | None = None,
        proxy: str | None = None,
        max_upload_bytes: int | None = MAX_UPLOAD_BYTES,
        strict_options: bool = False,
    ) -> None:
        """Prepare a client; nothing is sent yet.

        Args:
            api_host: ``host:port`` or a URL (http, https, ws, wss); None: the LM Studio that
                runs on this machine.
            api_token: An API token of LM Studio; None: the one in ``LM_API_TOKEN`` or
                ``LMSTUDIO_API_TOKEN``, else a guest; "": a guest in any case.
            timeout: Seconds for each whole call, unless it sets its own; None: no limit.
            idle_timeout: Seconds of silence of the server, likewise; ``...`` (default): the value
                of `get_sync_api_timeout()`.
            cancel_grace: Seconds that a result may wait for the server's last word after a cancel.
            connect_timeout: Seconds in which a connection must be open and accepted.
            ssl_context: For https and wss, instead of the system's certificates.
            headers: Sent with each websocket handshake, and when the server is asked for its
                greeting, for example for a reverse proxy.
            proxy: An HTTP proxy, as ``http://[user:password@]host:port``; proxy variables of the
                environment are not looked at. None: no proxy.
            max_upload_bytes: How big a file may be that is uploaded, in bytes; None: no limit.
            strict_options: An option that does not exist, in the configuration of a prediction or
                of loading, is an error. Otherwise it is left out, with an `LMStudioOptionWarning`.

        Raises:
            LMStudioValueError: An argument cannot be used.
        """
        # No traceback with local variables may show these, whatever argument is refused.
        secrets: list[Secret[Any]] = [Secret(s) for s in (api_host, api_token, headers, proxy)]
        del api_host, api_token, headers, proxy
        host, token, fields, tunnel = secrets
        given = None if host.reveal() is None else parse_api_host(host)
        self._identity = Identity(token)
        route = Route(
            headers=check_headers(fields),
            ssl_context=check_ssl_context(ssl_context),
            proxy=None if tunnel.reveal() is None else parse_proxy(tunnel),
        )
        if route.proxy is not None and given is None:
            raise LMStudioValueError("A proxy needs an api_host; local servers are asked directly.")
        self._discovery = Discovery(given, route)
        connect_limit = check_seconds(connect_timeout, "connect_timeout")
        grace = check_seconds(cancel_grace, "cancel_grace")
        if connect_limit is None or grace is None:
            raise LMStudioValueError(
                "connect_timeout and cancel_grace must be finite numbers of seconds."
            )
        self._connect_timeout = connect_limit
        self._session = Session(
            Connector(
                find_address=self._discovery.find,
                identity=self._identity,
                route=route,
                timeout=connect_limit,
            ),
            timeout=check_seconds(timeout, "timeout"),
            idle_timeout=...
            if idle_timeout is ...
            else check_seconds(idle_timeout, "idle_timeout"),
            cancel_grace=grace,
            strict_options=check_flag(strict_options, "strict_options"),
        )
        discovery = self._discovery  # the namespaces must not hold the client

        def find_host() -> str | None:
            found = discovery.found
            return None if found is None else found.api_host

        self._llm = LlmNamespace(self._session, find_host, Client._restore_handle)
        self._embedding = EmbeddingNamespace(self._session, find_host, Client._restore_handle)
        self._system = SystemNamespace(self._llm, self._embedding)
        self._diagnostics = DiagnosticsNamespace(self._session, find_host)
        self._repository = RepositoryNamespace(self._session, find_host)
        self._plugins = PluginsNamespace(self._session, find_host)
        self._files = FilesNamespace(
            self._session, find_host, check_count(max_upload_bytes, "max_upload_bytes")
        )

    def __repr__(self) -> str:
        """Show the host, never the token."""
        discovery = getattr(self, "_discovery", None)  # None: its constructor raised
        found = None if discovery is None else discovery.found
        return f"{type(self).__name__}({found.api_host if found else None!r})"

    def __reduce__(self) -> NoReturn:
        """Refuse to be pickled: it holds connections."""
        self._session.__reduce__()

    def __enter__(self) -> Self:
        """Make sure that the server answers.

        Raises:
            LMStudioWebsocketError: It does not.
            LMStudioClientError: The client is closed.
        """
        self._session.check_open()
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

    def __aenter__(self) -> NoReturn:
        """Say what to write instead."""
        raise TypeError("Write 'with' for a Client; an AsyncClient takes 'async with'.")

    def __aexit__(self, *_: object) -> NoReturn:
        """Never come here."""
        raise NotImplementedError

    @property
    def api_host(self) -> str:
        """The server's ``host:port`` or URL.

        Raises:
            LMStudioRuntimeError: None was given, and none was looked for yet.
        """
        found = self._discovery.found
        if found is None:
            raise LMStudioRuntimeError("No server was looked for yet; make a call first.")
        return found.api_host

    @property
    def is_connected(self) -> bool:
        """Whether a connection to the server is open, as far as is known here.

        It neither waits nor connects: before the first call it is False. A server that has gone
        without a word is noticed within half a minute while something runs or somebody listens
        (`on_connection_change()`), otherwise with the next call.
        """
        return self._session.is_connected

    def on_connection_change(
        self, callback: Callable[[bool], Any], *, dispatch: Dispatch | None = None
    ) -> ConnectionWatch:
        """Have a function called when the client is connected, and when it is not any more.

        Meanwhile a connection is kept open, and opened again when it is lost, after pauses of up to
        30 s that grow. The first state is told when it is known: True, or False when the first try
        has failed; then each change. After `close()` of the client nothing is told.

        No time limit holds for it, and `cancel_all()` leaves it alone. The client holds the
        function, and so the window whose method it may be, until this ends; the function, the
        window and what this returns may hold the client. None of them keeps a client alive that
        nobody else holds.

        Args:
            callback: Called with True or False. What it raises ends this, and is raised where it
                ran.
            dispatch: Has a function called in the thread where the callback belongs, as for
                `run_in_background()`; the end of a `TkDispatcher` or `QtDispatcher` ends this.
                None: the callback runs in a thread of the package.

        Returns:
            What ends this, by `close()` or as ``with``; it need not be kept.

        Raises:
            LMStudioValueError: An argument cannot be used.
            LMStudioClientError: The client is closed.
            LMStudioRuntimeError: Python starts no threads any more (it is exiting).

        Endpoint: channel ``system/alive``.
        """
        return ConnectionWatch(self._session, callback, dispatch)

    @property
    def llm(self) -> LlmNamespace:
        """The language models: ``help(lmstudio.LlmNamespace)``.

        It has `model()`, `load_new_instance()`, `unload()`, `list_loaded()`, `list_downloaded()`,
        `get_model_info()` and `estimate_resources()`.
        """
        return self._llm

    @property
    def embedding(self) -> EmbeddingNamespace:
        """The embedding models: ``help(lmstudio.EmbeddingNamespace)``.

        It has `model()`, `load_new_instance()`, `unload()`, `list_loaded()`, `list_downloaded()`,
        `get_model_info()` and `estimate_resources()`.
        """
        return self._embedding

    @property
    def system(self) -> SystemNamespace:
        """What concerns the whole server: ``help(lmstudio.SystemNamespace)``.

        It has `get_version()`, `get_info()`, `list_downloaded_models()`,
        `list_downloaded_model_variants()`, `notify()`, `start_http_server()`,
        `stop_http_server()` and `request_shutdown()`.
        """
        return self._system

    @property
    def diagnostics(self) -> DiagnosticsNamespace:
        """What the server tells of itself: ``help(lmstudio.DiagnosticsNamespace)``.

        It has `stream_logs()`.
        """
        return self._diagnostics

    @property
    def repository(self) -> RepositoryNamespace:
        """The models that can be downloaded: ``help(lmstudio.RepositoryNamespace)``.

        It has `search_models()`. The devices of LM Link are `lm_link`, with `get_status()` and
        `set_preferred_device()`.
        """
        return self._repository

    @property
    def plugins(self) -> PluginsNamespace:
        """The plugins and MCP servers: ``help(lmstudio.PluginsNamespace)``.

        `tools(name)` is a session with the tools of one.
        """
        return self._plugins

    @property
    def files(self) -> FilesNamespace:
        """The files that are put onto the server: ``help(lmstudio.FilesNamespace)``.

        It has `prepare_file()`, `prepare_image()`, `parse_document()`, `get_document_parser()`,
        `retrieve()` and `get_file_path()`.
        """
        return self._files

    def prepare_image(
        self,
        src: LocalFileInput,
        name: str | None = None,
        *,
        on_progress: UploadProgressCallback | None = None,
        **limits: Unpack[CallLimits],
    ) -> FileHandle:
        """Upload an image, and return a handle that can be put into a chat.

        See `Client.files.prepare_image()` for the arguments and what it raises.
        """
        return self._files.prepare_image(src, name, on_progress=on_progress, **limits)

    @overload
    def list_downloaded_models(
        self, namespace: None = None, **limits: Unpack[CallLimits]
    ) -> Sequence[DownloadedLlm | DownloadedEmbeddingModel]: ...
    @overload
    def list_downloaded_models(
        self, namespace: Literal["llm"], **limits: Unpack[CallLimits]
    ) -> Sequence[DownloadedLlm]: ...
    @overload
    def list_downloaded_models(
        self, namespace: Literal["embedding"], **limits: Unpack[CallLimits]
    ) -> Sequence[DownloadedEmbeddingModel]: ...
    def list_downloaded_models(
        self, namespace: ModelKind | None = None, **limits: Unpack[CallLimits]
    ) -> Sequence[DownloadedLlm | DownloadedEmbeddingModel]:
        """Return the models that are there for loading.

        Args:
            namespace: ``llm`` or ``embedding``; None: both.
            **limits: `cancel_event`, `timeout`, `idle_timeout`.

        Raises:
            LMStudioValueError: There is no such namespace.

        Endpoint: rpc ``system/listDownloadedModels``.
        """
        wanted = _check(namespace)
        models = self._system.list_downloaded_models(**limits)
        return [model for model in models if wanted in (None, model.type)]

    @overload
    def list_loaded_models(
        self, namespace: None = None, **limits: Unpack[CallLimits]
    ) -> Sequence[LLM | EmbeddingModel]: ...
    @overload
    def list_loaded_models(
        self, namespace: Literal["llm"], **limits: Unpack[CallLimits]
    ) -> Sequence[LLM]: ...
    @overload
    def list_loaded_models(
        self, namespace: Literal["embedding"], **limits: Unpack[CallLimits]
    ) -> Sequence[EmbeddingModel]: ...
    def list_loaded_models(
        self, namespace: ModelKind | None = None, **limits: Unpack[CallLimits]
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
        since = monotonic()  # `timeout` is for both together, and so are events
        limits["cancel_event"] = check_events(limits.get("cancel_event"))
        if _check(namespace) in (None, "llm"):
            loaded.extend(self._llm._list_loaded(limits, since))
        if namespace in (None, "embedding"):
            loaded.extend(self._embedding._list_loaded(limits, since))
        return loaded

    def cancel_all(self, reason: Any = None) -> None:
        """Cancel everything that runs on this client; it stays usable. Never blocks.

        Only what tools of `act()` have registered with `on_cancel()` of their tokens runs here.

        Args:
            reason: Anything; it is found as `cancel_reason` on results.
        """
        self._session.cancel_all(reason)

    def close(self, timeout: float = 2.0) -> None:
        """Cancel what runs, say goodbye and end the client's thread.

        Predictions end normally with what they have; other calls raise `LMStudioCancelledError`,
        and later ones `LMStudioClientError`. No callback starts after this; one that is running in
        another thread is awaited.

        Args:
            timeout: Seconds after which this returns at the latest.
        """
        self._session.close(check_seconds(timeout, "timeout"))

    @classmethod
    def is_valid_api_host(cls, api_host: str) -> bool:
        """Return whether an LM Studio answers there, within a second.

        Endpoint: ``GET /lmstudio-greeting``.

        Raises:
            LMStudioValueError: `api_host` cannot be read.
            LMStudioRuntimeError: This is a finaliser that runs in a thread that must not wait.
        """
        host = Secret(api_host)
        del api_host  # no traceback may show it: there might be a password in it
        check_may_wait()
        return is_lm_studio(parse_api_host(host), Deadline(None))

    @classmethod
    def find_default_local_api_host(cls) -> str | None:
        """Return the ``host:port`` of the LM Studio on this machine, or None.

        Raises:
            LMStudioWebsocketError: No server answers where ``LMS_API_SERVER_INFO_PATH`` points.
            LMStudioRuntimeError: This is a finaliser that runs in a thread that must not wait.
        """
        check_may_wait()
        found = find_local(Deadline(None))
        return None if found is None else found.api_host

    @classmethod
    def _restore_handle(
        cls,
        kind: str,
        api_host: str | None,
        identifier: str,
        device_identifier: DeviceIdentifier = ...,
    ) -> LLM | EmbeddingModel:
        """Make a handle that was pickled, perhaps in another process."""
        restored = _restored.value
        with restored.lock:
            namespace = restored.namespaces.get((kind, api_host))
            if namespace is None:
                client = Client(api_host)
                namespace = client.llm if kind == "llm" else client.embedding
                restored.namespaces[kind, api_host] = namespace
        if isinstance(namespace, LlmNamespace):
            return LLM(identifier, namespace, device_identifier)
        return EmbeddingModel(identifier, namespace, device_identifier)


public(Client)


def _check(namespace: str | None) -> str | None:
    if namespace not in (None, "llm", "embedding"):
        raise LMStudioValueError(
            f"Unknown model namespace: {shown(namespace)}; there are 'llm' and 'embedding'."
        )
    return namespace


class _Restored:
    """The namespaces of unpickled handles, which share one while any of them lives."""

    def __init__(self) -> None:
        self.lock = threading.RLock()  # a finaliser may come here in the middle of it
        self.namespaces: weakref.WeakValueDictionary[tuple[str, str | None], Namespace]
        self.namespaces = weakref.WeakValueDictionary()


_restored = PerProcess(lambda _: _Restored())
