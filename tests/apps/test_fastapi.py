"""The program of docs/apps/fastapi.md, served by uvicorn."""

import signal
import sys

import pytest
from apps.running import STORY, assert_stopped_once, end, program, running
from apps.web import (
    ask,
    assert_a_browser_that_goes_stops_it,
    assert_no_browser_runs_it,
    read_words,
    wait_until_it_listens,
)
from helpers import free_port, needs_signals

pytestmark = pytest.mark.apps


@pytest.fixture
def serving(server, tmp_path):
    for module in ("fastapi", "uvicorn"):
        pytest.importorskip(module, reason=f"did not run: {module} is not here")
    (tmp_path / "program.py").write_text(program("fastapi.md", "import fastapi"), encoding="utf-8")
    port = free_port()
    command = [sys.executable, "-m", "uvicorn", "program:app", "--port", str(port)]
    command += ["--timeout-graceful-shutdown", "1", "--log-level", "error"]
    with running(command, server, tmp_path) as process:
        wait_until_it_listens(process, port)
        yield process, port


def test_the_page_has_a_stop_button(serving):
    _, port = serving
    with ask(port, "/") as connection, connection.makefile() as answer:
        assert 'abort()">Stop' in answer.read()


def test_no_browser_runs_a_script_that_the_model_wrote(server, serving):
    _, port = serving
    assert_no_browser_runs_it(server, port)


@pytest.mark.parametrize("prefill", [0, 60])
def test_a_browser_that_stops_or_goes_stops_the_model(server, serving, prefill):
    assert_a_browser_that_goes_stops_it(server, *serving, prefill)


@needs_signals
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_end_of_the_process_stops_the_model(server, serving, number):
    process, port = serving
    server.reply(STORY, delay=0.002)
    with ask(port) as connection:
        read_words(connection)
        end(process, number)
    assert_stopped_once(server)
