"""Every Python program in the README and the docs runs, against the embedded server."""

import contextlib
import io
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from desktop.gui import virtual_screen

import lmstudio as lms
from lmstudio._connection import discovery as _discovery
from lmstudio._json.annotations import fields_of
from lmstudio.testing import Plugin, Server, Tool

ROOT = Path(__file__).parent.parent
APPS = sorted((ROOT / "docs" / "apps").glob("*.md"))
TUTORIALS = sorted((ROOT / "docs" / "tutorials").glob("*.md"))
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")), *TUTORIALS, *APPS]


def name(page, match):
    """Where a program stands."""
    folder = f"{page.parent.name}/" if page in [*APPS, *TUTORIALS] else ""
    line = page.read_text(encoding="utf-8")[: match.start()].count("\n") + 1
    return f"{folder}{page.name}-{line}"


ALL_PROGRAMS = [
    pytest.param(match[1], id=name(page, match))
    for page in PAGES
    for match in re.finditer(
        r"^```python\n(.*?)^```", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL
    )
]
# tests/apps runs the first, tests/test_examples.py the second.
OTHERS = ("apps/", "tutorials/testing")
OWN_PROGRAMS = [param for param in ALL_PROGRAMS if not param.id.startswith(OTHERS)]
WINDOWS = {
    param.id: param
    for param in OWN_PROGRAMS
    if re.search("^(import|from) (tkinter|PySide6|wx)", param.values[0], re.MULTILINE)
}
# Web back ends wait for clients: tests/web runs them.
WEB = re.compile("^(import|from) (fastapi|starlette|django|aiohttp)", re.MULTILINE)
# A cluster runs in processes of its own: tests/clusters runs these.
CLUSTERS = re.compile("^import (distributed|ray)", re.MULTILINE)
PROGRAMS = [
    param
    for param in OWN_PROGRAMS
    if param.id not in WINDOWS
    and not WEB.search(param.values[0])
    and not CLUSTERS.search(param.values[0])
]
# The tools that the programs define, and what the model says to them.
ARGUMENTS = {
    "add": {"a": 17, "b": 25},
    "search": {"query": "ice"},
    "delete": {"path": "/etc/x"},
    "ask_person": {"question": "When?"},
    "search_notes": {"query": "rent"},
}


PLUGIN = Plugin(
    identifier="mcp/playwright",
    tools=[Tool(name="browser_navigate", status=["loading"], result="")],
)
LEAVES = re.compile("cancel|break|stop")  # in a program that does not want the whole reply
QUICK = 3  # replies to a batch that end by themselves


def script(server, program):
    """Script the replies: a call of the program's tool, or more words than any waits for."""
    defined = re.findall(r"^(?:def |    name=\")(\w+)", program, re.MULTILINE)
    tool = next((name for name in defined if name in ARGUMENTS), None)
    if "plugins.tools(" in program:
        tool = "browser_navigate"
    if "images=" in program:  # for a model that sees
        server.unload("test-llm")
        server.load("test-vlm")
    if "_many(" in program:
        label = '{"topic": "delivery", "is_complaint": true}'
        reply = label if "response_format=" in program else "Once upon a time."
        server.reply(reply, repeat=QUICK)
        server.reply("word " * 2000, delay=0.002, repeat=8)
    elif not LEAVES.search(program) and tool is None:
        server.reply("A delivery.")
    elif tool is None:
        server.reply("word " * 2000, delay=0.002, repeat=3)
    else:
        server.reply("Let me.", tool_calls=[{"name": tool, "arguments": ARGUMENTS.get(tool, {})}])
        server.reply("Done.")
    return tool


@pytest.fixture
def server():
    """An embedded LM Studio with the MCP server of the docs."""
    with Server(plugins=[PLUGIN]) as server:
        yield server


@pytest.mark.parametrize("program", PROGRAMS)
def test_the_program_runs_as_it_stands(server, monkeypatch, tmp_path, program):
    (tmp_path / "photo.jpg").write_bytes(b"\xff\xd8\xff" + bytes(1000))
    (tmp_path / "messages.csv").write_text("id,text\n1,Late.\n2,Great!\n3,Where is it?\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(_discovery, "DEFAULT_PORTS", (server.port,))
    tool = script(server, program)
    printed = io.StringIO()
    try:
        with contextlib.redirect_stdout(printed):
            exec(compile(program, "program", "exec"), {"__name__": "__main__"})
    finally:
        lms.close_default_client()
        # The last classes of replies are remembered, and from Python 3.14 on a class keeps alive
        # all names of the program that it stands in.
        fields_of.cache_clear()

    for prediction in server.predictions:
        prediction.wait_finished()
    stopped = [p.cancelled_after is not None for p in server.predictions]
    if "_many(" in program:  # of the others, some may have been withdrawn before they were sent
        assert all(stopped[QUICK:]), program
        assert len(stopped) <= QUICK + 8, program
    elif tool is None and LEAVES.search(program):
        assert all(stopped), program
    if tool is not None and "cancelled" not in program:  # the model got the tool's result
        assert [message["role"] for message in server.predictions[-1].messages][-1] == "tool"


@pytest.mark.gui
@pytest.mark.parametrize("program", WINDOWS.values())
def test_the_window_opens_stops_the_model_and_closes(server, monkeypatch, tmp_path, program):
    (tmp_path / "http-server.json").write_text(f'{{"port": {server.port}}}')
    (tmp_path / "program.py").write_text(program)
    environment = {**os.environ, "LMS_API_SERVER_INFO_PATH": str(tmp_path / "http-server.json")}
    environment["QT_QPA_PLATFORM"] = "offscreen"
    if "PySide6" in program:
        pytest.importorskip("PySide6", reason="did not run: PySide6 is not here")
    server.reply("word " * 2000, delay=0.002)
    with contextlib.ExitStack() as stack:
        if "tkinter" in program:
            environment["DISPLAY"] = stack.enter_context(virtual_screen())
        done = subprocess.run(
            [sys.executable, ROOT / "tests" / "desktop" / "gui_docs.py", tmp_path / "program.py"],
            env=environment,
            capture_output=True,
            text=True,
            timeout=50,
        )
    stderr = done.stderr.replace("This plugin does not support propagateSizeHints()\n", "")
    assert (done.returncode, done.stdout, stderr) == (0, "closed\n", "")
    (prediction,) = server.predictions
    prediction.wait_finished()
    assert prediction.cancelled_after is not None


@pytest.mark.timeout(220)
def test_type_checkers_have_nothing_against_the_programs(tmp_path):
    pytest.importorskip("mypy", reason="mypy is not here: `make test` installs it")
    for param in ALL_PROGRAMS:
        name = re.sub(r"\W", "_", param.id)
        (tmp_path / f"{name}.py").write_text(param.values[0], encoding="utf-8")
    options = "--check-untyped-defs --ignore-missing-imports --disable-error-code=var-annotated"
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--config-file=", *options.split(), "."],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(Path(lms.__file__).parents[1])},
        capture_output=True,
        text=True,
        timeout=200,
    )
    assert done.returncode == 0, done.stdout
