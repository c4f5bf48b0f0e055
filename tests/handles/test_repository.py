"""The repository: searching, download options, and downloads that report, end and are cancelled."""

import contextlib
import functools
import gc
import os
import pickle
import queue
import subprocess
import sys
import textwrap
import threading
import time

import pytest
from helpers import Worker, eventually

import lmstudio as lms
from lmstudio._handles.repository import AvailableModel, ModelDownloadOption
from lmstudio.testing import Model, Server

LIMIT = 10.0  # seconds that a test waits for anything at most
FOREVER = 600.0  # seconds of a download that is stopped long before
IDENTIFIER = {"type": "catalog", "identifier": "testing/tiny-llm"}
OPTION = {"name": "Tiny", "downloadIdentifier": "testing/tiny-llm@q4_k_m"}


@pytest.fixture
def found(client):
    (model,) = client.repository.search_models("tiny")
    return model


@pytest.fixture
def option(client):
    return ModelDownloadOption(OPTION, client._line)


@pytest.fixture
def held(server):
    server.hold("downloadModel")
    return server


def sent(server, client):
    """What kinds of packets the client has sent into downloads so far."""
    client.repository.search_models("tiny")  # on the same connection: all before it has arrived
    return [m["message"]["type"] for m in server.received("channelSend", path="/repository")]


def entries(client, server, *entries):
    """Search, with these results of the server."""
    server.hold("searchModels")
    worker = Worker(client.repository.search_models, "x")
    server.expect("searchModels").result({"results": list(entries)})
    return worker.result()


def options(model, server, *options):
    """Ask for download options, with this answer of the server."""
    server.hold("getModelDownloadOptions")
    worker = Worker(model.get_download_options)
    server.expect("getModelDownloadOptions").result({"results": list(options)})
    return worker.result()


# -- searching --------------------------------------------------------------------------------


def test_models_are_found_by_words_of_their_name(client):
    (model,) = client.repository.search_models("tiny")

    result = model.search_result
    assert (result.name, result.exact, result.staff_pick) == ("testing/tiny-llm", False, True)
    assert (result.identifier.type, result.identifier.identifier) == ("catalog", result.name)
    assert result.to_dict() == {
        "name": "testing/tiny-llm",
        "identifier": IDENTIFIER,
        "exact": False,
        "staffPick": True,
    }
    assert client.repository.search_models("no such model") == []


def test_a_search_sends_what_was_given_and_nothing_else(server, client):
    repository = client.repository
    repository.search_models("test", 2, ["gguf"])
    repository.search_models(limit=1)
    repository.search_models(compatibility_types=(name for name in ("gguf", "safetensors")))
    repository.search_models("test", None, [])
    repository.search_models(limit=25, search_term="")

    assert [m["parameter"]["opts"] for m in server.received(endpoint="searchModels")] == [
        {"searchTerm": "test", "limit": 2, "compatibilityTypes": ["gguf"]},
        {"limit": 1},
        {"compatibilityTypes": ["gguf", "safetensors"]},
        {"searchTerm": "test"},
        {"limit": 25},
    ]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({}, "Say what to search for: a search_term, a limit or compatibility_types"),
        ({"search_term": "", "compatibility_types": []}, "Say what to search for"),
        ({"search_term": 5}, "search_term must be a string; 5 was given"),
        ({"limit": 0}, "limit must be a whole number from 1 to 25, or None, not 0"),
        ({"limit": -1}, "from 1 to 25"),
        ({"limit": 26}, "from 1 to 25"),
        ({"limit": 2.0}, "whole number"),
        ({"limit": "3"}, "whole number"),
        ({"limit": True}, "whole number"),
        ({"compatibility_types": "gguf"}, r"must be a list, as \['gguf'\]; 'gguf' was given"),
        ({"compatibility_types": 1}, "must be a list"),
        ({"compatibility_types": ["gguf", None]}, "Each of the compatibility_types must be a str"),
        ({"search_term": "x", "timeout": -1}, "timeout"),
        ({"search_term": "x", "cancel_event": "now"}, "cancel_event"),
    ],
)
def test_what_cannot_be_searched_for_is_refused_before_anything_is_sent(
    server, client, arguments, words
):
    with pytest.raises(lms.LMStudioValueError, match=words):
        client.repository.search_models(**arguments)

    assert server.received() == []


