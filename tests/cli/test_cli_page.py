"""Every command on the page about the terminal programs runs."""

import ast
import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from cli.commands import LIMIT
from helpers import eventually

from lmstudio.__main__ import main
from lmstudio.cli._parser import make_parser
from lmstudio.testing import Model, Server

PAGE = (Path(__file__).parents[2] / "docs" / "cli.md").read_text()
COMMANDS = re.findall(r"^```sh\n(.*?)\n```", PAGE, re.MULTILINE | re.DOTALL)


@pytest.fixture
def studio(tmp_path):
    """A server with the models that the page names; programs find it, and their files."""
    models = [Model(key="test-llm"), Model(key="qwen/qwen3-4b")]
    models.append(Model(key="test-embedding", type="embedding"))
    hub = [Model(key="qwen3-8b", publisher="qwen")]
    lines = [{"prompt": f"Question {number}"} for number in range(6)]
    (tmp_path / "questions.jsonl").write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    schema = {"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]}
    (tmp_path / "topic.json").write_text(json.dumps(schema))
    table = "".join(f"{number},Message {number}\n" for number in range(6))
    (tmp_path / "messages.csv").write_text(f"nr,text\n{table}")
    (tmp_path / "texts.txt").write_text("one\ntwo\n")
    with Server(models=models, hub=hub) as server:
        (tmp_path / "http-server.json").write_text(f'{{"port": {server.port}}}')
        server.reply('{"name": "Ada"}', repeat=6)
        yield server


def program_of(command):
    """The arguments of a command on the page, without the program's name, and its first one."""
    python = ["python", "-m", "lmstudio"]
    words = shlex.split(command)
    arguments = words[len(python) :] if words[: len(python)] == python else words[1:]
    assert words[0] == "lmstudio" or words[: len(python)] == python
    return arguments


@pytest.mark.parametrize("command", COMMANDS)
def test_the_command_works(studio, tmp_path, command):
    arguments = program_of(command)
    if arguments[0] == "unload":
        studio.load(arguments[1])
    process = subprocess.Popen(
        [sys.executable, "-m", "lmstudio", *arguments],
        cwd=tmp_path,
        env={**os.environ, "LMS_API_SERVER_INFO_PATH": str(tmp_path / "http-server.json")},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    if arguments[0] == "logs":  # which has no end
        eventually(lambda: studio.received(endpoint="streamLogs"), LIMIT)
        process.kill()
    output, errors = process.communicate("Hello.\n", LIMIT)
    if arguments[0] == "logs":
        assert errors == ""
        return
    assert process.returncode == 0, errors
    CHECKS.get(arguments[0], lambda *_: None)(studio, tmp_path, command, output)


def check_chat(server, folder, command, output):
    if "--json" in command:
        assert json.loads(output)["answer"] == '{"name": "Ada"}'
        return
    assert output == '{"name": "Ada"}\n'
    assert server.predictions[0].messages[0]["role"] == "system"


def check_batch(server, folder, command, output):
    file = folder / re.search(r"answers.jsonl|labels.csv|$", command)[0]
    rows = (file.read_text() if file.is_file() else output).splitlines()
    if "--schema" in command:
        assert rows[0] == "nr,text,answer,name,error,stop_reason"
        assert len(rows) == 7
    else:
        assert [json.loads(row)["answer"] for row in rows] == ['{"name": "Ada"}'] * 6


def check_doctor(server, folder, command, output):
    assert "All is well." in output


CHECKS = {"chat": check_chat, "batch": check_batch, "doctor": check_doctor}


def test_each_program_is_on_the_page_with_a_section_and_in_the_list():
    named = {program_of(command)[0] for command in COMMANDS}
    for name in make_parser().commands:
        assert name in named
        assert re.search(rf"^## .*\b{name}\b", PAGE, re.MULTILINE), name
        assert re.search(rf"^\|.*`{name}`.*\|", PAGE, re.MULTILINE), name


@pytest.mark.parametrize(
    "command",
    ["--hos x doctor", "doctor --hos x", "chat --mod x", "batch a.jsonl b.jsonl --time 5"],
)
def test_a_shortened_option_is_none(capsys, command):
    with pytest.raises(SystemExit) as caught:
        main(command.split())
    assert caught.value.code == 2
    assert "lmstudio: unknown option" in capsys.readouterr().err


ROOT = Path(__file__).parents[2]
PROGRAMS = [*ROOT.glob("examples/**/*.py"), *ROOT.glob("benchmarks/*.py")]
PROGRAMS += ROOT.glob("lmstudio/**/__main__.py")


def test_no_program_takes_shortened_options():
    makers = {"ArgumentParser", "add_parser"}
    calls = [
        node
        for path in PROGRAMS
        for node in ast.walk(ast.parse(path.read_bytes()))
        if isinstance(node, ast.Call) and getattr(node.func, "attr", "") in makers
    ]
    assert len(calls) > 5
    for call in calls:
        assert "allow_abbrev" in [one.arg for one in call.keywords], ast.unparse(call)
