"""What `cancel()` costs its caller, idle and in bad moments, and what comes after a `break`."""

import contextlib
import socket
import statistics
import sys
import threading
from time import perf_counter, sleep, thread_time

import clients
import common
from common import FLOOR, OFFICIAL, OURS, Section, Verdict

IDLE, UPLOAD = "idle", "during a big upload"
DEAF, BUSY = "the peer stopped reading", "beside a computing thread"
COUNTS = {IDLE: 300, UPLOAD: 50, DEAF: 100, BUSY: 50}
SECONDS = 2.0  # after which no more samples are taken
EVERY = 0.01  # seconds between two cancels during an upload
UPLOAD_MB = 50
STUCK = 2.0  # seconds after which a cancel() counts as one that does not return
MOST_CALLS = 10
MOST_CPU = 50.0  # microseconds
BREAK_AFTER = 20  # fragments, of
FRAGMENTS = 300


# -- in the child -------------------------------------------------------------------------------


def begin(model, fragments=1):
    """A prediction that has sent a fragment and waits, and its iterator."""
    stream = model.respond_stream(f"bench:open:{fragments}")
    iterator = iter(stream)
    next(iterator)
    return stream, iterator


def timed(function):
    """Microseconds of CPU in this thread, and of wall time."""
    wall, cpu = perf_counter(), thread_time()
    function()
    cpu, wall = thread_time() - cpu, perf_counter() - wall
    return cpu * 1e6, wall * 1e6


def counted_calls(variant, host):
    """The functions that `cancel()` calls in the calling thread, of Python and of C."""
    stream, _iterator = begin(clients.model(host))
    calls = []

    def note(frame, event, argument):
        if event == "call":
            calls.append(frame.f_code.co_name)
        elif event == "c_call":
            calls.append(argument.__name__)

    sys.setprofile(note)
    stream.cancel()
    sys.setprofile(None)
    return {"calls": calls[:-1]}  # without setprofile


def costs(variant, host, moment, count, megabytes):
    """CPU and wall time of `cancel()` in its caller: p50 and p99 in microseconds."""
    model = clients.model(host)
    begin(model)[0].cancel()  # warm
    if moment == DEAF:
        samples = cancel_deaf(model, count)
    elif moment == UPLOAD:
        samples = cancel_during_upload(model, count, megabytes)
    elif moment == BUSY:
        with clients.Computing():
            samples = cancel_in_sequence(model, count)
    else:
        samples = cancel_in_sequence(model, count)
    return summary(samples)


def cancel_in_sequence(model, count):
    """Start, cancel, start the next one."""
    samples, until = [], perf_counter() + SECONDS
    while len(samples) < count and (perf_counter() < until or len(samples) < 3):
        stream, iterator = begin(model)
        samples.append(timed(stream.cancel))
        for _ in iterator:
            pass
    return samples


