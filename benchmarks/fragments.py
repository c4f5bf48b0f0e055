"""What a fragment costs: one stream, many streams in threads, and beside a thread that computes."""

import json
import queue
import statistics
import threading
from time import perf_counter

import clients
import common
import load_frames
from common import FLOOR, OFFICIAL, OURS, Section, Verdict

ONE = {FLOOR: 20_000, OURS: 20_000, OFFICIAL: 3_000}
MANY = {OURS: 64_000, OFFICIAL: 6_400}  # of 32 streams together
FLAT = (1, 32, 1_000)  # streams
BUSY = {FLOOR: 5_000, OURS: 20_000, OFFICIAL: 300}
WAITS = {FLOOR: 10, OURS: 10, OFFICIAL: 5}  # first fragments that are waited for
WAYS = IN_TURN, THREADS, QUEUES = "one thread takes turns", "a thread each", "plain queues"


# -- in the child -------------------------------------------------------------------------------


def one_stream(variant, host, count):
    """CPU and wall time per fragment of a stream; the second one counts, when all is warm."""
    prompt = f"bench:burst:{count}"
    floor = variant == FLOOR
    client = clients.Floor(host) if floor else clients.model(host)
    for _ in range(2):
        stream = client.predict(prompt) if floor else client.respond_stream(prompt)
        clock = clients.Clock()
        assert sum(1 for _ in stream) == count
    return clock.per(count)


def server_alone(variant, host, count):
    """The same, read and thrown away."""
    return clients.discard(host, f"bench:burst:{count}" + " " * 200, count)


