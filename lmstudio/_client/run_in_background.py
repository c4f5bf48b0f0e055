"""`run_in_background()`: any blocking call of this package, in a thread of its own."""

from __future__ import annotations

import functools
import inspect
import threading
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from .._api.callbacks import check_callable, check_callback, not_the_end
from .._api.public import public
from .._api.warn import called_from, callers_place
from .._background.callback_queue import CallbackQueue
from .._background.future import BackgroundCall
from .._background.thread import add, check_interval
from .._concurrency.callback_gate import CallbackGate, Dispatch
from .._concurrency.cancel_token import CancelEvent, attach, check_events
from .._concurrency.threads import start_daemon
from .._config.embedding_load_options import EmbeddingLoadModelConfig
from .._config.from_user import Config, read_config
from .._config.llm_load_options import LlmLoadModelConfig
from .._config.prediction_options import LlmPredictionConfig
from .._config.to_wire import structured_setting
from .._connection.scope import EventToken
from .._connection.session import Session
from .._handles.downloaded import DownloadedEmbeddingModel, DownloadedLlm
from .._handles.llm import LLM
from .._handles.namespaces import EmbeddingNamespace, LlmNamespace
from .._values.results import LlmPredictionFragment, kind_of
from ..errors import LMStudioRuntimeError, LMStudioValueError
from . import default_client

T = TypeVar("T")

# What the `config` of an object's methods is.
_CONFIGS: dict[type, type[Config]] = {
    LLM: LlmPredictionConfig,
    LlmNamespace: LlmLoadModelConfig,
    DownloadedLlm: LlmLoadModelConfig,
    EmbeddingNamespace: EmbeddingLoadModelConfig,
    DownloadedEmbeddingModel: EmbeddingLoadModelConfig,
}