def test_a_format_that_the_server_does_not_know_is_its_error(client):
    with pytest.raises(lms.LMStudioServerError, match=r"Searching for models failed.*compatib"):
        client.repository.search_models(compatibility_types=["punch cards"])


def test_what_a_newer_server_says_is_tolerated(server, client):
    identifier = {"type": "attic", "identifier": "box 7", "shelf": 3}
    new, old, odd = entries(
        client,
        server,
        {"name": "a", "identifier": identifier, "stars": 5},
        {"name": "b", "identifier": {"type": "hf", "identifier": "x/b"}, "exact": None},
        {"name": "c", "identifier": IDENTIFIER, "exact": "nearly", "staffPick": 1},
    )

    assert (new.search_result.identifier.type, new.search_result.extra) == ("attic", {"stars": 5})
    assert (old.search_result.identifier.type, old.search_result.exact) == ("hf", None)
    assert (odd.search_result.exact, odd.search_result.staff_pick) == (None, None)
    with pytest.raises(lms.LMStudioServerError, match="Listing the download options failed"):
        new.get_download_options()  # this server is not so new
    (request,) = server.received(endpoint="getModelDownloadOptions")
    assert request["parameter"] == {"modelSearchResultIdentifier": identifier}  # as it was given


@pytest.mark.parametrize(
    "answer",
    [
        None,
        [],
        {},
        {"results": None},
        {"results": {"name": "a"}},
        {"results": [1]},
        {"results": [{"identifier": IDENTIFIER}]},
        {"results": [{"name": 1, "identifier": IDENTIFIER}]},
        {"results": [{"name": "a"}]},
        {"results": [{"name": "a", "identifier": "b"}]},
        {"results": [{"name": "a", "identifier": None}]},
    ],
)
def test_a_malformed_answer_to_a_search_is_a_protocol_error(server, client, answer):
    server.hold("searchModels")
    worker = Worker(client.repository.search_models, "x")
    server.expect("searchModels").result(answer)

    assert isinstance(worker.error(), lms.LMStudioProtocolError)


# -- download options -------------------------------------------------------------------------


def test_a_model_is_offered_in_several_forms(server, found):
    first, second = found.get_download_options()

    assert (first.info.quantization, second.info.quantization) == ("Q4_K_M", "Q8_0")
    assert (first.info.recommended, second.info.recommended) == (True, False)
    assert first.info.size_bytes == 100_000
    assert first.info.fit_estimation == "fullGPUOffload"
    assert first.info.compatibility_type == "gguf"
    (request,) = server.received(endpoint="getModelDownloadOptions")
    assert request["parameter"] == {"modelSearchResultIdentifier": IDENTIFIER}


def test_options_of_older_and_newer_servers_are_read(server, found):
    old, new, odd = options(
        found,
        server,
        OPTION,
        {**OPTION, "fitEstimation": "fitsTheMoon", "compatibilityType": "yuzu", "licence": "x"},
        {**OPTION, "sizeBytes": "huge", "recommended": "yes", "quantization": None},
    )

    assert (old.info.size_bytes, old.info.fit_estimation, old.info.recommended) == (0, "", None)
    assert (new.info.fit_estimation, new.info.compatibility_type) == ("fitsTheMoon", "yuzu")
    assert new.info.extra == {"licence": "x"}
    assert (odd.info.size_bytes, odd.info.recommended) == (0, None)
    assert odd.info.extra == {"sizeBytes": "huge", "recommended": "yes"}


@pytest.mark.parametrize(
    "answer",
    [None, {}, {"results": 5}, {"results": ["a"]}, {"results": [{"name": "a"}]}],
)
def test_a_malformed_answer_about_options_is_a_protocol_error(server, found, answer):
    server.hold("getModelDownloadOptions")
    worker = Worker(found.get_download_options)
    server.expect("getModelDownloadOptions").result(answer)

    assert isinstance(worker.error(), lms.LMStudioProtocolError)


