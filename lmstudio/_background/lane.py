"""`Lane`: calls a `dispatch` of the user's, which may hang, in one thread at a time."""

from __future__ import annotations

import queue
import types
import weakref
from collections.abc import Callable, Hashable

from .._concurrency.callback_gate import Dispatch
from .._concurrency.fork import PerProcess
from .._concurrency.once import Once
from . import seat
from .thread import post

_LINGERS = 1.0  # seconds that the thread of one that was slow waits for more


class Lane:
    """What is to be dispatched by one dispatcher, whoever asks for it.

    The background thread dispatches, after what it reads. If the dispatcher holds it up, it loses
    its place and becomes the thread of this lane: it dispatches whatever else comes here, so that
    there is one such thread for each dispatcher, and waits a little for more. What waits here is
    one visit for each `CallbackQueue`, and so is bounded.

    Thread safety: all threads; it takes no lock.
    """

    def __init__(self, dispatch: Dispatch) -> None:
        """Begin; use `lane_of`."""
        self.dispatch = dispatch  # kept, so that its number is nobody else's
        self._visits: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._served = Once()  # set while a thread is in here

    def ask(self, visit: Callable[[], None]) -> None:
        """Have `visit`, which dispatches and raises nothing, called in the background."""
        self._visits.put(visit)
        # Put first, looked at second; who serves leaves first and looks second.
        if not self._served:
            post(self._serve)

    def _serve(self) -> None:
        while not self._visits.empty() and self._served.set():
            try:
                while True:
                    place = seat.current()
                    is_lost = place is not None and place.is_lost
                    self._visits.get(timeout=_LINGERS if is_lost else 0)()
            except queue.Empty:
                pass
            finally:
                self._served.clear()


_lanes: PerProcess[weakref.WeakValueDictionary[Hashable, Lane]] = PerProcess(
    lambda _: weakref.WeakValueDictionary()
)


def lane_of(dispatch: Dispatch) -> Lane:
    """Return the lane of a dispatcher; a method is the same one whenever it is looked up."""
    key: Hashable = id(dispatch)  # not itself: its `__hash__` is the user's
    if isinstance(dispatch, types.MethodType):
        key = (id(dispatch.__self__), id(dispatch.__func__))
    elif isinstance(dispatch, types.BuiltinMethodType):
        key = (id(dispatch.__self__), dispatch.__name__)
    return _lanes.value.setdefault(key, Lane(dispatch))
