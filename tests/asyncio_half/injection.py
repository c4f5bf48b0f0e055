"""Cancels a task at each of its suspensions, one by one, and knows at which `await` each was."""

import ast
import asyncio
import collections.abc
import functools
from pathlib import Path

import lmstudio

HALF = Path(lmstudio.__file__).parent / "_asyncio"


@functools.cache
def awaits():
    """Each `await` of the asyncio half, as (file, line), with what stands there."""
    found = {}
    for file in sorted(HALF.glob("*.py")):
        tree = ast.parse(file.read_text(encoding="utf-8"))
        for node in ast.walk(tree):
            assert not isinstance(node, (ast.AsyncFor, ast.AsyncWith)), "not known to this yet"
            if isinstance(node, ast.Await):
                text = ast.unparse(node)
                for line in range(node.lineno, node.end_lineno + 1):
                    found.setdefault((file.name, line), set()).add((file.name, node.lineno, text))
    return found


def _where(coroutine):
    """The awaits of the asyncio half at which a coroutine is suspended, the outermost first."""
    places = set()
    while coroutine is not None:
        frame = getattr(coroutine, "cr_frame", None)
        if frame is not None and Path(frame.f_code.co_filename).parent == HALF:
            here = awaits().get((Path(frame.f_code.co_filename).name, frame.f_lineno), set())
            waited = getattr(coroutine, "cr_await", None)
            name = getattr(waited, "__name__", "")
            exact = {place for place in here if f"{name}(" in place[2]}
            places |= exact if len(here) > 1 and exact else here
        coroutine = getattr(coroutine, "cr_await", None)
    return places


class Injector:
    """Makes the tasks of a loop, and cancels the one that is suspended as number `at`, from 0.

    Or the first one that is suspended at an await of `wanted`: the numbers are not the same each
    time, since an answer may have come before it is waited for.
    The cancel comes either while the task waits, or when what it waits for has just come.
    """

    def __init__(self, at=None, wanted=(), late=False, on_cancel=lambda: None):
        self._on_cancel = on_cancel
        self.at, self.wanted, self.late = at, set(wanted), late
        self.count = 0
        self.seen = set()  # the awaits of all suspensions
        self.places = set()  # those of the one that was cancelled
        self.task = None  # that was cancelled
        self.is_armed = False

    def make_task(self, loop, coroutine, **options):
        return asyncio.Task(_Watched(coroutine, self), loop=loop, **options)

    def suspended(self, coroutine, waited):
        if not self.is_armed:
            return
        number, self.count = self.count, self.count + 1
        places = _where(coroutine)
        self.seen |= places
        if self.task is not None or not (number == self.at or places & self.wanted):
            return
        self.places = places
        self.task = asyncio.current_task()
        if self.late and waited is not None:
            waited.add_done_callback(lambda _: self._cancel())  # before the task hears of it
        else:
            self._cancel()

    def _cancel(self):
        self._on_cancel()
        self.task.cancel()


class _Watched(collections.abc.Coroutine):
    """A coroutine that tells when it is suspended."""

    def __init__(self, coroutine, injector):
        self._coroutine, self._injector = coroutine, injector

    def send(self, value):
        return self._note(self._coroutine.send(value))

    def throw(self, *error):
        return self._note(self._coroutine.throw(*error))

    def close(self):
        self._coroutine.close()

    def __await__(self):
        raise NotImplementedError

    def _note(self, waited):
        self._injector.suspended(self._coroutine, waited)
        return waited