def test_a_model_that_is_offered_no_more(client):
    gone = {"name": "gone", "identifier": {"type": "catalog", "identifier": "testing/gone"}}
    model = AvailableModel(gone, client._line)

    with pytest.raises(lms.LMStudioModelNotFoundError, match="Listing the download options failed"):
        model.get_download_options()


def test_what_is_shown_of_models_and_options(found):
    option = found.get_download_options()[0]

    assert repr(found) == (
        "AvailableModel(name='testing/tiny-llm', "
        "identifier=ModelSearchResultIdentifierCatalog(identifier='testing/tiny-llm'), "
        "exact=False, staff_pick=True)"
    )
    assert repr(option) == (
        "ModelDownloadOption(name='Tiny LLM 100M', "
        "download_identifier='testing/tiny-llm@q4_k_m', "
        "indexed_model_identifier='testing/tiny-llm/tiny-llm.gguf', recommended=True)"
    )


def test_what_the_server_says_is_values(found):
    infos = [found.search_result, found.get_download_options()[0].info]
    infos.append(lms.DownloadProgressUpdate(downloaded_bytes=1, total_bytes=2))

    for info in infos:
        assert pickle.loads(pickle.dumps(info)) == info == type(info).from_dict(info.to_dict())
        assert hash(info) == hash(pickle.loads(pickle.dumps(info)))


# -- cancelling questions ---------------------------------------------------------------------

QUESTIONS = {
    "searchModels": lambda client, **limits: client.repository.search_models("x", **limits),
    "getModelDownloadOptions": lambda client, **limits: AvailableModel(
        {"name": "x", "identifier": IDENTIFIER}, client._line
    ).get_download_options(**limits),
}
LABELS = {
    "searchModels": "Searching for models",
    "getModelDownloadOptions": "Listing the download options",
}


@pytest.mark.parametrize("endpoint", QUESTIONS)
def test_a_question_is_cancelled_while_the_server_thinks(server, client, endpoint):
    server.hold(endpoint)
    token = lms.CancelToken()
    worker = Worker(lambda: QUESTIONS[endpoint](client, cancel_event=token))
    server.expect(endpoint)

    token.cancel("too slow")

    error = worker.error()
    assert isinstance(error, lms.LMStudioCancelledError)
    assert (str(error), error.reason) == (f"{LABELS[endpoint]} was cancelled: too slow", "too slow")
    eventually(lambda: not client._line._loop.open)


@pytest.mark.parametrize("endpoint", QUESTIONS)
def test_a_question_with_an_event_that_is_set_is_not_asked(server, client, endpoint):
    event = threading.Event()
    event.set()

    with pytest.raises(lms.LMStudioCancelledError):
        QUESTIONS[endpoint](client, cancel_event=event)

    assert server.received() == []


@pytest.mark.parametrize("limit", ["timeout", "idle_timeout"])
@pytest.mark.parametrize("endpoint", QUESTIONS)
def test_a_question_has_time_limits(server, client, endpoint, limit):
    server.hold(endpoint)

    with pytest.raises(lms.LMStudioTimeoutError, match=f"{LABELS[endpoint]}.*{limit}=0.05 s"):
        QUESTIONS[endpoint](client, **{limit: 0.05})


@pytest.mark.parametrize("endpoint", QUESTIONS)
def test_a_question_to_a_closed_client_is_refused(client, endpoint):
    client.close()

    with pytest.raises(lms.LMStudioClientError, match="closed"):
        QUESTIONS[endpoint](client)


# -- a download -------------------------------------------------------------------------------


