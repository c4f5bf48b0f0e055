"""How busy `respond_many()` keeps a server's slots, beside threads that call `respond()`."""

import clients
import common
from common import OURS, Section, Verdict

SHORTEST, LONGEST = 50, 100  # milliseconds that a reply takes
REPLIES = 12  # for each place
# Slots of the server, and how many inputs are under way at once.
CASES = {4: (1, 4, 16, 256), 16: (4, 16, 64, 256), 64: (16, 64, 256)}
ROUNDS = 3
LEAST = 0.95
INPUTS = 100_000  # for the memory
GROWTH = 2  # MB
BATCH, POOL = "`respond_many()`", "thread pool"


# -- in the child -------------------------------------------------------------------------------


def keep_busy(variant, host, way, slots, max_parallel, count):
    """The share of the time that slots were busy, and CPU per input in microseconds."""
    model = clients.model(host)
    lengths = (SHORTEST + number * 37 % (LONGEST - SHORTEST) for number in range(count))
    prompts = [f"bench:slot:{length}" for length in lengths]
    run = {BATCH: batch, POOL: pool}[way]
    run(model, ["bench:burst:1"] * min(max_parallel, 64), max_parallel)
    clients.ask(host, f"/bench/slots/{slots}")
    clock = clients.Clock()
    assert run(model, prompts, max_parallel) == count
    told, took = clients.ask(host, "/bench/slots/1"), clock.per(count)
    return {**took, "share": told["busy"] / min(slots, max_parallel)}


def batch(model, prompts, max_parallel):
    """Answer all; return how many were answered."""
    outcomes = model.respond_many(prompts, max_parallel=max_parallel)
    return sum(outcome.content == " word" for _, outcome in outcomes)


def pool(model, prompts, max_parallel):
    """The same with threads."""
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(max_parallel) as threads:
        return sum(result.content == " word" for result in threads.map(model.respond, prompts))


def grow(variant, host, count):
    """By how many bytes the process grows over the last nine tenths of many inputs."""
    model, early = clients.model(host), 0
    outcomes = model.respond_many(("bench:burst:1" for _ in range(count)), max_parallel=16)
    for number, _ in enumerate(outcomes):
        if number == count // 10:
            early = clients.memory()
    return {"bytes": clients.memory() - early}


# -- the benchmark ------------------------------------------------------------------------------


def measure(rounds, scale):
    """All of it; `scale` makes the number of inputs smaller."""
    section = Section("Slots kept busy")

    def case(host, way, slots, places):
        count = min(slots, places) * scale(REPLIES, least=2)
        arguments = {"way": way, "slots": slots, "max_parallel": places, "count": count}
        return lambda: common.run_child(OURS, keep_busy, host=host, **arguments)

    all_cases = [(slots, places) for slots, many in CASES.items() for places in many]
    with common.load_server() as host:
        cases = {(w, *c): case(host, w, *c) for c in all_cases for w in (BATCH, POOL)}
        found = common.in_turn(min(rounds, ROUNDS), cases)
        growth = common.run_child(OURS, grow, host=host, count=scale(INPUTS, least=200))["bytes"]
    rows = []
    for slots, places in all_cases:
        ours, threads = found[BATCH, slots, places], found[POOL, slots, places]
        row = [f"{slots}", f"{places}"]
        row += [common.spread(samples, "share", 3) for samples in (ours, threads)]
        row += [common.spread(samples, "cpu") for samples in (ours, threads)]
        rows.append(row)
    section.text.append(
        f"Replies of {SHORTEST} to {LONGEST} ms. The share of the slots that were busy, from the "
        "beginning of the first reply to that of the last one (of those that can be, where fewer "
        "inputs are under way than there are slots); and the CPU of the process per input in µs."
    )
    header = ["slots", "`max_parallel`", f"busy: {BATCH}", f"busy: {POOL}"]
    section.table([*header, f"CPU: {BATCH}", f"CPU: {POOL}"], rows)

    def shares(way, cases):
        return [common.median(found[(way, *case)], "share") for case in cases]

    full = [(slots, places) for slots, places in all_cases if places >= slots]
    least = min(shares(BATCH, full))
    what = "slots kept busy by a batch, of 4, 16 and 64, `max_parallel` at least that: the least"
    target = f"at least {LEAST:.0%}"
    section.verdicts.append(Verdict(what, f"{least:.1%}", target, least >= LEAST))
    pairs = zip(shares(BATCH, all_cases), shares(POOL, all_cases), strict=True)
    least = min(ours / threads for ours, threads in pairs)
    what = "slots kept busy, by a batch / by a thread pool with `respond()`: the least"
    section.judge(what, least, 0.99)
    most = max(common.ratio(found[(BATCH, *c)], found[(POOL, *c)], "cpu") for c in all_cases)
    what = "CPU per input: a batch / a thread pool with `respond()`: the most"
    section.judge(what, most, 1.0, most=True)
    what = f"memory over {INPUTS:,} inputs of a batch: growth over the last nine tenths"
    grown = f"{growth / 1e6:.1f} MB"
    section.verdicts.append(Verdict(what, grown, f"at most {GROWTH} MB", growth <= GROWTH * 1e6))
    return section
