"""Brings callbacks, in order, from the thread that makes them to the one where they belong."""

from __future__ import annotations

import functools
import itertools
import logging
import threading
from collections import deque
from collections.abc import Callable
from typing import Any, NamedTuple

from .._api.callbacks import check_callback, not_the_end
from .._concurrency.callback_gate import CallbackGate, Dispatch
from .._concurrency.cancel_token import CancelToken
from .._concurrency.once import Once
from .._connection.dispatcher import CLOSED_REASON
from .._values.results import ANSWER, REASONING
from ..errors import LMStudioCancelledError
from . import seat
from .lane import lane_of
from .toolkits import QtDispatcher, TkDispatcher

logger = logging.getLogger(__name__)

_MANY = 256  # pieces of text that wait; more are joined


class _BesideText:
    """A callback that comes for each fragment: it does not bring `on_text` what waits for it."""

    __slots__ = ("given_callback",)

    def __init__(self, callback: Callable[..., Any]) -> None:
        """Call a callback."""
        self.given_callback = callback

    def __call__(self, *arguments: Any) -> Any:
        """Call it."""
        return self.given_callback(*arguments)


class _Callback(NamedTuple):
    function: Callable[..., Any]
    arguments: tuple[Any, ...]


class _Text:
    """Pieces of text of a kind, which wait as one. One thread adds to them, another takes them.

    Attributes:
        kind: "none" is the answer, "reasoning" that; all else is markup.
    """

    __slots__ = ("_is_taken", "_pieces", "kind")

    def __init__(self, pieces: list[str], kind: str | None = "none") -> None:
        """Hold some."""
        self.kind = kind
        self._pieces = {0: pieces}  # who pops it has it alone
        self._is_taken = False

    def add(self, text: str) -> list[str]:
        """Add one; return what is left to wait anew, because the rest was taken meanwhile."""
        pieces = self._pieces.pop(0, None)
        if pieces is None:
            return [text]
        pieces.append(text)
        if len(pieces) > _MANY:
            pieces = ["".join(pieces)]
        # Put back first, looked at second; who takes does it the other way round.
        self._pieces[0] = pieces
        return self._pieces.pop(0, []) if self._is_taken else []

    def take(self) -> list[str]:
        """Take them all."""
        self._is_taken = True
        return self._pieces.pop(0, [])


class _End(NamedTuple):
    result: Any
    error: BaseException | None