def test_a_model_is_downloaded_with_progress_and_then_loaded(server, client, found):
    reports, threads = [], set()

    def on_progress(update):
        threads.add(threading.get_ident())
        reports.append((update.downloaded_bytes, update.total_bytes))
        assert update.speed_bytes_per_second > 0

    def on_finalize():
        threads.add(threading.get_ident())
        reports.append("finalizing")

    key = found.get_download_options()[0].download(on_progress, on_finalize)

    assert key == "tiny-llm"
    shares = [0, 25_000, 50_000, 75_000, 100_000]
    assert reports == [*((share, 100_000) for share in shares), "finalizing"]
    assert threads == {threading.get_ident()}
    assert client.llm.model(key).respond("Hi.").content
    assert key in [model.model_key for model in client.list_downloaded_models("llm")]
    (create,) = server.received("channelCreate", endpoint="downloadModel")
    assert create["creationParameter"] == {"downloadIdentifier": "testing/tiny-llm@q4_k_m"}
    assert sent(server, client) == []


def test_a_download_needs_no_callbacks(option):
    assert option.download() == "tiny-llm"
    assert option.download(None, None, timeout=None, cancel_event=None) == "tiny-llm"


def test_a_download_outlives_the_name_of_its_client(server):
    (option, _) = lms.Client(server.host).repository.search_models("tiny")[0].get_download_options()
    gc.collect()

    assert option.download() == "tiny-llm"


@pytest.mark.parametrize("name", ["on_progress", "on_finalize"])
def test_a_callback_that_is_none_is_refused_before_anything_is_sent(server, option, name):
    with pytest.raises(lms.LMStudioValueError, match=f"{name} must be a function; 5 was given"):
        option.download(**{name: 5})

    assert server.received() == []


def test_reports_that_make_no_sense_are_left_out_and_the_download_goes_on(held, option):
    events = []
    worker = Worker(lambda: option.download(events.append, lambda: events.append("finalizing")))
    call = held.expect("downloadModel")
    update = {"downloadedBytes": 5, "totalBytes": 10, "speedBytesPerSecond": 2}
    for packet in (
        {"type": "downloadProgress", "update": update},
        {"type": "downloadProgress"},
        {"type": "downloadProgress", "update": 0.5},
        {"type": "downloadProgress", "update": {"downloadedBytes": 5}},
        {"type": "downloadProgress", "update": {**update, "downloadedBytes": "half"}},
        {"type": "queuePosition", "position": 3},
        {"type": "downloadProgress", "update": {**update, "speedBytesPerSecond": None}},
        {"type": "downloadProgress", "update": {**update, "peers": 7}},
        {"type": "startFinalizing", "steps": 2},
    ):
        call.packet(packet)
    call.success(default_identifier="mine")

    assert worker.result() == "mine"
    report = lms.DownloadProgressUpdate(
        downloaded_bytes=5, total_bytes=10, speed_bytes_per_second=2.0
    )
    unknown_speed = lms.DownloadProgressUpdate(downloaded_bytes=5, total_bytes=10)
    assert events == [report, unknown_speed, report, "finalizing"]


@pytest.mark.parametrize("key", [None, 5, ["a"]])
def test_a_success_without_a_key_is_a_protocol_error(held, option, key):
    worker = Worker(option.download)
    held.expect("downloadModel").success(default_identifier=key)

    error = worker.error()
    assert isinstance(error, lms.LMStudioProtocolError)
    assert "does not say how it is called" in str(error)


def test_an_error_of_the_server_ends_the_download(held, client, option):
    worker = Worker(option.download)
    call = held.expect("downloadModel")
    call.progress(0.5)
    call.error("Disk full", suggestion="Buy a bigger one.")

    error = worker.error()
    assert isinstance(error, lms.LMStudioServerError)
    assert str(error) == "The download failed: Disk full\n  Suggestion: Buy a bigger one."
    assert error.server_error.title == "Disk full"
    assert sent(held, client) == []


def test_a_download_of_what_is_not_there(client):
    option = ModelDownloadOption({**OPTION, "downloadIdentifier": "nope"}, client._line)

    with pytest.raises(lms.LMStudioModelNotFoundError, match="The download failed"):
        option.download()