def run_in_background(
    call: Callable[..., T],
    /,
    *arguments: Any,
    on_text: Callable[[str], Any] | None = None,
    on_reasoning: Callable[[str], Any] | None = None,
    on_answer: Callable[[str], Any] | None = None,
    on_progress: Callable[..., Any] | None = None,
    on_done: Callable[[T], Any] | None = None,
    on_error: Callable[[BaseException], Any] | None = None,
    dispatch: Dispatch | None = None,
    interval: float = 0.04,
    cancel_event: CancelEvent = None,
    **options: Any,
) -> BackgroundCall[T]:
    """Call a method that blocks in a thread of its own: `act`, `model`, `download` and others.

    Streams need no thread each: see `PredictionStream.run_in_background()`.

    Exactly one of `on_done` and `on_error` is called, once, after all else, however the call ends;
    nothing is called any more once the client or the window is closed. The callbacks of the call
    itself (its keywords that begin with ``on_``) run in the same way. An exception in a callback
    stops the call, and is what `on_error` and the future get. Callbacks that decide something, as
    `guard_tool_call`, and tools run in the call's own threads.

    Args:
        call: What is called, as ``model.act``, ``client.llm.model`` or ``option.download``.
        *arguments: Its arguments.
        on_text: For calls with `on_prediction_fragment`: called with the text that was generated
            since the last time, as the model wrote it: with its reasoning, and the marks around it.
        on_reasoning: Called with the reasoning in that text.
        on_answer: Called with the rest of it, without reasoning and marks.
        on_progress: Called with what the call tells of its progress, whatever it calls that:
            `on_load_progress`, `on_prompt_processing_progress` and `on_progress` are one here.
        on_done: Called with what the call returned.
        on_error: Called with what the call raised, also if it was cancelled.
        dispatch: Has a function called in the thread where callbacks belong: `TkDispatcher`,
            `QtDispatcher`, ``wx.CallAfter``, ``loop.call_soon_threadsafe``. None: they run in
            threads of the package.
        interval: Seconds between two texts, at least. Text comes sooner only at the end, or just
            before another callback is due (except `on_prediction_fragment`).
        cancel_event: An event, or several, that stop the call.
        **options: The call's other keyword arguments.

    Returns:
        A `concurrent.futures.Future` of what the call returns; its `cancel()` stops the call. It is
        done just before the last callback.

    Raises:
        LMStudioValueError: An argument cannot be used, or an option of `config`.
        TypeError: The call does not take these arguments, or no `cancel_event`.
        LMStudioRuntimeError: Python starts no threads any more.

    Thread safety: may be called in any thread.
    """
    token = EventToken()
    callbacks = CallbackQueue(
        _gate_of(call, arguments),
        dispatch,
        token.cancel,
        on_text=on_text,
        on_reasoning=on_reasoning,
        on_answer=on_answer,
        on_done=on_done,
        on_error=on_error,
    )
    if on_progress is not None:
        name = _name_of_progress(call)
        if options.get(name) is not None:
            raise LMStudioValueError(f"on_progress and {name} are one and the same. Use one.")
        options[name] = (
            _progress_alone(on_progress) if name.startswith("on_prompt") else on_progress
        )
    for name, callback in options.items():
        if name.startswith("on_") and callback is not None:
            check_callable(name, callback)
            is_for_each = name == "on_prediction_fragment"
            beside = callbacks.beside_text(callback) if is_for_each else callback
            options[name] = _runs_in(callbacks, beside, callback)
    if callbacks.takes_text:
        also = options.get("on_prediction_fragment")
        options["on_prediction_fragment"] = _text_taker(callbacks, also)
    events = [*callbacks.closed, *check_events(cancel_event)]
    options["cancel_event"] = token
    _check_arguments(call, arguments, options)
    _read_config(call, arguments, options)
    future: BackgroundCall[T] = BackgroundCall(token.cancel)
    seconds = check_interval(interval)
    place = callers_place()

    def work() -> None:
        future._worker = threading.get_ident()
        result: Any = None
        error: BaseException | None = None
        try:
            attach(token, events)  # here: to look at some event may take a while
            with called_from(place):
                result = call(*arguments, **options)
        except BaseException as caught:
            error = caught
        try:
            token.check_events()
        except LMStudioRuntimeError as broken:  # an event, which has cancelled it
            error = broken
        token.retire()
        callbacks.bring_text()  # first, as with streams: who waits for the result has had the text
        error = callbacks.failure or (error and not_the_end(error))
        try:
            future._finish(result, error)
        finally:
            callbacks.end(result, error)

    try:
        start_daemon(work, "lmstudio-call", refusal="Nothing can be run in the background")
        if callbacks.takes_text:
            job = _TextJob(callbacks, future, seconds)
            future.add_done_callback(functools.partial(job.end, add(job)))
    except BaseException:
        token.cancel("interrupted")
        raise
    return future


def _name_of_progress(call: Callable[..., Any]) -> str:
    """Return what a call names the callback for its progress."""
    try:
        parameters = inspect.signature(call).parameters
    except (TypeError, ValueError):  # `_check_arguments` says what is wrong
        return "on_progress"
    names = ("on_progress", "on_load_progress", "on_prompt_processing_progress")
    return next((name for name in names if name in parameters), "on_progress")


def _progress_alone(callback: Callable[..., Any]) -> Callable[..., Any]:
    """Return what is told the progress; the round, which only `act()` tells, is left out."""
    check_callback("on_progress", callback, "progress")

    def tell(progress: float, *_round_index: int) -> None:
        callback(progress)

    return tell


def _check_arguments(
    call: Callable[..., Any], arguments: tuple[Any, ...], options: dict[str, Any]
) -> None:
    """Raise here what would be raised in the thread: a misspelt option is not found there."""
    if not callable(call):
        raise LMStudioValueError(
            "What is to run must be a function with its arguments, as in "
            f"run_in_background(model.act, chat, tools); a {type(call).__name__} was given."
        )
    name = getattr(call, "__name__", repr(call))
    if inspect.iscoroutinefunction(call):
        raise LMStudioValueError(f"{name}() is a coroutine function: await it, in a task of yours.")
    try:
        signature = inspect.signature(call)
    except ValueError:  # a function of C that tells nothing of itself
        signature = inspect.Signature()
    kinds = {parameter.kind for parameter in signature.parameters.values()}
    if "cancel_event" not in signature.parameters and inspect.Parameter.VAR_KEYWORD not in kinds:
        raise TypeError(
            f"{name}() takes no cancel_event, by which it would be stopped. Give it such a "
            "parameter, or run it in a thread of your own."
        )
    try:
        signature.bind(*arguments, **options)
    except TypeError as error:
        raise TypeError(f"{name}() {error}") from None


