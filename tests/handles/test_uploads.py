"""Uploads in pieces: what arrives, what goes on meanwhile, and every way in which one can end."""

import base64
import contextlib
import hashlib
import io
import os
import socket
import threading
import tracemalloc

import pytest
from child_process import posix, run
from helpers import Worker, eventually
from tls_proxy import TlsProxy, trusting_context
from websocket import ABNF
from websocket._abnf import frame_buffer

import lmstudio as lms
from lmstudio._connection.frames import FRAME_BYTES
from lmstudio._handles import files as _upload

PIECE = 96 * 1024  # bytes of a file that become one frame
SMALL = b"\x89PNG\r\n\x1a\n"
BIG = os.urandom(1 << 20) * 12  # more than the sockets' buffers hold


class Steps(io.BytesIO):
    """A file of which more is read only when the test says so."""

    def __init__(self, data):
        super().__init__(data)
        self._permits = threading.Semaphore(0)
        self._is_free = False

    def read(self, count=-1):
        if self.tell() and not self._is_free:
            assert self._permits.acquire(timeout=10)
        return super().read(count)

    def allow(self, pieces):
        for _ in range(pieces):
            self._permits.release()

    def finish(self):
        self._is_free = True
        self._permits.release()


def contents(server):
    return [file.content for file in server._core.files.values()]


def names(server):
    return [file.name for file in server._core.files.values()]


def link_of(client):
    return client._line._loop._links["files"]


def sending(client):
    """The call whose message is open, once all that was made of it is written."""

    def look():
        link = client._line._loop._links.get("files")
        call = link and link._sending
        return call and call.pieces._is_begun and not link.transport.wants_to_write and call

    eventually(look)
    return link_of(client)._sending


def open_upload(client, **limits):
    """An upload that is in the middle, and the file that it comes from."""
    source = Steps(BIG)
    worker = Worker(lambda: client.prepare_image(source, "big.png", **limits))
    source.allow(20)
    sending(client)
    return worker, source


@pytest.fixture
def stalled(server, client):
    """Starts an upload, and returns when the server, which has stopped reading, takes no more."""
    client.prepare_image(SMALL)
    (connection,) = (c for c in server.connections if c.path == "/files")
    connection.pause()

    def start(**limits):
        worker = Worker(lambda: client.prepare_image(BIG, "big.png", **limits))

        def look():
            link = link_of(client)
            frames = link._sending and link._sending.pieces._frames
            return link.transport.wants_to_write and len(getattr(frames, "_made", ())) == 8

        eventually(look)
        return worker

    start.connection = connection
    yield start
    if connection.open:
        connection.resume()


def assert_usable(server, client, connections=1):
    """The next upload works, and nothing of the one that was stopped is there."""
    client.prepare_image(b"the next one", "next.txt")
    assert names(server)[-1] == "next.txt"
    assert "big.png" not in names(server)
    assert len([c for c in server.connections if c.path == "/files"]) == connections


# -- what arrives -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "size", [1, 2, 3, PIECE - 1, PIECE, PIECE + 1, 8 * PIECE, 8 * PIECE + 1, 3_000_000]
)
def test_a_file_of_any_size_arrives_as_it_is(server, client, tmp_path, size):
    data = os.urandom(size)
    path = tmp_path / "data.bin"
    path.write_bytes(data)

    for source in (path, data):
        assert client.prepare_image(source, str(type(source))).size_bytes == size
        assert contents(server)[-1] == data


def test_what_is_sent_is_one_call_with_nothing_else_in_it(server, client):
    client.prepare_image(SMALL, "a.png")

    (message,) = server.received(path="/files")
    assert message == {
        "type": "rpcCall",
        "endpoint": "uploadFileBase64",
        "callId": message["callId"],
        "parameter": {"name": "a.png", "contentBase64": base64.b64encode(SMALL).decode()},
    }


def test_uploads_of_several_threads_take_turns(server, client):
    files = [os.urandom(400_000 + number) for number in range(6)]
    barrier = threading.Barrier(len(files))

    def upload(data):
        barrier.wait(10)
        return client.prepare_image(data).size_bytes

    workers = [Worker(upload, data) for data in files]

    assert [worker.result() for worker in workers] == [len(data) for data in files]
    assert sorted(contents(server)) == sorted(files)
    assert not server.connections[0].malformed
    assert len(server.connections) == 1


