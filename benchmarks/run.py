"""Measures everything side by side, prints it, and writes RESULTS.md and results.png.

    run.py [--rounds N] [--scale SHARE] [--alone] [--out FOLDER] [NAME ...]
    run.py --against FOLDER [--rounds N] [--scale SHARE] [--out FOLDER]

With names only those benchmarks run, and nothing is written unless a folder is given. The figures
of a machine are only good for comparing with each other, so all variants take turns within a run.

With a checkout of an earlier commit, this package is measured beside that one, and AGAINST.md is
written instead: a section that can stand in RESULTS.md.
"""

import argparse
import importlib
import importlib.metadata
import os
import platform
import sys
import time
from pathlib import Path

import common
from reasons import explain

NAMES = ["fragments", "calls", "cancelling", "releasing", "imports"]
NAMES += ["memory", "idle", "batches", "slots", "uploads", "peers", "counting", "loops"]
VERSIONS = ["websocket-client", "attrs", "cattrs"]
MARKS = {True: "yes", False: "**no**", None: "-"}


def main():
    """Run what was asked for."""
    parser = argparse.ArgumentParser(allow_abbrev=False, description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(NAMES)}")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--scale", type=float, default=1.0, help="a share of all counts")
    parser.add_argument("--alone", action="store_true", help="without the other clients")
    parser.add_argument("--against", type=Path, help="a checkout of an earlier commit")
    parser.add_argument("--out", type=Path, help="where to write the results")
    options = parser.parse_args()
    if options.alone:
        common.leave_out_peers()
    unknown = set(options.names) - set(NAMES)
    if unknown:
        parser.error(f"no such benchmark: {', '.join(sorted(unknown))}")

    def scale(count, least=4):
        return max(least, int(count * options.scale))

    began = time.monotonic()
    if options.against is not None:
        if options.names:
            parser.error("--against has rows of its own; it takes no names")
        if not (options.against / "lmstudio").is_dir():
            parser.error(f"no checkout of this project: {options.against}")
        measure_against(options, scale, began)
        return
    sections = []
    for name in options.names or NAMES:
        print(f"{name} ...", file=sys.stderr, flush=True)
        sections.append(importlib.import_module(name).measure(options.rounds, scale))
    text = report(sections, options, time.monotonic() - began)
    print(text)
    folder = options.out or (None if options.names else common.HERE)
    if folder is not None:
        write(folder, text, sections)


def measure_against(options, scale, began):
    """AGAINST.md."""
    section = importlib.import_module("against").measure(options.against, options.rounds, scale)
    smaller = "" if options.scale == 1 else f", {options.scale:g} of the counts that the rows tell"
    lines = [
        f"## {section.title}",
        "",
        f"Written by `run.py --against` in {(time.monotonic() - began) / 60:.1f} minutes: "
        f"{options.rounds} rounds{smaller}.",
        "",
        machine(peers=False),
        "",
        *table(section.verdicts),
    ]
    for part in section.text:
        lines += ["", part]
    text = "\n".join(lines) + "\n"
    print(text)
    folder = options.out or common.HERE
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "AGAINST.md").write_text(text, encoding="utf-8")


def write(folder, text, sections):
    """RESULTS.md and, where matplotlib is installed, results.png."""
    folder.mkdir(parents=True, exist_ok=True)
    try:
        import plot
    except ImportError:
        print("matplotlib is not here: no plot", file=sys.stderr)
    else:
        plot.draw([bar for section in sections for bar in section.bars], folder / "results.png")
        text = text.replace("\n\n## ", "\n\n![How many times better](results.png)\n\n## ", 1)
    (folder / "RESULTS.md").write_text(text, encoding="utf-8")


def report(sections, options, seconds):
    """Everything in Markdown."""
    lines = [
        "# Results",
        "",
        f"Written by `make bench` in {seconds / 60:.1f} minutes: {options.rounds} rounds, in each "
        "of which all variants take turns; medians, and from the lowest to the highest round. A "
        "ratio is the median of the rounds' ratios.",
        "",
        machine(),
        "",
    ]
    verdicts = [row for section in sections for row in section.verdicts]
    lines += table(verdicts)
    missed = list(explain(verdicts))
    if missed:
        lines += ["", "What is missed, and why:", "", *missed]
    for section in sections:
        lines += ["", f"## {section.title}"]
        for part in section.text:
            lines += ["", part]
    return "\n".join(lines) + "\n"


def table(verdicts):
    """The lines of the main table."""
    yield "| what | measured | target | met |"
    yield "| --- | --- | --- | --- |"
    for row in verdicts:
        note = f" ({row.note})" if row.note else ""
        yield f"| {row.what} | {row.measured}{note} | {row.target} | {MARKS[row.met]} |"


def machine(*, peers=True):
    """The machine and the versions, in a sentence."""
    load = ""
    if hasattr(os, "getloadavg"):
        load = f", load {os.getloadavg()[0]:.1f} at the end of the run"
    words = [f"lmstudio {importlib.metadata.version('lmstudio')} (this package)"]
    words += [f"{name} {importlib.metadata.version(name)}" for name in VERSIONS]
    missing = []
    for variant, folder in common.FOLDERS.items() if peers else ():
        if not common.is_here(variant):
            missing.append(variant)
            continue
        name = "lmstudio" if variant == common.OFFICIAL else variant
        for found in importlib.metadata.distributions(name=name, path=[str(folder)]):
            words.append(f"{variant} {found.version}")
    gone = f" Not here, so not measured: {', '.join(missing)}." if missing else ""
    return (
        f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores{load}; Python "
        f"{platform.python_version()}; {', '.join(words)}.{gone}"
    )


if __name__ == "__main__":
    main()
