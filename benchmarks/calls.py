"""What small procedure calls cost: one after another, in 16 threads, `embed` and `embed_many`."""

import functools
import threading

import clients
import common
from common import FLOOR, OFFICIAL, OURS, Section, Verdict

SEQUENCE = {FLOOR: 2_000, OURS: 2_000, OFFICIAL: 300}
THREADED = {OURS: 3_200, OFFICIAL: 480}  # of 16 threads together
TEXTS = 1_000
LENGTHS = (768, 32)  # of a vector: that of a usual embedding model, and a small one
THREADS = 16
MANY = "this package, `embed_many`"


# -- in the child -------------------------------------------------------------------------------


def in_sequence(variant, host, count):
    """`count_tokens` one after another."""
    if variant == FLOOR:
        floor = clients.Floor(host)

        def count_tokens(text):
            specifier = {"type": "query", "query": {"identifier": "load"}}
            floor.call("countTokens", specifier=specifier, inputString=text)["tokenCount"]
    else:
        model = clients.model(host)
        count_tokens = model.count_tokens
    for _ in range(50):
        count_tokens("a few words")
    clock = clients.Clock()
    for _ in range(count):
        count_tokens("a few words")
    return clock.per(count)


def in_threads(variant, host, count):
    """`count_tokens` in 16 threads on one client."""
    model = clients.model(host)
    model.count_tokens("warm")

    def work():
        for _ in range(count // THREADS):
            model.count_tokens("a few words")

    threads = [threading.Thread(target=work) for _ in range(THREADS)]
    clock = clients.Clock()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return clock.per(count)


def embed(variant, host, count, length):
    """`embed` of a list of short texts."""
    if variant == FLOOR:
        floor = clients.Floor(host, "embedding")
        specifier = {"type": "query", "query": {"identifier": "load"}}

        def embed_all(texts):
            return [
                floor.call("embedString", modelSpecifier=specifier, inputString=t)["embedding"]
                for t in texts
            ]
    else:
        import lmstudio

        client = lmstudio.Client(host)
        embed_all = client.embedding.model().embed
    texts = [f"bench:vector:{length} text {number}" for number in range(count)]
    embed_all(texts[:10])
    clock = clients.Clock()
    vectors = embed_all(texts)
    assert [len(vector) for vector in vectors] == [length] * count
    return clock.per(count)


def embed_many(variant, host, count, length):
    """`embed_many` of the same texts."""
    import lmstudio

    model = lmstudio.Client(host).embedding.model()
    texts = [f"bench:vector:{length} text {number}" for number in range(count)]
    assert len(list(model.embed_many(texts[:10]))) == 10
    clock = clients.Clock()
    vectors = [outcome.result for outcome in model.embed_many(texts)]
    assert [len(vector) for vector in vectors] == [length] * count
    return clock.per(count)


# -- the benchmark ------------------------------------------------------------------------------


def measure(rounds, scale):
    """All of it; `scale` makes the counts smaller."""
    section = Section("Procedure calls")
    with common.load_server() as host:

        def found(function, counts, **more):
            def case(variant):
                arguments = {"host": host, "count": scale(counts[variant], least=16), **more}
                return lambda: common.run_child(variant, function, **arguments)

            return common.in_turn(rounds, {v: case(v) for v in common.here(*counts)})

        sequence = found(in_sequence, SEQUENCE)
        what = "`count_tokens` one after another"
        show(section, what, sequence)
        judge(section, what, sequence, 2)
        above = common.ratio(sequence[OURS], sequence[FLOOR], "wall")
        section.judge(f"time of {what}: this package / floor", above, 2, most=True)
        threads = found(in_threads, THREADED)
        what = f"`count_tokens` in {THREADS} threads"
        show(section, what, threads)
        judge(section, what, threads, 2)
        above = common.ratio(threads[OURS], sequence[FLOOR], "wall")
        section.judge(f"time of {what}: this package / floor", above, 2, most=True)
        for length in LENGTHS:
            arguments = {"host": host, "count": scale(TEXTS, least=16), "length": length}
            cases = {
                variant: functools.partial(common.run_child, variant, embed, **arguments)
                for variant in common.here(FLOOR, OURS, OFFICIAL)
            }
            cases[MANY] = functools.partial(common.run_child, OURS, embed_many, **arguments)
            vectors = common.in_turn(rounds, cases)
            what = f"`embed` of {arguments['count']:,} texts, {length} numbers each"
            show(section, what, vectors)
            judge(section, what, vectors, 8)
            above = common.number(common.ratio(vectors[MANY], vectors[OURS], "cpu"))
            what = f"CPU per text, {length} numbers each: `embed_many` / `embed` of a list"
            section.verdicts.append(Verdict(what, f"{above} x", "-", None))
    return section


def show(section, what, found):
    """A table of times."""
    section.text.append(f"{what}:")
    section.table(
        ["", "calls/s", "µs per call", "CPU, µs per call"],
        [
            [n, *(common.spread(s, key) for key in ("rate", "wall", "cpu"))]
            for n, s in found.items()
        ],
    )


def judge(section, what, found, target):
    """Calls per second against the official package's."""
    ratio = common.ratio(found[OURS], found.get(OFFICIAL), "rate")
    section.judge(f"{what}, calls/s: this package / official", ratio, target)
    section.bar(what.replace("`", ""), ratio)
