"""Every Python program in the README and the docs runs, against the embedded server."""

import contextlib
import io
import re
from pathlib import Path

import pytest

import lmstudio as lms
from lmstudio import _discovery

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
PROGRAMS = [
    pytest.param(match[1], id=f"{page.name}-{page.read_text()[: match.start()].count(chr(10)) + 1}")
    for page in PAGES
    for match in re.finditer(r"^```python\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL)
]
# The tools that the programs define, and what the model says to them.
ARGUMENTS = {"add": {"a": 17, "b": 25}, "search": {"query": "ice"}, "delete": {"path": "/etc/x"}}


def script(server, program):
    """Script the replies: a call of the program's tool, or more words than any waits for."""
    defined = re.findall(r"^def (\w+)\(", program, re.MULTILINE)
    tool = next((name for name in defined if name in ARGUMENTS), None)
    if tool is None:
        server.reply("word " * 2000, delay=0.002, repeat=3)
    else:
        server.reply("Let me.", tool_calls=[{"name": tool, "arguments": ARGUMENTS[tool]}])
        server.reply("Done.")
    return tool


@pytest.mark.parametrize("program", PROGRAMS)
def test_the_program_runs_as_it_stands(server, monkeypatch, tmp_path, program):
    (tmp_path / "photo.jpg").write_bytes(b"\xff\xd8\xff" + bytes(1000))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(_discovery, "DEFAULT_PORTS", (server.port,))
    tool = script(server, program)
    printed = io.StringIO()
    try:
        with contextlib.redirect_stdout(printed):
            exec(compile(program, "program", "exec"), {"__name__": "__main__"})
    finally:
        lms.close_default_client()

    for prediction in server.predictions:
        prediction.wait_finished()
        assert tool is not None or prediction.cancelled_after is not None
    if tool is not None and "cancelled" not in program:  # the model got the tool's result
        assert [message["role"] for message in server.predictions[-1].messages][-1] == "tool"


def test_links_between_the_pages_lead_somewhere():
    for page in PAGES:
        for target in re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name} links to {target}"
