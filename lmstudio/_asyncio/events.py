"""What may cancel a call of an event loop: `asyncio.Event` too, which its own loop watches.

And how a loop and threads call each other.
"""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from .._concurrency.cancel_token import EVENT_REASON, CancelToken, attach
from .._concurrency.targets import Target
from .._concurrency.threads import start_daemon
from .._concurrency.watched import is_plain
from .._connection.scope import CancelScope
from ..errors import LMStudioRuntimeError
from .inbox import LoopInbox, running_loop

T = TypeVar("T")

_REFUSAL = "Nothing can be waited for"


async def attach_events(target: Target, events: list[Any]) -> list[Watch]:
    """Cancel a call, or another target, when one of its events is set, at once if one is already.

    Nothing here holds up the loop: objects of other types are asked in threads of their own.

    Returns:
        What watches the events of the loop; it is to be ended with the target.

    Raises:
        LMStudioRuntimeError: One of them cannot be watched.
    """
    own, quick, slow = _sorted(events)
    if any([_is_set(event) for event in own]):
        target.cancel(EVENT_REASON)
        return []
    attach(target, quick)
    if slow and not target._is_over:
        await in_thread(attach, target, slow)
    return [] if target._is_over else [Watch(target, event) for event in own]


class Watch:
    """Waits for an `asyncio.Event` in the event's loop, until its target is over.

    It may be one of the waiters of a call, which its reader tells when it has come to the end.
    No task: nothing is left pending where a loop is closed. What `wait()` awaits is awaited here.
    """

    def __init__(self, target: Target, event: asyncio.Event) -> None:
        """Begin. A loop that is closed sets no event any more."""
        self._target = weakref.ref(target, self.put)  # a stream may be dropped unread
        self._event = event
        self._waiting: Coroutine[Any, Any, Any] | None = None
        here = asyncio.get_running_loop()
        self._loop: asyncio.AbstractEventLoop = _loop_of(event) or here
        if self._loop is here:
            self._begin()
        else:
            self._call(self._begin)

    def put(self, _: object) -> None:
        """Any thread: something has changed."""
        target = self._target()
        if target is None or target._is_over:
            self.end()

    def end(self) -> None:
        """Any thread: wait no longer."""
        self._call(self._end)

    def _call(self, function: Callable[[], None]) -> None:
        try:
            self._loop.call_soon_threadsafe(function)
        except RuntimeError:  # the loop is closed
            pass

    def _begin(self) -> None:
        self._waiting = self._event.wait()
        self._go_on()

    def _end(self) -> None:
        if self._waiting is not None:
            self._waiting.close()
            self._waiting = None

    def _go_on(self, _: Any = None) -> None:
        """Do one step of what a task would do; cancel the target once the event is set."""
        if self._waiting is None:
            return
        try:
            self._waiting.send(None).add_done_callback(self._go_on)
        except StopIteration:
            self._waiting = None
            target = self._target()
            if target is not None:
                target.cancel(EVENT_REASON)


_scopes: weakref.WeakKeyDictionary[CancelScope, list[Watch]] = weakref.WeakKeyDictionary()


async def open_scope(scope: CancelScope, events: list[Any]) -> None:
    """Do what `CancelScope.open` does; `close_scope` ends it.

    Raises:
        LMStudioRuntimeError: An event cannot be watched.
    """
    scope.open([])
    _scopes[scope] = await attach_events(scope, events)


def open_scope_at_once(scope: CancelScope, events: list[Any]) -> None:
    """Do so without waiting: objects of other types have their first look a little later."""
    own, quick, slow = _sorted(events)
    scope.open(quick)
    if any([_is_set(event) for event in own]):
        scope.cancel(EVENT_REASON)
    _scopes[scope] = [Watch(scope, event) for event in own]
    if slow:
        start_daemon(_attach_late, "lmstudio-wait", scope, slow, refusal=_REFUSAL)


def _attach_late(scope: CancelScope, events: list[Any]) -> None:
    try:
        attach(scope, events)
    except LMStudioRuntimeError as error:
        scope._watch_failed(error)


def _loop_of(event: asyncio.Event) -> asyncio.AbstractEventLoop | None:
    """Return the loop in which an event was waited for first, and so belongs to; or None."""
    loop: asyncio.AbstractEventLoop | None = getattr(event, "_loop", None)
    return loop


def _is_set(event: asyncio.Event) -> bool:
    loop = _loop_of(event)
    return event.is_set() and not (loop is not None and loop.is_closed())


def _sorted(events: list[Any]) -> tuple[list[asyncio.Event], list[Any], list[Any]]:
    """Return the events of a loop, those that take no time to ask, and the others."""
    own = [event for event in events if isinstance(event, asyncio.Event)]
    others = [event for event in events if not isinstance(event, asyncio.Event)]
    quick = [event for event in others if isinstance(event, CancelToken) or is_plain(event)]
    slow = [event for event in others if not (isinstance(event, CancelToken) or is_plain(event))]
    return own, quick, slow


def close_scope(scope: CancelScope) -> None:
    """Let nothing cancel a scope any more. May be repeated."""
    scope.close()
    for watch in _scopes.pop(scope, []):
        watch.end()


def calls_here() -> Callable[[Callable[[], object]], object]:
    """Return what has a function called on the loop that runs here, from any thread."""
    return running_loop().call_soon_threadsafe


async def in_thread(function: Callable[..., T], *arguments: Any) -> T:
    """Return ``function(*arguments)``, called in a thread of its own.

    Who is cancelled meanwhile leaves it to itself.

    Raises:
        LMStudioRuntimeError: Python starts no threads any more.
        BaseException: What it raised.
    """
    answers = LoopInbox(running_loop())

    def work() -> None:
        try:
            answers.put((function(*arguments), None))
        except BaseException as error:
            answers.put((None, error))

    start_daemon(work, "lmstudio-wait", refusal=_REFUSAL)
    await answers.wait()
    result: T
    result, error = answers.take()
    if error is not None:
        try:
            raise error
        finally:
            del error  # no cycle through this frame
    return result
