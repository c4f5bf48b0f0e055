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

from lmstudio.__main__ import main

PAGE = (Path(__file__).parents[2] / "docs" / "cli.md").read_text()
COMMANDS = re.findall(r"^```sh\n(.*?)\n```", PAGE, re.MULTILINE | re.DOTALL)
LIMIT = 30.0  # seconds


@pytest.mark.parametrize("command", COMMANDS)
def test_the_command_works(server, tmp_path, command):
    (tmp_path / "http-server.json").write_text(f'{{"port": {server.port}}}')
    lines = [{"prompt": f"Question {number}"} for number in range(6)]
    (tmp_path / "questions.jsonl").write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    schema = {"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]}
    (tmp_path / "topic.json").write_text(json.dumps(schema))
    table = "".join(f"{number},Message {number}\n" for number in range(6))
    (tmp_path / "messages.csv").write_text(f"nr,text\n{table}")
    server.reply('{"name": "Ada"}', repeat=6)
    python, *arguments = shlex.split(command)
    assert python == "python"
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=tmp_path,
        env={**os.environ, "LMS_API_SERVER_INFO_PATH": str(tmp_path / "http-server.json")},
        input="Hello.\n",
        capture_output=True,
        text=True,
        timeout=LIMIT,
    )
    assert done.returncode == 0, done.stderr
    if "chat" in command:
        assert done.stdout == '{"name": "Ada"}\n'
        assert server.predictions[0].messages[0]["role"] == "system"
    elif "batch" in command:
        output = tmp_path / re.search(r"answers.jsonl|labels.csv|$", command)[0]
        rows = (output.read_text() if output.is_file() else done.stdout).splitlines()
        if "--schema" in command:
            assert rows[0] == "nr,text,answer,name,error,stop_reason"
            assert len(rows) == 7
        else:
            assert [json.loads(row)["answer"] for row in rows] == ['{"name": "Ada"}'] * 6
    else:
        assert "All is well." in done.stdout


def test_each_program_is_on_the_page():
    assert [re.search("chat|batch|doctor", command)[0] for command in COMMANDS] == [
        "chat",
        "batch",
        "batch",
        "batch",
        "doctor",
    ]


@pytest.mark.parametrize(
    "command",
    ["--hos x doctor", "doctor --hos x", "chat --mod x", "batch a.jsonl b.jsonl --time 5"],
)
def test_a_shortened_option_is_none(capsys, command):
    with pytest.raises(SystemExit) as caught:
        main(command.split())
    assert caught.value.code == 2
    assert re.search("unrecognized arguments|invalid choice", capsys.readouterr().err)


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
