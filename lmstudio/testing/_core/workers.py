"""The worker threads of a server: one for each running generation or slow call."""

from __future__ import annotations

import asyncio
import itertools
import threading
from collections.abc import Callable
from typing import TypeVar

from .._protocol.clock import monotonic
from .loop_thread import LoopThread

T = TypeVar("T")

_numbers = itertools.count(1)


class Workers:
    """Starts daemon threads and joins them at the end.

    `run`: the loop thread. `join`: any other thread.
    """

    def __init__(self, loop: LoopThread) -> None:
        self._loop = loop
        self._threads: list[threading.Thread] = []

    def run(self, function: Callable[[], T], purpose: str) -> asyncio.Future[T]:
        """Call the function in a thread of its own; the future has its outcome."""
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()

        def work() -> None:
            # The future belongs to the loop thread: the worker posts what becomes of it.
            try:
                result = function()
            except BaseException as problem:
                self._loop.post(_fail, future, problem)
            else:
                self._loop.post(_succeed, future, result)

        name = f"lmstudio-testing-{purpose}-{next(_numbers)}"
        thread = threading.Thread(target=work, name=name, daemon=True)
        thread.start()
        # None takes itself out: `join` would miss it while its thread ends.
        self._threads = [*filter(threading.Thread.is_alive, self._threads), thread]
        return future

    def join(self, timeout: float) -> list[str]:
        """Wait for all threads, `timeout` seconds together; return the names of the rest."""
        deadline = monotonic() + timeout
        threads = self._threads
        for thread in threads:
            thread.join(max(0.0, deadline - monotonic()))
        return [thread.name for thread in threads if thread.is_alive()]


def _succeed(future: asyncio.Future[T], result: T) -> None:
    if not future.done():
        future.set_result(result)


def _fail(future: asyncio.Future[T], problem: BaseException) -> None:
    # What is no Exception, as `pytest.fail()` raises, would end the loop, or be its own affair.
    if isinstance(problem, StopIteration) or not isinstance(problem, Exception):
        problem = RuntimeError(str(problem) or type(problem).__name__)
    if not future.done():
        future.set_exception(problem)
