"""Threads that come late at random, as on a machine with too much to do: `pytest --late 0.1`.

What a test takes to be in order, and is not, shows soon. Tests of limits of time may fail as well.
"""

import random
import selectors
import threading
import time

LONGEST = 0.04  # seconds


def make_late(share):
    """Have threads wait at this share of their beginnings and of what selectors tell them."""
    chance, sleep = random.Random(), time.sleep  # neither is what a test may put there

    def wait():
        if chance.random() < share:
            sleep(chance.uniform(0, LONGEST))

    class LateSelector(selectors.DefaultSelector):
        def select(self, timeout=None):
            ready = super().select(timeout)
            if ready:
                wait()
            return ready

    begin = threading.Thread._bootstrap_inner

    def begin_late(thread):
        wait()
        begin(thread)

    selectors.DefaultSelector = LateSelector
    threading.Thread._bootstrap_inner = begin_late