def _read_config(
    call: Callable[..., Any], arguments: tuple[Any, ...], options: dict[str, Any]
) -> None:
    """Read the configuration here: its warnings heed the filters of the caller's thread."""
    owner = _owner_of(call, arguments)
    cls = _CONFIGS.get(type(owner))
    if cls is None:
        return
    # The default is what a `functools.partial` gives.
    given = {
        name: options.get(name, parameter.default)
        for name, parameter in inspect.signature(call).parameters.items()
    }
    is_strict = owner._session.strict_options
    if given.get("config") is not None:
        options["config"] = read_config(given["config"], cls, is_strict)
    if isinstance(given.get("response_format"), Mapping):
        options["response_format"] = structured_setting(given["response_format"], is_strict)


class _TextJob:
    """Brings the text of a call every now and then; whatever else it tells comes at once."""

    call = None

    def __init__(
        self, callbacks: CallbackQueue, future: BackgroundCall[Any], interval: float
    ) -> None:
        self.interval = interval
        self._callbacks = callbacks
        self._future = future

    def end(self, ring: Callable[[None], None], _future: BackgroundCall[Any]) -> None:
        """Be polled once more now, however long the interval is, and no more."""
        self.interval = 0.0
        ring(None)

    def poll(self) -> bool:
        """Bring what has come."""
        self._callbacks.bring_text()
        return not self._future.done()


def _text_taker(callbacks: CallbackQueue, also: Callable[..., Any] | None) -> Callable[..., None]:
    def take(fragment: LlmPredictionFragment, *round_index: int) -> None:
        callbacks.text(fragment.content, kind_of(fragment))
        if also is not None:
            also(fragment, *round_index)

    return take


def _runs_in(
    callbacks: CallbackQueue, callback: Callable[..., Any], given: Callable[..., Any]
) -> Callable[..., Any]:
    """Return what has a callback run by `callbacks`, and says which one was given."""
    run = functools.partial(callbacks.run, callback)
    run.given_callback = given  # type: ignore[attr-defined]
    return run


def _gate_of(call: Callable[..., Any], arguments: tuple[Any, ...]) -> CallbackGate:
    """Return what stops callbacks when the client is closed to which a call belongs.

    That is the client of the object whose method is called, also through `functools.partial`, or by
    the function of its class, which gets the object first; and the default client for functions of
    the package.
    """
    inner, arguments = _without_partials(call, arguments)
    if getattr(inner, "__globals__", None) is vars(default_client):
        return default_client._default_client()._session.callback_gate
    for owner in (getattr(inner, "__self__", None), *arguments[:1]):
        # Of `client.system`, which is what two others know, it is theirs.
        for namespace in (owner, getattr(owner, "_llm", None)):
            session = getattr(namespace, "_session", None)
            if isinstance(session, Session):
                return session.callback_gate
    return CallbackGate()


def _owner_of(call: Callable[..., Any], arguments: tuple[Any, ...]) -> Any:
    """Return the object whose method is called; None: it is another function."""
    inner, arguments = _without_partials(call, arguments)
    if inner is default_client.llm:
        return default_client._default_client().llm
    if inner is default_client.embedding_model:
        return default_client._default_client().embedding
    function = getattr(inner, "__func__", inner)
    for owner in (getattr(inner, "__self__", None), *arguments[:1]):
        if getattr(type(owner), getattr(function, "__name__", ""), None) is function:
            return owner
    return None


def _without_partials(
    call: Callable[..., Any], arguments: tuple[Any, ...]
) -> tuple[Any, tuple[Any, ...]]:
    inner: Any = call
    while isinstance(inner, functools.partial):
        inner, arguments = inner.func, (*inner.args, *arguments)
    return inner, arguments


public(run_in_background)
