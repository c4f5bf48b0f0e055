"""What each cell of the fault matrix has: a server, a client, and a call that is under way."""

import contextlib
import json
import re
import select
import socket
import threading
from time import monotonic

import attrs
from helpers import Worker, eventually, in_io_thread, server_again
from tls_proxy import TlsProxy, trusting_context

import lmstudio as lms
from lmstudio.testing import Server

LIMIT = 10.0  # seconds that anything may take at most
LONG = 12_000_000  # bytes, more than the sockets' buffers hold
WORDS = {
    lms.LMStudioConnectionLostError: "lost",
    lms.LMStudioTimeoutError: "timed out",
    lms.LMStudioProtocolError: "garbage",
    lms.LMStudioChannelClosedError: "closed",
    lms.LMStudioServerError: "refused",
    lms.LMStudioWebsocketError: "not let in",
}


class Bench:
    """A server and a client, perhaps with TLS between them."""

    def __init__(self, is_tls=False):
        self._stack = contextlib.ExitStack()
        self.server = Server()
        self._servers = [self.server]
        options = {"cancel_grace": 0.05}
        if is_tls:
            proxy = self._stack.enter_context(TlsProxy(self.server.host))
            host, options["ssl_context"] = f"https://localhost:{proxy.port}", trusting_context()
        else:
            host = self.server.host
        self.client = lms.Client(host, **options)
        self.model = lms.LLM("test-llm", self.client.llm)
        self.dispatcher = self.client._session.dispatcher

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        self.client.close()
        for server in self._servers:
            if kind is None:
                for prediction in server.predictions:
                    prediction.wait_finished(LIMIT)
            server.close()
        self._stack.close()

    def restart(self):
        """End the server, and start another one on its port."""
        self.server.close()
        error = Worker(self.model.count_tokens, "a").error(LIMIT)
        assert isinstance(error, lms.LMStudioWebsocketError)
        self.server = server_again(self.server.port)
        self._servers.append(self.server)

    def let_in(self, auth):
        """Say what the server does from now on with those who want to come in."""
        door = self.server._listener._door
        door._options = attrs.evolve(door._options, auth=auth)
        door.__dict__.pop("let_in", None)

    def connect_within(self, seconds):
        """Say how long the client's attempts to connect may take from now on."""
        object.__setattr__(self.client._session._connector, "timeout", seconds)  # it is frozen

    def answer_auth(self, data):
        """Have the server answer every authentication from now on with some bytes."""

        async def let_in(connection):
            await connection.read()
            connection.send_raw(data)
            while await connection.read() is not None:
                pass
            return False

        self.server._listener._door.let_in = let_in

    def connections(self, path):
        return [c for c in self.server.connections if c.path == path]

    def link(self, path):
        return self.dispatcher._ports[path[1:]]

    def in_loop(self, function):
        """Have the client's I/O thread do something."""
        in_io_thread(self.client, function)

    def a_minute_passes(self, call):
        """Forged: it was a minute ago that the server was heard about a call."""

        def pass_by():
            call.sent -= 60.0
            call.heard -= 60.0
            self.dispatcher._heard_models.forget()
            self.dispatcher.reactor.sweep_at = 0.0  # look at once

        self.in_loop(pass_by)

    def fill(self, path):
        """Let a message be under way that is too long for a server that takes nothing."""
        if path == "/repository":
            worker = Worker(self.client.repository.search_models, "x" * LONG)
        else:
            worker = Worker(self.model.respond, "x" * LONG)
        self.wait_stuck(path)
        return worker

    def wait_stuck(self, path):
        """Return when the socket takes no more, not even a byte."""
        taken = []

        def look():
            transport = self.link(path).transport
            if transport.wants_to_write and transport._messages:
                self.in_loop(lambda: taken.append(transport.flush()))
            return taken[-3:] == [False] * 3

        eventually(look)

    def others_go_on(self, path="/llm"):
        """Make further calls, on the same connection too."""
        assert self.model.count_tokens("a b") == 2
        if path == "/repository":
            assert self.client.repository.search_models("tiny")

    def assert_over(self):
        """Nothing is left of the calls that have ended."""
        eventually(lambda: not self.dispatcher.open)
        links = self.dispatcher._ports.values()
        eventually(lambda: not any(link._waiting or link._sending for link in links))
        assert not any(link.protocol.calls for link in links)
        assert not self.client._session.scopes

    def assert_usable(self, scene):
        """Everything works again."""
        self.server.release(scene.endpoint)
        self.server.release("predict")
        self.others_go_on(scene.path)
        self.server.reply("Fine.")
        assert self.model.respond("again").content == "Fine."
        if scene.path == "/files":
            assert self.client.prepare_image(b"next", "next.txt").name == "next.txt"


