"""Stops the process that started it, now and then, and lets it go on: Ctrl-Z, a sleeping laptop.

It ends when its stdin does, and then tells how often it did so, and for how many seconds in all.
"""

import os
import random
import select
import signal
import sys
import time

PAUSES = 0.5, 4.0  # seconds between two stops
SHORT, LONG = (0.3, 1.0), (2.2, 3.0)  # seconds of a stop; the long ones pass `soak_ways.SILENCE`


def main():
    rng, parent = random.Random(sys.argv[1]), os.getppid()
    count = stopped = 0
    while not select.select([sys.stdin], [], [], rng.uniform(*PAUSES))[0]:
        if os.getppid() != parent:
            return
        seconds = rng.uniform(*(LONG if rng.random() < 0.3 else SHORT))
        os.kill(parent, signal.SIGSTOP)
        try:
            time.sleep(seconds)
        finally:
            os.kill(parent, signal.SIGCONT)
        count, stopped = count + 1, stopped + seconds
    print(f"{count} {stopped:.1f}")


if __name__ == "__main__":
    main()
