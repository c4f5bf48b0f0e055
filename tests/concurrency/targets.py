"""What an event cancels, without any server."""

import queue


class Target:
    """What an event cancels, recording with which reason."""

    def __init__(self):
        self.reasons = queue.SimpleQueue()
        self.errors = queue.SimpleQueue()
        self._is_over = False
        self.tokens = []
        self._runs_user_code = False

    def cancel(self, reason=None):
        self.reasons.put(reason)
        self._is_over = True
        return True

    def _follow(self, token):
        self.tokens.append(token)
        token._link(self)

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
