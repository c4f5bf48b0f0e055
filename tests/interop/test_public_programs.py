"""Programs after the manner of public ones run unchanged with both packages, and do the same.

The head of a program says which public one it follows (its repository and file), if it is one and
not a kind of them. No sentence and no code of those is in it.

Each program in programs_public gets a server's host as its argument. What it prints with this
package and with the official one is compared, and so is what it sent: the chats, the options of its
predictions, the options with which it loaded models.
"""

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import lmstudio
from lmstudio.testing import Fault, ScriptedEngine, Server, ToolCall
from lmstudio.testing._engines.schema_reply import fit

pytestmark = pytest.mark.interop

PROGRAMS = sorted((Path(__file__).parent / "programs_public").glob("*.py"))
ROOT = Path(lmstudio.__file__).parents[1]
OFFICIAL = Path(sys.prefix) / "official"
LIMIT = 50.0  # seconds that a program may take
ENDLESS = 0.002  # seconds between the words of a reply that does not end by itself
LONG = 60  # words


class Parrot(ScriptedEngine):
    """Answers by what was asked, so that the order in which threads ask does not matter."""

    def generate(self, request):
        request.report_progress(0, 10, 0)
        request.report_progress(10, 10, 0)
        last = request.messages[-1]["role"] if request.messages else "user"
        asked = request.last_user_text
        tools = request.config.get("llm.prediction.tools", {}).get("tools", [])
        if request.json_schema is not None:
            yield fit(request.json_schema)
        elif "endless" in asked:
            while not request.stop.wait(ENDLESS) and not request.abandoned.is_set():
                yield "word "
        elif "long time" in asked:
            yield from (f"{number} " for number in range(LONG))
        elif "half-way" in asked:
            yield "half "
            yield Fault("error", "Out of memory")
        elif last == "tool":
            yield "The tool says: "
            yield request.messages[-1]["content"][0]["content"]
        elif tools and re.search("Note|weather|numbers game", asked):
            yield "I look."
            yield ToolCall(*CALLS[tools[0]["function"]["name"]])
        else:
            yield from ("You", " said: ", asked.strip().splitlines()[-1], ".")


CALLS = {
    "note": ("note", {"text": "rain"}),
    "weather": ("weather", {"city": "Oslo", "days": 2}),
    "addition": ("addition", {"a": 25, "b": 7}),
    "division": ("division", {"a": 25, "b": 7}),
}

# What the two packages send otherwise on purpose: `comparable` takes it out of both, so that all
# else can be compared. These are the first cells of rows of docs/differences.md.
AUTO_FIT = "options that `autoFit` would override switch it off"
NEWER = "options of newer servers have names (`presencePenalty`, `frequencyPenalty`, ...)"
MAIN_GPU = "`mainGpu` is sent with every split strategy"
RATIO = "`gpu` with only a ratio does not change the split between GPUs"
SCHEMA = "in `json_schema`, nested classes are inlined, and properties keep their order"
TOOL_NAME = "each result of a tool names its tool"
ONLY_OURS = {
    "llm.load.llama.autoFit": AUTO_FIT,
    "llm.load.mlx.autoFit": AUTO_FIT,
    "llm.load.yuzu.autoFit": AUTO_FIT,
    "llm.prediction.llama.frequencyPenalty": NEWER,
    "llm.prediction.llama.presencePenalty": NEWER,
}
DIFFERENCES = Path(__file__).parents[2] / "docs" / "differences.md"


def comparable(config):
    """The options without the differences that are meant."""
    config = {key: value for key, value in config.items() if key not in ONLY_OURS}
    split = config.get("load.gpuSplitConfig", {})
    if split.get("strategy") == "evenly":
        split = config["load.gpuSplitConfig"] = {**split, "priority": []}  # MAIN_GPU
        if not split["disabledGpus"] and not split["customRatio"]:
            del config["load.gpuSplitConfig"]  # RATIO
    structured = config.get("llm.prediction.structured", {})
    if structured.get("jsonSchema", {}).get("$defs") == {}:  # SCHEMA
        schema = {key: value for key, value in structured["jsonSchema"].items() if key != "$defs"}
        config["llm.prediction.structured"] = {**structured, "jsonSchema": schema}
    return config


def without_names_of_results(messages):
    """The messages without TOOL_NAME."""
    return [
        {
            **message,
            "content": [
                {key: value for key, value in part.items() if key != "name"}
                if part["type"] == "toolCallResult"
                else part
                for part in message["content"]
            ],
        }
        for message in messages
    ]


def fields_of(stack):
    layers = stack["layers"]
    return {field["key"]: field.get("value") for one in layers for field in one["config"]["fields"]}


