"""The iterator over a stream's fragments: an object of its own, so that dropping it is noticed."""

from __future__ import annotations

from _thread import get_ident
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NoReturn

from .._api.callbacks import not_the_end
from .._concurrency import fork
from .._values.results import LlmPredictionFragment
from .right_to_read import Place

if TYPE_CHECKING:
    from .stream import PredictionStream


class FragmentIterator:
    """Reads a stream, from its first step on; before that it owns nothing.

    Dropping it after that cancels the stream, so the stream holds it weakly.

    Thread safety: one thread at a time; the stream's reading right sees to it.
    """

    __slots__ = ("__weakref__", "_reader", "_receive", "_stream")

    def __init__(self, stream: PredictionStream) -> None:
        """Prepare to read a stream, which makes this."""
        self._stream = stream
        self._reader = stream._reader
        self._receive: Callable[[], Any] | None = None  # takes an item; None before the first step

    def __repr__(self) -> str:
        """Show what it reads."""
        return f"<iterator of {self._stream!r}>"

    def __reduce__(self) -> NoReturn:
        """Refuse to be copied and pickled: two would read one stream."""
        raise TypeError("An iterator over a stream cannot be copied or pickled.")

    def __iter__(self) -> FragmentIterator:
        """Return itself."""
        return self

    def __next__(self) -> LlmPredictionFragment:
        """Return the next fragment; this is the path of a token.

        Raises:
            StopIteration: The prediction ended, or was cancelled.
            LMStudioRuntimeError: Another thread is reading.
            LMStudioError: What ended the prediction.
        """
        stream, reader = self._stream, self._reader
        if reader.is_at_end:
            reader.raise_error()
            raise StopIteration
        if stream._call.dispatcher.process is not fork.current:
            fork.check_process(stream._call.dispatcher.process, "stream")
        right, is_mine = reader.right, False
        try:
            me = get_ident()
            # Asked before the right is taken: a second iterator takes nothing from the first.
            if self._receive is not None or stream._is_free_for(place := Place(self)):
                is_mine = right.setdefault(0, me) == me and right.calling != me
                if not is_mine:
                    is_mine = stream._may_read(me)
            if is_mine:
                try:
                    if right.last[0] != me:
                        right.note_reader(me)
                    fragment = reader.advance(self._receive or stream._begin_reading(self))
                    if fragment is not None:
                        return fragment
                    stream._finish_reading()
                finally:  # inside, so that Ctrl-C here cancels as well
                    if right.get(0) == me:
                        right.pop(0, None)
        except StopIteration as error:  # of user code, such as a callback
            stream._end_by_exception()
            raise not_the_end(error) from error
        except Exception:  # of a callback, or the server's garbage
            stream._end_by_exception()
            raise
        except BaseException:
            stream._call.cancel("interrupted")
            raise
        if not is_mine:
            if self._receive is None:
                stream._give_back_place(place)
            raise stream._in_use()  # whoever reads goes on
        reader.raise_error()
        raise StopIteration
