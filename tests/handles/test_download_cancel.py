"""Downloads that are stopped, in every way and in every phase."""

import contextlib
import functools
import queue
import re
import subprocess
import sys
import textwrap
import threading
import time

import pytest
from handles.downloading import OPTION, sent
from helpers import Worker, eventually, time_passes

import lmstudio as lms
from lmstudio._handles.repository import ModelDownloadOption
from lmstudio.testing import Model, Server

LIMIT = 10.0  # seconds that a test waits for anything at most
FOREVER = 600.0  # seconds of a download that is stopped long before


def assert_stopped_once(server, client, error, reason):
    assert isinstance(error, lms.LMStudioCancelledError)
    assert str(error) == f"The download was cancelled: {reason}"
    assert error.reason == reason
    server.wait_for(type="channelSend", path="/repository")
    assert sent(server, client) == ["cancel"]


@pytest.mark.parametrize("make", [threading.Event, lms.CancelToken])
def test_with_an_event_that_is_set_nothing_is_sent(server, option, make):
    event = make()
    event.set()

    with pytest.raises(lms.LMStudioCancelledError, match=r"^The download was cancelled"):
        option.download(pytest.fail, pytest.fail, cancel_event=event)

    assert server.received() == []


def test_a_download_is_cancelled_while_it_connects():
    with Server(auth="silent") as server, lms.Client(server.host) as client:
        option = ModelDownloadOption(OPTION, client._session)
        token = lms.CancelToken()
        worker = Worker(lambda: option.download(cancel_event=token))
        eventually(lambda: server.connections)

        token.cancel("changed my mind")

        assert worker.error().reason == "changed my mind"
    assert server.received("channelCreate") == server.received("channelSend") == []


def test_a_download_is_cancelled_before_the_first_report(held_downloads, client, option):
    token = lms.CancelToken()
    worker = Worker(lambda: option.download(pytest.fail, cancel_event=token))
    call = held_downloads.expect("downloadModel")

    token.cancel("too large")

    assert_stopped_once(held_downloads, client, worker.error(), "too large")
    call.close()  # what comes late is dropped
    assert sent(held_downloads, client) == ["cancel"]


@pytest.mark.parametrize("how", ["event", "token", "several", "cancel_all"])
def test_a_download_is_cancelled_in_the_middle(held_downloads, client, option, how):
    event, token = threading.Event(), lms.CancelToken()
    cancel_event, cancel, reason = {
        "event": (event, event.set, "cancel_event was set"),
        "token": (token, lambda: token.cancel("enough"), "enough"),
        "several": ([token, event], event.set, "cancel_event was set"),
        "cancel_all": (None, lambda: client.cancel_all("enough"), "enough"),
    }[how]
    reports = queue.Queue()
    worker = Worker(lambda: option.download(reports.put, cancel_event=cancel_event))
    call = held_downloads.expect("downloadModel")
    call.progress(0.5, total_bytes=10, downloaded_bytes=5)
    assert reports.get(timeout=LIMIT).downloaded_bytes == 5

    cancel()

    assert_stopped_once(held_downloads, client, worker.error(), reason)
    for _ in range(2):  # the server has not noticed yet
        call.progress(0.75)
    call.success()
    assert sent(held_downloads, client) == ["cancel"]
    assert reports.empty()


def test_a_download_is_cancelled_while_the_server_finalizes(held_downloads, client, option):
    token, finalizing = lms.CancelToken(), threading.Event()
    worker = Worker(lambda: option.download(None, finalizing.set, cancel_event=token))
    call = held_downloads.expect("downloadModel")
    call.packet({"type": "startFinalizing"})
    assert finalizing.wait(LIMIT)

    token.cancel("out of time")

    assert_stopped_once(held_downloads, client, worker.error(), "out of time")
    call.expect_cancel()


def test_a_cancel_after_the_end_does_nothing(server, client, option):
    token = lms.CancelToken()

    assert option.download(cancel_event=token) == "tiny-llm"
    token.cancel()
    client.cancel_all()

    assert sent(server, client) == []


