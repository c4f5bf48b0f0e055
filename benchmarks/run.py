"""Measures what one fragment costs, beside the official package and the floor, in one run.

Prints medians and ratios, and writes benchmarks/RESULTS.md. The figures of a machine are only good
for comparing with each other.
"""

import json
import os
import platform
import statistics
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
OFFICIAL = Path(sys.prefix) / "official"  # where `make` installs the official package
ROUNDS = 5
FRAGMENTS = {"floor": 20_000, "this package": 20_000, "official 1.5.0": 2_000}


def measure(name):
    """CPU and wall microseconds per fragment, in processes of their own."""
    environment = dict(os.environ)
    if name == "official 1.5.0":
        environment["PYTHONPATH"] = str(OFFICIAL)
    server = subprocess.Popen(
        [sys.executable, HERE / "load_server.py", str(FRAGMENTS[name])],
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        port = server.stdout.readline().strip()
        kind = "floor" if name == "floor" else "lmstudio"
        done = subprocess.run(
            [sys.executable, HERE / "read_fragments.py", kind, port],
            env=environment,
            cwd=HERE,
            capture_output=True,
            text=True,
            timeout=120,
            check=True,
        )
        return json.loads(done.stdout)
    finally:
        server.kill()
        server.wait()
        server.stdout.close()


def main():
    """Measure in turn, so that a change of the machine's speed meets all."""
    names = [n for n in FRAGMENTS if n != "official 1.5.0" or (OFFICIAL / "lmstudio").is_dir()]
    samples = {name: [] for name in names}
    for number in range(ROUNDS):
        for name in names:
            samples[name].append(measure(name))
        print(f"round {number + 1} of {ROUNDS}", flush=True)
    ours = statistics.median(sample["cpu"] for sample in samples["this package"])
    lines = [
        "# Results",
        "",
        f"CPU time of one typed fragment, one stream: median of {ROUNDS} rounds, and the range.",
        f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}.",
        "",
        "| | CPU | wall | CPU, this package = 1 |",
        "| --- | --- | --- | --- |",
    ]
    for name in names:
        cpu = sorted(sample["cpu"] for sample in samples[name])
        wall = statistics.median(sample["wall"] for sample in samples[name])
        median = statistics.median(cpu)
        lines.append(
            f"| {name} | {median:.1f} µs ({cpu[0]:.1f} to {cpu[-1]:.1f}) | {wall:.1f} µs "
            f"| {median / ours:.1f} |"
        )
    text = "\n".join(lines) + "\n"
    (HERE / "RESULTS.md").write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
