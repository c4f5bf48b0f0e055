"""What runs in the process of a worker: it asks the worker's own LM Studio."""

from __future__ import annotations

import functools
import os
import pickle
import threading
from collections.abc import Callable
from typing import Any

import attrs

from .._client.client import Client
from .._handles.llm import LLM
from .._prediction.callbacks import PredictionCallbacks
from .._prediction.request import PredictionOptions
from .._requests import models
from ..errors import LMStudioError, LMStudioModelNotFoundError
from .task_token import dask_cancel_token

HOST_VARIABLE = "LMSTUDIO_HOST"


@attrs.frozen(kw_only=True)
class Question:
    """What a batch asks of every worker; all but the prompt.

    Attributes:
        api_host: The LM Studio; or a function of the worker that returns it; or None.
        model: The key of the model; None: any that is loaded.
        options: The options of the predictions.
        limits: The time limits of each.
    """

    api_host: str | Callable[[Any], str | None] | None
    model: str | None
    options: PredictionOptions
    limits: dict[str, Any]


@attrs.frozen
class Answer:
    """What a worker sends back.

    Attributes:
        value: The result, or the error.
        is_sent: Whether the LM Studio was asked at all.
        host: The LM Studio, and the worker.
    """

    value: Any
    is_sent: bool
    host: str


_lock = threading.Lock()
_clients: dict[str | None, Client] = {}  # by what was asked for; they stay, whatever ends
_models: dict[tuple[str | None, str | None], LLM] = {}


def respond(question: bytes, prompt: bytes) -> Answer:
    """Return the reply to one prompt."""

    def ask(model: LLM, question: Question, token: Any) -> tuple[Any, bool]:
        limits = {**question.limits, "cancel_event": token}
        history = pickle.loads(prompt)
        stream = model._predict(question.options, history, PredictionCallbacks(), limits)  # type: ignore[arg-type]
        try:
            return stream.result(), True
        except LMStudioError as error:
            return error, stream._call.is_sent

    return _ask(question, ask)


def get_places(question: bytes) -> Answer:
    """Return how many predictions the model answers at once; None if its server does not say."""

    def ask(model: LLM, _question: Question, token: Any) -> tuple[Any, bool]:
        request = models.get_places(model._specifier)
        return model._session.call(request, cancel_event=token), True

    return _ask(question, ask)


def get_state(question: bytes) -> Answer:
    """Return what the model is doing."""

    def ask(model: LLM, _question: Question, token: Any) -> tuple[Any, bool]:
        return model.get_processing_state(cancel_event=token), True

    return _ask(question, ask)


def _ask(question: bytes, ask: Callable[[LLM, Question, Any], tuple[Any, bool]]) -> Answer:
    from distributed import get_worker, secede

    token = dask_cancel_token()
    # It waits only: the worker's threads are for those that compute.
    secede()  # type: ignore[no-untyped-call]
    loaded = _question_of(question)
    host, is_sent = _host_of(loaded), False
    key, name = (host, loaded.model), host
    value: Any
    while True:
        was_known = key in _models
        try:
            model = _model(host, loaded.model, token)
            name = model._host
            value, is_sent = ask(model, loaded, token)
        except LMStudioError as error:
            value = error
        is_gone = isinstance(value, LMStudioModelNotFoundError)
        if is_gone:
            _models.pop(key, None)
        if not (is_gone and was_known):  # else it was unloaded since: it is found or loaded anew
            break
    if isinstance(value, LMStudioError):
        value = value.fresh()  # without what its traceback and context hold
    return Answer(value, is_sent, f"{name or 'no LM Studio'} of {get_worker().address}")


@functools.lru_cache(maxsize=16)
def _question_of(data: bytes) -> Question:
    question: Question = pickle.loads(data)
    return question


def _host_of(question: Question) -> str | None:
    """Return the LM Studio of this worker; None: the one of this machine."""
    if callable(question.api_host):
        from distributed import get_worker

        return question.api_host(get_worker())
    return question.api_host or os.environ.get(HOST_VARIABLE) or None


def _model(host: str | None, key: str | None, token: Any) -> LLM:
    """Return the handle of a model, which is loaded if it is not."""
    model = _models.get((host, key))
    if model is None:
        with _lock:
            client = _clients.get(host)
            if client is None or client._session.is_closed:
                client = _clients[host] = Client(host)
        model = _models[host, key] = client.llm.model(key, cancel_event=token)
    return model