def cancel_during_upload(model, count, megabytes):
    """Cancel a stream every 10 ms, each from a thread of its own, as clicks that come anyway."""
    opened = [begin(model) for _ in range(count)]
    model.client.files.prepare_image(b"\x89PNG\r\n\x1a\n", "image.png")
    data, samples = bytes(megabytes * 1_000_000), []

    def upload():
        while len(samples) < count:
            model.client.files.prepare_image(data, "image.png")

    def click(number, stream):
        sleep(0.05 + number * EVERY)
        samples.append(timed(stream.cancel))

    threads = [threading.Thread(target=upload)]
    threads += [threading.Thread(target=click, args=(i, s)) for i, (s, _) in enumerate(opened)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return samples


def cancel_deaf(model, count):
    """Cancel streams of a server that has stopped reading, with full buffers on the way to it."""
    opened = [begin(model) for _ in range(count)]
    model.respond_stream("bench:deaf:0").__enter__()
    threading.Thread(target=model.count_tokens, args=("x" * 20_000_000,), daemon=True).start()
    sleep(1.0)
    samples = []
    taker = threading.Thread(
        target=lambda: samples.extend(timed(stream.cancel) for stream, _ in opened), daemon=True
    )
    taker.start()
    taker.join(STUCK)
    return samples


def lone_send(variant, moment, count):
    """The same for what no `cancel()` can do without: a byte that wakes another thread."""
    here, there = socket.socketpair()

    def wait():
        while there.recv(1):
            pass

    thread = threading.Thread(target=wait)
    thread.start()
    samples = []
    with clients.Computing() if moment == BUSY else contextlib.nullcontext():
        for _ in range(count):
            sleep(EVERY)
            samples.append(timed(lambda: here.send(b"x")))
    here.close()
    thread.join()
    there.close()
    return summary(samples)


def summary(samples):
    """The percentiles; None for each if no cancel() returned."""
    columns = dict(zip(("cpu", "wall"), zip(*samples, strict=True), strict=False))
    found = {"count": len(samples)}
    for key in ("cpu", "wall"):
        for share in (50, 99):
            numbers = columns.get(key)
            found[f"{key}{share}"] = numbers and common.percentile(numbers, share)
    return found


def after_break(variant, host):
    """Fragments that the server still makes when a loop was left after 20 of them."""
    model = clients.model(host)
    stream = model.respond_stream(f"bench:drip:{FRAGMENTS}")
    for number, _ in enumerate(stream, 1):
        if number == BREAK_AFTER:
            break
    while not clients.last(host)["is_over"]:
        sleep(0.05)
    return {"beyond": clients.last(host)["sent"] - BREAK_AFTER}


# -- the benchmark ------------------------------------------------------------------------------


def measure(rounds, scale):
    """All of it; `scale` makes the counts smaller."""
    section = Section("Cancelling")
    variants = common.here(OURS, OFFICIAL)
    with common.load_server() as host:
        calls = {v: common.run_child(v, counted_calls, host=host)["calls"] for v in variants}
        few = len(calls[OURS])
        section.verdicts.append(
            Verdict(
                "`cancel()`: counted calls", f"{few}", f"at most {MOST_CALLS}", few <= MOST_CALLS
            )
        )
        listed = "; ".join(f"{name}: {len(names)}" for name, names in calls.items())
        section.text.append(f"Calls in `cancel()`, in the calling thread: {listed}.")
        found = {moment: measure_costs(host, variants, rounds, moment, scale) for moment in COUNTS}
        show_costs(section, found)
        measure_break(section, host, variants, rounds)
    return section


def measure_costs(host, variants, rounds, moment, scale):
    count, megabytes = scale(COUNTS[moment]), scale(UPLOAD_MB)

    def case(variant):
        arguments = {"host": host, "moment": moment, "count": count, "megabytes": megabytes}
        return lambda: common.run_child(variant, costs, **arguments)

    cases = {variant: case(variant) for variant in variants}
    if moment in (UPLOAD, DEAF):
        return common.in_turn(min(rounds, 3), cases)
    cases[FLOOR] = lambda: common.run_child(FLOOR, lone_send, moment=moment, count=count)
    return common.in_turn(rounds, cases)


def show_costs(section, found):
    rows = []
    for moment, by_variant in found.items():
        for variant, samples in by_variant.items():
            cells = [
                common.spread(samples, key) if samples[0]["count"] else "-"
                for key in ("cpu50", "wall50", "wall99")
            ]
            if not samples[0]["count"]:
                cells[1:] = [f"not back after {STUCK:g} s"] * 2
            rows.append([moment, variant, *cells])
    section.text.append(
        f"`cancel()` in its caller, µs (the big upload is one of {UPLOAD_MB} MB; the floor is one "
        "byte sent to a thread that waits for it):"
    )
    section.table(["", "", "CPU p50", "wall p50", "wall p99"], rows)
    for moment, by_variant in found.items():
        cpu = common.median(by_variant[OURS], "cpu50")
        section.verdicts.append(
            Verdict(
                f"`cancel()`, {moment}: CPU, p50",
                f"{cpu:.0f} µs",
                f"at most {MOST_CPU:g} µs",
                cpu <= MOST_CPU,
            )
        )
        if moment == BUSY:
            floor = f"{common.median(by_variant[FLOOR], 'cpu50'):.0f} µs"
            what = f"one byte sent to another thread, {moment}: CPU, p50"
            section.verdicts.append(Verdict(what, floor, "given", None))
        official = by_variant.get(OFFICIAL)
        if official and official[0]["count"]:
            ratio = common.ratio(official, by_variant[OURS], "wall50")
            section.bar(f"cancel(), time in the caller, {moment}", ratio)


def measure_break(section, host, variants, rounds):
    def case(variant):
        return lambda: common.run_child(variant, after_break, host=host)

    found = common.in_turn(min(rounds, 3), {v: case(v) for v in variants})
    section.text.append(
        f"Fragments that the server makes after a `break`, of {FRAGMENTS - BREAK_AFTER} that were "
        "left, one every 5 ms (the one that is in flight is counted):"
    )
    section.table(["", "fragments"], [[n, common.spread(s, "beyond", 0)] for n, s in found.items()])
    ours = statistics.median(common.values(found[OURS], "beyond"))
    official = found.get(OFFICIAL)
    words = f"{ours:.0f}" + (
        f"; official {common.median(official, 'beyond'):.0f}" if official else ""
    )
    section.verdicts.append(
        Verdict("fragments made after `break`", words, "at most 1, and 1 in flight", ours <= 2)
    )
