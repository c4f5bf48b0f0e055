"""Uploads that are stopped, in every way and wherever they stand."""

import threading
import time

import pytest
from child_process import run
from handles.uploading import (
    BIG,
    SMALL,
    assert_uploads_again,
    contents,
    link_of,
    names,
    open_upload,
    sending,
)
from helpers import Worker, eventually

import lmstudio as lms


def test_an_upload_that_is_cancelled_before_it_starts_sends_nothing(server, client):
    token = lms.CancelToken()
    token.cancel("changed my mind")

    with pytest.raises(lms.LMStudioCancelledError, match="The upload was cancelled: changed"):
        client.prepare_image(BIG, cancel_event=token)

    assert not server.connections


def test_an_upload_that_is_cancelled_while_connecting_sends_nothing(server):
    in_lookup, go_on = threading.Event(), threading.Event()
    with lms.Client(server.host) as client:
        find = client._discovery.find

        def slow_find(deadline):
            in_lookup.set()
            go_on.wait(10)
            return find(deadline)

        object.__setattr__(client._session._connector, "find_address", slow_find)
        token = lms.CancelToken()
        worker = Worker(lambda: client.prepare_image(BIG, "big.png", cancel_event=token))
        assert in_lookup.wait(10)

        token.cancel()

        assert isinstance(worker.error(), lms.LMStudioCancelledError)
        go_on.set()
        assert_uploads_again(server, client)
        assert len(server.received(path="/files")) == 1
        assert not server.connections[-1].malformed


def test_an_upload_that_is_cancelled_before_its_turn_sends_nothing(server, client):
    first, source = open_upload(client)
    token = lms.CancelToken()
    second = Worker(lambda: client.prepare_image(b"second", "second.txt", cancel_event=token))
    eventually(lambda: link_of(client)._waiting)

    token.cancel()

    assert isinstance(second.error(), lms.LMStudioCancelledError)
    assert first.is_alive()
    source.finish()
    assert first.result().name == "big.png"
    assert client.prepare_image(SMALL, "third.png").name == "third.png"
    assert names(server) == ["big.png", "third.png"]


def by_token(client):
    token = lms.CancelToken()
    return {"cancel_event": token}, token.cancel


def by_event(client):
    event = threading.Event()
    return {"cancel_event": event}, event.set


def by_cancel_all(client):
    return {}, client.cancel_all


WAYS = [by_token, by_event, by_cancel_all]


@pytest.mark.parametrize("way", WAYS)
def test_an_upload_is_stopped_though_the_server_takes_nothing(server, client, stalled, way):
    limits, stop = way(client)
    upload = stalled(**limits)

    stop()

    assert isinstance(upload.error(), lms.LMStudioCancelledError)
    stalled.connection.resume()
    assert_uploads_again(server, client)
    assert len(stalled.connection.malformed) == 1  # its beginning, which is no JSON


@pytest.mark.parametrize("way", WAYS)
def test_an_upload_is_stopped_though_its_file_gives_nothing(server, client, way):
    limits, stop = way(client)
    upload, source = open_upload(client, **limits)

    stop()

    assert_uploads_again(server, client)  # the connection is free at once
    source.allow(1)  # a read cannot be interrupted
    assert isinstance(upload.error(), lms.LMStudioCancelledError)


def test_an_upload_is_stopped_though_the_server_does_not_answer(server, client):
    server.hold("uploadFileBase64")
    token = lms.CancelToken()
    upload = Worker(lambda: client.prepare_image(SMALL, cancel_event=token))
    call = server.expect("uploadFileBase64")

    token.cancel("enough")

    assert upload.error().reason == "enough"
    call.result({"identifier": "late", "fileType": "image", "sizeBytes": 1})
    server.release("uploadFileBase64")
    assert_uploads_again(server, client)


def test_a_cancel_after_the_end_does_nothing(server, client):
    token = lms.CancelToken()
    client.prepare_image(SMALL, cancel_event=token)

    token.cancel()

    assert_uploads_again(server, client)


@pytest.mark.parametrize(
    ("limits", "words"),
    [({"timeout": 0.3}, "The upload did not end"), ({"idle_timeout": 0.1}, "was silent for")],
)
def test_a_server_that_takes_nothing_is_given_up_at_a_time_limit(
    server, client, stalled, limits, words
):
    upload = Worker(lambda: client.prepare_image(BIG, "big.png", **limits))

    with pytest.raises(lms.LMStudioTimeoutError, match=words):
        raise upload.error()

    stalled.connection.resume()
    assert_uploads_again(server, client)


