"""Brings callbacks, in order, from the thread that makes them to the one where they belong."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from typing import Any, TypeAlias

from .._concurrency.callback_gate import CallbackGate
from .._concurrency.cancel_token import CancelToken
from ..errors import LMStudioValueError

__all__ = ["Dispatch", "Outbox", "check_callable"]

# Takes a function without arguments and has it called in the right thread, soon and in order.
Dispatch: TypeAlias = Callable[[Callable[[], None]], Any]


def check_callable(**functions: object) -> None:
    """Check what was given as callbacks.

    Raises:
        LMStudioValueError: One is no function.
    """
    for name, function in functions.items():
        if function is not None and not callable(function):
            raise LMStudioValueError(f"{name} must be a function; {function!r} was given.")


class Outbox:
    """The callbacks of one operation that runs in the background.

    At most one visit to the other thread is under way. A visit runs what is there when it begins:
    consecutive texts as one, so that a thread that is busy gets fewer and longer ones. Without
    `dispatch` a visit is made by whoever puts something in, one at a time.

    Thread safety: all threads; it takes no lock.
    """

    def __init__(
        self,
        gate: CallbackGate,
        dispatch: Dispatch | None,
        cancel: Callable[[Any], object],
        *,
        on_text: Callable[[str], Any] | None,
        on_done: Callable[[Any], Any] | None,
        on_error: Callable[[BaseException], Any] | None,
    ) -> None:
        """Make an empty one.

        Args:
            gate: Lets no callback start once the client is closed.
            dispatch: Has a function called in the thread where callbacks belong.
            cancel: Stops the operation, with a reason; called when a callback fails.
            on_text: Called with what `text` was given.
            on_done: Called at the end with the result, unless it is an error.
            on_error: Called at the end with an error: the operation's, or that of a callback.

        Raises:
            LMStudioValueError: `dispatch`, or a callback, is no function.
        """
        check_callable(dispatch=dispatch, on_text=on_text, on_done=on_done, on_error=on_error)
        self._gate = gate
        self._dispatch = dispatch
        self._cancel = cancel
        self._on_text = on_text
        self._on_done = on_done
        self._on_error = on_error
        self._waiting: deque[tuple[Callable[..., Any], tuple[Any, ...]]] = deque()
        self._visit: dict[int, object] = {}  # [0] while one is under way; set by setdefault
        self._failures: dict[int, BaseException] = {}  # [0] is the first; set by setdefault

    @property
    def closed(self) -> list[CancelToken]:
        """What cancels the operation when the window closes to which `dispatch` leads."""
        closed = getattr(self._dispatch, "closed", None)
        return [closed] if isinstance(closed, CancelToken) else []

    @property
    def failure(self) -> BaseException | None:
        """What a callback, or `dispatch`, raised first."""
        return self._failures.get(0)

    def run(self, callback: Callable[..., Any], /, *arguments: Any) -> None:
        """Have ``callback(*arguments)`` called, after what is waiting already."""
        self._waiting.append((callback, arguments))
        self.send()

    def text(self, text: str) -> None:
        """Have a text given to `on_text`, with the next `send` or `run`."""
        if self._on_text is not None and text:
            self._waiting.append((self._give_text, (text,)))

    def end(self, result: Any, error: BaseException | None) -> None:
        """Have `on_done` or `on_error` called, after everything else."""
        self.run(self._end, result, error)

    def send(self) -> None:
        """Visit the other thread if something is waiting, and no visit is under way."""
        while self._waiting:
            me = object()
            if self._visit.setdefault(0, me) is not me:
                return  # that visit looks again when it is over
            if self._dispatch is None:
                try:
                    self._run_waiting()
                except BaseException as error:  # of the last callback: nobody is there to catch it
                    _report(error)
                continue
            try:
                self._dispatch(self._run_and_send)
            except BaseException as error:
                if self._visit.get(0) is me:  # there is no such thread any more
                    self._waiting.clear()
                    self._fail(error)
                else:  # it was called here and now, and this is of the last callback
                    _report(error)
            return

    def _run_and_send(self) -> None:
        try:
            self._run_waiting()
        finally:
            self.send()

    def _run_waiting(self) -> None:
        """Run what is there, and no more: more may come for ever."""
        try:
            for _ in range(len(self._waiting)):
                if not self._waiting:  # texts were taken together
                    return
                callback, arguments = self._waiting.popleft()
                if callback == self._end:
                    callback(*arguments)
                elif not self._failures:
                    if callback == self._give_text:
                        arguments = (self._with_following(arguments[0]),)
                    self._run(callback, arguments)
        finally:
            self._visit.pop(0, None)

    def _run(self, callback: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
        try:
            self._gate.run(callback, *arguments)
        except BaseException as error:
            self._fail(error)
            if self._dispatch is not None and not isinstance(error, Exception):
                raise  # Ctrl-C in a GUI's thread

    def _with_following(self, text: str) -> str:
        texts = [text]
        while self._waiting and self._waiting[0][0] == self._give_text:
            texts.append(self._waiting.popleft()[1][0])
        return "".join(texts)

    def _give_text(self, text: str) -> None:
        if self._on_text is not None:
            self._on_text(text)

    def _fail(self, error: BaseException) -> None:
        self._failures.setdefault(0, error)
        self._cancel("a callback raised an exception")

    def _end(self, result: Any, error: BaseException | None) -> None:
        failure = self.failure
        error = failure or error
        if error is None:
            if self._on_done is not None:
                self._gate.run(self._on_done, result)
        elif self._on_error is not None:
            self._gate.run(self._on_error, error)
        elif failure is not None:
            raise failure  # where the callback ran, rather than nowhere


def _report(error: BaseException) -> None:
    """Do with an exception what Python does with one that ends a thread."""
    details = (type(error), error, error.__traceback__, threading.current_thread())
    threading.excepthook(threading.ExceptHookArgs(details))
