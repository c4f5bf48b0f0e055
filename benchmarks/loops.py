"""The asyncio half: what fragments, calls, a cancel and an upload cost one event loop."""

import asyncio
import os
import random
import tempfile
from time import perf_counter

import clients
import common
import fragments
import held
import loop_floors
from common import OFFICIAL, OURS, Section, Verdict

ONE = {OURS: 20_000, OFFICIAL: 3_000}
STREAMS = 1_000
MANY = 20_000  # of all streams together
CALLS = {OURS: 2_000, OFFICIAL: 300}
TASKS = 16
CANCELS = 100
UPLOADS, MEGABYTES = 20, 30
THREADS = "this package, in a thread"
IN_LOOP = "floor: sockets, in the loop"
IN_THREAD = "floor: sockets, in a second thread"
FLOOR = "floor: a thread that makes frames and writes them"
MOST_CANCEL, MOST_HOLD = 1.0, 5.0  # ms


# -- in the child -------------------------------------------------------------------------------


def in_loop(function):
    """Run a coroutine function in an event loop of its own, with an open client and its model."""

    def run(variant, host, **arguments):
        async def main():
            import lmstudio

            async with lmstudio.AsyncClient(host) as client:
                model = await client.llm.model()
                return await function(client, model, host, **arguments)

        return asyncio.run(main())

    run.__module__, run.__name__ = __name__, function.__name__
    return run


async def read(stream):
    """How many fragments a stream has."""
    count = 0
    async for _ in stream:
        count += 1
    return count


@in_loop
async def one_stream(client, model, host, count):
    """CPU and wall time per fragment of a stream; the second one counts, when all is warm."""
    for _ in range(2):
        stream = await model.respond_stream(f"bench:burst:{count}")
        clock = clients.Clock()
        assert await read(stream) == count
    return clock.per(count)


@in_loop
async def many_streams(client, model, host, streams, count):
    """The same of many streams that send in turn, each read by a task."""
    await read(await model.respond_stream("bench:burst:500"))
    each = count // streams
    started = [await model.respond_stream(f"bench:held:{each}") for _ in range(streams)]
    tasks = [asyncio.create_task(read(stream)) for stream in started]
    await asyncio.to_thread(clients.wait_until_open, host, streams)
    clock = clients.Clock()
    await asyncio.to_thread(clients.go, host)
    assert await asyncio.gather(*tasks) == [each] * streams
    return clock.per(each * streams)