class Scene:
    """A call that is under way. Subclasses say which, and how far it has come."""

    path = "/llm"
    endpoint = "predict"
    is_channel = True
    is_running = True  # the server owes an answer
    can_be_slow = True  # there is something to read
    partial: "str | None" = None  # what an error has of the prediction
    stop_reason = "eosFound"
    warning = "channelEndpointUnknown"  # the kind that says that no answer will come

    def __init__(self, bench):
        self.bench = bench
        self.token = lms.CancelToken()
        self.gate = threading.Event()  # as long as it is not set, the callbacks are slow
        self.gate.set()
        self.reports = []
        self._seen = threading.Event()

    # -- for subclasses -----------------------------------------------------------------------

    def run(self):
        """What the user calls."""
        raise NotImplementedError

    def advance(self):
        """Bring the call to where it is to be."""
        self.call.progress(0.0001)
        self.wait_seen()

    def packet(self, number):
        """One of the many packets that a slow reader gets."""
        raise NotImplementedError

    def check(self, value):
        """What the call returned after the right answer."""
        raise NotImplementedError

    def note(self, *report):
        """A callback of the call."""
        self.reports.append(report)
        self._seen.set()
        assert self.gate.wait(LIMIT)

    # -- for faults ---------------------------------------------------------------------------

    def begin(self):
        """Start the call, and return when it has come so far."""
        self.bench.server.hold(self.endpoint)
        self.worker = Worker(self.run)
        self.call = self.bench.server.expect(self.endpoint, LIMIT)
        self.connection, self.id = self.call.connection, self.call.id
        self.advance()

    def wait_seen(self):
        assert self._seen.wait(LIMIT)

    @property
    def link(self):
        return self.bench.link(self.path)

    @property
    def pending(self):
        """The call as the client has it."""
        return self.bench.dispatcher.open[self.id]

    def send(self, **message):
        self.connection.send_text(json.dumps(message))

    def late(self):
        """A message that tells of the call."""
        if self.is_channel:
            packet = {"type": "fragment", "fragment": {"content": "late"}}
            return {"type": "channelSend", "channelId": self.id, "message": packet}
        return {"type": "rpcResult", "callId": self.id, "result": {"tokenCount": 7}}

    def wait_read(self):
        """Return when the client has read what was sent."""
        sock = self.link.transport.socket
        eventually(lambda: not select.select([sock], [], [], 0)[0])
        self.bench.in_loop(lambda: None)

    def wait_silent(self):
        """Return when the server has got all, and owes the answer."""

    def answer(self, twice=False):
        """Send the right answer; then perhaps another one, in the same piece."""

        def send():
            if twice:
                packet = self.call._success_packet(self.stop_reason, {})
                self.call._channel.send(packet)
            self.call.success("contextLengthReached" if twice else self.stop_reason)

        self.bench.server._core.loop.call(send)

    def finish(self):
        """What has to follow the right answer."""

    def succeeds(self, twice=False):
        self.answer(twice)
        self.finish()
        self.check(self.worker.result(LIMIT))
        return "goes on"

    def fails(self, kind, words):
        """Check how the call failed; a client at rest only loses its connection."""
        error = self.worker.error(LIMIT)
        assert type(error) is kind, repr(error)
        assert re.search(words, str(error)), str(error)
        if self.partial is None:
            assert error.partial is None
        else:
            kept = error.partial.content, error.partial.stats.stop_reason
            assert kept == (self.partial, "failed")
        return WORDS[kind]

    def loses(self, words, kind=lms.LMStudioConnectionLostError):
        """Check what came of the end of the connection."""
        return self.fails(kind, words)

    def wait_lost(self):
        """Return when the client has noticed the end of the connection."""
        self.loses("")

    def is_refused(self, kind, words):
        """Check what came of a message that ends the call."""
        return self.fails(kind, words)

    def ignores(self):
        """Check what came of messages that the call need not mind."""
        return self.succeeds()

    def is_cancelled(self, reason):
        """Check what came of a cancel that the server does not hear."""
        error = self.worker.error(LIMIT)
        assert type(error) is lms.LMStudioCancelledError
        assert error.reason == reason
        return "cancelled"

    def fill(self):
        """Start a call whose message is too long for a server that takes nothing."""
        worker = self.bench.fill(self.path)
        return worker, self.bench.dispatcher.open[max(self.bench.dispatcher.open)]

    def again(self, kind, words):
        """The same call once more; it cannot connect."""
        self.partial = None if self.partial is None else ""
        self._seen.clear()
        self.worker = Worker(self.run)
        return self.fails(kind, words)

    def over(self):
        """The fault is over: the server ends what it still does, and nobody minds."""
        if self.connection.open:
            self.connection.resume()
            if self.is_running and self.is_channel and not self.call._ended:
                with contextlib.suppress(ConnectionError):  # the client has left just now
                    self.call.close()


