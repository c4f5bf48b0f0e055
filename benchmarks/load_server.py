"""A server that is never the limit: one thread, and everything it says is encoded beforehand.

Runs in its own process; its first line of output is the port. It speaks LM Studio's protocol, and
streams like OpenAI's and Ollama's over HTTP. A prompt says what is wanted:

- ``bench:burst:N``: N fragments, as fast as the socket takes them.
- ``bench:held:N``: the same, once ``GET /bench/go`` came; streams that wait take turns.
- ``bench:drip:N``: one fragment every 5 ms, N at most.
- ``bench:open:N``: N fragments (0: a bit of prompt processing), and nothing more.
- ``bench:slot:MS``: one fragment and the end, after MS milliseconds in a slot.
  ``GET /bench/slots/N`` says how many there are; others wait for one. The answer tells how many
  were busy on the average, from the first beginning since the time before to the last one.
- ``bench:deaf:0``: from now on nothing more is read from this connection.

A cancel ends each of them at once. ``GET /bench/last`` tells of the last prediction, how many are
open, and how many of a connection were at most since the last time that somebody asked.
"""

import json
import re
import selectors
import socket
import time

from load_connection import Connection
from load_slots import Slots

_DRIP = 0.005  # seconds


class Server:
    """All connections, in one thread."""

    def __init__(self):
        self.selector = selectors.DefaultSelector()
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=100)
        self.selector.register(self.listener, selectors.EVENT_READ, None)
        self.buffer = memoryview(bytearray(256 * 1024))
        self.connections = set()
        self.dripping = {}
        self.slots = Slots()
        self.last = None
        self.most = 0  # predictions of a connection that were open at once

    def run(self):
        print(self.listener.getsockname()[1], flush=True)
        next_drip = 0.0
        while True:
            timeout = max(0.0, next_drip - time.monotonic()) if self.dripping else None
            if self.slots.serving:
                timeout = self.slots.rest()
            for key, events in self.selector.select(timeout):
                if key.data is None:
                    self.accept()
                    continue
                if events & selectors.EVENT_WRITE:
                    key.data.write()
                if events & selectors.EVENT_READ and key.data in self.connections:
                    key.data.read()
            if self.dripping and time.monotonic() >= next_drip:
                next_drip = max(next_drip + _DRIP, time.monotonic())
                self.drip()
            self.slots.look()

    def accept(self):
        sock, _ = self.listener.accept()
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection = Connection(self, sock)
        self.connections.add(connection)
        self.selector.register(sock, selectors.EVENT_READ, connection)

    def drop(self, connection):
        if connection in self.connections:
            self.connections.remove(connection)
            for key in [key for key in self.dripping if key[0] is connection]:
                del self.dripping[key]
            self.selector.unregister(connection.sock)
            connection.sock.close()

    def drip(self):
        dripping = list(self.dripping.items())
        for (connection, _), prediction in dripping:
            connection.out.append(prediction.frame)
            prediction.sent += 1
            prediction.left -= 1
            if not prediction.left:
                connection.finish(prediction, "eosFound")
        for connection in {key[0] for key, _ in dripping}:
            connection.write()

    def command(self, request):
        if b"/bench/go" in request:
            for connection in list(self.connections):
                connection.release()
        if match := re.search(rb"/bench/slots/(\d+)", request):
            return json.dumps(self.slots.begin_anew(int(match[1]))).encode()
        open_ones = sum(len(connection.predictions) for connection in self.connections)
        known = {"open": open_ones, "most": self.most}
        self.most = 0
        if self.last is not None:
            known |= {"sent": self.last.sent, "is_over": self.last.is_over}
        return json.dumps(known).encode()


if __name__ == "__main__":
    Server().run()
