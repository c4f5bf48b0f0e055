"""Uploads in pieces: what arrives, and what goes on meanwhile."""

import base64
import contextlib
import hashlib
import os
import socket
import threading
import tracemalloc

import pytest
from handles.uploading import (
    BIG,
    SMALL,
    assert_uploads_again,
    contents,
    link_of,
    names,
    open_upload,
)
from helpers import Worker, eventually
from tls_proxy import TlsProxy, trusting_context
from websocket import ABNF
from websocket._abnf import frame_buffer

import lmstudio as lms
from lmstudio._connection.frames import FRAME_BYTES
from lmstudio._requests.uploads import Upload

PIECE = 96 * 1024  # bytes of a file that become one frame


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
    make = Upload.make

    def noting(frames):
        make(frames)
        queued.append(len(frames._made))

    monkeypatch.setattr(Upload, "make", noting)
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
        assert_uploads_again(server, client)
    assert sorted(map(len, contents(server)))[1:] == [len(BIG) - 2, len(BIG) - 1, len(BIG)]


# -- what goes on meanwhile -------------------------------------------------------------------


def test_predictions_go_on_and_are_cancelled_while_a_file_is_sent(server, client, model):
    upload, source = open_upload(client)
    server.hold("predict")
    stream = model.respond_stream("hi")
    stream.start()
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
