"""The default client, and the functions of the package that use it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, overload

import lmstudio  # in annotations: the names that need not be imported before they are used

from .._api.backports import Unpack
from .._api.public import public
from .._api.secret import Secret
from .._concurrency.deadline import Deadline
from .._concurrency.fork import PerProcess
from .._concurrency.once import Once
from .._config.embedding_load_options import EmbeddingLoadModelConfig
from .._config.llm_load_options import LlmLoadModelConfig
from .._config.to_wire import ModelKind
from .._connection.address import Address, Identity, parse_api_host
from .._connection.limits import CallLimits
from .._handles.downloaded import DEFAULT_TTL, DownloadedEmbeddingModel, DownloadedLlm
from .._handles.embedding_model import EmbeddingModel
from .._handles.llm import LLM
from .._requests.loading import (
    ModelEvictedCallback,
    ModelLoadingCallback,
    ModelResolvedCallback,
)
from .._requests.uploads import UploadProgressCallback
from .._values.devices import DeviceIdentifier
from .._values.local_file import LocalFileInput
from .._values.messages import FileHandle
from ..errors import LMStudioValueError
from .client import Client

_LEAVES_WITHIN = 2.0  # seconds that what ran may take to end


class _Setting:
    """What a default client is made with, and that client; and the setting that has replaced it.

    No lock: each of the two is set once, by one C call, so a signal handler or a finaliser may come
    in between any two steps here.
    """

    def __init__(self, host: Secret[str | None], token: Secret[str | None]) -> None:
        self.host = host
        self.token = token
        self.client = Once()
        self._next = Once()

    def last(self) -> _Setting:
        """Return the setting that holds now."""
        setting = self
        while setting._next:
            setting = setting._next.value
        return setting

    def replace(self, host: Secret[str | None], token: Secret[str | None]) -> None:
        """Let other values hold from now on; the client is let go."""
        following = _Setting(host, token)
        while not self.last()._next.set(following):
            pass  # another thread was first: after that one's
        _setting()  # which forgets this one


def _inherit(parent: _Setting | None) -> _Setting:
    """Return the first setting of a process."""
    if parent is None:
        return _Setting(Secret(None), Secret(None))
    last = parent.last()
    return _Setting(last.host, last.token)


_first = PerProcess(_inherit)


def _setting() -> _Setting:
    """Return the setting that holds now, and forget those before it."""
    last = _first.value = _first.value.last()
    return last


def configure_default_client(api_host: str | None = None, api_token: str | None = None) -> None:
    """Say which server the default client uses.

    For the same server and the same token nothing changes, however they are written. Otherwise the
    next use makes a new default client. Handles, streams and threads that have the old one go on
    with it, and nothing of it is cut; it ends when the last of them is gone.

    Args:
        api_host: ``host:port`` or a URL; None: the LM Studio that runs on this machine.
        api_token: An API token; None: the one in the environment, else a guest; "": a guest.

    Raises:
        LMStudioValueError: `api_host` or `api_token` cannot be read; nothing is changed.
    """
    # No traceback with local variables may show these.
    host, token = Secret(api_host), Secret(api_token)
    del api_host, api_token
    _configure(host, token)


def _configure(host: Secret[Any], token: Secret[str | None]) -> None:
    address = _address(host)
    identity = Identity(token)
    setting = _setting()
    client: Client | None = setting.client.value
    if client is not None and _is_client_of(client, address, identity):
        if token.reveal() is not None:  # the same as that of the environment, which may change
            setting.token = token
        if address is not None:  # what it had found by itself was named now
            setting.host = host
            client._discovery.given = address
    else:  # a client is not closed: others may be using it
        setting.replace(host, token)


def _is_client_of(client: Client, address: Address | None, identity: Identity) -> bool:
    """Whether a client is what would be made for an address (None: that of this machine)."""
    discovery = client._discovery
    if address is None:
        is_same = discovery.given is None
    else:
        is_same = discovery.found is not None and discovery.found.is_same_server(address)
    return is_same and client._identity.is_same(identity)


def _address(host: Secret[Any]) -> Address | None:
    return None if host.reveal() is None else parse_api_host(host)


def _is_at(setting: _Setting, address: Address | None) -> bool:
    """Whether a setting means the server at an address, as far as is known."""
    client: Client | None = setting.client.value
    own = _address(setting.host) if client is None else client._discovery.found
    return own is not None and address is not None and own.is_same_server(address)


def get_default_client(api_host: str | None = None) -> Client:
    """Return the default client, making it if there is none.

    Args:
        api_host: Makes the default client use this server from now on, as
            `configure_default_client()` does, with the token that is configured if it is the same
            server as before, else without one of its own; None: as configured.

    Raises:
        LMStudioWebsocketError: No server answers.
    """
    host = Secret(api_host)
    del api_host
    if host.reveal() is not None:
        setting = _setting()
        # A token goes to the server for which it was given, and to no other one.
        _configure(host, setting.token if _is_at(setting, _address(host)) else Secret(None))
    client = _default_client()
    try:
        client._discovery.check_once(Deadline(client._connect_timeout))
    except BaseException:
        _let_go(client)  # not closed: another thread may be using it
        raise
    return client


def _default_client() -> Client:
    """Return the default client without looking whether its server answers."""
    while True:
        setting = _setting()
        client: Client | None = setting.client.value
        if client is None:
            setting.client.set(Client(setting.host.reveal(), setting.token.reveal()))
        elif client._session.is_closed:
            setting.replace(setting.host, setting.token)
        else:
            return client


def _let_go(client: Client) -> None:
    """Have another default client made at the next use, unless that is another one already."""
    setting = _setting()
    if setting.client.value is client:
        setting.replace(setting.host, setting.token)


def close_default_client() -> None:
    """Close the default client, if there is one; the next use makes a new one.

    Thread safety: all threads, also in signal handlers and finalisers.
    """
    client: Client | None = _setting().client.value
    if client is not None:
        _let_go(client)
        client.close()


def start_over() -> None:
    """Let the default client, and all that was made with it, look anew for its server.

    What runs on it is cancelled. For whoever puts another server, and another token in the
    environment, in the place of what was there: the pytest plugin.
    """
    client: Client | None = _setting().client.value
    if client is None or client._session.is_closed:
        return
    try:
        client._identity.read_again()
    except LMStudioValueError:  # the environment has no token, but something else: for the next one
        close_default_client()
        return
    client._session.start_over(_LEAVES_WITHIN)
    client._discovery.forget()


def llm(
    model_key: str | None = None,
    /,
    *,
    ttl: int | None = DEFAULT_TTL,
    config: LlmLoadModelConfig | lmstudio.LlmLoadModelConfigDict | None = None,
    device_identifier: DeviceIdentifier = ...,
    on_load_progress: ModelLoadingCallback | None = None,
    on_load_resolved: ModelResolvedCallback | None = None,
    on_load_eviction: ModelEvictedCallback | None = None,
    **limits: Unpack[CallLimits],
) -> LLM:
    """Return a handle of a language model of the default client, loading it if need be.

    `model_key` is the key of a model; None: any that is loaded. See
    ``help(lmstudio.LlmNamespace.model)`` for all arguments and what it raises, and
    ``help(lmstudio.LLM)`` for what the handle can do.
    """
    return _default_client().llm.model(
        model_key,
        ttl=ttl,
        config=config,
        device_identifier=device_identifier,
        on_load_progress=on_load_progress,
        on_load_resolved=on_load_resolved,
        on_load_eviction=on_load_eviction,
        **limits,
    )


def embedding_model(
    model_key: str | None = None,
    /,
    *,
    ttl: int | None = DEFAULT_TTL,
    config: EmbeddingLoadModelConfig | lmstudio.EmbeddingLoadModelConfigDict | None = None,
    device_identifier: DeviceIdentifier = ...,
    on_load_progress: ModelLoadingCallback | None = None,
    on_load_resolved: ModelResolvedCallback | None = None,
    on_load_eviction: ModelEvictedCallback | None = None,
    **limits: Unpack[CallLimits],
) -> EmbeddingModel:
    """Return a handle of an embedding model of the default client, loading it if need be.

    `model_key` is the key of a model; None: any that is loaded. See
    ``help(lmstudio.EmbeddingNamespace.model)`` for all arguments and what it raises, and
    ``help(lmstudio.EmbeddingModel)`` for what the handle can do.
    """
    return _default_client().embedding.model(
        model_key,
        ttl=ttl,
        config=config,
        device_identifier=device_identifier,
        on_load_progress=on_load_progress,
        on_load_resolved=on_load_resolved,
        on_load_eviction=on_load_eviction,
        **limits,
    )


def prepare_image(
    src: LocalFileInput,
    name: str | None = None,
    *,
    on_progress: UploadProgressCallback | None = None,
    **limits: Unpack[CallLimits],
) -> FileHandle:
    """Upload an image to the default client's server, and return a handle for a chat.

    See `Client.files.prepare_image()` for the arguments and what it raises.
    """
    return _default_client().prepare_image(src, name, on_progress=on_progress, **limits)


@overload
def list_downloaded_models(
    namespace: None = None, **limits: Unpack[CallLimits]
) -> Sequence[DownloadedLlm | DownloadedEmbeddingModel]: ...
@overload
def list_downloaded_models(
    namespace: Literal["llm"], **limits: Unpack[CallLimits]
) -> Sequence[DownloadedLlm]: ...
@overload
def list_downloaded_models(
    namespace: Literal["embedding"], **limits: Unpack[CallLimits]
) -> Sequence[DownloadedEmbeddingModel]: ...
def list_downloaded_models(
    namespace: ModelKind | None = None, **limits: Unpack[CallLimits]
) -> Sequence[DownloadedLlm | DownloadedEmbeddingModel]:
    """Return the default client's models that are there for loading.

    See `Client.list_downloaded_models()`.
    """
    return _default_client().list_downloaded_models(namespace, **limits)


@overload
def list_loaded_models(
    namespace: None = None, **limits: Unpack[CallLimits]
) -> Sequence[LLM | EmbeddingModel]: ...
@overload
def list_loaded_models(
    namespace: Literal["llm"], **limits: Unpack[CallLimits]
) -> Sequence[LLM]: ...
@overload
def list_loaded_models(
    namespace: Literal["embedding"], **limits: Unpack[CallLimits]
) -> Sequence[EmbeddingModel]: ...
def list_loaded_models(
    namespace: ModelKind | None = None, **limits: Unpack[CallLimits]
) -> Sequence[LLM | EmbeddingModel]:
    """Return handles of the default client's models that are loaded.

    See `Client.list_loaded_models()`.
    """
    return _default_client().list_loaded_models(namespace, **limits)


public(
    configure_default_client,
    get_default_client,
    close_default_client,
    llm,
    embedding_model,
    prepare_image,
    list_downloaded_models,
    list_loaded_models,
)
