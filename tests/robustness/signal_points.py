"""Raises Ctrl-C at each point of the package's code where Python looks for signals, one by one."""

import contextlib
import dis
import functools
import gc
import itertools
import os
import sys
from pathlib import Path

import lmstudio

PACKAGE = str(Path(lmstudio.__file__).parent)
TESTING = os.path.join(PACKAGE, "testing")
OURS = (PACKAGE,)


@functools.cache
def _operations(code):
    """The name of the operation at each offset, and of the one before it."""
    names = [(i.offset, i.opname) for i in dis.get_instructions(code) if i.opname != "CACHE"]
    before = dict(zip((offset for offset, _ in names), ["", *(n for _, n in names)], strict=False))
    return dict(names), before


def _is_looked_at(frame):
    """Whether Python looks for signals before the next operation: after a call, at a jump back."""
    names, before = _operations(frame.f_code)
    is_after_call = before.get(frame.f_lasti, "").startswith("CALL")
    return is_after_call or names.get(frame.f_lasti) in ("JUMP_BACKWARD", "JUMP_ABSOLUTE")


@contextlib.contextmanager
def interrupted_at(step, files=OURS):
    """Raise KeyboardInterrupt at the point number `step` in this thread, from 0.

    Gives a list, which then holds where that was; it stays empty if there were fewer points. The
    garbage collector waits meanwhile: what earlier tests left has its finalizers run elsewhere.
    """
    counter, where = itertools.count(), []

    def trace(frame, event, _argument):
        name = frame.f_code.co_filename
        if not name.startswith(files) or name.startswith(TESTING):
            return None
        frame.f_trace_lines, frame.f_trace_opcodes = False, True
        if where:
            return None
        is_point = event == "call" or (event == "opcode" and _is_looked_at(frame))
        if is_point and next(counter) == step:
            where.append(f"{Path(name).name}:{frame.f_lineno} {frame.f_code.co_name}")
            raise KeyboardInterrupt
        return trace

    previous, collects = sys.gettrace(), gc.isenabled()
    gc.disable()
    sys.settrace(trace)
    try:
        yield where
    finally:
        sys.settrace(previous)
        if collects:
            gc.enable()


def each_point(scenario, files=OURS, stride=1):
    """Call ``scenario(interrupted)`` until a Ctrl-C has come at each point of what it runs in it.

    The scenario enters ``with interrupted() as where:`` once. Returns how many points there were.
    """
    for step in itertools.count(0, stride):
        seen = []

        @contextlib.contextmanager
        def interrupted(step=step, seen=seen):
            with interrupted_at(step, files) as where:
                seen.append(where)
                yield where

        try:
            scenario(interrupted)
        except BaseException as error:
            raise AssertionError(f"after Ctrl-C at {seen}, step {step}: {error!r}") from error
        (where,) = seen
        if not where:
            return step
