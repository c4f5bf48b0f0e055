"""Files to upload, and how an upload comes to a known point."""

import io
import os
import threading

from helpers import Worker, eventually, let_in

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
    return client._session.dispatcher._ports["files"]


def sending(client):
    """The call whose message is open, once all that was made of it is written."""

    def look():
        link = client._session.dispatcher._ports.get("files")
        call = link and link._sending
        return call and call.message._is_begun and not link.transport.wants_to_write and call

    eventually(look)
    return link_of(client)._sending


def open_upload(client, **limits):
    """An upload that is in the middle, and the file that it comes from."""
    source = Steps(BIG)
    worker = Worker(lambda: client.prepare_image(source, "big.png", **limits))
    source.allow(20)
    sending(client)
    return worker, source


def assert_uploads_again(server, client, connections=1):
    """The next upload works, and nothing of the one that was stopped is there."""
    client.prepare_image(b"the next one", "next.txt")
    assert names(server)[-1] == "next.txt"
    assert "big.png" not in names(server)
    assert len(let_in(server, "/files")) == connections
