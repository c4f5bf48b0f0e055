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
