"""The endpoints of LM Studio that this package calls, as data."""

from __future__ import annotations

from typing import Any

import attrs

__all__ = ["DOWNLOAD", "PREDICT", "Endpoint", "get_or_load", "load_model", "rpc"]


_LABELS = {
    "predict": "The prediction",
    "getOrLoad": "Loading the model",
    "loadModel": "Loading the model",
    "unloadModel": "Unloading the model",
    "getModelInfo": "Looking for the model",
    "listLoaded": "Listing the loaded models",
    "listDownloadedModels": "Listing the downloaded models",
    "countTokens": "Counting tokens",
    "tokenize": "Tokenizing",
    "embedString": "Embedding",
    "applyPromptTemplate": "Applying the prompt template",
    "getLoadConfig": "Reading the load configuration",
    "searchModels": "Searching for models",
    "getModelDownloadOptions": "Listing the download options",
    "downloadModel": "The download",
    "uploadFileBase64": "The upload",
}


@attrs.frozen
class Endpoint:
    """An endpoint: where it is, and for a channel which packets are its outcome.

    Every channel of LM Studio that this package opens takes the packet ``{"type": "cancel"}``.
    """

    namespace: str
    name: str
    channel: bool = False
    finals: frozenset[str] = frozenset()

    @property
    def label(self) -> str:
        """What a call of it does, in a user's words, for the beginning of a sentence."""
        return _LABELS.get(self.name, f"The call of {self.name}")

    def start_message(self, call_id: int, parameter: Any) -> dict[str, Any]:
        """Return the message that starts a call. A parameter of None is left out, as it must be."""
        if self.channel:
            return {
                "type": "channelCreate",
                "endpoint": self.name,
                "channelId": call_id,
                "creationParameter": parameter,
            }
        message = {"type": "rpcCall", "endpoint": self.name, "callId": call_id}
        if parameter is not None:
            message["parameter"] = parameter
        return message


PREDICT = Endpoint("llm", "predict", channel=True, finals=frozenset({"success"}))
DOWNLOAD = Endpoint("repository", "downloadModel", channel=True, finals=frozenset({"success"}))


def get_or_load(namespace: str) -> Endpoint:
    """Return the channel that gets a model, loading it if it is not loaded."""
    finals = frozenset({"alreadyLoaded", "loadSuccess"})
    return Endpoint(namespace, "getOrLoad", channel=True, finals=finals)


def load_model(namespace: str) -> Endpoint:
    """Return the channel that loads a new instance of a model."""
    return Endpoint(namespace, "loadModel", channel=True, finals=frozenset({"success"}))


def rpc(namespace: str, name: str) -> Endpoint:
    """Return a remote procedure."""
    return Endpoint(namespace, name)