@contextlib.contextmanager
def stopped(scene):
    """Forged: the client's process is stopped meanwhile, and when it goes on an hour has passed."""
    dispatcher, link, sock = scene.bench.dispatcher, scene.link, scene.link.transport.socket
    has_stopped, go_on = threading.Event(), threading.Event()

    def stop():
        link._ask(monotonic(), 0.0)  # a ping, whose answer will be there, though it is read late
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1_000_000)
        running = list(dispatcher.open.values())
        has_stopped.set()
        assert go_on.wait(LIMIT)
        for call in running:
            call.timeout = 60.0
            for name in ("started", "heard", "sent"):
                if hasattr(call, name):
                    setattr(call, name, getattr(call, name) - 3600.0)
        link.heard -= 3600.0
        dispatcher.reactor.sweep_at = 0.0  # look at once

    dispatcher.reactor.post(stop)
    assert has_stopped.wait(LIMIT)
    eventually(lambda: unread(sock))  # the answer to the ping
    try:
        yield
    finally:
        go_on.set()


def unread(sock):
    """How many bytes have arrived that nobody has read."""
    try:
        return len(sock.recv(10_000_000, socket.MSG_PEEK))
    except BlockingIOError:
        return 0


def wait_arrived(scene, send):
    """Have the server send something, and return when all of it lies in the client's socket."""
    sock, connection = scene.link.transport.socket, scene.connection
    before, known = unread(sock), len(connection.sent)
    send()
    connection.flush()
    sizes = [len(json.dumps(one, separators=(",", ":"))) for one in connection.sent[known:]]
    expected = sum(size + (2 if size < 126 else 4) for size in sizes)
    eventually(lambda: unread(sock) >= before + expected)
    return expected


@contextlib.contextmanager
def silent_address():
    """An address of this machine that never answers: a socket whose queue is full."""
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.socket())
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(4):
            one = stack.enter_context(socket.socket())
            one.setblocking(False)
            one.connect_ex(listener.getsockname())
        yield listener.getsockname()


def shrink(scene):
    """Keep the buffers of a connection small, so that they are soon full."""
    theirs = scene.connection._websocket.transport.get_extra_info("socket")
    theirs.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 131072)
    scene.link.transport.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 65536)


def look_for_life(scene, transport=None):
    """Forged: the connection has rested for a minute; `transport`: that one, which has calls."""
    link = scene.link

    def look():
        if link._answer_due is None and transport in (None, link.transport):
            link.heard -= 60.0
            if scene.is_running or transport is not None:
                link._look_at(monotonic())

    scene.bench.in_loop(look)