class CallbackQueue:
    """The callbacks of one operation that runs in the background.

    At most one flush is under way. It runs in the thread to which `dispatch` leads, and takes what
    is there when it begins. Without `dispatch` whoever puts something in flushes, one at a time.

    A `dispatch` that is not ours may hang. What the background thread puts in is dispatched by a
    `Lane`, and so is what came during a flush: a window may not wait for itself.

    Texts are kept until `bring_text`, or until another callback or the end is to follow them, and
    given as one, so that a thread that is busy gets fewer and longer ones.

    Thread safety: all threads, but `text` one at a time; it takes no lock.
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
        on_reasoning: Callable[[str], Any] | None = None,
        on_answer: Callable[[str], Any] | None = None,
        rests: bool = False,
    ) -> None:
        """Make an empty one.

        Args:
            gate: Lets no callback start once the client is closed.
            dispatch: Has a function called in the thread where callbacks belong.
            cancel: Stops the operation, with a reason; called when a callback fails.
            on_text: Called with what `text` was given; first of all three.
            on_done: Called at the end with the result, unless it is an error.
            on_error: Called at the end with an error: the operation's, or that of a callback.
            on_reasoning: Called with those texts that are reasoning.
            on_answer: Called with those that are neither reasoning nor markup.
            rests: It goes on for long, has little to say, and that may come half a second late.

        Raises:
            LMStudioValueError: `dispatch`, or a callback, is no function.
        """
        check_callback("dispatch", dispatch, "function")
        check_callback("on_text", on_text, "text")
        check_callback("on_reasoning", on_reasoning, "text")
        check_callback("on_answer", on_answer, "text")
        check_callback("on_done", on_done, "result")
        check_callback("on_error", on_error, "error")
        self._gate = gate
        self._dispatch = dispatch
        self._cancel = cancel
        self._on_text = on_text
        self._on_kind = {REASONING: on_reasoning, ANSWER: on_answer}
        self.takes_text = any(c is not None for c in (on_text, on_reasoning, on_answer))
        self._on_done = on_done
        self._on_error = on_error
        self._waiting: deque[_Callback | _Text | _End] = deque()
        self._last_text: _Text | None = None  # in `_waiting`, with nothing behind it
        # For whoever flushes: the kinds and texts that are to be given next.
        self._texts: list[tuple[str | None, str]] = []
        self._text_is_due = False
        self._flushing = Once()  # set while a flush is under way, with what tells it from others
        self._failure = Once()
        self.is_over = rests  # whether a window need not look often: the end was told, or it rests
        # Ours return at once, in any thread; a class made out of them may not.
        is_ours = type(dispatch).__call__ in (TkDispatcher.__call__, QtDispatcher.__call__)
        may_hang = dispatch is not None and not is_ours
        self._lane = lane_of(dispatch) if may_hang and dispatch is not None else None
        if isinstance(dispatch, TkDispatcher):
            dispatch._expect(self)

    @staticmethod
    def beside_text(callback: Callable[..., Any]) -> Callable[..., Any]:
        """Return what `run` runs at once, though text is waiting: for one for each fragment."""
        return _BesideText(callback)

    @property
    def closed(self) -> list[CancelToken]:
        """What cancels the operation when the window closes to which `dispatch` leads."""
        closed = getattr(self._dispatch, "closed", None)
        return [closed] if isinstance(closed, CancelToken) else []

    @property
    def failure(self) -> BaseException | None:
        """What a callback, or `dispatch`, raised first."""
        failure: BaseException | None = self._failure.value
        return failure

    def run(self, callback: Callable[..., Any], /, *arguments: Any) -> None:
        """Have ``callback(*arguments)`` called, after what is waiting already."""
        self._last_text = None
        self._waiting.append(_Callback(callback, arguments))
        self.flush()

    def text(self, text: str, kind: str | None = "none") -> None:
        """Have a text of a kind given to those who take it.

        It comes to them with the next `bring_text`, or before what follows it.
        """
        if not self.takes_text or not text:
            return
        last = self._last_text
        left = [text] if last is None or last.kind != kind else last.add(text)
        if left:
            self._last_text = last = _Text(left, kind)
            self._waiting.append(last)

    def bring_text(self) -> None:
        """Have the texts until now given, and whatever else is waiting called."""
        if self._waiting or self._texts:
            self._text_is_due = True
            self.flush()

    def end(self, result: Any, error: BaseException | None) -> None:
        """Have `on_done` or `on_error` called, after everything else."""
        self._last_text = None
        self._waiting.append(_End(result, error))
        self.flush()

    def flush(self, *, is_in_window: bool = False) -> None:
        """Have what is waiting called, unless a flush is under way."""
        while self._waiting or self._text_is_due:
            me = object()
            if not self._flushing.set(me):
                return  # that flush looks again when it is over
            if self._dispatch is None:
                try:
                    self._run_waiting()
                except BaseException as error:  # of the last callback: nobody is there to catch it
                    _report(error)
                continue
            if self._lane is not None and (is_in_window or seat.current() is not None):
                self._lane.ask(functools.partial(self._visit, self._dispatch, me))
            else:
                self._visit(self._dispatch, me)
            return

    def _visit(self, dispatch: Dispatch, me: object) -> None:
        """Have what is waiting called in the window's thread."""
        try:
            # No bound method: Kivy's clock would keep this weakly, and nobody else may keep it.
            dispatch(lambda *_of_the_window: self._run_and_flush())
        except BaseException as error:
            if self._flushing.value is me:  # there is no such thread any more
                self._waiting.clear()
                self._text_is_due = False
                self._fail(error)
            else:  # it was called here and now, and this is of the last callback
                _report(error)

    def _run_and_flush(self) -> None:
        """Run what is there, in the window's thread; what has come meanwhile, at the next visit."""
        try:
            self._run_waiting()
        finally:
            self.flush(is_in_window=True)

    def _run_waiting(self) -> None:
        """Run what is there, and no more: more may come for ever."""
        try:
            for _ in range(len(self._waiting)):
                item = self._waiting[0]
                if isinstance(item, _Text):
                    # First: `bring_text` finds it here or there.
                    self._texts += [(item.kind, piece) for piece in item.take()]
                self._waiting.popleft()
                if isinstance(item, _Text):
                    continue
                if isinstance(item, _End) or not isinstance(item.function, _BesideText):
                    self._give_text()
                if isinstance(item, _End):
                    self.is_over = True
                    self._run_end(item)
                else:
                    self._run(item.function, *item.arguments)
            if self._text_is_due:
                self._text_is_due = False
                self._give_text()
        finally:
            # Given back first; then whoever ran this looks at what came meanwhile.
            self._flushing.clear()

    def _give_text(self) -> None:
        texts, self._texts = self._texts, []
        if texts and self._on_text is not None:
            self._run(self._on_text, "".join(text for _, text in texts))
        for kind, some in itertools.groupby(texts, lambda one: one[0]):
            callback = self._on_kind.get(kind or "")
            if callback is not None:
                self._run(callback, "".join(text for _, text in some))

    def _run(self, callback: Callable[..., Any], *arguments: Any) -> None:
        """Run a callback, unless one has failed."""
        if self._failure:
            return
        try:
            self._call(callback, *arguments)
        except BaseException as error:
            self._fail(error)
            if self._dispatch is not None and not isinstance(error, Exception):
                raise  # Ctrl-C in a GUI's thread

    def _call(self, callback: Callable[..., Any], *arguments: Any) -> None:
        if self._dispatch is None:  # it may be the background thread, which it may hold up
            seat.enter()
        try:
            self._gate.run(callback, *arguments)
        except LMStudioCancelledError as error:
            if error.reason is not CLOSED_REASON:
                raise
            # The client was closed while the callback waited for it, which is no failure.

    def _fail(self, error: BaseException) -> None:
        self._failure.set(not_the_end(error))
        self._cancel("a callback raised an exception")

    def _run_end(self, end: _End) -> None:
        failure = self.failure
        error = failure or end.error
        if error is None:
            if self._on_done is not None:
                self._call(self._on_done, end.result)
        elif self._on_error is not None:
            self._call(self._on_error, error)
        elif failure is not None:
            raise failure  # where the callback ran, rather than nowhere


def _report(error: BaseException) -> None:
    """Do with an exception what Python does with one that ends a thread."""
    details = (type(error), error, error.__traceback__, threading.current_thread())
    try:
        threading.excepthook(threading.ExceptHookArgs(details))
    except BaseException:  # of a hook, or a stderr that nobody reads any more: streams must go on
        logger.debug("threading.excepthook failed", exc_info=True)
