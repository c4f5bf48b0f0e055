"""The slots of the load server: how many replies it makes at once, how many were busy."""

import heapq
import itertools
import time
from collections import deque


class Slots:
    """Predictions that wait for a slot, and those that have one."""

    def __init__(self):
        self.serving = []  # a heap: when each ends, a number, and what it is
        self._waiting = deque()
        self._numbers = itertools.count()
        self._told = 0.0
        self.begin_anew(1)

    def begin_anew(self, count):
        """Have so many slots from now on; tell how many were busy between first and last begin."""
        told = {"busy": self._told}
        self._count, self._told = count, 0.0
        self._since = self._area = 0.0  # the first begin; slots times seconds since then
        self._seen = 0.0
        return told

    def add(self, connection, prediction):
        """Let a prediction have a slot, or wait for one."""
        self._waiting.append((connection, prediction))
        self._fill(time.perf_counter())

    def rest(self):
        """Return the seconds until the next one ends."""
        return max(0.0, self.serving[0][0] - time.perf_counter())

    def look(self):
        """End those whose time is over, and let others follow."""
        now = time.perf_counter()
        while self.serving and self.serving[0][0] <= now:
            self._note(now)
            _, _, connection, prediction = heapq.heappop(self.serving)
            if not prediction.is_over:
                connection.out.append(prediction.frame)
                connection.finish(prediction, "eosFound")
                connection.write()
            self._fill(now)

    def _note(self, now):
        self._area += len(self.serving) * (now - self._seen)
        self._seen = now

    def _fill(self, now):
        while self._waiting and len(self.serving) < self._count:
            connection, prediction = self._waiting.popleft()
            if not self._since:
                self._since = self._seen = now
            self._note(now)
            if now > self._since:
                self._told = self._area / (now - self._since)
            end = now + prediction.left / 1000
            heapq.heappush(self.serving, (end, next(self._numbers), connection, prediction))
