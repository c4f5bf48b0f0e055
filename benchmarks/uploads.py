"""A 30 MB image is uploaded: CPU, peak memory, and how long another thread stands still."""

import os
import tempfile
import threading
from time import perf_counter, sleep

import clients
import common
from common import OFFICIAL, OURS, Section, Verdict

MEGABYTES = 30
TICK = 0.001  # seconds that the other thread sleeps
MOST_CPU, MOST_PEAK, MOST_PAUSE = 0.5, 3.0, 15.0


# -- in the child -------------------------------------------------------------------------------


def upload(variant, host, path):
    """Milliseconds of CPU and wall time, growth of the process in MB, and pauses in ms."""
    import lmstudio

    client = lmstudio.Client(host)
    client.files.prepare_image(b"\x89PNG\r\n\x1a\n", "image.png")  # warm
    calm = Ticker()
    sleep(0.5)
    calm = calm.stop()
    before = clients.memory()
    ticker = Ticker()
    clock = clients.Clock()
    client.files.prepare_image(path)
    took = clock.per(1000)
    pause = ticker.stop()
    grown = (clients.memory("VmHWM") - before) / 1e6
    return {
        "cpu": took["cpu"],
        "wall": took["wall"],
        "peak": grown,
        "pause": pause,
        "calm": calm,
    }


class Ticker:
    """A thread that sleeps for a millisecond at a time, and notes when that took longer."""

    def __init__(self):
        self._goes_on, self._worst = True, 0.0
        self._thread = threading.Thread(target=self._tick)
        self._thread.start()

    def _tick(self):
        last = perf_counter()
        while self._goes_on:
            sleep(TICK)
            now = perf_counter()
            self._worst = max(self._worst, now - last - TICK)
            last = now

    def stop(self):
        """The longest pause in milliseconds."""
        self._goes_on = False
        self._thread.join()
        return self._worst * 1000


# -- the benchmark ------------------------------------------------------------------------------


def measure(rounds, scale):
    """All of it; `scale` makes the file smaller."""
    section = Section("Upload")
    size = scale(MEGABYTES, least=1)
    with tempfile.TemporaryDirectory() as folder, common.load_server() as host:
        path = os.path.join(folder, "image.png")
        with open(path, "wb") as file:
            file.write(b"\x89PNG\r\n\x1a\n" + os.urandom(size * 1_000_000 - 8))

        def case(variant):
            return lambda: common.run_child(variant, upload, host=host, path=path)

        found = common.in_turn(rounds, {v: case(v) for v in common.here(OURS, OFFICIAL)})
    keys = ("cpu", "wall", "peak", "pause", "calm")
    section.text.append(
        f"A file of {size} MB; the pauses are those of a thread that sleeps for 1 ms at a time, "
        "the last column without an upload:"
    )
    section.table(
        ["", "CPU, ms", "wall, ms", "more memory, MB", "longest pause, ms", "calm, ms"],
        [[n, *(common.spread(s, key) for key in keys)] for n, s in found.items()],
    )
    what = f"upload of {size} MB"
    ratio = common.ratio(found[OURS], found.get(OFFICIAL), "cpu")
    section.judge(f"{what}, CPU: this package / official", ratio, MOST_CPU, most=True)
    peaks = common.median(found[OURS], "peak") / size
    section.judge(f"{what}, more memory: this package / the file", peaks, MOST_PEAK, most=True)
    pause = max(common.values(found[OURS], "pause"))
    section.verdicts.append(
        Verdict(
            f"{what}: longest pause of another thread, in the worst round",
            f"{pause:.1f} ms",
            f"at most {MOST_PAUSE:g} ms",
            pause <= MOST_PAUSE,
        )
    )
    if ratio:
        section.bar(f"{what}, CPU", 1 / ratio)
        pauses = common.ratio(found[OFFICIAL], found[OURS], "pause")
        section.bar(f"{what}, pause of other threads", pauses)
    return section