def test_a_cancel_before_the_success_was_taken_wins_and_sends_nothing(
    held_downloads, client, option
):
    token = lms.CancelToken()

    def on_finalize():
        eventually(lambda: not client._session.dispatcher.open)  # the success has arrived by now
        token.cancel()

    worker = Worker(lambda: option.download(None, on_finalize, cancel_event=token))
    call = held_downloads.expect("downloadModel")
    call.packet({"type": "startFinalizing"})
    call.success()

    assert isinstance(worker.error(), lms.LMStudioCancelledError)
    assert sent(held_downloads, client) == []


def test_no_callback_runs_after_a_cancel(held_downloads, client, option):
    token, go, reports = lms.CancelToken(), threading.Event(), []

    def on_progress(update):
        reports.append(update.downloaded_bytes)
        assert go.wait(LIMIT)
        token.cancel("seen enough")

    worker = Worker(lambda: option.download(on_progress, pytest.fail, cancel_event=token))
    call = held_downloads.expect("downloadModel")
    for share in (0.1, 0.2, 0.3):
        call.progress(share)
    call.packet({"type": "startFinalizing"})
    go.set()

    assert_stopped_once(held_downloads, client, worker.error(), "seen enough")
    assert reports == [100]


@pytest.mark.parametrize("error", [ValueError("no"), KeyboardInterrupt(), SystemExit(3)])
@pytest.mark.parametrize("callback", ["on_progress", "on_finalize"])
def test_an_exception_in_a_callback_stops_the_download_and_comes_out(
    held_downloads, client, option, callback, error
):
    def fail(*_):
        raise error

    worker = Worker(functools.partial(option.download, **{callback: fail}))
    call = held_downloads.expect("downloadModel")
    call.progress(0.5)
    call.packet({"type": "startFinalizing"})

    assert worker.error() is error
    assert sent(held_downloads, client) == ["cancel"]


def test_an_exception_in_a_callback_of_a_finished_download_sends_nothing(
    held_downloads, client, option
):
    def fail():
        eventually(lambda: not client._session.dispatcher.open)  # the success has arrived by now
        raise ValueError("no")

    worker = Worker(lambda: option.download(on_finalize=fail))
    call = held_downloads.expect("downloadModel")
    call.packet({"type": "startFinalizing"})
    call.success()

    assert str(worker.error()) == "no"
    assert sent(held_downloads, client) == []


def test_ctrl_c_stops_the_download(held_downloads):
    program = """
        import signal, sys, threading
        import lmstudio as lms

        client = lms.Client(sys.argv[1])
        (model,) = client.repository.search_models("tiny")
        option = model.get_download_options()[0]
        started = threading.Event()

        def interrupt():
            started.wait()
            signal.raise_signal(signal.SIGINT)

        threading.Thread(target=interrupt, daemon=True).start()
        try:
            option.download(lambda update: started.set())
        except KeyboardInterrupt:
            print("interrupted")
        client.close()
    """
    command = [sys.executable, "-X", "dev", "-c", textwrap.dedent(program), held_downloads.host]
    pipe = subprocess.PIPE
    process = subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True)
    try:
        output = reporting(held_downloads.expect("downloadModel", LIMIT), process)
    finally:
        process.kill()
        process.communicate()

    assert (process.returncode, *output) == (0, "interrupted\n", "")
    assert [m["message"] for m in held_downloads.received("channelSend")] == [{"type": "cancel"}]


def reporting(call, process):
    """What a process printed, with reports of its download every 50 ms until it ends.

    Python notices a signal that comes just before a wait when that wait ends: with a report.
    """
    deadline = time.monotonic() + 3 * LIMIT
    while time.monotonic() < deadline:
        with contextlib.suppress(ConnectionError):  # the process is leaving
            call.progress(0.5)
        with contextlib.suppress(subprocess.TimeoutExpired):
            return process.communicate(timeout=0.05)
    return pytest.fail("the process did not end")