def test_a_server_that_takes_a_file_is_not_silent(server, client):
    first, source = open_upload(client)
    second = Worker(client.prepare_image, SMALL)
    eventually(lambda: link_of(client)._waiting)
    sent, (waiting, _) = sending(client), link_of(client)._waiting[0]
    for call in (sent, waiting):
        call.sent -= 60.0  # forged: some clocks tick seldom
    before = sent.sent, waiting.sent

    source.allow(1)

    eventually(lambda: sent.sent > before[0] and waiting.sent > before[1])
    source.finish()
    assert first.result()
    assert second.result()


def test_close_ends_an_upload_though_the_server_takes_nothing(client, stalled):
    upload = stalled()

    closing = Worker(lambda: client.close(timeout=0.2))

    assert isinstance(upload.error(), lms.LMStudioCancelledError)
    closing.result()
    with pytest.raises(lms.LMStudioClientError, match="closed"):
        client.prepare_image(SMALL)


def test_close_lets_a_server_that_listens_know_the_end(server, client):
    upload, source = open_upload(client)
    connection = server.connections[-1]

    client.close()

    server.wait_for(lambda: not connection.open)
    assert len(connection.malformed) == 1
    assert not contents(server)
    source.allow(1)
    assert isinstance(upload.error(), lms.LMStudioCancelledError)


UPLOADING = """
import io, time

class Endless(io.BytesIO):
    # Gives a part of what it says it has, and then keeps the reader waiting for a while.
    def read(self, count=-1):
        if self.tell() > 3_000_000:
            waiting.set()
            time.sleep(0.01)
            return super().read(min(count, 1))
        return super().read(count)

waiting = threading.Event()
def upload():
    return client.prepare_image(Endless(bytes(10_000_000)), "big.png")
"""


def test_ctrl_c_stops_an_upload_and_the_client_stays_usable(server):
    output = run(
        server,
        UPLOADING
        + """
try:
    interrupt_soon(waiting.is_set)
    upload()
except KeyboardInterrupt:
    print("interrupted")
print(client.prepare_image(b"next", "next.txt").name)
client.close()
""",
    )

    assert output == ["interrupted", "next.txt"]
    assert names(server) == ["next.txt"]


def test_exit_while_daemon_threads_upload_or_wait_for_an_answer_is_silent(server):
    server.hold("countTokens")
    run(
        server,
        UPLOADING
        + """
threading.Thread(target=upload, daemon=True).start()
threading.Thread(target=model.count_tokens, args=("a b",), daemon=True).start()
assert waiting.wait(10)
open_calls = client._session.dispatcher.open
wait_until(lambda: sum(call.is_sent for call in list(open_calls.values())) >= 2)
""",
    )

    assert not contents(server)


class Pipe:
    """Gives its bytes when it is allowed to, and cannot be stopped before."""

    def __init__(self):
        self.asked, self.go_on, self._rest = threading.Event(), threading.Event(), [b"text"]

    def read(self, _count):
        self.asked.set()
        assert self.go_on.wait(10)
        return self._rest.pop(0) if self._rest else b""


@pytest.mark.parametrize("way", ["cancel_all", "close", "event", "timeout"])
def test_what_stops_an_upload_while_its_source_is_read_holds_after_that(server, client, way):
    pipe, event = Pipe(), threading.Event()
    limit = 0.01 if way == "timeout" else None
    upload = Worker(lambda: client.files.prepare_file(pipe, "x", cancel_event=event, timeout=limit))
    assert pipe.asked.wait(10)
    began = time.monotonic()
    if way == "cancel_all":
        client.cancel_all("enough")
    elif way == "close":
        client.close()
    elif way == "event":
        event.set()
    else:
        eventually(lambda: time.monotonic() > began + 0.05)
    pipe.go_on.set()

    error = upload.error()

    kind = lms.LMStudioTimeoutError if way == "timeout" else lms.LMStudioCancelledError
    assert type(error) is kind
    words = {"cancel_all": "enough", "close": "client closed", "event": "cancel_event was set"}
    assert way == "timeout" or error.reason == words[way]
    assert not server.received(endpoint="uploadFileBase64")
