"""The end of the chat application, by its window, by Qt and by Ctrl-C."""

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from desktop.full_chat.chat_window import EXAMPLE, answered, ask, saved, shown
from desktop.gui import LIMIT, turn_until
from helpers import cancels, needs_signals

pytestmark = pytest.mark.gui
DRIVER = Path(__file__).with_name("full_chat_process.py")


def test_closing_while_it_writes_keeps_what_has_come(server, window, turn, tmp_path):
    server.hold("predict")
    ask(window, "Hi")
    call = server.expect("predict")
    call.fragment("one two")
    turn_until(turn, lambda: shown(window)[-1] == "one two")
    window.close()
    call.expect_cancel()
    assert saved(tmp_path) == [("user", "Hi"), ("assistant", "one two")]
    assert window.chat[-1].text == "one two"


def test_closing_the_window_stops_the_model_and_nothing_follows(
    server, window, turn, monkeypatch, tmp_path
):
    late = []
    monkeypatch.setattr(sys, "excepthook", lambda *what: late.append(what))
    server.hold("predict")
    ask(window, "Hi")
    call = server.expect("predict")
    call.fragment("one ")
    turn_until(turn, lambda: "one" in shown(window)[-1])
    stream = window.reply
    window.close()
    call.expect_cancel()
    call.fragment("two ")
    call.success("userStopped")
    assert stream.result(LIMIT).cancel_reason == "the window was closed"
    turn()
    assert shown(window) == ["Hi", "one"]
    assert len(cancels(server)) == 1
    assert not late
    (path,) = tmp_path.glob("*.json")
    assert "Hi" in path.read_text()


def test_no_thread_is_left(server, open_window, turn):
    before = set(threading.enumerate())
    window = open_window(server)
    answered(window, server, turn, "Hi", "Hello.")
    window.close()
    window.client.close()
    for thread in set(threading.enumerate()) - before:
        thread.join(LIMIT)
        assert not thread.is_alive(), thread


@pytest.mark.parametrize("way", ["close", "quit", pytest.param("Ctrl-C", marks=needs_signals)])
def test_the_end_of_the_process_stops_the_model(example, server, tmp_path, way):
    server.reply("word " * 10_000, delay=0.002)
    driven = "wait" if way == "Ctrl-C" else way
    command = [sys.executable, DRIVER, driven, server.host, tmp_path]
    environment = {**os.environ, "PYTHONPATH": str(EXAMPLE.parents[1])}
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout.readline() == "writing\n"
            if way == "Ctrl-C":
                process.send_signal(signal.SIGINT)
            _, stderr = process.communicate(timeout=LIMIT)
        finally:
            process.kill()
    assert stderr.replace("This plugin does not support propagateSizeHints()\n", "") == ""
    assert process.returncode == (-signal.SIGINT if way == "Ctrl-C" else 0)
    prediction = server.predictions[0].wait_finished(LIMIT)
    assert prediction.tokens_sent < 10_000
    assert len(cancels(server)) == (0 if way == "Ctrl-C" else 1)  # the connection went


def test_a_folder_that_cannot_be_made_is_told(tmp_path):
    (tmp_path / "file").write_text("")
    command = [sys.executable, EXAMPLE, "--chats", tmp_path / "file"]
    environment = {**os.environ, "PYTHONPATH": str(EXAMPLE.parents[1])}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=LIMIT)
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].endswith("file: File exists")
