"""The terminal programs run where nothing is installed but the three packages that are needed."""

import json
import os
import subprocess
import sys

import pytest
from cli.batch_command import Files
from cli.chats import chat, leave, pipe
from cli.commands import LIMIT, PROGRAM, command

import lmstudio

# What pip installs with `pip install lmstudio`, with what these need themselves.
CORE = ["lmstudio", "websocket", "attr", "attrs", "cattr", "cattrs"]
CORE += ["exceptiongroup", "typing_extensions"]
ONLY_THE_CORE = f"""
import sys
from importlib.machinery import PathFinder

class Core:
    allowed = {{*{CORE!r}, *sys.stdlib_module_names}}

    def find_spec(name, path=None, target=None):
        is_there = name.partition(".")[0] in Core.allowed
        return PathFinder.find_spec(name, path, target) if is_there else None

sys.meta_path[:] = [Core if finder is PathFinder else finder for finder in sys.meta_path]
"""


@pytest.fixture(autouse=True)
def only_the_core(tmp_path, monkeypatch, data_home):
    """Let the programs that are started find no other package."""
    folder = tmp_path / "site"
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(ONLY_THE_CORE)
    paths = [str(folder), *filter(None, [os.environ.get("PYTHONPATH")])]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(paths))


def run(*command):
    return subprocess.run(command, capture_output=True, encoding="utf-8", timeout=LIMIT)


@pytest.mark.parametrize("name", ["rich", "prompt_toolkit", "platformdirs", "tqdm", "websockets"])
def test_nothing_else_is_there(name):
    done = run(sys.executable, "-c", f"import {name}")
    assert done.stderr.endswith(f"ModuleNotFoundError: No module named '{name}'\n")


def test_the_version_is_told():
    done = run(*PROGRAM, "--version")
    assert (done.stdout, done.stderr) == (f"lmstudio {lmstudio.__version__}\n", "")


def test_a_batch_answers_all_rows(server, tmp_path):
    files = Files(tmp_path, [server.host])
    assert files.run().startswith("12 rows: 12 answered, 0 failed.")
    assert len(files.rows()) == 12


def test_a_chat_answers_in_a_pipe_and_in_a_terminal(server):
    server.reply("one")
    server.reply("two")
    done = pipe("Count.\n", "--host", server.host)
    assert (done.returncode, done.stdout, done.stderr) == (0, "one\n", "")
    with chat(server) as terminal:
        terminal.wait_prompt()
        terminal.type("Go on.\r")
        terminal.wait_for("two")
        leave(terminal)


def test_the_other_commands_answer_too(server):
    assert json.loads(command(server, "ls", "--json").stdout)
    assert "test-llm" in command(server, "ps").stdout
    assert command(server, "tokens", "a b").stdout
