"""The program of docs/apps for Flask, served by Flask's own server and by gunicorn."""

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
from helpers import WINDOWS, free_port, needs_signals

pytestmark = pytest.mark.apps
GUNICORN = "gunicorn program:app --workers 1 --worker-class gthread --threads 4 --bind 127.0.0.1:"
COMMANDS = {"flask": "flask --app program run --port ", "gunicorn": GUNICORN}


@pytest.fixture(params=["flask", "gunicorn", "gunicorn --preload"])
def serving(request, server, tmp_path):
    name, _, option = request.param.partition(" ")
    pytest.importorskip("flask", reason="did not run: Flask is not here")
    if WINDOWS and name == "gunicorn":
        pytest.skip("gunicorn needs fork")
    pytest.importorskip(name, reason=f"did not run: {name} is not here")
    (tmp_path / "program.py").write_text(program("README.md", "import flask"), encoding="utf-8")
    hook = program("README.md", "def post_worker_init")
    (tmp_path / "gunicorn.conf.py").write_text(hook, encoding="utf-8")
    port = free_port()
    command = [sys.executable, "-m", *f"{COMMANDS[name]}{port} {option}".split()]
    with running(command, server, tmp_path) as process:
        wait_until_it_listens(process, port)
        yield process, port


def test_no_browser_runs_a_script_that_the_model_wrote(server, serving):
    _, port = serving
    assert_no_browser_runs_it(server, port)


@pytest.mark.parametrize("prefill", [0, 60])
def test_a_browser_that_goes_stops_the_model(server, serving, prefill):
    assert_a_browser_that_goes_stops_it(server, *serving, prefill)


@needs_signals
def test_the_end_of_the_process_stops_the_model(server, serving):
    process, port = serving
    server.reply(STORY, delay=0.002)
    with ask(port) as connection:
        read_words(connection)
        is_flask = "flask" in process.args
        assert "Traceback" not in end(process, signal.SIGINT if is_flask else signal.SIGTERM)
    assert_stopped_once(server)