def many_streams(variant, host, streams, count, in_turn=False):
    """Streams on one client that send in turn, each read by a thread, or all by this one."""
    model = clients.model(host)
    sum(1 for _ in model.respond_stream("bench:burst:500"))
    if not in_turn:
        return read_streams(model, host, streams, count // streams, in_turn).per(count)
    # What the end of a stream costs comes once for each, however long it is: it is left out by
    # comparing long streams with short ones.
    few, many = max(1, count // streams // 5), count // streams
    short = read_streams(model, host, streams, few, in_turn).per(1)
    long = read_streams(model, host, streams, many, in_turn).per(1)
    return {"cpu": (long["cpu"] - short["cpu"]) / (streams * (many - few))}


def read_streams(model, host, streams, each, in_turn):
    """Read them all; a clock that runs since the first fragment was sent."""
    opened = [model.respond_stream(f"bench:held:{each}") for _ in range(streams)]
    for stream in opened:
        stream.start()
    clients.wait_until_open(host, streams)
    counts = []

    def read(stream):
        counts.append(sum(1 for _ in stream))

    threads = [threading.Thread(target=read, args=(stream,)) for stream in opened]
    if in_turn:
        clock = clients.Clock()
        clients.go(host)
        counts = [sum(1 for _ in zip(*opened, strict=True))] * streams
    else:
        for thread in threads:
            thread.start()
        clock = clients.Clock()
        clients.go(host)
        for thread in threads:
            thread.join()
    assert counts == [each] * streams, counts
    return clock


def plain_queues(variant, streams, count):
    """What Python itself costs: `json.loads`, and a queue to a thread for each stream."""
    text = load_frames.fragment(100)[4:]
    queues = [queue.SimpleQueue() for _ in range(streams)]

    def read(receive):
        while receive() is not None:
            pass

    threads = [threading.Thread(target=read, args=(queue.get,)) for queue in queues]
    for thread in threads:
        thread.start()
    clock = clients.Clock()
    for _ in range(count // streams):
        for inbox in queues:
            inbox.put(json.loads(text))
    for inbox in queues:
        inbox.put(None)
    for thread in threads:
        thread.join()
    return clock.per(count)


def beside_computing(variant, host, count, waits):
    """Fragments/s, and milliseconds to the first fragment, while a thread computes."""
    floor = variant == FLOOR
    client = clients.Floor(host) if floor else clients.model(host)
    start = client.predict if floor else client.respond_stream
    sum(1 for _ in start("bench:burst:100"))
    firsts = {"burst": [], "drip": []}
    with clients.Computing():
        for _ in range(waits):
            for kind, times in firsts.items():
                began = perf_counter()
                for number, _ in enumerate(start(f"bench:{kind}:10")):
                    if number == 0:
                        times.append((perf_counter() - began) * 1000)
        clock = clients.Clock()
        sum(1 for _ in start(f"bench:burst:{count}"))
        rate = clock.per(count)["rate"]
    first, later = (statistics.median(times) for times in firsts.values())
    return {"rate": rate, "first": first, "later": later}


# -- the benchmark ------------------------------------------------------------------------------


def measure(rounds, scale):
    """All of it; `scale` makes the counts smaller."""
    section = Section("Fragments")
    with common.load_server() as host:
        measure_one(section, host, rounds, scale)
        measure_many(section, host, rounds, scale)
        measure_flat(section, host, rounds, scale)
        measure_beside_computing(section, host, rounds, scale)
    return section


def measure_one(section, host, rounds, scale):
    def case(variant):
        count = scale(ONE[variant])
        return lambda: common.run_child(variant, one_stream, host=host, count=count)

    count = scale(100_000)
    cases = {variant: case(variant) for variant in common.here(FLOOR, OURS, OFFICIAL)}
    cases["the server alone"] = lambda: common.run_child(
        FLOOR, server_alone, host=host, count=count
    )
    found = common.in_turn(rounds, cases)
    alone = common.median(found["the server alone"], "rate")
    section.text.append(
        f"The server alone, read by a loop that throws everything away: {alone:,.0f} fragments/s."
    )
    rows = [
        [
            name,
            common.spread(samples, "cpu"),
            common.spread(samples, "wall"),
            common.number(common.ratio(samples, found[OURS], "cpu")),
        ]
        for name, samples in found.items()
        if name in ONE
    ]
    section.text.append("One stream, µs per fragment:")
    section.table(["", "CPU", "wall", "CPU, this package = 1"], rows)
    official = common.ratio(found.get(OFFICIAL), found[OURS], "cpu")
    section.judge("CPU per fragment, one stream: official / this package", official, 15)
    floor = common.ratio(found[OURS], found[FLOOR], "cpu")
    section.judge("CPU per fragment, one stream: this package / floor", floor, 1, most=True)
    section.bar("CPU of one fragment", official)


def measure_many(section, host, rounds, scale):
    def case(variant):
        count = scale(MANY[variant]) // 32 * 32
        return lambda: common.run_child(variant, many_streams, host=host, streams=32, count=count)

    found = common.in_turn(rounds, {v: case(v) for v in common.here(OURS, OFFICIAL)})
    section.text.append("32 streams in 32 threads on one client:")
    section.table(
        ["", "fragments/s", "CPU, µs per fragment"],
        [[n, common.spread(s, "rate"), common.spread(s, "cpu")] for n, s in found.items()],
    )
    ratio = common.ratio(found[OURS], found.get(OFFICIAL), "rate")
    section.judge("fragments/s, 32 streams in 32 threads: this package / official", ratio, 12)
    section.bar("fragments/s, 32 streams in 32 threads", ratio)


def measure_flat(section, host, rounds, scale):
    sizes = [scale(streams, least=1) for streams in FLAT]

    def case(streams, way):
        count = scale(100_000 if way == IN_TURN else 20_000) // streams * streams or streams
        if way == QUEUES:
            return lambda: common.run_child(FLOOR, plain_queues, streams=streams, count=count)
        arguments = {"host": host, "streams": streams, "count": count, "in_turn": way == IN_TURN}
        return lambda: common.run_child(OURS, many_streams, **arguments)

    found = common.in_turn(rounds, {(n, way): case(n, way) for n in sizes for way in WAYS})
    rows = []
    for streams in sizes:
        row = [f"{streams:,}"]
        for way in WAYS:
            factor = common.ratio(found[streams, way], found[sizes[0], way], "cpu")
            row += [common.spread(found[streams, way], "cpu"), common.number(factor)]
        rows.append(row)
    section.text.append(
        "CPU of a fragment in µs, by streams that send in turn on one client, and how often that "
        "of one stream. (The last two: what Python itself takes for `json.loads` and a plain queue "
        "to each thread, without any package. A thousand threads that wait for the GIL cost that.) "
        "Where one thread takes turns, this is the difference between long and short streams, so "
        "that what a stream costs once, at its end, is left out."
    )
    section.table(["streams"] + [word for way in WAYS for word in (way, "x")], rows)
    flat = max(common.ratio(found[n, IN_TURN], found[sizes[0], IN_TURN], "cpu") for n in sizes)
    what = "CPU per fragment, 1 to 1,000 streams, one thread takes turns: the worst / one stream"
    section.judge(what, flat, 1.2, most=True)
    threads = max(common.ratio(found[n, THREADS], found[n, QUEUES], "cpu") for n in sizes)
    what = "CPU per fragment, 1 to 1,000 streams in as many threads: the worst / plain queues"
    section.verdicts.append(Verdict(what, f"{common.number(threads)} x", "-", None))


def measure_beside_computing(section, host, rounds, scale):
    def case(variant):
        arguments = {"count": scale(BUSY[variant]), "waits": scale(WAITS[variant], least=2)}
        return lambda: common.run_child(variant, beside_computing, host=host, **arguments)

    found = common.in_turn(rounds, {v: case(v) for v in common.here(FLOOR, OURS, OFFICIAL)})
    section.text.append(
        "Beside a thread that computes in pure Python; the time to the first fragment with a "
        "server that answers at once, and with one that takes up to 5 ms:"
    )
    section.table(
        ["", "fragments/s", "ms, at once", "ms, up to 5 ms"],
        [
            [n, *(common.spread(s, key) for key in ("rate", "first", "later"))]
            for n, s in found.items()
        ],
    )
    rate = common.ratio(found[OURS], found.get(OFFICIAL), "rate")
    what = "beside a computing thread"
    section.judge(f"fragments/s {what}: this package / official", rate, 30)
    first = common.ratio(found.get(OFFICIAL), found[OURS], "first")
    section.judge(f"time to the first fragment {what}: official / this package", first, 30)
    floor = common.ratio(found.get(OFFICIAL), found[FLOOR], "first")
    words = "-" if floor is None else f"{common.number(floor)} x"
    what_floor = f"time to the first fragment {what}: official / floor"
    section.verdicts.append(Verdict(what_floor, words, "given", None))
    section.bar(f"fragments/s {what}", rate)
    section.bar(f"first fragment {what}", first)
