"""The program of docs/apps for Gradio; the test is the browser, over Gradio's HTTP interface."""

import contextlib
import http.client
import json
import signal
import sys

import pytest
from apps.running import LIMIT, STORY, assert_stopped_once, end, program, running
from apps.web import wait_until_it_listens
from helpers import free_port

pytestmark = pytest.mark.apps
SESSION = "a-tab"


@pytest.fixture
def serving(server, tmp_path):
    pytest.importorskip("gradio", reason="did not run: Gradio is not here")
    text = program("README.md", "import gradio")
    (tmp_path / "program.py").write_text(text, encoding="utf-8")
    port = free_port()
    settings = {"GRADIO_SERVER_PORT": str(port), "GRADIO_ANALYTICS_ENABLED": "False"}
    settings["no_proxy"] = "localhost,127.0.0.1"
    with running([sys.executable, "program.py"], server, tmp_path, **settings) as process:
        wait_until_it_listens(process, port)
        yield process, port


def post(port, path, body):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=LIMIT)
    headers = {"Content-Type": "application/json"}
    connection.request("POST", path, json.dumps(body), headers)
    answer = json.loads(connection.getresponse().read())
    connection.close()
    return answer


@contextlib.contextmanager
def begin(port, name, *data):
    """Begin one of the page's functions: its number, that of its event, and where news comes."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=LIMIT)
    connection.request("GET", "/config")
    config = json.loads(connection.getresponse().read())
    number = next(entry["id"] for entry in config["dependencies"] if entry["api_name"] == name)
    body = {"data": data, "fn_index": number, "session_hash": SESSION}
    event = post(port, "/gradio_api/queue/join?", body)["event_id"]
    connection.request("GET", f"/gradio_api/queue/data?session_hash={SESSION}")
    with contextlib.closing(connection), connection.getresponse() as answer:
        yield number, event, answer


@contextlib.contextmanager
def tab(port):
    """An open page: it keeps a connection for its session, until it is closed."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=LIMIT)
    connection.request("GET", f"/gradio_api/heartbeat/{SESSION}")
    with contextlib.closing(connection), connection.getresponse():
        yield


@contextlib.contextmanager
def question(port):
    """What the page does when a question was typed: it keeps it, and then it answers."""
    with begin(port, "_clear_and_save_textbox", "Tell me a long story.") as (_, _, answer):
        assert b"process_completed" in answer.read()
    with tab(port), begin(port, "_submit_fn", None, None) as begun:
        yield begun


def read_words(answer, count=20):
    while count > 0:
        line = answer.readline()
        assert line
        count -= line.count(b"word")


@pytest.mark.parametrize("way", ["stop", "tab"])
@pytest.mark.parametrize("prefill", [0, 60])
def test_the_model_is_stopped(server, serving, way, prefill):
    process, port = serving
    server.reply(STORY, delay=0.002, prefill=prefill)
    with question(port) as (number, event, answer):
        prediction = server.wait_prediction(timeout=LIMIT)
        prediction.wait_phase("prefill") if prefill else read_words(answer)
        if way == "stop":
            body = {"session_hash": SESSION, "fn_index": number, "event_id": event}
            assert post(port, "/gradio_api/cancel", body)["success"]
            assert_stopped_once(server)
    assert_stopped_once(server)
    assert not prefill or prediction.cancelled_after == 0
    assert "Traceback" not in end(process)


def test_the_end_of_the_process_stops_the_model(server, serving):
    process, port = serving
    server.reply(STORY, delay=0.002)
    with question(port) as (_, _, answer):
        read_words(answer)
        assert "Traceback" not in end(process, signal.SIGINT)
    assert_stopped_once(server)
