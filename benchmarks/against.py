"""This package beside an earlier commit of it, in turn, with the measures of the other benchmarks.

`run.py --against FOLDER` runs it; the folder is a checkout of that commit.
"""

import os
import statistics
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

import batches
import calls
import cancelling
import common
import fragments
import imports
import memory
import releasing
import uploads
from common import EARLIER, OURS, Section, Verdict

MOST = 1.1
STREAMS = 32
LENGTH = 32  # of a vector
RESPONDS = 2_000
IMPORTS = 3  # processes of which the median counts


@dataclass
class Row:
    """A figure: what it is of, its key and unit, and how to get it for a variant."""

    what: str
    key: str
    unit: str
    run: str  # the name of a run, in `runs`; several rows may share one


ROWS = [
    Row("CPU per fragment, one stream", "cpu", "µs", "one stream"),
    Row(f"CPU per fragment, {STREAMS} streams in {STREAMS} threads", "cpu", "µs", "threads"),
    Row(f"time per fragment, {STREAMS} streams in {STREAMS} threads", "wall", "µs", "threads"),
    Row("CPU of `count_tokens`, one after another", "cpu", "µs", "count_tokens"),
    Row("time of `count_tokens`, one after another", "wall", "µs", "count_tokens"),
    Row(f"CPU per text of `embed`, 1,000 texts, {LENGTH} numbers each", "cpu", "µs", "embed"),
    Row(f"time per text of `embed`, 1,000 texts, {LENGTH} numbers each", "wall", "µs", "embed"),
    Row("CPU of `respond()`, a fragment", "cpu", "µs", "respond"),
    Row("CPU of `cancel()`, p50", "cpu50", "µs", "cancel"),
    Row("cancel() to the reader released, p50", "us", "µs", "release"),
    Row("CPU of an upload of 30 MB", "cpu", "ms", "upload"),
    Row("import time with the names used", "ms", "ms", "import"),
    Row("bytes per open stream", "bytes", "bytes", "memory"),
]


def measure(folder, rounds, scale):
    """All of it; `scale` makes the counts smaller."""
    common.CHECKOUTS[EARLIER] = folder.resolve()
    for variant in (OURS, EARLIER):
        check_found(variant)
    with tempfile.TemporaryDirectory() as temporary, common.load_server() as host:
        path = os.path.join(temporary, "image.png")
        with open(path, "wb") as file:
            size = scale(uploads.MEGABYTES, least=1) * 1_000_000
            file.write(b"\x89PNG\r\n\x1a\n" + os.urandom(size - 8))
        found = take_turns(rounds, runs(host, path, scale))
    return report(found, rounds)


def check_found(variant):
    """Be sure that the child processes find the package of this checkout, and no other."""
    found = Path(common.run_child(variant, where)["file"]).resolve()
    if found.parent.parent != common.CHECKOUTS[variant].resolve():
        raise RuntimeError(f"{variant}: Python finds {found}.")


def where(variant):
    """The file of the package that a child process finds."""
    import lmstudio

    return {"file": lmstudio.__file__}


def runs(host, path, scale):
    """By name: a function that measures a variant."""

    def child(function, **arguments):
        return lambda variant: common.run_child(variant, function, **arguments)

    def import_it(variant):
        took = [imports.run_in_new_process(variant, imports.USED)["ms"] for _ in range(IMPORTS)]
        return {"ms": statistics.median(took)}

    def release(variant):
        arguments = {"how": "cancel()", "phase": releasing.GENERATING, "events": 0}
        arguments |= {"host": host, "count": scale(releasing.COUNT)}
        return {"us": common.run_child(variant, releasing.releases, **arguments)["p50"] * 1000}

    one, many = scale(fragments.ONE[OURS]), scale(fragments.MANY[OURS]) // STREAMS * STREAMS
    count = scale(calls.SEQUENCE[OURS], least=16)
    texts = scale(calls.TEXTS, least=16)
    cancels = scale(cancelling.COUNTS[cancelling.IDLE])
    idle = {"moment": cancelling.IDLE, "count": cancels, "megabytes": 0}
    opened = {"streams": scale(memory.STREAMS), "events": False, "traced": True}
    return {
        "one stream": child(fragments.one_stream, host=host, count=one),
        "threads": child(fragments.many_streams, host=host, streams=STREAMS, count=many),
        "count_tokens": child(calls.in_sequence, host=host, count=count),
        "embed": child(calls.embed, host=host, count=texts, length=LENGTH),
        "respond": child(batches.one_after_another, host=host, count=scale(RESPONDS)),
        "cancel": child(cancelling.costs, host=host, **idle),
        "release": release,
        "upload": child(uploads.upload, host=host, path=path),
        "import": import_it,
        "memory": child(memory.open_many, host=host, **opened),
    }


def take_turns(rounds, runs):
    """Run all for both; the one that went second in a round goes first in the next."""
    for variant in (OURS, EARLIER):
        runs["import"](variant)  # writes the bytecode
    found = {(name, variant): [] for name in runs for variant in (OURS, EARLIER)}
    order = [OURS, EARLIER]
    for _ in range(rounds):
        for name, run in runs.items():
            for variant in order:
                found[name, variant].append(run(variant))
        order.reverse()
    return found


def report(found, rounds):
    """The section, with every round of every figure."""
    section = Section("Against the earlier commit")
    names = {variant: commit(common.CHECKOUTS[variant]) for variant in (OURS, EARLIER)}
    section.text.append(
        f"This package is {names[OURS]}, the earlier commit {names[EARLIER]}. Each figure is "
        "measured in a new process, by turns against the same server; in every other round the "
        "earlier commit goes first. The ratio is that of the two medians, this package / the "
        "earlier commit; less is better in all rows."
    )
    rows = []
    for row in ROWS:
        both = {variant: common.values(found[row.run, variant], row.key) for variant in names}
        middles = {variant: statistics.median(figures) for variant, figures in both.items()}
        ratio = middles[OURS] / middles[EARLIER]
        for variant, figures in both.items():
            cells = [common.number(figure) for figure in (middles[variant], *figures)]
            first = [f"{row.what}, {row.unit}", variant, f"{ratio:.2f}"]
            rows.append((first if variant == OURS else ["", variant, ""]) + cells)
        words = f"{common.number(middles[OURS])} / {common.number(middles[EARLIER])} {row.unit}"
        what = f"{row.what}: this package / the earlier commit"
        measured = f"{ratio:.2f} x ({words})"
        section.verdicts.append(Verdict(what, measured, f"at most {MOST:g} x", ratio <= MOST))
    header = ["", "", "ratio", "median", *(str(number) for number in range(1, rounds + 1))]
    section.table(header, rows)
    return section


def commit(folder):
    """The commit of a checkout in words, as far as git knows it."""
    command = ["git", "-C", str(folder), "describe", "--always", "--dirty", "--exclude=*"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return "of an unknown commit"
    return done.stdout.strip().replace("-dirty", " with changes")
