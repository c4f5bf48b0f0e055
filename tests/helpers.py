"""What several test files use."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager


class Sequencer:
    """Forces an order on steps of several threads: ``with order(2):`` waits until 0 and 1 are done.

    A step that fails, or does not come in time, fails all that wait for it: nothing hangs.
    """

    def __init__(self, timeout: float = 10.0) -> None:
        self._timeout = timeout
        self._changed = threading.Condition()
        self._done = 0
        self._failed = False

    @contextmanager
    def __call__(self, step: int) -> Iterator[None]:
        with self._changed:
            self._changed.wait_for(lambda: self._failed or self._done >= step, self._timeout)
            assert not self._failed, f"step {step}: an earlier step failed"
            assert self._done == step, f"step {step}: it is the turn of step {self._done}"
        ended_well = False
        try:
            yield
            ended_well = True
        finally:
            with self._changed:
                self._done += ended_well
                self._failed = not ended_well
                self._changed.notify_all()
