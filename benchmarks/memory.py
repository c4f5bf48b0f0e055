"""Threads and memory of a client with three namespaces and a thousand open streams."""

import gc
import threading
import tracemalloc

import clients
import common
from common import OFFICIAL, OURS, Section, Verdict

STREAMS = 1_000


# -- in the child -------------------------------------------------------------------------------


def open_many(variant, host, streams, events, traced):
    """Threads, and bytes per open stream (as Python counts them, or the growth of the process)."""
    model = clients.model(host)
    model.client.embedding.model()
    model.client.files.prepare_image(b"\x89PNG\r\n\x1a\n", "image.png")
    model.respond_stream("bench:open:1").__enter__()
    threads = threading.active_count()
    if traced:
        tracemalloc.start()
    gc.collect()
    before = used(traced)
    opened = []
    for _ in range(streams):
        hook = {"cancel_event": threading.Event()} if events else {}
        stream = model.respond_stream("bench:open:1", **hook)
        iterator = iter(stream)
        next(iterator)
        opened.append((stream, iterator))
    gc.collect()
    size = (used(traced) - before) / streams
    names = [thread.name for thread in threading.enumerate()]
    return {"bytes": size, "before": threads - 1, "threads": len(names) - 1, "names": names}


def used(traced):
    """Bytes in use."""
    if traced:
        return tracemalloc.get_traced_memory()[0]
    return clients.memory()


# -- the benchmark ------------------------------------------------------------------------------


def measure(rounds, scale):
    """All of it; `scale` makes the counts smaller."""
    section = Section("Memory and threads")
    streams = scale(STREAMS)

    def case(variant, events, traced):
        arguments = {"streams": streams, "events": events, "traced": traced}

        def run():
            with common.load_server() as host:
                return common.run_child(variant, open_many, host=host, **arguments)

        return run

    cases = {("this package", True): case(OURS, False, True)}
    cases["this package", False] = case(OURS, False, False)
    cases["with an event each", True] = case(OURS, True, True)
    cases["with an event each", False] = case(OURS, True, False)
    if common.is_here(OFFICIAL):
        cases[OFFICIAL, True] = case(OFFICIAL, False, True)
        cases[OFFICIAL, False] = case(OFFICIAL, False, False)
    found = common.in_turn(min(rounds, 3), cases)
    rows = [
        [
            name,
            common.spread(found[name, True], "bytes"),
            common.spread(found[name, False], "bytes"),
            common.spread(found[name, True], "threads", 0),
        ]
        for name in dict.fromkeys(name for name, _ in cases)
    ]
    section.text.append(
        f"A client with three namespaces, and {streams:,} streams that have sent a fragment and "
        "wait (threads beside the main one):"
    )
    section.table(["", "bytes per stream, by Python", "by the process's growth", "threads"], rows)
    threads = found["this package", True][0]["threads"]
    watching = found["with an event each", True][0]["threads"]
    section.verdicts += [
        Verdict("threads of a client with 1,000 streams", f"{threads}", "1", threads == 1),
        Verdict("the same, an event for each stream", f"{watching}", "2", watching == 2),
        Verdict("bytes per open stream", words(found), "given", None),
    ]
    return section


def words(found):
    """The figure, beside the official package's."""
    ours = f"{common.median(found['this package', True], 'bytes'):,.0f}"
    if (OFFICIAL, True) not in found:
        return ours
    return f"{ours}; official {common.median(found[OFFICIAL, True], 'bytes'):,.0f}"