def test_a_channel_that_closes_too_early_is_an_error(held, client, option):
    worker = Worker(option.download)
    call = held.expect("downloadModel")
    call.progress(0.5)
    call.close()

    error = worker.error()
    assert isinstance(error, lms.LMStudioChannelClosedError)
    assert str(error) == ("The download failed: LM Studio closed the channel before the outcome.")
    assert sent(held, client) == []


def test_a_connection_that_is_lost_ends_the_download_and_the_next_one_works(held, option):
    worker = Worker(option.download)
    held.expect("downloadModel").connection.drop()

    assert isinstance(worker.error(), lms.LMStudioConnectionLostError)
    held.release("downloadModel")
    assert option.download() == "tiny-llm"


# -- a download that is cancelled -------------------------------------------------------------


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
        option = ModelDownloadOption(OPTION, client._line)
        token = lms.CancelToken()
        worker = Worker(lambda: option.download(cancel_event=token))
        eventually(lambda: server.connections)

        token.cancel("changed my mind")

        assert worker.error().reason == "changed my mind"
    assert server.received("channelCreate") == server.received("channelSend") == []


def test_a_download_is_cancelled_before_the_first_report(held, client, option):
    token = lms.CancelToken()
    worker = Worker(lambda: option.download(pytest.fail, cancel_event=token))
    call = held.expect("downloadModel")

    token.cancel("too large")

    assert_stopped_once(held, client, worker.error(), "too large")
    call.close()  # what comes late is dropped
    assert sent(held, client) == ["cancel"]


@pytest.mark.parametrize("how", ["event", "token", "several", "cancel_all"])
def test_a_download_is_cancelled_in_the_middle(held, client, option, how):
    event, token = threading.Event(), lms.CancelToken()
    cancel_event, cancel, reason = {
        "event": (event, event.set, "cancel_event was set"),
        "token": (token, lambda: token.cancel("enough"), "enough"),
        "several": ([token, event], event.set, "cancel_event was set"),
        "cancel_all": (None, lambda: client.cancel_all("enough"), "enough"),
    }[how]
    reports = queue.Queue()
    worker = Worker(lambda: option.download(reports.put, cancel_event=cancel_event))
    call = held.expect("downloadModel")
    call.progress(0.5, total_bytes=10, downloaded_bytes=5)
    assert reports.get(timeout=LIMIT).downloaded_bytes == 5

    cancel()

    assert_stopped_once(held, client, worker.error(), reason)
    for _ in range(2):  # the server has not noticed yet
        call.progress(0.75)
    call.success()
    assert sent(held, client) == ["cancel"]
    assert reports.empty()


def test_a_download_is_cancelled_while_the_server_finalizes(held, client, option):
    token, finalizing = lms.CancelToken(), threading.Event()
    worker = Worker(lambda: option.download(None, finalizing.set, cancel_event=token))
    call = held.expect("downloadModel")
    call.packet({"type": "startFinalizing"})
    assert finalizing.wait(LIMIT)

    token.cancel("out of time")

    assert_stopped_once(held, client, worker.error(), "out of time")
    call.expect_cancel()


def test_a_cancel_after_the_end_does_nothing(server, client, option):
    token = lms.CancelToken()

    assert option.download(cancel_event=token) == "tiny-llm"
    token.cancel()
    client.cancel_all()

    assert sent(server, client) == []


def test_a_cancel_before_the_success_was_taken_wins_and_sends_nothing(held, client, option):
    token = lms.CancelToken()

    def on_finalize():
        eventually(lambda: not client._line._loop.open)  # the success has arrived by now
        token.cancel()

    worker = Worker(lambda: option.download(None, on_finalize, cancel_event=token))
    call = held.expect("downloadModel")
    call.packet({"type": "startFinalizing"})
    call.success()

    assert isinstance(worker.error(), lms.LMStudioCancelledError)
    assert sent(held, client) == []


