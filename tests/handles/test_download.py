"""Downloads: their progress, their end, and their errors."""

import gc
import threading

import pytest
from handles.downloading import OPTION, sent
from helpers import Worker

import lmstudio as lms
from lmstudio._handles.repository import ModelDownloadOption


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


def test_reports_that_make_no_sense_are_left_out_and_the_download_goes_on(held_downloads, option):
    events = []
    worker = Worker(lambda: option.download(events.append, lambda: events.append("finalizing")))
    call = held_downloads.expect("downloadModel")
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
def test_a_success_without_a_key_is_a_protocol_error(held_downloads, option, key):
    worker = Worker(option.download)
    held_downloads.expect("downloadModel").success(default_identifier=key)

    error = worker.error()
    assert isinstance(error, lms.LMStudioProtocolError)
    assert "does not say its key" in str(error)


def test_an_error_of_the_server_ends_the_download(held_downloads, client, option):
    worker = Worker(option.download)
    call = held_downloads.expect("downloadModel")
    call.progress(0.5)
    call.error("Disk full", suggestion="Buy a bigger one.")

    error = worker.error()
    assert isinstance(error, lms.LMStudioServerError)
    assert str(error) == "Model download error: Disk full\n  Suggestion: Buy a bigger one."
    assert error.server_error.title == "Disk full"
    assert sent(held_downloads, client) == []


def test_a_download_of_what_is_not_there(client):
    option = ModelDownloadOption({**OPTION, "downloadIdentifier": "nope"}, client._session)

    with pytest.raises(lms.LMStudioModelNotFoundError, match="Model download error"):
        option.download()


def test_a_channel_that_closes_too_early_is_an_error(held_downloads, client, option):
    worker = Worker(option.download)
    call = held_downloads.expect("downloadModel")
    call.progress(0.5)
    call.close()

    error = worker.error()
    assert isinstance(error, lms.LMStudioChannelClosedError)
    assert str(error) == ("The download failed: LM Studio closed the channel before the outcome.")
    assert sent(held_downloads, client) == []


def test_a_connection_that_is_lost_ends_the_download_and_the_next_one_works(held_downloads, option):
    worker = Worker(option.download)
    held_downloads.expect("downloadModel").connection.drop()

    assert isinstance(worker.error(), lms.LMStudioConnectionLostError)
    held_downloads.release("downloadModel")
    assert option.download() == "tiny-llm"
