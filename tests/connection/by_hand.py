"""A client's I/O thread that is run by hand, by a clock that goes on when nothing happens."""

import functools
import json
import socket

from robustness.hostile import text_frame
from websocket import ABNF

from lmstudio._connection import call, connection_state, dispatcher, port, reactor
from lmstudio._connection.call import Call, Outcome
from lmstudio._connection.connect import Connected
from lmstudio._connection.connection_state import StateSubscription
from lmstudio._connection.dispatcher import Dispatcher
from lmstudio._connection.endpoints import rpc
from lmstudio._connection.frames import FrameReader
from lmstudio.errors import LMStudioWebsocketError

MODULES = (call, connection_state, dispatcher, port, reactor)


class Peer:
    """The server's end of a websocket: it reads whole messages, and answers pings."""

    def __init__(self, sock):
        self.sock = sock
        self.sock.setblocking(False)
        self.messages = []
        self.pings = 0
        self.answers_pings = True

    def read(self):
        data = b""
        try:
            while more := self.sock.recv(1 << 16):
                data += more
        except OSError:
            pass
        while data:
            first, length, start = data[0], data[1] & 0x7F, 2
            if length == 126:
                length, start = int.from_bytes(data[2:4], "big"), 4
            mask = data[start : start + 4]
            payload = bytes(
                byte ^ mask[at % 4] for at, byte in enumerate(data[start + 4 : start + 4 + length])
            )
            data = data[start + 4 + length :]
            if first & 0x0F == ABNF.OPCODE_PING:
                self.pings += 1
                if self.answers_pings:
                    self.sock.sendall(bytes([0x80 | ABNF.OPCODE_PONG, 0]))
            elif first & 0x0F == ABNF.OPCODE_TEXT:
                self.messages.append(json.loads(payload))

    def created(self):
        """The numbers of the channels ``alive``."""
        self.read()
        assert all("creationParameter" not in message for message in self.messages)
        return [m["channelId"] for m in self.messages if m.get("endpoint") == "alive"]

    def send(self, **message):
        self.sock.sendall(text_frame(message))


class ByHand:
    """A dispatcher without its thread. It stands for the connector, too."""

    timeout = None

    def __init__(self, monkeypatch):
        self.now = 1000.0
        for module in MODULES:
            monkeypatch.setattr(module, "monotonic", lambda: self.now)
        self.attempts = []  # path, when, what is to be called
        self.peers = []
        self.turns = 0
        self.dispatcher = Dispatcher(self)
        self.reactor = self.dispatcher.reactor
        self.reactor._open_waker()
        self.reactor.start = lambda: None
        select = self.reactor.selector.select

        def wait(seconds):
            for peer in self.peers:
                peer.read()
            ready = select(0)
            if not ready:
                self.now += seconds
            return ready

        monkeypatch.setattr(self.reactor.selector, "select", wait)

    def close(self):
        self.dispatcher.finish(None)
        self.reactor._close_waker()
        for peer in self.peers:
            peer.sock.close()

    @property
    def state(self):
        return self.dispatcher.state

    def start(self, path, attempt, done):
        """An attempt begins: the test says how it ends."""
        self.attempts.append((path, self.now, done))

    def connect(self):
        """Let the last attempt succeed; return the server's end."""
        ours, theirs = socket.socketpair()
        self.peers.append(Peer(theirs))
        self.attempts[-1][2](Connected(ours, FrameReader(1 << 16)))
        self.reactor.run_commands()
        return self.peers[-1]

    def refuse(self):
        """Let the last attempt fail."""
        self.attempts[-1][2](LMStudioWebsocketError("nobody is there"))
        self.reactor.run_commands()

    def lose(self, peer):
        """The server's end goes away."""
        peer.sock.close()
        self.peers.remove(peer)
        self.look()

    def look(self):
        """Do what there is to do now."""
        now = self.now
        while self.now == now:
            self.turn()
        self.now = now

    def turn(self):
        self.reactor._run_once()
        self.turns += 1

    def run_until(self, condition, seconds=7200.0):
        end = self.now + seconds
        while not condition():
            assert self.now < end, "it never came"
            self.turn()

    def run(self, seconds):
        """Let so many seconds pass."""
        over = []
        self.reactor.at(self.now + seconds, over.append)
        self.run_until(lambda: over)

    def next_try(self):
        """Let time pass until one more connection is tried."""
        count = len(self.attempts)
        self.run_until(lambda: len(self.attempts) > count)

    def listen(self):
        line = StateSubscription(self.dispatcher)
        line.open()
        self.reactor.run_commands()
        return line

    def leave(self, line):
        line.close()
        self.reactor.run_commands()

    def call(self, path="llm", endpoint="listLoaded"):
        """A call that waits for its answer."""
        call = Call(self.dispatcher, rpc(path, endpoint))
        self.dispatcher.open[call.id] = call
        self.reactor.post(self.dispatcher.begin, call, call.text())
        self.reactor.run_commands()
        return call

    def finish(self, call):
        self.reactor.post(functools.partial(self.dispatcher.end, call, Outcome("answered")))
        self.reactor.run_commands()


def told(line):
    """What a line has brought since the last time."""
    return [line.inbox.get_nowait() for _ in range(line.inbox.qsize())]