def test_the_second_upload_begins_when_the_first_has_ended(server, client):
    first, source = open_upload(client)
    second = Worker(client.prepare_image, b"second", "second.txt")
    eventually(lambda: link_of(client)._waiting)

    source.finish()

    assert first.result().name == "big.png"
    assert second.result().name == "second.txt"
    assert names(server) == ["big.png", "second.txt"]


class Peer:
    """A server that keeps nothing of an upload but the sizes of its frames."""

    def __init__(self):
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.host = f"127.0.0.1:{self._listener.getsockname()[1]}"
        self.frames = []  # FIN, opcode and size
        self.content = hashlib.sha256()
        self._worker = Worker(self._serve)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._listener.close()
        self._worker.join(10)

    def _serve(self):
        sock, _ = self._listener.accept()
        with sock:
            sock.settimeout(10)
            request = b""
            while not request.endswith(b"\r\n\r\n"):
                request += sock.recv(4096)
            (key,) = (
                line.partition(b": ")[2]
                for line in request.split(b"\r\n")
                if line.lower().startswith(b"sec-websocket-key")
            )
            digest = hashlib.sha1(key + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest()
            accept = base64.b64encode(digest).decode()
            sock.sendall(
                "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
                f"Connection: Upgrade\r\nSec-WebSocket-Accept: {accept}\r\n\r\n".encode()
            )
            reader = frame_buffer(sock.recv, True)
            reader.recv_frame()  # the authentication
            self._send(sock, '{"success": true}')
            head = reader.recv_frame()
            self._note(head)
            call_id = int(head.data.partition(b'"callId":')[2].partition(b",")[0])
            while not (frame := reader.recv_frame()).fin:
                self._note(frame)
                self.content.update(base64.b64decode(frame.data))
            self._note(frame)
            result = '{"identifier": "i", "fileType": "image", "sizeBytes": 1}'
            text = '{"type": "rpcResult", "callId": %d, "result": %s}'
            self._send(sock, text % (call_id, result))
            assert reader.recv_frame().opcode == ABNF.OPCODE_CLOSE

    def _note(self, frame):
        self.frames.append((frame.fin, frame.opcode, len(frame.data)))

    def _send(self, sock, text):
        sock.sendall(ABNF(1, 0, 0, 0, ABNF.OPCODE_TEXT, 0, text.encode()).format())


def test_a_file_is_sent_in_small_frames_and_little_of_it_is_held(tmp_path, monkeypatch):
    path = tmp_path / "big.png"
    path.write_bytes(BIG)
    queued = []
    make = _upload._Frames.make

    def noting(frames):
        make(frames)
        queued.append(len(frames._made))

    monkeypatch.setattr(_upload._Frames, "make", noting)
    with Peer() as peer, contextlib.closing(lms.Client(peer.host)) as client:
        tracemalloc.start()
        try:
            client.prepare_image(path)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()

    count = -(-len(BIG) // PIECE) + 2
    assert [fin for fin, _, _ in peer.frames] == [0] * (count - 1) + [1]
    opcodes = [ABNF.OPCODE_TEXT] + [ABNF.OPCODE_CONT] * (count - 1)
    assert [opcode for _, opcode, _ in peer.frames] == opcodes
    assert max(size for _, _, size in peer.frames) <= FRAME_BYTES
    assert peer.content.digest() == hashlib.sha256(BIG).digest()
    assert max(queued) <= 8
    assert peak < 4_000_000  # for 12 MiB; this server's frames are among it


def test_uploads_pass_over_tls_and_can_be_stopped_there(server):
    url = "https://localhost:{}"
    with (
        TlsProxy(server.host) as proxy,
        lms.Client(url.format(proxy.port), ssl_context=trusting_context()) as client,
    ):
        workers = [Worker(client.prepare_image, BIG[number:]) for number in range(3)]
        assert [worker.result(30).size_bytes for worker in workers] == [
            len(BIG) - number for number in range(3)
        ]
        token = lms.CancelToken()
        upload, source = open_upload(client, cancel_event=token)
        token.cancel()
        source.allow(1)
        assert isinstance(upload.error(), lms.LMStudioCancelledError)
        assert_usable(server, client)
    assert sorted(map(len, contents(server)))[1:] == [len(BIG) - 2, len(BIG) - 1, len(BIG)]


# -- what goes on meanwhile -------------------------------------------------------------------


def test_predictions_go_on_and_are_cancelled_while_a_file_is_sent(server, client, model):
    upload, source = open_upload(client)
    server.hold("predict")
    stream = model.respond_stream("hi")
    iterator = iter(stream)
    call = server.expect("predict")
    call.fragment("a")
    assert next(iterator).content == "a"

    stream.cancel("enough")
    call.expect_cancel()
    call.success("userStopped")

    assert stream.result().acknowledged
    assert model.count_tokens("a b") == 2
    assert upload.is_alive()  # all that happened in the middle of it
    source.finish()
    assert upload.result().size_bytes == len(BIG)
    assert contents(server) == [BIG]


def test_predictions_go_on_while_a_server_takes_nothing_of_a_file(server, model, stalled):
    upload = stalled()
    server.hold("predict")
    stream = model.respond_stream("hi")
    stream.start()
    call = server.expect("predict")

    stream.cancel()
    call.expect_cancel()
    call.success("userStopped")

    assert stream.result().acknowledged
    stalled.connection.resume()
    assert upload.result().size_bytes == len(BIG)


# -- how it is stopped ------------------------------------------------------------------------


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

        object.__setattr__(client._line._loop.connector, "find_address", slow_find)
        token = lms.CancelToken()
        worker = Worker(lambda: client.prepare_image(BIG, "big.png", cancel_event=token))
        assert in_lookup.wait(10)

        token.cancel()

        assert isinstance(worker.error(), lms.LMStudioCancelledError)
        go_on.set()
        assert_usable(server, client)
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
    assert_usable(server, client)
    assert len(stalled.connection.malformed) == 1  # its beginning, which is no JSON


@pytest.mark.parametrize("way", WAYS)
def test_an_upload_is_stopped_though_its_file_gives_nothing(server, client, way):
    limits, stop = way(client)
    upload, source = open_upload(client, **limits)

    stop()

    assert_usable(server, client)  # the connection is free at once
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
    assert_usable(server, client)


def test_a_cancel_after_the_end_does_nothing(server, client):
    token = lms.CancelToken()
    client.prepare_image(SMALL, cancel_event=token)

    token.cancel()

    assert_usable(server, client)


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
    assert_usable(server, client)


def test_a_server_that_takes_a_file_is_not_silent(server, client):
    first, source = open_upload(client)
    second = Worker(client.prepare_image, SMALL)
    eventually(lambda: link_of(client)._waiting)
    sent, (waiting, _) = sending(client), link_of(client)._waiting[0]
    before = sent.heard, waiting.heard

    source.allow(1)

    eventually(lambda: sent.heard > before[0] and waiting.heard > before[1])
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


@posix
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
wait_until(lambda: sum(call.sent for call in list(client._line._loop.open.values())) >= 2)
""",
    )

    assert not contents(server)


# -- how it fails -----------------------------------------------------------------------------


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, ZeroDivisionError])
def test_an_exception_in_the_middle_of_reading_leaves_the_client_usable(server, client, error):
    class Failing(io.BytesIO):
        def read(self, count=-1):
            if self.tell() > len(BIG) // 2:
                raise error
            return super().read(count)

    with pytest.raises(error):
        client.prepare_image(Failing(BIG), "big.png")

    assert_usable(server, client)


@pytest.mark.parametrize("before", ["make", "queue", "tell"])
def test_ctrl_c_at_any_step_of_making_a_frame_leaves_the_client_usable(
    server, client, monkeypatch, before
):
    made = []
    make = _upload._Frames.make

    def interrupted(frames):
        made.append(1)
        if len(made) < 10:
            make(frames)
        elif before == "make":
            raise KeyboardInterrupt
        else:
            frame = next(frames._frames)
            if before == "tell":
                frames._made.append(frame)
            raise KeyboardInterrupt

    monkeypatch.setattr(_upload._Frames, "make", interrupted)
    with pytest.raises(KeyboardInterrupt):
        client.prepare_image(BIG, "big.png")

    monkeypatch.undo()
    assert_usable(server, client)


@pytest.mark.parametrize(("size", "words"), [(100, "fewer"), (len(BIG) + 1, "more")])
def test_a_file_that_changes_while_it_is_sent_is_a_clear_error(
    server, client, stalled, tmp_path, monkeypatch, size, words
):
    path = tmp_path / "big.png"
    path.write_bytes(BIG)
    upload = Worker(client.prepare_image, path)
    eventually(lambda: link_of(client).transport.wants_to_write)

    os.truncate(path, size)
    stalled.connection.resume()

    with pytest.raises(lms.LMStudioOSError, match=rf"changed.*12,582,912 bytes.*{words} now"):
        raise upload.error()
    assert_usable(server, client)


def test_a_connection_that_is_lost_in_the_middle_fails_the_upload(server, client, stalled):
    upload = stalled()
    waiting = Worker(client.prepare_image, b"second", "second.txt")
    eventually(lambda: link_of(client)._waiting)

    stalled.connection.drop()

    assert isinstance(upload.error(), lms.LMStudioConnectionLostError)
    assert waiting.result().name == "second.txt"  # none of it was sent, so it is sent now
    assert_usable(server, client, connections=2)


def test_a_server_that_closes_in_the_middle_tells_its_code(server, client):
    upload, source = open_upload(client)
    server.connections[-1].close(1009)  # as one that finds a message too big
    eventually(lambda: link_of(client).transport is None)
    source.allow(1)

    error = upload.error()

    assert isinstance(error, lms.LMStudioConnectionLostError)
    assert error.close_code == 1009
    assert_usable(server, client, connections=2)


@pytest.mark.parametrize(
    "answer",
    [
        '{"type": "rpcError", "callId": %d, "error": {"title": "the disk is full"}}',
        '{"type": "communicationWarning", "kind": "rpcEndpointUnknown", "warning": "Received '
        'rpcCall for unknown endpoint, endpoint = uploadFileBase64, the disk is full, %d"}',
    ],
    ids=["error", "warning"],
)
def test_a_server_that_refuses_in_the_middle_is_heard(server, client, answer):
    upload, source = open_upload(client)
    call = sending(client)

    server.connections[-1].send_text(answer % call.id)

    assert_usable(server, client)  # the rest was not sent, and the connection is free
    source.allow(1)
    error = upload.error()
    assert isinstance(error, lms.LMStudioServerError)
    assert "the disk is full" in str(error)


# -- other big messages -----------------------------------------------------------------------


def big_chat():
    chat = lms.Chat("You are brief.")
    chat.add_user_message("long " * 2_000_000)
    return chat


def pause(server, path):
    (connection,) = (c for c in server.connections if c.path == path)
    connection.pause()
    return connection


def test_a_long_chat_arrives_whole(server, model):
    server.reply("short")

    assert model.respond(big_chat()).content == "short"

    (request,) = server.received(endpoint="predict")
    (_, message) = request["creationParameter"]["history"]["messages"]
    assert message["content"][0]["text"] == "long " * 2_000_000


def test_a_long_chat_that_is_cancelled_while_it_is_sent_was_never_asked(server, client, model):
    connection = pause(server, "/llm")
    stream = model.respond_stream(big_chat())
    stream.start()
    link = client._line._loop._links["llm"]
    eventually(lambda: link.transport.wants_to_write)

    assert stream.cancel("too long")

    result = stream.result()  # at once: nothing will come that it could wait for
    assert (result.cancelled, result.acknowledged, result.content) == (True, False, "")
    connection.resume()
    assert model.count_tokens("a b") == 2
    assert not server.predictions
    assert not server.received(type="channelSend")
    assert len(connection.malformed) == 1


def test_a_cancel_beside_a_long_chat_comes_right_after_it(server, client, model):
    server.hold("predict")
    first = model.respond_stream("hi")
    first.start()
    call = server.expect("predict")
    connection = pause(server, "/llm")
    second = Worker(model.respond, big_chat())
    link = client._line._loop._links["llm"]
    eventually(lambda: link.transport.wants_to_write)

    first.cancel()
    third = Worker(model.count_tokens, "a b")
    eventually(lambda: link._waiting)
    connection.resume()

    call.expect_cancel()
    call.success("userStopped")
    server.expect("predict").success()
    assert first.result().acknowledged
    assert second.result()
    assert third.result() == 2
    kinds = [(message["type"], message.get("endpoint")) for message in connection.messages]
    assert kinds[-3:] == [
        ("channelCreate", "predict"),
        ("channelSend", None),
        ("rpcCall", "countTokens"),
    ]
