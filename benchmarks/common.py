"""What all benchmarks share: peers, servers and clients in their own processes, and summaries."""

import contextlib
import json
import os
import statistics
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
OURS, OFFICIAL, FLOOR = "this package", "official lmstudio", "floor"
EARLIER = "the earlier commit"
OPENAI, OLLAMA = "openai", "ollama"
# Where `make bench` installs what bears the same name or brings dependencies of its own.
FOLDERS = {
    OFFICIAL: Path(sys.prefix) / "official",
    OPENAI: Path(sys.prefix) / "peers" / "openai",
    OLLAMA: Path(sys.prefix) / "peers" / "ollama",
}
# Checkouts of this project: these are measured, whatever is installed.
CHECKOUTS = {OURS: HERE.parent}
_CHILD_LIMIT = 240  # seconds


def is_here(variant: str) -> bool:
    """Whether a peer is installed."""
    name = "lmstudio" if variant == OFFICIAL else variant
    return variant not in FOLDERS or (FOLDERS[variant] / name).is_dir()


def leave_out_peers() -> None:
    """Measure this package and the floor only."""
    for variant in FOLDERS:
        FOLDERS[variant] = HERE / "nowhere"


def here(*variants: str) -> list[str]:
    """Those of the variants that are installed."""
    return [variant for variant in variants if is_here(variant)]


def environment(variant: str) -> dict[str, str]:
    """The environment in which Python finds the packages of a variant."""
    kept = {k: v for k, v in os.environ.items() if not k.lower().endswith("_proxy")}
    kept.pop("PYTHONPATH", None)
    kept.pop("PYTHONDONTWRITEBYTECODE", None)  # what pip installs has bytecode, so ours must
    if folder := FOLDERS.get(variant) or CHECKOUTS.get(variant):
        kept["PYTHONPATH"] = str(folder)
    return kept


# -- processes ------------------------------------------------------------------------------------


@contextlib.contextmanager
def load_server() -> Iterator[str]:
    """Run the load server; gives its host and port."""
    command = [sys.executable, str(HERE / "load_server.py")]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        yield f"127.0.0.1:{server.stdout.readline().strip()}"
    finally:
        server.kill()
        server.wait()
        server.stdout.close()


def run_child(variant: str, function: Callable[..., Any], **arguments: Any) -> dict[str, Any]:
    """Run a function of a benchmark in a new process, with the packages of the variant.

    The function is given the variant too. It returns a dict, for JSON.
    """
    theme = Path(sys.modules[function.__module__].__file__).stem
    arguments["variant"] = variant
    done = subprocess.run(
        [sys.executable, HERE / "child.py", theme, function.__name__, json.dumps(arguments)],
        env=environment(variant),
        capture_output=True,
        text=True,
        timeout=_CHILD_LIMIT,
    )
    if done.returncode:
        raise RuntimeError(f"{theme}.{function.__name__}({arguments}):\n{done.stderr[-3000:]}")
    return json.loads(done.stdout.splitlines()[-1])


def in_turn(rounds: int, cases: dict[str, Callable[[], dict]]) -> dict[str, list[dict]]:
    """Run all cases once per round, so that a change of the machine's speed meets all of them."""
    samples: dict[str, list[dict]] = {name: [] for name in cases}
    for _ in range(rounds):
        for name, run in cases.items():
            samples[name].append(run())
    return samples


# -- summaries ------------------------------------------------------------------------------------


def values(samples: list[dict], key: str) -> list[float]:
    """One figure of all rounds."""
    return [sample[key] for sample in samples]


def median(samples: list[dict], key: str) -> float:
    """The median of a figure over the rounds."""
    return statistics.median(values(samples, key))


def percentile(numbers: list[float], share: int) -> float:
    """The 50th or 99th percentile of many numbers."""
    ordered = sorted(numbers)
    return ordered[min(len(ordered) - 1, len(ordered) * share // 100)]


def spread(samples: list[dict], key: str, digits: int | None = None) -> str:
    """Median and range, as in ``5.7 (5.1 to 6.0)``."""
    numbers = values(samples, key)
    low, middle, high = min(numbers), statistics.median(numbers), max(numbers)
    return f"{number(middle, digits)} ({number(low, digits)} to {number(high, digits)})"


def number(value: float, digits: int | None = None) -> str:
    """A number with about three digits that say something."""
    if digits is None:
        digits = 0 if abs(value) >= 100 else 1 if abs(value) >= 10 else 2
    return f"{value:,.{digits}f}"


def ratio(top: list[dict] | None, bottom: list[dict] | None, key: str) -> float | None:
    """The median of the rounds' ratios: what stands in one round met the same machine.

    None where one of the two was not measured.
    """
    if top is None or bottom is None:
        return None
    pairs = zip(values(top, key), values(bottom, key), strict=True)
    return statistics.median(above / below for above, below in pairs)


@dataclass
class Verdict:
    """A row of the main table. `met` is None where there is nothing to compare with."""

    what: str
    measured: str
    target: str
    met: bool | None
    note: str = ""


@dataclass
class Section:
    """What a benchmark found out."""

    title: str
    verdicts: list[Verdict] = field(default_factory=list)
    text: list[str] = field(default_factory=list)  # Markdown, details
    bars: list[tuple[str, float, str]] = field(default_factory=list)  # what, times better, than

    def table(self, header: list[str], rows: list[list[str]]) -> None:
        """Add a table to the details."""
        lines = ["| " + " | ".join(header) + " |", "|" + " --- |" * len(header)]
        lines += ["| " + " | ".join(row) + " |" for row in rows]
        self.text.append("\n".join(lines))

    def bar(self, what: str, times: float | None, peer: str = OFFICIAL) -> None:
        """Add a bar to the plot, if there was anybody to compare with."""
        if times:
            self.bars.append((what, times, peer))

    def judge(self, what: str, ratio: float | None, target: float, *, most: bool = False) -> None:
        """Compare a ratio with the least it should be, or the most; None: the peer is missing."""
        words = f"{'at most' if most else 'at least'} {target:g} x"
        if ratio is None:
            self.verdicts.append(Verdict(what, "-", words, None, "the peer is not installed"))
            return
        met = ratio <= target if most else ratio >= target
        self.verdicts.append(Verdict(what, f"{number(ratio)} x", words, met))
