"""What an event cancels, without any server, and what may come in the middle of it."""

import gc
import queue
import sys


class Target:
    """What an event cancels, recording with which reason."""

    def __init__(self):
        self.reasons = queue.SimpleQueue()
        self.errors = queue.SimpleQueue()
        self._is_over = False
        self.tokens = []

    def cancel(self, reason=None):
        self.reasons.put(reason)
        self._is_over = True
        return True

    def _follow(self, token):
        self.tokens.append(token)
        token._link(self)

    def _cancel_soon(self, reason):
        self.cancel(reason)

    def _watch_failed(self, error):
        self.errors.put(error)
        self._is_over = True


class CtrlC(Target):
    """A target whose first `cancel` is interrupted, and with it that of the token."""

    def cancel(self, reason=None):
        if not self._is_over:
            self._is_over = True
            raise KeyboardInterrupt
        return super().cancel(reason)


def interrupt(token, reason):
    """Cancel a token, and be interrupted before it has come to those that it is linked to now."""
    interrupts, others = CtrlC(), token._targets.living()
    for other in others:
        token._unlink(other)
    for target in [interrupts, *others]:
        token._link(target)
    try:
        token.cancel(reason)
    except KeyboardInterrupt:
        return interrupts
    raise AssertionError("it was not interrupted")


def call_at(line, interruption, function):
    """Call a function, and another one before the n-th line of `_concurrency`; say if it came.

    So may Ctrl-C come, a signal handler, or a finaliser; what earlier tests left does not.
    """
    left = line

    def trace(frame, event, _argument):
        nonlocal left
        if "_concurrency" not in frame.f_code.co_filename:
            return None
        if event == "line":
            left -= 1
            if left == -1:
                interruption()
        return trace

    before, collects = sys.gettrace(), gc.isenabled()
    gc.disable()
    sys.settrace(trace)
    try:
        function()
    finally:
        sys.settrace(before)
        if collects:
            gc.enable()
    return left < 0


def ctrl_c():
    """Come as Ctrl-C does."""
    raise KeyboardInterrupt
