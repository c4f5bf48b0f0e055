"""`respond_many_on_dask()`: one batch over the workers of a Dask cluster, each at its LM Studio."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable
from typing import Any

import attrs

import lmstudio  # in annotations: the names that need not be imported before they are used

from .._api.backports import TypeVar, Unpack
from .._api.callbacks import check_callback
from .._api.checks import check_key, check_text
from .._api.public import public
from .._api.shown import shown
from .._batch.batch import Batch
from .._batch.calls import Predictions, RequestRun
from .._batch.hosts import Host
from .._batch.inquiry import Inquiry
from .._batch.options import BatchOptions, BatchProgress, BatchSettings, check_places
from .._concurrency.cancel_token import CancelEvent
from .._config.prediction_options import LlmPredictionConfig, LlmStructuredPredictionSetting
from .._connection.limits import CallLimits, TimeLimit, call_limits
from .._connection.request import Request
from .._connection.scope import CancelScope
from .._json.json_schema import DictSchema
from .._prediction.request import PredictionOptions, chat_history, files_in
from .._values.results import PredictionResult
from ..errors import (
    LMStudioClientError,
    LMStudioRuntimeError,
    LMStudioValueError,
)
from .on_worker import Question
from .session import GET_PLACES, GET_STATE, RESPOND, TaskSession
from .tasks import TaskDispatcher, WorkerSeat

T = TypeVar("T", default=None)


def respond_many_on_dask(
    dask_client: Any,
    inputs: Iterable[Any],
    *,
    model: str | None = None,
    api_host: str | Callable[[Any], str | None] | None = None,
    resource: str | None = None,
    max_parallel: int | None = None,
    ordered: bool = False,
    response_format: type[T] | LlmStructuredPredictionSetting | DictSchema | None = None,
    config: LlmPredictionConfig | lmstudio.LlmPredictionConfigDict | None = None,
    preset: str | None = None,
    cancel_event: CancelEvent = None,
    timeout: TimeLimit = ...,
    idle_timeout: TimeLimit = ...,
    progress: BatchProgress = None,
    **options: Unpack[BatchOptions],
) -> lmstudio.Batch[PredictionResult[T]]:
    """Return an iterator over the replies to many inputs, by the workers of a Dask cluster.

    Each worker asks an LM Studio of its own: by default the one on its machine. It is the same
    batch as that of `LLM.respond_many()`, over workers instead of hosts: inputs are read here, a
    few at a time, and whichever worker has a free place gets the next one; results come back here,
    and into the journal if there is one. A worker that is lost, or whose LM Studio is lost, is only
    its own loss: others get what it had. Workers that join later take part.

    Args:
        dask_client: A `distributed.Client` of the cluster. The workers need this package, too.
        inputs: What `LLM.respond_many()` takes. A chat with files cannot travel, since these belong
            to one LM Studio.
        model: The key of the model, which each LM Studio loads if it is not loaded; None: any that
            is loaded there.
        api_host: The LM Studio of each worker, as ``"host:port"``; or a function that is called at
            each worker, with its `distributed.Worker`, and returns that. None: what the environment
            variable ``LMSTUDIO_HOST`` of the worker says, or the LM Studio of its machine.
        resource: The name of a resource of Dask: only workers that have it take part, and each
            input takes one of it, so that batches at the same worker share its places.
        max_parallel: How many predictions are under way at once at each worker; None: as many as it
            has of `resource`; without that as in `LLM.respond_many()`.
        ordered: As in `LLM.respond_many()`, like all that follows.
        response_format: A JSON schema, or a class that gives one.
        config: Options of the predictions.
        preset: The name of a preset of LM Studio.
        cancel_event: An event, or several, that stop all of it, everywhere; a `distributed.Event`
            may be set on any machine.
        timeout: Seconds for each prediction; None: no limit.
        idle_timeout: Seconds of silence of the server in each; None: no limit. For both, ``...`` is
            the client's own setting.
        progress: What shows how far it is.
        **options: `patience` (while no worker is there that could ask), `retries`, `retry_if`,
            `journal`, `ahead`, `to_prompt`. All of it is done here, in the iterating thread.

    Returns:
        A `Batch`. `BatchOutcome.host` names the LM Studio and the worker.

    Raises:
        LMStudioValueError: An argument cannot be used.
        LMStudioClientError: The Dask client is closed.
        LMStudioRuntimeError: Dask is not installed, `cancel_event` cannot be watched, or another
            batch writes the journal.
        LMStudioOSError: The journal cannot be opened.

    Thread safety: may be called from any thread, but not in an event loop.

    Endpoint: channel ``predict``, once for each input, at the worker's LM Studio.
    """
    _check_client(dask_client)
    if callable(api_host):
        check_callback("api_host", api_host, "worker")
    elif api_host is not None:
        check_text(api_host, "api_host")
    asked = PredictionOptions.read(config, preset, response_format)
    limits = call_limits(cancel_event, timeout, idle_timeout)
    question = Question(
        api_host=api_host,
        model=None if model is None else check_key(model, "model"),
        options=attrs.evolve(asked, response_type=None),  # replies are read here
        limits={"timeout": timeout, "idle_timeout": idle_timeout},
    )
    if resource is not None:
        check_text(resource, "resource")
    hosts = _Workers(dask_client, question, asked, check_places(max_parallel), resource)
    batch: Batch[PredictionResult[T]] = Batch(
        hosts.all(),
        Predictions(asked, _history),
        inputs,
        BatchSettings(ordered=ordered, **options),
        limits=limits,
        progress=progress,
    )
    hosts.batch = weakref.ref(batch)
    return batch


class _Workers:
    """Makes the hosts of a batch: one for each worker, those that join later too."""

    def __init__(
        self,
        dask_client: Any,
        question: Question,
        options: PredictionOptions,
        places: int | None,
        resource: str | None,
    ) -> None:
        self._options = options
        self.batch: weakref.ref[Batch[Any]] | None = None
        self._tasks = TaskDispatcher(dask_client, _pickled(question), places, resource, self._join)

    def all(self) -> list[Host[PredictionResult[Any]]]:
        self._tasks.take_workers()
        return [self._host(seat) for seat in self._tasks.seats]

    def _join(self, seat: WorkerSeat) -> None:
        batch = None if self.batch is None else self.batch()
        if batch is not None:
            batch._add_host(self._host(seat))

    def _host(self, seat: WorkerSeat) -> Host[PredictionResult[Any]]:
        session = TaskSession(self._tasks, seat)

        def read(result: PredictionResult[Any]) -> PredictionResult[Any]:
            return attrs.evolve(result, response_type=self._options.response_type)

        def begin(history: Any, scope: CancelScope) -> RequestRun[PredictionResult[Any]]:
            request = Request(RESPOND, _pickled(history), read)
            limits: CallLimits = {"cancel_event": scope}
            return RequestRun(session, request, limits)

        places = self._tasks.places_of(seat)
        inquiry = None
        if places is None:
            inquiry = Inquiry(
                Request(GET_PLACES, None, _as_it_is), Request(GET_STATE, None, _as_it_is)
            )
        host: Host[PredictionResult[Any]] = Host(session, seat.worker, places, begin, inquiry)
        seat.host = host
        return host


def _check_client(dask_client: Any) -> None:
    """Check what was given as client of Dask.

    Raises:
        LMStudioValueError: It is none.
        LMStudioClientError: It is closed.
        LMStudioRuntimeError: Dask is not installed.
    """
    try:
        from distributed import Client
    except ImportError:
        raise LMStudioRuntimeError(
            "respond_many_on_dask() needs the package distributed: pip install 'dask[distributed]'"
        ) from None
    if not isinstance(dask_client, Client):
        raise LMStudioValueError(
            "dask_client must be a distributed.Client, which is made with the address of the "
            f"scheduler or a cluster; {shown(dask_client)} was given."
        )
    if dask_client.asynchronous:
        raise LMStudioValueError(
            "dask_client is one for event loops. Make one with asynchronous=False, and iterate in "
            "a thread that runs no event loop."
        )
    if dask_client.status in ("closing", "closed"):
        raise LMStudioClientError("The Dask client is closed.")


def _pickled(value: object) -> bytes:
    """Return a value as a pickle, made here: what comes as it is, Dask looks through for tasks."""
    from distributed.protocol import pickle

    data: bytes = pickle.dumps(value)  # type: ignore[no-untyped-call]
    return data


def _as_it_is(answer: Any) -> Any:
    return answer


def _history(given: Any) -> dict[str, Any]:
    """Return a chat as JSON data.

    Raises:
        LMStudioValueError: It is no chat, or has files.
    """
    history = chat_history(given)
    if files_in(history):
        raise LMStudioValueError(
            "A chat with files cannot go to the workers: a file belongs to the LM Studio that it "
            "was uploaded to."
        )
    return history


public(respond_many_on_dask)
