"""What the tests of web frameworks share: a server of theirs, and a client of it that goes."""

import socket
import time
from urllib.parse import quote

from apps.running import LIMIT, STORY, assert_stopped_once, end

QUESTION = "/reply?question=" + quote("Tell me a long story.")


def wait_until_it_listens(process, port):
    """Wait until a server of a process takes connections."""
    deadline = time.monotonic() + LIMIT
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=LIMIT).close()
            return
        except ConnectionRefusedError:
            assert process.poll() is None, process.stderr.read()
            assert time.monotonic() < deadline, "nobody listens"
            time.sleep(0.02)  # nothing to wait for but the port itself


def ask(port, path=QUESTION):
    """Ask for a reply; gives the socket that it comes by. Closing it is what a browser does."""
    connection = socket.create_connection(("127.0.0.1", port), timeout=LIMIT)
    request = f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    connection.sendall(request.encode())
    return connection


def assert_no_browser_runs_it(server, port):
    """A script that the model writes is text for a browser, not part of a page."""
    server.reply(["<script>alert(1)</script>"])
    with ask(port) as connection, connection.makefile("rb") as answer:
        head, _, text = answer.read().lower().partition(b"\r\n\r\n")
    assert b"\r\ncontent-type: text/plain" in head, head
    assert b"<script>" in text


def read_words(connection, count=20):
    """Read until so many words of the story have come."""
    text = b""
    while text.count(b"word") < count:
        piece = connection.recv(4096)
        assert piece, text
        text += piece


def assert_a_browser_that_goes_stops_it(server, process, port, prefill):
    """A browser goes while the prompt is processed (`prefill`), or in the middle of the reply."""
    server.reply(STORY, delay=0.002, prefill=prefill)
    with ask(port) as connection:
        if prefill:
            server.wait_prediction(timeout=LIMIT).wait_phase("prefill")
        else:
            read_words(connection)
    prediction = assert_stopped_once(server)
    assert not prefill or prediction.cancelled_after == 0
    assert "Traceback" not in end(process)
