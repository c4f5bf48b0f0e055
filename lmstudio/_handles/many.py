"""What a language model's handle does with many inputs: respond_many and complete_many."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from .._concurrency.cancel_token import CancelEvent
from .._config.options import LlmPredictionConfig
from .._config.to_wire import (
    ResponseSchema,
    config_stack,
    prediction_config_to_kv,
    wants_structured,
)
from .._connection.session import Limit
from .._json.from_json import response_class
from .._prediction.reader import PredictionCallbacks
from .._values.chat import Chat
from .._values.messages import ChatHistoryDataDict
from .._values.results import PredictionResult
from .predictions import PredictionMethods, chat_history, completion_history

if TYPE_CHECKING:
    from .._background.thread import BackgroundCall
    from .._batch.batch import Batch
    from .._batch.progress import Progress
    from .._connection.call import Call
    from .._connection.scope import Scope

__all__ = ["BatchMethods"]

_SELDOM = 0.25  # seconds between two looks at a reply of which nobody is shown the text


class BatchMethods(PredictionMethods):
    """The part of `LLM` that makes many predictions.

    Thread safety: all methods may be called from several threads at once.
    """

    def respond_many(
        self,
        inputs: Iterable[Chat | ChatHistoryDataDict | str],
        *,
        max_parallel: int = 4,
        ordered: bool = False,
        response_format: ResponseSchema | None = None,
        config: LlmPredictionConfig | dict[str, Any] | None = None,
        preset: str | None = None,
        cancel_event: CancelEvent = None,
        timeout: Limit = ...,
        idle_timeout: Limit = ...,
        progress: Progress = None,
    ) -> Batch[PredictionResult]:
        """Return an iterator over the replies to many inputs, which are read as they are needed.

        Endpoint: channel ``predict``, once for each input.

        Args:
            inputs: An iterable of what `respond()` takes. It is read in the iterating thread.
            max_parallel: How many predictions are under way at once. LM Studio itself answers as
                many at once as the model was loaded for, and queues the others.
            ordered: Give the outcomes in the order of the inputs, not as they finish.
            response_format: A JSON schema, or a class that gives one, for structured replies.
            config: Options of the predictions, as in `respond()`.
            preset: The name of a preset of LM Studio.
            cancel_event: An event, or several, that stop all of it.
            timeout: Seconds for each prediction; None: no limit. (For all of them:
                ``cancel_event=CancelToken.after(seconds)``.)
            idle_timeout: Seconds of silence of the server in each; None: no limit.
            progress: ``"rich"`` or ``"tqdm"`` for a bar on stderr, by packages that you install; or
                a function of the number of inputs that are done, and of all (None if unknown).

        Returns:
            A `Batch`: an iterator over pairs ``(index, result)`` or ``(index, error)``.

        Raises:
            LMStudioValueError: An argument cannot be used.
            LMStudioClientError: The client is closed.
            LMStudioRuntimeError: `cancel_event` cannot be watched.
        """
        return self._many(
            inputs,
            chat_history,
            completion=False,
            max_parallel=max_parallel,
            ordered=ordered,
            response_format=response_format,
            config=config,
            preset=preset,
            cancel_event=cancel_event,
            timeout=timeout,
            idle_timeout=idle_timeout,
            progress=progress,
        )

    def complete_many(
        self,
        inputs: Iterable[str],
        *,
        max_parallel: int = 4,
        ordered: bool = False,
        response_format: ResponseSchema | None = None,
        config: LlmPredictionConfig | dict[str, Any] | None = None,
        preset: str | None = None,
        cancel_event: CancelEvent = None,
        timeout: Limit = ...,
        idle_timeout: Limit = ...,
        progress: Progress = None,
    ) -> Batch[PredictionResult]:
        """Return an iterator over the continuations of many texts; see `respond_many()`.

        Endpoint: channel ``predict``, once for each input.
        """
        return self._many(
            inputs,
            completion_history,
            completion=True,
            max_parallel=max_parallel,
            ordered=ordered,
            response_format=response_format,
            config=config,
            preset=preset,
            cancel_event=cancel_event,
            timeout=timeout,
            idle_timeout=idle_timeout,
            progress=progress,
        )

    def _many(
        self,
        inputs: Iterable[Any],
        to_history: Callable[[Any], dict[str, Any]],
        *,
        completion: bool,
        max_parallel: int,
        ordered: bool,
        response_format: ResponseSchema | None,
        config: LlmPredictionConfig | dict[str, Any] | None,
        preset: str | None,
        cancel_event: CancelEvent,
        timeout: Limit,
        idle_timeout: Limit,
        progress: Progress,
    ) -> Batch[PredictionResult]:
        from .._batch.batch import Batch  # here: programs without batches need not load it

        fields = prediction_config_to_kv(config, response_format)
        stack = config_stack(fields, completion=completion)

        def start(item: Any, scope: Scope) -> tuple[Call, BackgroundCall[PredictionResult]]:
            stream = self._predict(
                to_history(item),
                stack,
                preset,
                PredictionCallbacks(),
                structured=wants_structured(fields),
                response_type=response_class(response_format),
                cancel_event=scope,
                timeout=timeout,
                idle_timeout=idle_timeout,
            )
            return stream._call, stream.run_in_background(interval=_SELDOM)

        return Batch(
            self._line,
            start,
            inputs,
            max_parallel=max_parallel,
            ordered=ordered,
            cancel_event=cancel_event,
            progress=progress,
        )
