"""The web back ends of docs/asyncio.md, each in a process of its own, and clients that go."""

import os
import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from lmstudio.testing import Server

pytestmark = pytest.mark.web

HERE = Path(__file__).parent
PAGE = HERE.parents[1] / "docs" / "asyncio.md"
FRAMEWORK = re.compile(r"^(?:import|from) (fastapi|starlette|django|aiohttp)", re.MULTILINE)
BLOCKS = re.findall(r"^```python\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL)
PROGRAMS = [block for block in BLOCKS if FRAMEWORK.search(block)]
NAMES = [FRAMEWORK.search(block)[1] for block in PROGRAMS]
STORY = "word " * 2000
LIMIT = 15  # seconds


@pytest.fixture
def address(server, tmp_path, request):
    """The address of a program of the page, which talks to `server`."""
    program = request.param
    framework = FRAMEWORK.search(program)[1]
    for module in (framework, *(["uvicorn"] if framework != "aiohttp" else [])):
        pytest.importorskip(module, reason=f"did not run: {module} is not here")
    (tmp_path / "http-server.json").write_text(f'{{"port": {server.port}}}')
    (tmp_path / "program.py").write_text(program)
    environment = {**os.environ, "LMS_API_SERVER_INFO_PATH": str(tmp_path / "http-server.json")}
    with subprocess.Popen(
        [sys.executable, HERE / "serve_page.py", tmp_path / "program.py"],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            line = process.stdout.readline()
            assert line, process.stderr.read()
            yield "127.0.0.1", int(line)
        finally:
            process.terminate()
            _, stderr = process.communicate(timeout=LIMIT)
    assert "Traceback" not in stderr, stderr


def ask(address):
    """Ask for the story; gives what the answer can be read from, and the socket."""
    connection = socket.create_connection(address, timeout=LIMIT)
    connection.sendall(b"GET /story HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
    return connection


@pytest.mark.parametrize("address", PROGRAMS, ids=NAMES, indirect=True)
def test_a_client_that_stays_gets_the_whole_reply(server: Server, address):
    server.reply("Once upon a time.")
    with ask(address) as connection, connection.makefile("rb") as answer:
        text = answer.read()

    assert text.startswith(b"HTTP/1.1 200")
    assert b"Once" in text
    assert server.wait_prediction(0).wait_finished(LIMIT).cancelled_after is None


@pytest.mark.parametrize("address", PROGRAMS, ids=NAMES, indirect=True)
def test_no_browser_runs_a_script_that_the_model_wrote(server: Server, address):
    server.reply("<script>alert(1)</script>")
    with ask(address) as connection, connection.makefile("rb") as answer:
        head = answer.read().lower().partition(b"\r\n\r\n")[0]
    assert re.search(rb"\r\ncontent-type: (text/plain|application/json)\b", head), head


@pytest.mark.parametrize("address", PROGRAMS, ids=NAMES, indirect=True)
def test_a_client_that_goes_stops_the_model(server: Server, address):
    server.reply(STORY, delay=0.002)
    with ask(address):
        prediction = server.wait_prediction(0).wait_tokens(20)

    prediction.wait_finished(LIMIT)
    assert prediction.stop_reason == "userStopped"


@pytest.mark.parametrize("address", PROGRAMS, ids=NAMES, indirect=True)
def test_a_client_that_goes_before_the_first_token_stops_the_model_too(server: Server, address):
    server.reply(STORY, prefill=60)
    with ask(address):
        prediction = server.wait_prediction(0)

    prediction.wait_finished(LIMIT)
    assert prediction.cancelled_after == 0


def test_the_page_has_a_program_for_each_framework():
    assert {*NAMES} == {"fastapi", "starlette", "django", "aiohttp"}
    assert any("cancel_event=gone" in block for block in PROGRAMS)