def in_order(entries):
    """The entries, sorted: threads send them in any order. (1 and 1.0 are the same to JSON.)"""
    return sorted(entries, key=lambda one: json.dumps(one, sort_keys=True).replace(".0", ""))


def sent(server):
    """What the server was asked for, in an order that does not depend on threads."""
    predictions = [
        {
            "model": one.identifier,
            "messages": without_names_of_results(one.messages),
            "prompt": None if one.messages else one.prompt,
            "config": comparable(one.config),
        }
        for one in server.predictions
    ]
    loads = []
    for endpoint in ("loadModel", "getOrLoad"):
        for message in server.received("channelCreate", endpoint=endpoint):
            parameter = dict(message["creationParameter"])
            parameter["config"] = comparable(fields_of(parameter.pop("loadConfigStack")))
            loads.append({"endpoint": endpoint, **parameter})
    return {"predictions": in_order(predictions), "loads": in_order(loads)}


class Run:
    """A program that runs with one package, on a server of its own."""

    def __init__(self, program, package, folder):
        foreign = ("PYTHON", "LM_", "LMS_", "LMSTUDIO_")
        environment = {
            name: value for name, value in os.environ.items() if not name.startswith(foreign)
        }
        home = OFFICIAL if package == "official" else ROOT
        environment["PYTHONPATH"] = str(home)
        environment["PYTHONDONTWRITEBYTECODE"] = "1"
        self._package = package
        self._server = Server(engine=Parrot())
        self._process = subprocess.Popen(
            [sys.executable, program, self._server.host],
            env=environment,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def outcome(self):
        """What it printed, and what it sent; None: the official client's process crashed."""
        output, complaints = self._process.communicate(timeout=LIMIT)
        if self._package == "official" and self._process.returncode == -signal.SIGSEGV:
            return None  # about once in 30 runs of programs with threads, cause unknown
        assert self._process.returncode == 0, f"{self._package}: {output}{complaints}"
        if self._package == "ours":
            assert [line for line in complaints.splitlines() if not is_warning(line)] == []
        return output.splitlines(), sent(self._server)

    def close(self):
        if self._process.poll() is None:
            self._process.kill()
            self._process.communicate()
        self._server.close()


def is_warning(line):
    """Whether it is of a warning that is due, or the line of code that Python adds to it."""
    due = "LMStudioOptionWarning: " in line or "is multi-threaded, use of fork()" in line
    return due or line.startswith("  ")


@pytest.fixture
def run(tmp_path):
    if not (OFFICIAL / "lmstudio").is_dir():
        pytest.skip("the official Python client is not here: `make interop` installs it")
    runs = []

    def run(program, package):
        runs.append(Run(program, package, tmp_path))
        return runs[-1]

    yield run
    for one in runs:
        one.close()


@pytest.mark.parametrize("row", [AUTO_FIT, NEWER, MAIN_GPU, RATIO, SCHEMA, TOOL_NAME])
def test_each_difference_that_is_meant_is_in_the_list_of_differences(row):
    assert f"| {row} |" in DIFFERENCES.read_text(encoding="utf-8")


def test_at_least_twelve_programs_name_the_public_one_that_they_follow():
    head = re.compile(r'\A"""[^"]*After the manner of [\w-]+/[\w.-]+,\s[\w./-]+\.\w+\W', re.ASCII)
    texts = {program.stem: program.read_text(encoding="utf-8") for program in PROGRAMS}
    named = {name for name, text in texts.items() if head.match(text)}
    assert named == {name for name, text in texts.items() if "After the manner" in text}
    assert len(named) >= 12
    parallel = re.compile(r"^import (threading|multiprocessing)|asyncio\.to_thread", re.MULTILINE)
    assert len([name for name in named if parallel.search(texts[name])]) >= 4


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda path: path.stem)
def test_a_program_does_the_same_with_both_packages(program, run, caplog):
    caplog.set_level("WARNING", "lmstudio.testing.websockets")
    official, ours = run(program, "official"), run(program, "ours")  # at the same time
    outcome = official.outcome()
    for _ in range(3):
        outcome = outcome or run(program, "official").outcome()
    expected, expected_sent = outcome
    printed, really_sent = ours.outcome()
    assert expected
    after = [*printed[1:], ""]
    names = [  # TOOL_NAME, in a chat that is printed
        '"toolCallId": ' in following and line.lstrip().startswith('"name": ')
        for line, following in zip(printed, after, strict=True)
    ]
    assert [line for line, is_name in zip(printed, names, strict=True) if not is_name] == expected
    assert really_sent == expected_sent
