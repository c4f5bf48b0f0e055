"""The program of docs/apps/streamlit.md under Streamlit's own server; the test is the browser."""

import contextlib
import signal
import sys

import pytest
import websocket
from apps.running import LIMIT, STORY, assert_stopped_once, end, program, running
from apps.web import wait_until_it_listens
from helpers import free_port

pytestmark = pytest.mark.apps


class Browser:
    """One tab: it sends what the page's widgets send, and reads what the script shows."""

    def __init__(self, port):
        options = {"subprotocols": ["streamlit"], "timeout": LIMIT}
        self._socket = websocket.create_connection(
            f"ws://127.0.0.1:{port}/_stcore/stream", **options
        )
        self.widgets = {}  # kind -> id
        self.shown = ""
        self.runs_ended = 0
        self._rerun()

    def _rerun(self, *widgets):
        from streamlit.proto.BackMsg_pb2 import BackMsg

        message = BackMsg()
        message.rerun_script.widget_states.widgets.extend(widgets)
        self._socket.send_binary(message.SerializeToString())

    def ask(self, question):
        from streamlit.proto.WidgetStates_pb2 import WidgetState

        self.read_until(lambda: "chat_input" in self.widgets)
        state = WidgetState(id=self.widgets["chat_input"])
        state.chat_input_value.data = question
        self._rerun(state)

    def press_stop(self):
        from streamlit.proto.WidgetStates_pb2 import WidgetState

        self.read_until(lambda: "button" in self.widgets)
        self._rerun(WidgetState(id=self.widgets["button"], trigger_value=True))

    def press_streamlits_own_stop(self):
        from streamlit.proto.BackMsg_pb2 import BackMsg

        self._socket.send_binary(BackMsg(stop_script=True).SerializeToString())

    def read_until(self, condition):
        from streamlit.proto.ForwardMsg_pb2 import ForwardMsg

        while not condition():
            message = ForwardMsg.FromString(self._socket.recv())
            if message.WhichOneof("type") == "script_finished":
                self.runs_ended += 1
            element = message.delta.new_element
            kind = element.WhichOneof("type")
            if kind in ("chat_input", "button"):
                self.widgets[kind] = getattr(element, kind).id
            if kind == "markdown":
                self.shown = element.markdown.body

    def close(self):
        self._socket.close()


@pytest.fixture
def serving(server, tmp_path):
    pytest.importorskip("streamlit", reason="did not run: Streamlit is not here")
    text = program("streamlit.md", "import streamlit")
    (tmp_path / "program.py").write_text(text, encoding="utf-8")
    port = free_port()
    command = [sys.executable, "-m", "streamlit", "run", "program.py", "--server.port", str(port)]
    command += ["--server.headless", "true", "--browser.gatherUsageStats", "false"]
    with running(command, server, tmp_path) as process:
        wait_until_it_listens(process, port)
        yield process, port


@pytest.mark.parametrize("way", ["button", "Streamlit's own stop", "tab"])
@pytest.mark.parametrize("prefill", [0, 60])
def test_the_model_is_stopped(server, serving, way, prefill):
    process, port = serving
    server.reply(STORY, delay=0.002, prefill=prefill)
    with contextlib.closing(Browser(port)) as browser:
        browser.ask("Tell me a long story.")
        if prefill:
            server.wait_prediction(timeout=LIMIT).wait_phase("prefill")
        else:
            browser.read_until(lambda: "word word" in browser.shown)
        if way == "button":
            browser.press_stop()
        elif way == "Streamlit's own stop":
            browser.press_streamlits_own_stop()
        if way != "tab":
            prediction = assert_stopped_once(server)
    prediction = assert_stopped_once(server)
    assert not prefill or prediction.cancelled_after == 0
    assert "Traceback" not in end(process)


def test_what_had_come_is_part_of_the_next_question(server, serving):
    _, port = serving
    server.reply(STORY, delay=0.002)
    with contextlib.closing(Browser(port)) as browser:
        browser.ask("Tell me a long story.")
        browser.read_until(lambda: "word word" in browser.shown)
        browser.press_stop()
        assert_stopped_once(server)
        ended = browser.runs_ended
        browser.read_until(lambda: browser.runs_ended > ended)
        server.reply("The end.")
        browser.ask("Go on.")
        browser.read_until(lambda: browser.shown == "The end.")
    question = server.wait_prediction(1, timeout=LIMIT).wait_finished()
    assert [message["role"] for message in question.messages] == ["user", "assistant", "user"]
    assert "word word" in str(question.messages[1])


def test_the_end_of_the_process_stops_the_model(server, serving):
    process, port = serving
    server.reply(STORY, delay=0.002)
    with contextlib.closing(Browser(port)) as browser:
        browser.ask("Tell me a long story.")
        browser.read_until(lambda: "word word" in browser.shown)
        assert "Traceback" not in end(process, signal.SIGINT)
    assert_stopped_once(server)