def test_no_callback_runs_after_a_cancel(held, client, option):
    token, go, reports = lms.CancelToken(), threading.Event(), []

    def on_progress(update):
        reports.append(update.downloaded_bytes)
        assert go.wait(LIMIT)
        token.cancel("seen enough")

    worker = Worker(lambda: option.download(on_progress, pytest.fail, cancel_event=token))
    call = held.expect("downloadModel")
    for share in (0.1, 0.2, 0.3):
        call.progress(share)
    call.packet({"type": "startFinalizing"})
    go.set()

    assert_stopped_once(held, client, worker.error(), "seen enough")
    assert reports == [100]


@pytest.mark.parametrize("error", [ValueError("no"), KeyboardInterrupt(), SystemExit(3)])
@pytest.mark.parametrize("callback", ["on_progress", "on_finalize"])
def test_an_exception_in_a_callback_stops_the_download_and_comes_out(
    held, client, option, callback, error
):
    def fail(*_):
        raise error

    worker = Worker(functools.partial(option.download, **{callback: fail}))
    call = held.expect("downloadModel")
    call.progress(0.5)
    call.packet({"type": "startFinalizing"})

    assert worker.error() is error
    assert sent(held, client) == ["cancel"]


def test_an_exception_in_a_callback_of_a_finished_download_sends_nothing(held, client, option):
    def fail():
        eventually(lambda: not client._line._loop.open)  # the success has arrived by now
        raise ValueError("no")

    worker = Worker(lambda: option.download(on_finalize=fail))
    call = held.expect("downloadModel")
    call.packet({"type": "startFinalizing"})
    call.success()

    assert str(worker.error()) == "no"
    assert sent(held, client) == []


@pytest.mark.skipif(os.name != "posix", reason="signals are POSIX")
def test_ctrl_c_stops_the_download(held):
    program = """
        import os, signal, sys, threading
        import lmstudio as lms

        client = lms.Client(sys.argv[1])
        (model,) = client.repository.search_models("tiny")
        option = model.get_download_options()[0]
        started = threading.Event()

        def interrupt():
            started.wait()
            os.kill(os.getpid(), signal.SIGINT)

        threading.Thread(target=interrupt, daemon=True).start()
        try:
            option.download(lambda update: started.set())
        except KeyboardInterrupt:
            print("interrupted")
        client.close()
    """
    command = [sys.executable, "-X", "dev", "-c", textwrap.dedent(program), held.host]
    pipe = subprocess.PIPE
    process = subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True)
    try:
        output = reporting(held.expect("downloadModel", LIMIT), process)
    finally:
        process.kill()
        process.communicate()

    assert (process.returncode, *output) == (0, "interrupted\n", "")
    assert [m["message"] for m in held.received("channelSend")] == [{"type": "cancel"}]


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
        ("timeout", r"The download did not end within timeout=0\.05 s\."),
        (
            "idle_timeout",
            r"The download was given up: LM Studio was silent for idle_timeout=0\.05 s\.",
        ),
    ],
)
def test_a_time_limit_stops_the_download(held, client, option, limit, words):
    with pytest.raises(lms.LMStudioTimeoutError, match=words):
        option.download(**{limit: 0.05})

    assert sent(held, client) == ["cancel"]
    held.release("downloadModel")
    assert option.download() == "tiny-llm"


def test_the_clients_own_limits_hold_for_downloads():
    with (
        Server(download_time=FOREVER) as server,
        lms.Client(server.host, idle_timeout=0.05) as client,
        pytest.raises(lms.LMStudioTimeoutError, match="The download was given up"),
    ):
        ModelDownloadOption(OPTION, client._line).download()


def test_closing_the_client_stops_the_download_and_refuses_the_next(held, client, option):
    reports = queue.Queue()
    worker = Worker(lambda: option.download(reports.put))
    call = held.expect("downloadModel")
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


def test_no_callback_starts_after_the_client_was_closed_in_one(held, client, option):
    reports, go = [], threading.Event()

    def on_progress(update):
        reports.append(update)
        assert go.wait(LIMIT)
        client.close()

    worker = Worker(lambda: option.download(on_progress, pytest.fail))
    call = held.expect("downloadModel")
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
        option = ModelDownloadOption(OPTION, client._line)
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
