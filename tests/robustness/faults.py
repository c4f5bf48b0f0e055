"""The situations of the fault matrix: each kind of call, brought to a known point."""

import io
import threading

from helpers import Worker, eventually, valid_chat
from robustness.fault_bench import LIMIT, Scene

import lmstudio as lms
from lmstudio._connection.dispatcher import CLOSED_REASON
from lmstudio._handles.repository import ModelDownloadOption

MANY = 1000  # messages that arrive while nobody reads
OPTION = {"name": "Tiny", "downloadIdentifier": "testing/tiny-llm@q4_k_m"}


class Load(Scene):
    endpoint = "getOrLoad"

    def run(self):
        return self.bench.client.llm.model(
            "test-vlm", on_load_progress=self.note, cancel_event=self.token
        )

    def packet(self, number):
        return {"type": "loadProgress", "progress": number / MANY}

    def check(self, value):
        assert value.identifier == "test-vlm"
        assert self.reports[-1] == (1.0,)


class Prefill(Scene):
    partial = ""
    warning = "channelCreationParameterTypeError"

    def run(self):
        return self.bench.model.respond(
            "hi", on_prompt_processing_progress=self.note, cancel_event=self.token
        )

    def packet(self, number):
        return {"type": "promptProcessingProgress", "progress": number / MANY}

    def check(self, value):
        assert (value.content, value.stats.stop_reason) == ("", self.stop_reason)

    def is_cancelled(self, reason):
        result = self.worker.result(LIMIT)
        assert (result.cancelled, result.acknowledged) == (True, False)
        assert (result.content, result.cancel_reason) == (self.partial, reason)
        return "cancelled"


class Generating(Prefill):
    partial = "So far"
    warning = "channelEndpointUnhandled"

    def run(self):
        return self.bench.model.respond(
            "hi", on_prediction_fragment=self.note, cancel_event=self.token
        )

    def advance(self):
        self.call.fragment("So far")
        self.wait_seen()

    def packet(self, number):
        return {"type": "fragment", "fragment": {"content": "x"}}

    def check(self, value):
        assert value.stats.stop_reason == self.stop_reason
        assert value.content == "So far" + "x" * (len(self.reports) - 1)


class Rpc(Scene):
    endpoint = "countTokens"
    is_channel = can_be_slow = False
    warning = "rpcParameterTypeError"

    def run(self):
        return self.bench.model.count_tokens("a b", cancel_event=self.token)

    def advance(self):
        pass

    def answer(self, twice=False):
        def send():
            if twice:
                self.connection.post(
                    {"type": "rpcResult", "callId": self.id, "result": {"tokenCount": 2}}
                )
            self.call.result({"tokenCount": 9 if twice else 2})

        self.bench.server._core.loop.call(send)

    def check(self, value):
        assert value == 2


class Source(io.BytesIO):
    """A file whose second half is there when the test says so."""

    def __init__(self, size):
        super().__init__(bytes(size))
        self.go = threading.Event()
        self._half = size // 2

    def read(self, count=-1):
        if self.tell() >= self._half:
            assert self.go.wait(LIMIT)
        return super().read(count)


class Upload(Scene):
    """An upload of which the server has got a part."""

    path, endpoint = "/files", "uploadFileBase64"
    call = None
    is_channel = can_be_slow = False
    warning = "rpcEndpointUnknown"
    size = 400_000

    def run(self):
        return self.bench.client.prepare_image(self.source, "a.txt", cancel_event=self.token)

    def begin(self):
        self.source = Source(self.size)
        self.bench.server.hold(self.endpoint)
        self.worker = Worker(self.run)

        def look():
            link = self.bench.dispatcher._ports.get("files")
            call = link and link._sending
            return call and call.message._is_begun and not link.transport.wants_to_write

        eventually(look)
        self.id = self.link._sending.id
        (self.connection,) = self.bench.connections("/files")

    def wait_silent(self):
        self.source.go.set()
        if self.call is None:
            self.call = self.bench.server.expect(self.endpoint, LIMIT)

    def answer(self, twice=False):
        self.wait_silent()
        found = {"identifier": "first", "fileType": "text/plain", "sizeBytes": self.size}

        def send():
            if twice:
                self.connection.post({"type": "rpcResult", "callId": self.id, "result": found})
            self.call.result({**found, "identifier": "second"} if twice else found)

        self.bench.server._core.loop.call(send)

    def check(self, value):
        assert (value.name, value.identifier) == ("a.txt", "first")

    def fails(self, kind, words):
        eventually(lambda: self.id not in self.bench.dispatcher.open)  # it has failed already,
        self.source.go.set()  # though a read cannot be interrupted
        return super().fails(kind, words)

    def is_cancelled(self, reason):
        self.source.go.set()
        return super().is_cancelled(reason)

    def fill(self):
        self.source.go.set()
        self.bench.wait_stuck(self.path)
        worker = Worker(self.bench.client.prepare_image, b"waits", "waits.txt")
        eventually(lambda: self.link._waiting)
        return worker, self.link._waiting[0][0]

    def again(self, kind, words):
        self.source = Source(self.size)
        return super().again(kind, words)


