"""The notebook of docs/apps/notebooks.md in marimo: a page that is interrupted, and a program."""

import http.client
import json
import signal
import sys

import pytest
import websocket
from apps.running import LIMIT, STORY, assert_stopped_once, end, program, running
from apps.web import wait_until_it_listens
from helpers import free_port, needs_signals

pytestmark = pytest.mark.apps
SESSION = "s_a_tab"


@pytest.fixture
def notebook(tmp_path):
    pytest.importorskip("marimo", reason="did not run: marimo is not here")
    text = program("notebooks.md", "marimo.App()")
    (tmp_path / "program.py").write_text(text, encoding="utf-8")


@pytest.fixture
def serving(server, notebook, tmp_path):
    port = free_port()
    options = ["--headless", "--no-token", "--no-skew-protection", "--skip-update-check", "--port"]
    command = [sys.executable, "-m", "marimo", "edit", "program.py", *options, str(port)]
    with running(command, server, tmp_path) as process:
        wait_until_it_listens(process, port)
        yield process, port


def post(port, path, body):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=LIMIT)
    headers = {"Content-Type": "application/json", "Marimo-Session-Id": SESSION}
    connection.request("POST", path, json.dumps(body), headers)
    answer = connection.getresponse()
    text = answer.read()
    connection.close()
    assert answer.status == 200, text


def open_and_run(port):
    """Open the page, and run its cells, as it does by itself."""
    address = f"ws://127.0.0.1:{port}/ws?session_id={SESSION}"
    tab = websocket.create_connection(address, timeout=LIMIT)
    while json.loads(tab.recv())["op"] != "kernel-ready":
        pass
    post(port, "/api/kernel/instantiate", {"objectIds": [], "values": [], "autoRun": True})
    return tab


@needs_signals
@pytest.mark.parametrize("prefill", [0, 60])
def test_the_interrupt_button_stops_the_model(server, serving, prefill):
    process, port = serving
    server.reply(STORY, delay=0.002, prefill=prefill)
    tab = open_and_run(port)
    prediction = server.wait_prediction(timeout=LIMIT)
    prediction.wait_phase("prefill") if prefill else prediction.wait_tokens(20)
    post(port, "/api/kernel/interrupt", {})
    assert_stopped_once(server)
    tab.close()
    assert "Traceback" not in end(process)


@needs_signals
def test_the_end_of_marimo_stops_the_model(server, serving):
    process, port = serving
    server.reply(STORY, delay=0.002)
    tab = open_and_run(port)
    prediction = server.wait_prediction(timeout=LIMIT).wait_tokens(20)
    end(process)
    tab.close()
    assert prediction.wait_finished(LIMIT).tokens_sent < 10_000


@needs_signals
def test_ctrl_c_stops_it_as_a_program(server, notebook, tmp_path):
    server.reply(STORY, delay=0.002)
    with running([sys.executable, "program.py"], server, tmp_path) as process:
        server.wait_prediction(timeout=LIMIT).wait_tokens(20)
        end(process, signal.SIGINT)
    assert_stopped_once(server)
