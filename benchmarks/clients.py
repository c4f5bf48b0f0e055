"""The clients that are measured, as the child processes use them: streams, and the floor."""

import json
import resource
import socket
import sys
import threading
from time import perf_counter, process_time, sleep


def model(host):
    """A model of the package called lmstudio that Python finds: this one, or the official one."""
    import lmstudio

    client = lmstudio.Client(host)
    handle = client.llm.model()
    handle.client = client  # keeps it alive
    return handle


def go(host):
    """Release the streams that the server holds."""
    ask(host, "/bench/go")


def wait_until_open(host, count):
    """Wait until the server has so many predictions."""
    while last(host)["open"] < count:
        sleep(0.005)


def last(host):
    """What the server knows of the last prediction."""
    return ask(host, "/bench/last")


def ask(host, path):
    """Ask the server over HTTP, at less cost than with a library."""
    name, _, port = host.partition(":")
    with socket.create_connection((name, int(port)), timeout=10) as sock:
        sock.sendall(f"GET {path} HTTP/1.1\r\n\r\n".encode())
        with sock.makefile("rb") as answer:
            return json.loads(answer.read().partition(b"\r\n\r\n")[2])


def memory(which="VmRSS"):
    """Bytes that this process has, or with ``VmHWM`` the most that it had.

    `getrusage` is for systems without /proc only: on Linux it starts with the parent's figure.
    """
    try:
        with open("/proc/self/status") as file:
            return next(int(line.split()[1]) * 1024 for line in file if line.startswith(which))
    except OSError:
        scale = 1 if sys.platform == "darwin" else 1024
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * scale


class Clock:
    """CPU time of this process and wall time, from now on."""

    def __init__(self):
        self._start = process_time(), perf_counter()

    def per(self, count):
        """Microseconds for each of so many."""
        cpu, wall = process_time() - self._start[0], perf_counter() - self._start[1]
        return {"cpu": cpu / count * 1e6, "wall": wall / count * 1e6, "rate": count / wall}


class Computing:
    """A thread that computes in pure Python and never waits, while this is entered."""

    def __enter__(self):
        self._goes_on = True
        self._thread = threading.Thread(target=self._compute, daemon=True)
        self._thread.start()

    def _compute(self):
        number = 0
        while self._goes_on:
            number = (number * 31 + 7) % 1_000_003

    def __exit__(self, *_):
        self._goes_on = False
        self._thread.join()


class Floor:
    """One thread, `recv()` of websocket-client and `json.loads` in a loop, nothing else."""

    def __init__(self, host, namespace="llm"):
        import websocket

        self._socket = websocket.create_connection(
            f"ws://{host}/{namespace}", suppress_origin=True, skip_utf8_validation=True
        )
        self.ask({"authVersion": 1})
        self._id = 0

    def ask(self, message):
        """Send, and return the next message."""
        self._socket.send(json.dumps(message))
        return json.loads(self._socket.recv())

    def call(self, endpoint, **parameter):
        """Call a procedure."""
        self._id += 1
        message = {"type": "rpcCall", "endpoint": endpoint, "callId": self._id}
        return self.ask({**message, "parameter": parameter})["result"]

    def predict(self, prompt):
        """Start a prediction; yields what comes before its end."""
        self._id += 1
        message = {"type": "channelCreate", "endpoint": "predict", "channelId": self._id}
        self._socket.send(json.dumps({**message, "creationParameter": prompt}))
        recv, loads = self._socket.recv, json.loads
        while (packet := loads(recv())["message"])["type"] != "success":
            yield packet
        recv()  # channelClose


def discard(host, prompt, total):
    """Read a prediction and look at nothing: what the server can do alone."""
    name, _, port = host.partition(":")
    with socket.create_connection((name, int(port))) as sock:
        handshake = "Upgrade: websocket\r\nSec-WebSocket-Key: eA==\r\n\r\n"
        sock.sendall(f"GET /llm HTTP/1.1\r\n{handshake}".encode())
        sock.recv(1000)
        create = {"type": "channelCreate", "endpoint": "predict", "channelId": 1}
        text = json.dumps({**create, "creationParameter": prompt}).encode()
        assert len(text) > 125
        sock.sendall(bytes([0x81, 0x80 | 126]) + len(text).to_bytes(2, "big") + bytes(4) + text)
        buffer = memoryview(bytearray(256 * 1024))
        clock, end = Clock(), b""
        while b"channelClose" not in end:
            count = sock.recv_into(buffer)
            end = bytes(buffer[max(0, count - 200) : count])
        return clock.per(total)
