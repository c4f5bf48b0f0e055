"""The program of docs/apps/freezers.md, frozen by PyInstaller, and stopped."""

import signal
import subprocess
import sys

import pytest
from apps.running import LIMIT, STORY, assert_stopped_once, program, running
from helpers import WINDOWS, needs_signals

pytestmark = [pytest.mark.apps, pytest.mark.timeout(200)]


@pytest.fixture(scope="module")
def frozen(tmp_path_factory):
    """The path of the frozen program."""
    pytest.importorskip("PyInstaller", reason="did not run: PyInstaller is not here")
    folder = tmp_path_factory.mktemp("frozen")
    text = program("freezers.md", "stop_at_enter")
    (folder / "program.py").write_text(text, encoding="utf-8")
    command = [sys.executable, "-m", "PyInstaller", "--log-level", "ERROR", "program.py"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=180)
    assert done.returncode == 0, done.stderr
    return folder / "dist" / "program" / ("program.exe" if WINDOWS else "program")


@pytest.mark.parametrize("prefill", [0, 60])
@pytest.mark.parametrize("way", ["Enter", pytest.param("Ctrl-C", marks=needs_signals)])
def test_the_model_is_stopped(server, frozen, tmp_path, way, prefill):
    server.reply(STORY, delay=0.002, prefill=prefill)
    with running([frozen], server, tmp_path, stdin=subprocess.PIPE) as process:
        prediction = server.wait_prediction(timeout=LIMIT)
        prediction.wait_phase("prefill") if prefill else prediction.wait_tokens(20)
        if way == "Ctrl-C":
            process.send_signal(signal.SIGINT)
            process.wait(LIMIT)
        stdout, stderr = process.communicate("\n" if way == "Enter" else None, timeout=LIMIT)
    assert (process.returncode, stderr) == (0, "")
    assert stdout.endswith("userStopped\n")
    assert ("Ctrl-C" in stdout) == (way == "Ctrl-C")
    assert_stopped_once(server)


@needs_signals
def test_the_end_of_the_process_stops_the_model(server, frozen, tmp_path):
    server.reply(STORY, delay=0.002)
    with running([frozen], server, tmp_path, stdin=subprocess.PIPE) as process:
        server.wait_prediction(timeout=LIMIT).wait_tokens(20)
        process.kill()
        process.communicate(timeout=LIMIT)
    assert server.predictions[0].wait_finished(LIMIT).tokens_sent < 10_000
