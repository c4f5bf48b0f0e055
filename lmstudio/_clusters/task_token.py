"""`dask_cancel_token()`: stops what a task of Dask has begun when nobody wants the task any more.

Dask cannot interrupt a thread: of a task that is cancelled while it runs it forgets only the
result. But a worker tells its plugins of each change of a task's state, in its event loop. So there
is nothing to be polled, no thread, and no question to the scheduler.
"""

from __future__ import annotations

import threading
import weakref
from typing import Any

from .._api.public import public
from .._concurrency.cancel_token import CancelToken
from ..errors import LMStudioRuntimeError

REASON = "the Dask task was cancelled"
_NAME = "lmstudio-cancel"  # of the plugin
_lock = threading.Lock()
# By worker: there may be several in one process.
_plugins: weakref.WeakKeyDictionary[Any, _TokensOfWorker] = weakref.WeakKeyDictionary()


def dask_cancel_token() -> CancelToken:
    """Return a token that is cancelled when the Dask task that runs here is not wanted any more.

    Call it in the function that a Dask worker runs, and give what it returns as `cancel_event`::

        def ask(model, question):
            return model.respond(question, cancel_event=lms.dask_cancel_token()).content

        future = dask_client.submit(ask, model, "Tell me a long story.")
        future.cancel()  # stops the model, too

    It acts as well when the last future of the task is dropped, when the program that waits for it
    ends in whatever way, and when the worker closes.

    Returns:
        A `CancelToken`; several calls in one task give the same one.

    Raises:
        LMStudioRuntimeError: This is not the thread of a task of Dask.

    Thread safety: the thread of the task; the token may go anywhere in its process.
    """
    try:
        from distributed import get_worker

        worker = get_worker()
        key = worker.get_current_task()
    except (ImportError, ValueError, KeyError):
        raise LMStudioRuntimeError(
            "This thread runs no task of Dask: call dask_cancel_token() in the function that a "
            "worker runs, and hand the token to other threads."
        ) from None
    with _lock:
        tokens = _plugins.get(worker)
        if tokens is None:
            tokens = _plugins[worker] = _TokensOfWorker(worker)
    return tokens.token(key)


class _TokensOfWorker:
    """The tokens of the tasks of one worker: a plugin, whose methods Dask calls in its loop."""

    def __init__(self, worker: Any) -> None:
        self._worker = weakref.ref(worker)
        self._tokens: weakref.WeakValueDictionary[Any, CancelToken] = weakref.WeakValueDictionary()
        # Only in the loop, which goes through the plugins there.
        worker.loop.add_callback(self._start)

    def token(self, key: Any) -> CancelToken:
        with _lock:
            token = self._tokens.get(key)
            if token is None or token.is_set():  # of an earlier run of the task
                token = self._tokens[key] = CancelToken()
        # Known first, looked at second; the loop changes the state first, and then tells.
        self._cancel_if_unwanted(key, token)
        return token

    def _start(self) -> None:
        worker = self._worker()
        if worker is not None:
            worker.plugins[_NAME] = self
            for key, token in list(self._tokens.items()):
                self._cancel_if_unwanted(key, token)

    def _cancel_if_unwanted(self, key: Any, token: CancelToken) -> None:
        worker = self._worker()
        task = None if worker is None else worker.state.tasks.get(key)
        if task is None or task.state == "cancelled":
            token.cancel(REASON)

    def transition(self, key: Any, start: str, finish: str, **_more: Any) -> None:
        """Learn of a change: a task that is released while it runs is not wanted any more."""
        if finish == "released" and start in ("executing", "long-running"):
            token = self._tokens.get(key)
            if token is not None:
                token.cancel(REASON)

    def teardown(self, worker: Any) -> None:
        """Stop everything when the worker closes."""
        for token in list(self._tokens.values()):
            token.cancel("the Dask worker was closed")


public(dask_cancel_token)
