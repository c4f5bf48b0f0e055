"""The cell of docs/apps/notebooks.md in a real kernel: interrupted, and shut down."""

import os
import signal

import pytest
from apps.running import LIMIT, STORY, assert_stopped_once, program
from helpers import found_by_programs

pytestmark = pytest.mark.apps


@pytest.fixture(autouse=True)
def no_leaks():
    """The kernel's client keeps its sockets until the process ends."""


@pytest.fixture
def kernel(server, monkeypatch, tmp_path):
    """A kernel's manager and client."""
    manager_module = pytest.importorskip(
        "jupyter_client.manager", reason="did not run: jupyter_client is not here"
    )
    pytest.importorskip("ipykernel", reason="did not run: ipykernel is not here")
    monkeypatch.setenv(*found_by_programs(server, tmp_path))
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path))
    manager, client = manager_module.start_new_kernel(startup_timeout=40, cwd=os.fspath(tmp_path))
    try:
        yield manager, client
    finally:
        client.stop_channels()
        if manager.is_alive():
            manager.shutdown_kernel(now=True)
        manager.cleanup_resources()


@pytest.mark.parametrize("prefill", [0, 60])
def test_the_square_button_stops_the_model(server, kernel, prefill):
    manager, client = kernel
    server.reply(STORY, delay=0.002, prefill=prefill)
    client.execute(program("notebooks.md", "IPython.display"))
    prediction = server.wait_prediction(timeout=LIMIT)
    prediction.wait_phase("prefill") if prefill else prediction.wait_tokens(20)
    os.kill(manager.provisioner.pid, signal.SIGINT)  # as the square button does
    reply = client.get_shell_msg(timeout=LIMIT)
    assert reply["content"]["status"] == "ok"
    assert assert_stopped_once(server).stop_reason == "userStopped"


def test_the_end_of_the_kernel_stops_the_model(server, kernel):
    manager, client = kernel
    server.reply(STORY, delay=0.002)
    client.execute(program("notebooks.md", "IPython.display"))
    server.wait_prediction(timeout=LIMIT).wait_tokens(20)
    manager.shutdown_kernel()
    assert_stopped_once(server)