class Download(Scene):
    path, endpoint = "/repository", "downloadModel"
    warning = "channelEndpointUnhandled"

    def run(self):
        option = ModelDownloadOption(OPTION, self.bench.client._session)
        return option.download(self.note, cancel_event=self.token)

    def packet(self, number):
        update = {"downloadedBytes": number, "totalBytes": MANY, "speedBytesPerSecond": 1}
        return {"type": "downloadProgress", "update": update}

    def check(self, value):
        assert value == "tiny-llm"


class Act(Generating):
    """A round of act(): the model still talks, and a tool that it has asked for runs."""

    stop_reason = "toolCalls"
    warning = "channelCreationParameterTypeError"

    def run(self):
        self.chat = lms.Chat.from_history("Go.")
        self.in_tool, self.release, self.reason = threading.Event(), lms.CancelToken(), None

        def wait(context: lms.ToolCallContext) -> str:
            """Wait for the test, or a cancel."""
            self.in_tool.set()
            lms.CancelToken.any(context.cancel_token, self.release).wait(LIMIT)
            self.reason = context.cancel_token.reason
            return "waited"

        return self.bench.model.act(
            self.chat,
            [wait],
            on_message=self.chat.append,
            on_prediction_fragment=self.note,
            on_prediction_completed=lambda result: self.completed(),
            cancel_event=self.token,
        )

    def completed(self):
        """The prediction of a round has ended."""

    def advance(self):
        self.call.tool_call("wait")
        assert self.in_tool.wait(LIMIT)
        super().advance()

    def finish(self):
        """The tool ends; the model is told so, and ends too."""
        self.bench.server.hold("predict")
        self.release.set()
        second = self.bench.server.expect("predict", LIMIT)
        second.fragment("Done.")
        second.success()

    def check(self, value):
        assert (value.rounds, value.cancelled) == (2, False)
        assert [message.role for message in self.chat] == ["user", "assistant", "tool", "assistant"]
        assert self.chat[2].content[0].content == '"waited"'
        assert self.chat[1].content[0].text == "So far" + "x" * (len(self.reports) - 2)

    def fails(self, kind, words):
        outcome = super().fails(kind, words)
        if self.in_tool.is_set():
            eventually(lambda: self.reason == "act() was left by an exception")
        assert valid_chat(self.chat)
        return outcome

    def is_cancelled(self, reason):
        result = self.worker.result(LIMIT)
        assert (result.cancelled, result.cancel_reason, result.rounds) == (True, reason, 1)
        assert valid_chat(self.chat)
        if reason != CLOSED_REASON:  # after a close, callbacks are not called any more
            assert [message.role for message in self.chat] == ["user", "assistant", "tool"]
            assert self.chat[1].content[0].text == "So far"
        return "cancelled"


class Resting(Scene):
    """Nothing is asked of the server: what is lost is noticed in silence, and then replaced."""

    is_running = can_be_slow = False

    def ignores(self):
        self.bench.others_go_on()  # on the same connection: all that came before was read
        assert self.link.transport is self.transport
        return self.succeeds()

    def is_refused(self, kind, words):
        return self.ignores()

    def wait_lost(self):
        eventually(lambda: self.link.transport is not self.transport)

    def loses(self, words, kind=None):
        self.wait_lost()
        return self.succeeds()


class Between(Resting, Act):
    """A round of act() whose prediction has ended; its tool still runs."""

    def advance(self):
        self._completed = threading.Event()
        super().advance()
        self.call.success("toolCalls")
        assert self._completed.wait(LIMIT)
        self.transport = self.link.transport

    def completed(self):
        self._completed.set()

    def answer(self, twice=False):
        if twice:
            repeat(self.connection)

    def again(self, kind, words):
        self.partial = ""
        self.release.set()
        return Scene.fails(self, kind, words)


class Idle(Resting):
    """A client that has connected, and does nothing."""

    def begin(self):
        self.bench.model.count_tokens("a b")
        self.bench.server.reply("Done.")
        self.bench.model.respond("hi")
        (self.connection,) = self.bench.connections("/llm")
        eventually(lambda: self.connection.sent[-1]["type"] == "channelClose")
        self.id = self.connection.messages[-1]["channelId"]
        self.bench.model.count_tokens("a b")  # so that all before it was read
        self.transport = self.link.transport

    def succeeds(self, twice=False):
        if twice:
            repeat(self.connection)
        self.bench.others_go_on()
        return "goes on"

    def is_cancelled(self, reason):
        return "goes on"

    def again(self, kind, words):
        self.worker = Worker(self.bench.model.count_tokens, "a b")
        return self.fails(kind, words)


def repeat(connection):
    """Send once more all that was sent."""
    for message in connection.sent[1:]:
        connection.post(message)
    connection.flush()


SCENES = {
    "load": Load,
    "prefill": Prefill,
    "generating": Generating,
    "rpc": Rpc,
    "upload": Upload,
    "download": Download,
    "act": Act,
    "between_rounds": Between,
    "idle": Idle,
}
