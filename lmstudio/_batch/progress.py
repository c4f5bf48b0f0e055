"""Shows how many inputs of a batch are done: in a bar of rich or tqdm, or to a function."""

from __future__ import annotations

import contextlib
import importlib
import inspect
import sys
import weakref
from collections.abc import Callable
from typing import Any

from .._api.callbacks import check_callback
from .._api.shown import shown
from .._concurrency import fork
from .._concurrency.callback_gate import CallbackRunner
from ..errors import LMStudioValueError
from .numbers import BatchNumbers
from .options import BatchProgress

# Of a stderr that is closed, or that nobody reads: the batch goes on without its bar.
_UNWRITABLE = (OSError, ValueError)


class ProgressDisplay:
    """Gets the numbers each time they may have changed; shows nothing by itself."""

    def __init__(self) -> None:
        """Nothing is done yet."""
        self._done = 0

    def __call__(self, done: int, numbers: Callable[[], BatchNumbers]) -> None:
        """Show how far the batch is, if more inputs are done than the last time."""
        if done != self._done:
            self._done = done
            self._show(numbers)

    def _show(self, numbers: Callable[[], BatchNumbers]) -> None:
        pass

    def close(self) -> None:
        """Leave the bar as it is. May be repeated."""


def show_progress(
    progress: BatchProgress, total: int | None, owner: object, gate: CallbackRunner
) -> ProgressDisplay:
    """Return what shows the progress of a batch, and closes its bar if the batch is dropped.

    Args:
        progress: ``"rich"``, ``"tqdm"``, a function of the numbers, or of the number done and the
            total; or None.
        total: How many inputs there are; None: nobody knows.
        owner: The batch.
        gate: Calls a function, unless the client is closed.

    Raises:
        LMStudioValueError: It is something else, or not installed.
    """
    if progress is None:
        return ProgressDisplay()
    if callable(progress):
        if _takes_two(progress):
            return _PairFunction(progress, gate)
        try:
            check_callback("progress", progress, "numbers")
        except LMStudioValueError:
            check_callback("progress", progress, "done", "total")  # which says what is wrong
        return _Function(progress, gate)
    makers: dict[object, Callable[[int | None], ProgressDisplay]] = {"rich": _Rich, "tqdm": _Tqdm}
    if progress not in makers:
        raise LMStudioValueError(
            f"progress must be 'rich', 'tqdm', a function or None; {shown(progress)} was given."
        )
    try:
        display = makers[progress](total)
    except ImportError:
        raise LMStudioValueError(
            f"progress={shown(progress)} needs the package {progress}: pip install {progress}"
        ) from None
    weakref.finalize(owner, _close_here, display, fork.current)
    return display


def _takes_two(function: Callable[..., Any]) -> bool:
    """Whether it has two parameters; the total, which may be None, may have a default."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):  # a function of C that tells nothing of itself
        return False
    positional = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    return len(positional) == 2


def _close_here(display: ProgressDisplay, process: object) -> None:
    """Close a bar, but not in a forked child, on whose screen it is not."""
    if process is fork.current:
        display.close()


class _Function(ProgressDisplay):
    def __init__(self, function: Callable[..., Any], gate: CallbackRunner) -> None:
        super().__init__()
        self._function = function
        self._gate = gate

    def _show(self, numbers: Callable[[], BatchNumbers]) -> None:
        self._gate.run(self._function, numbers())


class _PairFunction(_Function):
    def _show(self, numbers: Callable[[], BatchNumbers]) -> None:
        now = numbers()
        self._gate.run(self._function, now.done, now.total)


class _Rich(ProgressDisplay):
    """A bar on stderr. It is painted when something changes, so it needs no thread."""

    def __init__(self, total: int | None) -> None:
        from rich import progress
        from rich.console import Console

        super().__init__()
        # By itself, rich ends the program where nobody reads stderr any more.
        console = type("Screen", (Console,), {"on_broken_pipe": _be_quiet})(stderr=True)
        self._bar = progress.Progress(
            progress.BarColumn(),
            progress.MofNCompleteColumn(),
            progress.TimeElapsedColumn(),
            progress.TextColumn("{task.description}"),
            console=console,
            auto_refresh=False,
        )
        self._task = self._bar.add_task("", total=total)
        self._paint(self._bar.start)

    def _show(self, numbers: Callable[[], BatchNumbers]) -> None:
        now = numbers()
        words = str(now).partition(", ")[2]
        self._paint(
            self._bar.update, self._task, completed=now.done, description=words, refresh=True
        )

    def close(self) -> None:
        self._paint(self._bar.stop)

    def _paint(self, step: Callable[..., Any], *arguments: Any, **options: Any) -> None:
        try:
            step(*arguments, **options)
        except _UNWRITABLE:
            _be_quiet(self._bar.console)


def _be_quiet(console: Any) -> None:
    console.quiet = True


class _Tqdm(ProgressDisplay):
    """A bar on stderr, without tqdm's own thread."""

    def __init__(self, total: int | None) -> None:
        tqdm: Any = importlib.import_module("tqdm").tqdm

        def display(bar: Any, *arguments: Any, **options: Any) -> Any:
            try:
                return tqdm.display(bar, *arguments, **options)
            except _UNWRITABLE:
                bar.disable = True
                return False

        super().__init__()
        # A class of its own, since tqdm starts a thread for all bars of a class.
        bar = type("Bar", (tqdm,), {"monitor_interval": 0, "display": display})
        self._bar = bar(total=total, disable=sys.stderr is None)

    def _show(self, numbers: Callable[[], BatchNumbers]) -> None:
        now = numbers()
        self._bar.set_postfix_str(str(now).partition(", ")[2], refresh=False)
        self._bar.update(now.done - self._bar.n)

    def close(self) -> None:
        with contextlib.suppress(*_UNWRITABLE):
            self._bar.close()
