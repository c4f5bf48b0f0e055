"""The path of one token: the calls that Python makes for it, counted in each thread."""

import collections
import sys
import threading

import clients
import common
from common import OFFICIAL, OURS, Section, Verdict

FEW, MANY = 200, 700  # fragments; the difference leaves out what happens once per prediction
REPEATS = 3


# -- in the child -------------------------------------------------------------------------------


def calls(variant, host, few, many):
    """Calls per fragment: of the reading thread and of all others, by kind and name."""
    counts = collections.Counter()
    reader = threading.get_ident()

    def note(frame, event, argument):
        if event in ("call", "c_call"):
            what = frame.f_code if event == "call" else argument
            name = getattr(what, "co_qualname", None) or getattr(what, "__qualname__", None)
            name = name or what.co_name  # Python 3.10
            counts[threading.get_ident() == reader, event, name] += 1

    def counted(number):
        counts.clear()
        sys.setprofile(note)
        fragments = list(model.respond_stream(f"bench:burst:{number}"))
        sys.setprofile(None)
        assert len(fragments) == number
        return dict(counts)

    threading.setprofile(note)
    model = clients.model(host)
    counted(few)  # warms everything
    rates = {}
    for _ in range(REPEATS):
        before, after = counted(few), counted(many)
        for key, count in after.items():
            rate = (count - before.get(key, 0)) / (many - few)
            rates[key] = min(rate, rates.get(key, rate))  # without what is done now and then
    threading.setprofile(None)
    return {"calls": [[*key, rate] for key, rate in rates.items() if rate > 0.05]}


# -- the benchmark ------------------------------------------------------------------------------


def measure(rounds, scale):
    """All of it."""
    section = Section("Counted calls")
    few, many = scale(FEW), scale(FEW) + scale(MANY - FEW)
    totals = {}
    for variant in common.here(OURS, OFFICIAL):
        with common.load_server() as host:
            counted = common.run_child(variant, calls, host=host, few=few, many=many)["calls"]
        totals[variant] = sum(rate for *_, rate in counted)
        rows = []
        for in_reader, where in ((True, "the thread that iterates"), (False, "the I/O thread")):
            here = [row for row in counted if row[0] is in_reader]
            cells = [str(round(total(here, event), 1)) for event in ("call", "c_call")]
            rows.append([where, *cells, "" if variant == OFFICIAL else names(here)])
        section.text.append(f"Calls for one fragment, {variant}:")
        section.table(["", "of Python", "of C", "which"], rows)
    words = "; ".join(f"{name}: {count:.0f}" for name, count in totals.items())
    section.verdicts.append(Verdict("calls for one fragment, all threads", words, "given", None))
    if OFFICIAL in totals:
        section.bar("calls for one fragment", totals[OFFICIAL] / totals[OURS])
    return section


def total(rows, event):
    """Calls of a kind for one fragment."""
    return sum(rate for _, kind, _, rate in rows if kind == event)


def names(rows):
    """The names, with how often if not once."""
    words = []
    for _, _, name, rate in sorted(rows, key=lambda row: (row[1], row[2])):
        words.append(f"`{name}`" + ("" if 0.95 < rate < 1.05 else f" x {rate:.1f}"))
    return ", ".join(words)
