"""The one thread of a server that owns its sockets: an asyncio loop that others can ask."""

from __future__ import annotations

import asyncio
import concurrent.futures
import logging
import threading
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any, TypeVar

from .._protocol.clock import monotonic
from .._protocol.log import Failure

T = TypeVar("T")

logger = logging.getLogger("lmstudio.testing")
logger.addHandler(logging.NullHandler())

THREAD_NAME = "lmstudio-testing-loop"


class LoopThread:
    """A daemon thread that runs an asyncio loop.

    It blocks only in the loop's own select, which every `post` wakes.

    Thread safety:
        Any thread.
    """

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._loop.set_exception_handler(_log)
        with suppress(AttributeError):  # uvloop has a clock of its own
            self._loop.time = monotonic  # type: ignore[method-assign]
        self._thread = threading.Thread(target=self._run, name=THREAD_NAME, daemon=True)
        self._thread.start()

    def post(self, function: Callable[..., object], *arguments: Any) -> bool:
        """Have the loop call the function soon; False if the loop has ended."""
        try:
            self._loop.call_soon_threadsafe(function, *arguments)
        except RuntimeError:
            return False
        return True

    def call(self, function: Callable[[], T], timeout: float = 20.0) -> T:
        """Call the function in the loop's thread and return what it returns.

        Raises:
            RuntimeError: The loop has ended.
            TimeoutError: The loop did not come to it within `timeout` seconds.
        """
        if self.is_here():
            return function()

        async def run() -> T:
            return function()

        return self.run(run(), timeout)

    def run(self, coroutine: Coroutine[Any, Any, T], timeout: float) -> T:
        """Run the coroutine in the loop and return what it returns.

        Raises:
            RuntimeError: The loop has ended.
            TimeoutError: It took more than `timeout` seconds.
        """
        try:
            future = asyncio.run_coroutine_threadsafe(coroutine, self._loop)
        except RuntimeError:
            coroutine.close()
            raise RuntimeError("The server is closed.") from None
        try:
            return future.result(timeout)
        except concurrent.futures.TimeoutError:
            future.cancel()
            raise TimeoutError(f"The server's loop did not answer in {timeout:g} s.") from None
        except concurrent.futures.CancelledError:
            raise RuntimeError("The server is closed.") from None

    def is_here(self) -> bool:
        """Whether the caller is the loop's own thread."""
        return threading.current_thread() is self._thread

    def stop(self, timeout: float) -> None:
        """End the loop and its thread; bounded by `timeout` seconds."""
        self.post(self._loop.stop)
        if not self.is_here():
            self._thread.join(timeout)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_forever()
            tasks = asyncio.all_tasks(self._loop)
            for task in tasks:
                task.cancel()
            # Tasks that do not end when cancelled must not keep the thread.
            if tasks:
                self._loop.run_until_complete(asyncio.wait(tasks, timeout=1.0))
            # A connection that was accepted while the listener stopped belongs to nobody. (Loops of
            # other kinds do not list them.)
            for transport in list(getattr(self._loop, "_transports", {}).values()):
                transport.abort()
            self._loop.run_until_complete(self._loop.shutdown_asyncgens())
        finally:
            asyncio.set_event_loop(None)
            self._loop.close()


def _log(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    error = context.get("exception")
    failure = None if error is None else Failure(error)
    logger.debug("in the loop: %r: %s", context.get("message"), failure)