@in_loop
async def calls(client, model, host, count, tasks):
    """`count_tokens`, one after another in each of some tasks."""

    async def work():
        for _ in range(count // tasks):
            await model.count_tokens("a few words")

    for _ in range(20):
        await model.count_tokens("a few words")
    clock = clients.Clock()
    await asyncio.gather(*[work() for _ in range(tasks)])
    return clock.per(count // tasks * tasks)


@in_loop
async def releases(client, model, host, count):
    """Milliseconds from `cancel()` until the task that reads is out of its loop."""
    samples = []
    for _ in range(count):
        stream = await model.respond_stream("bench:drip:1000")
        has_begun = asyncio.Event()

        async def follow(stream=stream, has_begun=has_begun):
            async for _ in stream:
                has_begun.set()
            return perf_counter()

        task = asyncio.create_task(follow())
        await has_begun.wait()
        await asyncio.sleep(random.uniform(0.002, 0.01))
        began = perf_counter()
        await stream.cancel()
        samples.append((await task - began) * 1000)
    return {"p50": common.percentile(samples, 50), "p99": common.percentile(samples, 99)}


@in_loop
async def holds(client, model, host, path, count):
    """As `held.holds_of`, of uploads."""
    await client.files.prepare_image(b"\x89PNG\r\n\x1a\n", "image.png")  # warm
    return await held.holds_of(lambda: client.files.prepare_image(path), count)


# -- the benchmark ------------------------------------------------------------------------------


def measure(rounds, scale):
    """All of it; `scale` makes the counts smaller."""
    section = Section("On an event loop")
    with common.load_server() as host:
        measure_one(section, host, rounds, scale)
        measure_many(section, host, rounds, scale)
        measure_calls(section, host, rounds, scale)
        measure_releases(section, host, rounds, scale)
        measure_holds(section, host, rounds, scale)
    return section


def in_turn(rounds, function, counts, scale, **arguments):
    """The variants in turn."""

    def case(variant):
        count = scale(counts[variant], least=arguments.get("streams", TASKS))
        return lambda: common.run_child(variant, function, count=count, **arguments)

    return common.in_turn(rounds, {variant: case(variant) for variant in common.here(*counts)})


def measure_one(section, host, rounds, scale):
    def case(variant, function):
        arguments = {"host": host, "count": scale(ONE[variant])}
        return lambda: common.run_child(variant, function, **arguments)

    cases = {variant: case(variant, one_stream) for variant in common.here(OURS, OFFICIAL)}
    found = common.in_turn(rounds, {**cases, THREADS: case(OURS, fragments.one_stream)})
    section.text.append("One stream, µs per fragment:")
    section.table(
        ["", "CPU", "wall"],
        [[n, common.spread(s, "cpu"), common.spread(s, "wall")] for n, s in found.items()],
    )
    official = common.ratio(found.get(OFFICIAL), found[OURS], "cpu")
    section.judge("asyncio, CPU per fragment, one stream: official / this package", official, 10)
    threads = common.ratio(found[OURS], found[THREADS], "cpu")
    what = "asyncio, CPU per fragment, one stream: this package / the same in a thread"
    section.judge(what, threads, 2, most=True)
    section.bar("asyncio, CPU of one fragment", official)


def measure_many(section, host, rounds, scale):
    streams = scale(STREAMS)
    counts = dict.fromkeys((OURS, OFFICIAL), MANY)
    found = in_turn(rounds, many_streams, counts, scale, host=host, streams=streams)
    section.text.append(f"{streams:,} streams that send in turn, in as many tasks of one loop:")
    section.table(
        ["", "fragments/s", "CPU, µs per fragment"],
        [[n, common.spread(s, "rate"), common.spread(s, "cpu")] for n, s in found.items()],
    )
    ratio = common.ratio(found.get(OFFICIAL), found[OURS], "cpu")
    what = f"asyncio, CPU per fragment, {streams:,} streams on one loop: official / this package"
    words = "-" if ratio is None else f"{common.number(ratio)} x"
    section.verdicts.append(Verdict(what, words, "-", None))
    section.bar("asyncio, CPU of a fragment, 1,000 streams", ratio)


def measure_calls(section, host, rounds, scale):
    def case(variant, tasks):
        count = scale(CALLS[variant], least=tasks)
        return lambda: common.run_child(variant, calls, host=host, count=count, tasks=tasks)

    def floor(function):
        count = scale(CALLS[OURS])
        return lambda: common.run_child(common.FLOOR, function, host=host, count=count)

    floors = {
        IN_LOOP: floor(loop_floors.calls_in_loop),
        IN_THREAD: floor(loop_floors.calls_in_thread),
    }
    for tasks in (1, TASKS):
        cases = {variant: case(variant, tasks) for variant in common.here(OURS, OFFICIAL)}
        found = common.in_turn(rounds, cases | floors if tasks == 1 else cases)
        what = "`count_tokens` " + ("one after another" if tasks == 1 else f"in {tasks} tasks")
        section.text.append(f"{what}:")
        section.table(
            ["", "calls/s", "CPU, µs per call"],
            [[n, common.spread(s, "rate"), common.spread(s, "cpu")] for n, s in found.items()],
        )
        ratio = common.ratio(found[OURS], found.get(OFFICIAL), "rate")
        section.judge(f"asyncio, {what}, calls/s: this package / official", ratio, 3)
        for name in floors:
            if name in found and OFFICIAL in found:
                least = common.ratio(found[name], found[OFFICIAL], "rate")
                row = f"asyncio, {what}, calls/s: {name} / official"
                section.verdicts.append(Verdict(row, f"{common.number(least)} x", "-", None))
        section.bar(f"asyncio, {what.replace('`', '')}", ratio)


def measure_releases(section, host, rounds, scale):
    counts = {OURS: CANCELS, OFFICIAL: CANCELS}
    found = in_turn(rounds, releases, counts, scale, host=host)
    section.text.append("From `cancel()` in one task until another has left its loop, ms:")
    section.table(
        ["", "p50", "p99"],
        [[n, *(common.spread(s, key) for key in ("p50", "p99"))] for n, s in found.items()],
    )
    ours = common.median(found[OURS], "p50")
    what = "asyncio, `cancel()` to the reading task released: p50"
    row = Verdict(what, f"{ours:.2f} ms", f"at most {MOST_CANCEL:g} ms", ours <= MOST_CANCEL)
    section.verdicts.append(row)
    section.bar("asyncio, cancel", common.ratio(found.get(OFFICIAL), found[OURS], "p50"))


def measure_holds(section, host, rounds, scale):
    megabytes = scale(MEGABYTES, least=1)
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "image.png")
        with open(path, "wb") as file:
            file.write(b"\x89PNG\r\n\x1a\n" + os.urandom(megabytes * 1_000_000 - 8))

        def case(variant, function, count):
            arguments = {"host": host, "path": path, "count": count}
            return lambda: common.run_child(variant, function, **arguments)

        uploads = scale(UPLOADS, least=1)
        counts = {OURS: uploads, OFFICIAL: 1}
        cases = {v: case(v, holds, counts[v]) for v in common.here(*counts)}
        cases[FLOOR] = case(common.FLOOR, loop_floors.holds, uploads)
        found = common.in_turn(rounds, cases)
    rows, p99 = [], {}
    for name, samples in found.items():
        busy, idle = ([h for s in samples for h in s[kind]] for kind in ("busy", "idle"))
        cells = []
        for kind, longest in {
            "busy": busy,
            "idle": idle,
            "more": [one - other for one, other in zip(busy, idle, strict=True)],
        }.items():
            p99[name, kind] = common.percentile(longest, 99)
            cells += [common.number(common.percentile(longest, 50)), common.number(p99[name, kind])]
        rows.append([name, str(len(busy)), common.spread(samples, "wall"), *cells])
    section.text.append(
        f"Uploads of {megabytes} MB: their time, and the longest time that the loop was held in "
        "each, ms; the same of the loop left idle for as long after each; and what the upload has "
        "more than the idle time after it:"
    )
    header = ["", "uploads", "time", "p50", "p99", "idle p50", "idle p99", "more p50", "more p99"]
    section.table(header, rows)
    ours = p99[OURS, "busy"]
    section.verdicts.append(
        Verdict(
            f"asyncio, upload of {megabytes} MB: the longest hold of the loop, p99",
            f"{ours:.1f} ms",
            f"at most {MOST_HOLD:g} ms",
            ours <= MOST_HOLD,
            f"an idle loop {p99[OURS, 'idle']:.1f} ms; without any package "
            f"{p99[FLOOR, 'busy']:.1f} ms",
        )
    )
