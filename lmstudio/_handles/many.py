"""`respond_many()`: one batch over the models of several hosts."""

from __future__ import annotations

from collections.abc import AsyncIterable, Iterable
from typing import TYPE_CHECKING, Any, overload

import lmstudio  # in annotations: the names that need not be imported before they are used

from .._api.backports import TypeVar, Unpack
from .._api.public import public
from .._api.shown import shown
from .._batch.options import BatchOptions, BatchProgress, BatchSettings
from .._concurrency.cancel_token import CancelEvent
from .._config.prediction_options import LlmPredictionConfig, LlmStructuredPredictionSetting
from .._connection.limits import TimeLimit, call_limits
from .._json.json_schema import DictSchema
from .._prediction.request import chat_history
from .._values.results import PredictionResult
from ..errors import LMStudioValueError
from .llm import LLM

if TYPE_CHECKING:
    from .._asyncio.llm import AsyncLLM

T = TypeVar("T", default=None)


@overload
def respond_many(
    models: Iterable[LLM],
    inputs: Iterable[Any],
    *,
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
) -> lmstudio.Batch[PredictionResult[T]]: ...
@overload
def respond_many(
    models: Iterable[AsyncLLM],
    inputs: Iterable[Any] | AsyncIterable[Any],
    *,
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
) -> lmstudio.AsyncBatch[PredictionResult[T]]: ...
def respond_many(
    models: Iterable[Any],
    inputs: Iterable[Any] | AsyncIterable[Any],
    *,
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
) -> Any:
    """Return an iterator over the replies to many inputs, by the models of one or several hosts.

    Whichever model has a free place takes the next input. A host that is lost hands back what ran
    there, and is tried again as long as the batch goes on; one that refuses for good leaves. The
    batch ends with the last one.

    Args:
        models: Handles of language models, as ``client.llm.model()`` gives them: all of `Client`
            objects, or all of `AsyncClient` objects.
        inputs: What `LLM.respond_many()` takes.
        max_parallel: How many predictions are under way at once at each of the models; None: as
            many as each has room for, or 4 where the server does not say.
        ordered: As in `LLM.respond_many()`, like all that follows.
        response_format: A JSON schema, or a class that gives one.
        config: Options of the predictions.
        preset: The name of a preset of LM Studio.
        cancel_event: What stops all of it; so do `cancel_all()` and `close()` of each client.
        timeout: Seconds for each prediction; None: no limit.
        idle_timeout: Seconds of silence of the server in each; None: no limit. For both, ``...`` is
            the client's own setting.
        progress: What shows how far it is.
        **options: `patience`, `retries`, `retry_if`, `journal`, `ahead`, `to_prompt`.

    Returns:
        A `Batch`, or an `AsyncBatch` for models of an `AsyncClient`.

    Raises:
        LMStudioValueError: An argument cannot be used.
        LMStudioClientError: One of the clients is closed.
        LMStudioRuntimeError: `cancel_event` cannot be watched, or another batch writes the journal.
        LMStudioOSError: The journal cannot be opened.

    Thread safety: may be called from any thread.

    Endpoint: channel ``predict``, once for each input.
    """
    handles = list(models) if isinstance(models, Iterable) else []
    wrong = [model for model in handles if not hasattr(model, "_many")]
    if wrong or len({type(model) for model in handles}) != 1:
        given = wrong[0] if wrong else models
        raise LMStudioValueError(
            "models must be a list of handles of language models, as client.llm.model() gives them,"
            f" of one kind of clients; {shown(given)} was given."
        )
    first, *others = handles
    return first._many(
        inputs,
        chat_history,
        first._options(config, preset, response_format),
        call_limits(cancel_event, timeout, idle_timeout),
        max_parallel=max_parallel,
        progress=progress,
        settings=BatchSettings(ordered=ordered, **options),
        others=others,
    )


public(respond_many)
