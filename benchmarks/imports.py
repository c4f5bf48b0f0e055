"""What `import lmstudio` costs: time and modules, beside its dependencies and the official one."""

import json
import subprocess
import sys

import common
from common import OFFICIAL, OURS, Section, Verdict

NEEDED = "import attrs, cattrs, websocket"
BARE = "import lmstudio"
# Names are imported when they are used first: this is all that a program with a chat needs.
USED = "import lmstudio; lmstudio.Client, lmstudio.LLM, lmstudio.Chat, lmstudio.LMStudioError"
STREAM = (
    "import lmstudio; client = lmstudio.Client({host!r}); "
    "next(iter(client.llm.model().respond_stream('bench:open:1')))"
)
COLUMNS = (("ms", None), ("modules", 0), ("threads", 0))
ROUNDS = 4  # times the rounds of the other benchmarks, since one import is short
MOST_OF_NEEDED, MOST_OF_OFFICIAL = 1.1, 0.4
# In a process that has loaded nothing but what Python itself does.
PROGRAM = """
import sys, time
before = len(sys.modules)
began = time.perf_counter()
{statement}
took = time.perf_counter() - began
modules = len(sys.modules) - before
import json, os, threading
threads = threading.active_count() - 1
print(json.dumps({{"ms": took * 1000, "modules": modules, "threads": threads}}), flush=True)
os._exit(0)
"""


def run_in_new_process(variant, statement):
    """Milliseconds, modules and threads of a statement."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(statement=statement)],
        env=common.environment(variant),
        cwd=common.HERE,
        capture_output=True,
        check=True,
        timeout=60,
    )
    return json.loads(done.stdout)


def measure(rounds, scale):
    """All of it."""
    section = Section("Import")
    with common.load_server() as host:
        first = STREAM.format(host=host)
        cases = {(OURS, NEEDED): NEEDED}
        for variant in common.here(OURS, OFFICIAL):
            cases |= {(variant, BARE): BARE, (variant, USED): USED, (variant, STREAM): first}

        def case(variant, statement):
            return lambda: run_in_new_process(variant, statement)

        runs = {key: case(key[0], statement) for key, statement in cases.items()}
        common.in_turn(1, runs)  # writes the bytecode
        found = common.in_turn(scale(rounds * ROUNDS, least=2), runs)
    words = {
        NEEDED: f"`{NEEDED}`",
        BARE: f"`{BARE}`",
        USED: "the same, and `Client`, `LLM`, `Chat`, `LMStudioError` used",
        STREAM: "to the first fragment",
    }
    rows = [
        [words[statement], variant, *(common.spread(s, k, d) for k, d in COLUMNS)]
        for (variant, statement), s in found.items()
    ]
    section.text.append("In a new process; modules and threads beyond those of Python itself:")
    section.table(["", "", "ms", "modules", "threads"], rows)
    needed = found[OURS, NEEDED]
    for statement, what in ((BARE, "import time"), (USED, "import time with the names used")):
        ratio = common.ratio(found[OURS, statement], needed, "ms")
        section.judge(f"{what}: this package / `{NEEDED}`", ratio, MOST_OF_NEEDED, most=True)
        ratio = common.ratio(found[OURS, statement], found.get((OFFICIAL, statement)), "ms")
        section.judge(f"{what}: this package / official", ratio, MOST_OF_OFFICIAL, most=True)
        if ratio and statement == USED:
            section.bar("import, names used", 1 / ratio)
    section.verdicts.append(Verdict("modules imported, names used", modules(found), "given", None))
    return section


def modules(found):
    """The numbers of modules in words."""
    words = [f"`{NEEDED}` {common.median(found[OURS, NEEDED], 'modules'):.0f}"]
    words += [
        f"{variant} {common.median(samples, 'modules'):.0f}"
        for (variant, statement), samples in found.items()
        if statement == USED
    ]
    return "; ".join(words)
