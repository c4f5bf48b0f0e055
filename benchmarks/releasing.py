"""How long after `cancel()` or `event.set()` the thread that reads a stream is out of its loop."""

import queue
import random
import threading
from time import perf_counter, process_time, sleep

import clients
import common
from common import OFFICIAL, OURS, Section, Verdict

GENERATING, PROMPT = "generating", "prompt processing"
COUNT = 100
CASES = [  # how, phase, watched events, percentile, at most so many ms
    ("cancel()", GENERATING, 0, 50, 1.0),
    ("cancel()", PROMPT, 0, 50, 1.0),
    ("event.set()", GENERATING, 1, 50, 1.0),
    ("event.set()", PROMPT, 1, 50, 1.0),
    ("event.set()", GENERATING, 100, 99, 15.0),
    ("event.set()", PROMPT, 100, 99, 15.0),
]
IDLE_SECONDS = 2.0
IDLE = {1: 1.0, 100: 2.5}  # watched events: at most so many percent of a core


# -- in the child -------------------------------------------------------------------------------


def releases(variant, host, how, phase, events, count):
    """Milliseconds from the cancel to the end of the loop in another thread: p50 and p99."""
    model = clients.model(host)
    others = watch_idle(model, events - 1)
    tasks, ready, ends = queue.SimpleQueue(), queue.SimpleQueue(), queue.SimpleQueue()

    def read():
        while True:
            for _ in tasks.get():
                ready.put(None)
            ends.put(perf_counter())

    threading.Thread(target=read, daemon=True).start()
    samples = []
    prompt = "bench:drip:1000" if phase == GENERATING else "bench:open:0"
    for _ in range(count):
        event = threading.Event()
        hook = {"cancel_event": event} if events else {}
        if phase == PROMPT:
            hook["on_prompt_processing_progress"] = ready.put
        stream = model.respond_stream(prompt, **hook)
        tasks.put(stream)
        ready.get()
        sleep(random.uniform(0.002, 0.01))
        stop = event.set if events else stream.cancel
        began = perf_counter()
        stop()
        samples.append((ends.get() - began) * 1000)
        while not ready.empty():
            ready.get()
    del others
    return {"p50": common.percentile(samples, 50), "p99": common.percentile(samples, 99)}


def watch_idle(model, count):
    """Open streams, each with an event of its own that nobody sets."""
    streams = [
        model.respond_stream("bench:open:0", cancel_event=threading.Event()) for _ in range(count)
    ]
    for stream in streams:
        stream.start()
    return streams


def idle_cost(variant, host, events, seconds):
    """Percent of a core that watching takes while nothing happens."""
    model = clients.model(host)
    streams = watch_idle(model, events)
    clients.wait_until_open(host, events)
    sleep(0.1)
    cpu = process_time()
    sleep(seconds)
    cpu = process_time() - cpu
    del streams
    return {"percent": cpu / seconds * 100}


# -- the benchmark ------------------------------------------------------------------------------


def measure(rounds, scale):
    """All of it; `scale` makes the counts smaller."""
    section = Section("Released")
    rows = []
    for how, phase, events, share, most in CASES:
        with common.load_server() as host:
            found = releases_in_turn(host, rounds, scale(COUNT), how, phase, events)
        watched = f", {events} watched" if events else ""
        for variant, samples in found.items():
            cells = [common.spread(samples, key) for key in ("p50", "p99")]
            rows.append([f"{how}{watched}", phase, variant, *cells])
        ours = common.median(found[OURS], f"p{share}")
        what = f"{how} to the reader released, {phase}{watched}: p{share}"
        met = ours <= most
        section.verdicts.append(Verdict(what, f"{ours:.2f} ms", f"at most {most:g} ms", met))
        if OFFICIAL in found:
            ratio = common.ratio(found[OFFICIAL], found[OURS], "p50")
            section.bar(f"{how} to the reader released, {phase}", ratio)
    section.text.append(
        "From `cancel()` or `event.set()` in one thread until another has left its loop, ms. (The "
        "server ends a cancelled prediction at once; the official package waits for that, and has "
        "no events.)"
    )
    section.table(["", "", "", "p50", "p99"], rows)
    measure_idle(section, rounds, scale)
    return section


def releases_in_turn(host, rounds, count, how, phase, events):
    def case(variant):
        arguments = {"host": host, "how": how, "phase": phase, "events": events, "count": count}
        return lambda: common.run_child(variant, releases, **arguments)

    variants = [OURS] if events else common.here(OURS, OFFICIAL)
    return common.in_turn(rounds, {variant: case(variant) for variant in variants})


def measure_idle(section, rounds, scale):
    def case(events):
        def run():
            with common.load_server() as host:
                seconds = scale(IDLE_SECONDS * 10) / 10
                return common.run_child(OURS, idle_cost, host=host, events=events, seconds=seconds)

        return run

    found = common.in_turn(min(rounds, 3), {events: case(events) for events in IDLE})
    for events, most in IDLE.items():
        percent = common.median(found[events], "percent")
        what = f"a core's share that an idle watch takes, {events} event{'s' * (events > 1)}"
        met = percent <= most
        section.verdicts.append(Verdict(what, f"{percent:.2f} %", f"at most {most:g} %", met))
