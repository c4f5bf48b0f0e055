"""What an outcome of `respond_many()` costs, by `max_parallel`, beside a loop of `respond()`."""

import functools
import resource
import sys
import time

import clients
import common
import thread_floor
from common import FLOOR, OURS, Section, Verdict

PARALLEL = (1, 4, 16, 64, 256, 1_000)
INPUTS = 3_000
WARM = 200  # inputs
COUNTED = 600  # inputs while calls are counted, which makes them slow
# A fragment and the end, at once; or up to 5 ms later, so that as many are under way as may be.
AT_ONCE, LATER = "bench:burst:1", "bench:drip:1"
LEAST_LATER = 16  # max_parallel; with less, that is mostly a wait
MOST = 1.2
COLUMNS = (("own", None), ("cpu", None), ("wall", None), ("switches", None), ("most", 0))
ALONE = "`respond()` one after another"
AT_LEAST = "two threads without any package, {:,}"


# -- in the child -------------------------------------------------------------------------------


def batch(variant, host, count, max_parallel, prompt):
    """CPU of all threads per outcome, switches, and how many inputs were under way at most."""
    model = clients.model(host)
    for _ in model.respond_many([prompt] * min(WARM, count), max_parallel=max_parallel):
        pass
    clients.last(host)
    clock, before, own = clients.Clock(), switches(), time.thread_time()
    outcomes = list(model.respond_many([prompt] * count, max_parallel=max_parallel))
    own = (time.thread_time() - own) / count * 1e6
    took = clock.per(count) | {"switches": (switches() - before) / count, "own": own}
    assert sorted(index for index, _ in outcomes) == list(range(count))
    assert all(result.content == " word" for _, result in outcomes), outcomes[0]
    return {**took, "most": clients.last(host)["most"]}


def calls(variant, host, count, max_parallel):
    """The calls that the thread which iterates makes per outcome, of Python and of C."""
    model = clients.model(host)
    for _ in model.respond_many([AT_ONCE] * WARM, max_parallel=max_parallel):
        pass
    made = 0

    def note(_frame, event, _argument):
        nonlocal made
        made += event in ("call", "c_call")

    outcomes = model.respond_many([AT_ONCE] * count, max_parallel=max_parallel)
    sys.setprofile(note)
    try:
        assert len(list(outcomes)) == count
    finally:
        sys.setprofile(None)
    return {"calls": made / count}


def one_after_another(variant, host, count):
    """The same for `respond()`, which waits in the thread that calls it."""
    model = clients.model(host)
    for _ in range(min(WARM, count)):
        model.respond(AT_ONCE)
    clock, before, own = clients.Clock(), switches(), time.thread_time()
    for _ in range(count):
        assert model.respond(AT_ONCE).content == " word"
    own = (time.thread_time() - own) / count * 1e6
    return clock.per(count) | {"switches": (switches() - before) / count, "own": own, "most": 1}


def switches():
    """How often a thread of this process has waited, so that the processor changed over."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_nvcsw


# -- the benchmark ------------------------------------------------------------------------------


def measure(rounds, scale):
    """All of it; `scale` makes the number of inputs smaller."""
    section = Section("Batches")
    count = scale(INPUTS)

    def case(host, prompt, max_parallel):
        arguments = {"host": host, "count": count, "prompt": prompt, "max_parallel": max_parallel}
        return lambda: common.run_child(OURS, batch, **arguments)

    with common.load_server() as host:
        cases = {(AT_ONCE, n): case(host, AT_ONCE, n) for n in PARALLEL}
        cases |= {(LATER, n): case(host, LATER, n) for n in PARALLEL if n >= LEAST_LATER}
        for n in PARALLEL[:4]:
            arguments = {"host": host, "count": count, "prompt": AT_ONCE, "max_parallel": n}
            floor = functools.partial(
                common.run_child, FLOOR, thread_floor.predictions, **arguments
            )
            cases[AT_LEAST.format(n)] = floor
        cases[ALONE] = lambda: common.run_child(OURS, one_after_another, host=host, count=count)
        found = common.in_turn(rounds, cases)
        counted = {}
        for n in PARALLEL:
            arguments = {"host": host, "count": scale(COUNTED), "max_parallel": n}
            counted[n] = common.run_child(OURS, calls, **arguments)["calls"]
    show(section, found, count)
    what = "counted calls per outcome of a batch, `max_parallel` 1 to 1,000: the most / the fewest"
    section.judge(what, max(counted.values()) / min(counted.values()), MOST, most=True)
    words = ", ".join(f"{calls:.0f} at {n:,}" for n, calls in counted.items())
    section.text.append(f"Calls per outcome, counted in the thread that iterates: {words}.")
    what = "CPU per outcome of a batch, `max_parallel` 1 to 1,000: the worst / the best"
    section.judge(what, worst_to_best(found, PARALLEL, AT_ONCE), MOST, most=True)
    floors = [common.median(found[AT_LEAST.format(n)], "cpu") for n in PARALLEL[:4]]
    ours = [common.median(found[AT_ONCE, n], "cpu") for n in PARALLEL]
    added = max(floors) - min(floors)
    what = "the same, if no more were added than to two threads without any package"
    factor = common.number((min(ours) + added) / min(ours))
    section.verdicts.append(Verdict(what, f"{factor} x", "-", None))
    several = [n for n in PARALLEL if n >= LEAST_LATER]
    for prompt, words in ((AT_ONCE, "16"), (LATER, "replies after up to 5 ms, 16")):
        factor = common.number(worst_to_best(found, several, prompt))
        what = f"the same, {words} to 1,000"
        section.verdicts.append(Verdict(what, f"{factor} x", "-", None))
    factor = common.ratio(found[AT_ONCE, 1], found[ALONE], "cpu")
    what = "CPU per outcome of a batch, `max_parallel` 1: this / `respond()` one after another"
    section.verdicts.append(Verdict(what, f"{common.number(factor)} x", "-", None))
    return section


def show(section, found, count):
    section.text.append(
        f"CPU of an outcome in µs, of your thread and of all threads, by `max_parallel`; {count:,} "
        "inputs each, whose replies are one fragment and the end. The server answers at once, or "
        "(on the right) all that wait every 5 ms. Also counted: how often a thread had to wait for "
        "each outcome, and how many inputs the server had under way at most. What is compared is "
        "not the same work: one at a time, each input is handed on between your thread and the I/O "
        "thread, and they wait each time. Where several messages come and go at once, they share "
        "these waits and the system calls."
    )
    rows = []
    for n in PARALLEL:
        row = [f"{n:,}"]
        for prompt in (AT_ONCE, LATER):
            samples = found.get((prompt, n))
            row += [common.spread(samples, *column) if samples else "-" for column in COLUMNS]
        rows.append(row)
    row = [common.spread(found[ALONE], *column) for column in COLUMNS]
    rows.append([ALONE, *row, *("-" for _ in row)])
    for n in PARALLEL[:4]:
        name = AT_LEAST.format(n)
        row = [
            common.spread(found[name], *column) if column[0] in ("cpu", "wall") else "-"
            for column in COLUMNS
        ]
        rows.append([name, *row, *("-" for _ in row)])
    words = ["CPU of your thread", "CPU", "wall", "waits", "under way"]
    section.table(["", *words, *(f"{word}, 5 ms" for word in words)], rows)


def worst_to_best(found, sizes, prompt):
    """The ratio of the dearest and the cheapest by their medians."""
    ordered = sorted(sizes, key=lambda n: common.median(found[prompt, n], "cpu"))
    return common.ratio(found[prompt, ordered[-1]], found[prompt, ordered[0]], "cpu")
