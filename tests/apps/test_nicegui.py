"""The program of docs/apps for NiceGUI under its own server; the test is the browser."""

import json
import re
import signal
import sys
import urllib.request

import pytest
import websocket
from apps.running import LIMIT, STORY, assert_stopped_once, end, program, running
from apps.web import wait_until_it_listens
from helpers import free_port

pytestmark = pytest.mark.apps


class Tab:
    """One tab, over NiceGUI's socket: it sends what the page's elements send, and reads updates."""

    def __init__(self, port):
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=LIMIT) as answer:
            html = answer.read().decode()
        self._client = re.search(r"'client_id': '(.*?)'", html)[1]
        self._elements = json.loads(re.search(r"parseElements\(String.raw`(.*?)`\)", html)[1])
        query = f"client_id={self._client}&next_message_id=0&implicit_handshake=true"
        path = f"_nicegui_ws/socket.io/?EIO=4&transport=websocket&{query}&document_id=d&tab_id=t"
        self._socket = websocket.create_connection(f"ws://127.0.0.1:{port}/{path}", timeout=LIMIT)
        assert self._socket.recv().startswith("0")
        self._socket.send("40")
        assert self._socket.recv().startswith("40")

    def send(self, tag, event, argument):
        for number, element in self._elements.items():
            for listener in element.get("events", []) if element["tag"] == tag else []:
                if listener["type"] == event:
                    message = {"id": int(number), "client_id": self._client}
                    message["listener_id"] = listener["listener_id"]
                    message["args"] = [json.dumps(argument)]
                    self._socket.send("42" + json.dumps(["event", message]))
                    return
        raise AssertionError(f"the page has no {tag} with {event}")

    def ask(self, question):
        self.send("nicegui-input", "update:value", question)
        self.send("nicegui-input", "keydown", {"key": "Enter"})

    def press_stop(self):
        self.send("q-btn", "click", {})

    def read_words(self, count=20):
        message = ""
        while message.count("word") < count:
            message = self._socket.recv()
            if message == "2":
                self._socket.send("3")  # ping and pong

    def close(self):
        self._socket.close()


@pytest.fixture
def serving(server, tmp_path):
    pytest.importorskip("nicegui", reason="did not run: NiceGUI is not here")
    port = free_port()
    text = program("README.md", "from nicegui")
    assert text.endswith("ui.run()\n")
    text = text.replace("ui.run()", f"ui.run(port={port}, show=False, reload=False)")
    (tmp_path / "program.py").write_text(text, encoding="utf-8")
    # Under pytest it would take itself for a test of NiceGUI's.
    start = "import os, runpy; del os.environ['PYTEST_CURRENT_TEST']; runpy.run_path('program.py')"
    with running([sys.executable, "-c", start], server, tmp_path) as process:
        wait_until_it_listens(process, port)
        yield process, port


@pytest.mark.parametrize("way", ["stop", "tab"])
@pytest.mark.parametrize("prefill", [0, 60])
def test_the_model_is_stopped(server, serving, way, prefill):
    process, port = serving
    server.reply(STORY, delay=0.002, prefill=prefill)
    tab = Tab(port)
    tab.ask("Tell me a long story.")
    prediction = server.wait_prediction(timeout=LIMIT)
    assert "Tell me a long story." in prediction.prompt
    prediction.wait_phase("prefill") if prefill else tab.read_words()
    tab.press_stop() if way == "stop" else tab.close()
    assert_stopped_once(server)
    assert not prefill or prediction.cancelled_after == 0
    tab.close()
    assert "Traceback" not in end(process)


def test_the_next_question_stops_the_reply_before(server, serving):
    _, port = serving
    server.reply(STORY, delay=0.002)
    server.reply("word " * 30)
    tab = Tab(port)
    tab.ask("Tell me a long story.")
    tab.read_words()
    tab.ask("Tell me another one.")
    server.wait_prediction(1, timeout=LIMIT).wait_finished(LIMIT)
    assert server.predictions[0].wait_finished(LIMIT).cancelled_after is not None
    tab.close()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_end_of_the_process_stops_the_model(server, serving, number):
    process, port = serving
    server.reply(STORY, delay=0.002)
    tab = Tab(port)
    tab.ask("Tell me a long story.")
    tab.read_words()
    stderr = end(process, number)
    if number == signal.SIGINT:  # its server raises what Ctrl-C raises
        assert stderr.splitlines()[-1] == "KeyboardInterrupt"
    else:
        assert "Traceback" not in stderr
    assert_stopped_once(server)
    tab.close()