@pytest.mark.parametrize(
    ("limit", "words"),
    [
        ("timeout", r"The download did not end within timeout=30 s\."),
        (
            "idle_timeout",
            r"The download was given up: LM Studio was silent for idle_timeout=30 s\.",
        ),
    ],
)
def test_a_time_limit_stops_the_download(held_downloads, client, option, limit, words):
    worker = Worker(lambda: option.download(**{limit: 30}))
    held_downloads.expect("downloadModel")
    time_passes(client, 40)

    error = worker.error()
    assert isinstance(error, lms.LMStudioTimeoutError)
    assert re.search(words, str(error))
    assert sent(held_downloads, client) == ["cancel"]
    held_downloads.release("downloadModel")
    assert option.download() == "tiny-llm"


def test_the_clients_own_limits_hold_for_downloads():
    with (
        Server(download_time=FOREVER) as server,
        lms.Client(server.host, idle_timeout=0.05) as client,
        pytest.raises(lms.LMStudioTimeoutError, match="The download was given up"),
    ):
        ModelDownloadOption(OPTION, client._session).download()


def test_closing_the_client_stops_the_download_and_refuses_the_next(held_downloads, client, option):
    reports = queue.Queue()
    worker = Worker(lambda: option.download(reports.put))
    call = held_downloads.expect("downloadModel")
    call.progress(0.5)
    reports.get(timeout=LIMIT)

    client.close()

    error = worker.error()
    assert isinstance(error, lms.LMStudioCancelledError)
    assert str(error) == "The download was cancelled: client closed"
    with pytest.raises(lms.LMStudioClientError, match="The client is closed"):
        option.download()
    eventually(lambda: not call.connection.open)
    assert [packet["type"] for packet in call.packets] == ["cancel"]


def test_no_callback_starts_after_the_client_was_closed_in_one(held_downloads, client, option):
    reports, go = [], threading.Event()

    def on_progress(update):
        reports.append(update)
        assert go.wait(LIMIT)
        client.close()

    worker = Worker(lambda: option.download(on_progress, pytest.fail))
    call = held_downloads.expect("downloadModel")
    call.progress(0.1)
    call.progress(0.2)
    call.packet({"type": "startFinalizing"})
    go.set()

    assert worker.error().reason == "client closed"
    assert len(reports) == 1


def test_of_two_downloads_in_two_threads_one_is_cancelled():
    hub = [Model(key="first"), Model(key="second")]
    with Server(hub=hub, hold=["downloadModel"]) as server, lms.Client(server.host) as client:
        tokens = {key: lms.CancelToken() for key in ("first", "second")}
        reports = {key: queue.Queue() for key in tokens}
        workers, calls = {}, {}
        for key, token in tokens.items():
            (model,) = client.repository.search_models(key)
            (option,) = model.get_download_options()
            download = functools.partial(option.download, cancel_event=token)
            workers[key] = Worker(download, reports[key].put)
            calls[key] = server.expect("downloadModel")
            calls[key].progress(0.25)
            reports[key].get(timeout=LIMIT)

        tokens["first"].cancel("only one")
        error = workers["first"].error()
        calls["second"].progress(0.75)
        assert reports["second"].get(timeout=LIMIT).downloaded_bytes == 750
        calls["second"].success()

        assert error.reason == "only one"
        assert workers["second"].result() == "second"
        calls["first"].expect_cancel()
        calls["second"].expect_no_cancel()
        assert client.llm.model("second").identifier == "second"
        with pytest.raises(lms.LMStudioModelNotFoundError):
            client.llm.model("first")
        assert reports["first"].empty()


def test_a_cancelled_download_is_not_there_and_can_be_started_again():
    with Server(download_time=FOREVER) as server, lms.Client(server.host) as client:
        option = ModelDownloadOption(OPTION, client._session)
        token = lms.CancelToken()

        with pytest.raises(lms.LMStudioCancelledError):
            option.download(lambda update: token.cancel(), cancel_event=token)

        with pytest.raises(lms.LMStudioModelNotFoundError):
            client.llm.model("tiny-llm")
        server.hold("downloadModel")
        worker = Worker(option.download)
        server.expect("downloadModel").success()
        assert worker.result() == "tiny-llm"
        assert client.llm.model("tiny-llm").identifier == "tiny-llm"
        assert sent(server, client) == ["cancel"]
