"""What a hostile server may send, as Hypothesis strategies, and an I/O thread run by hand."""

import json
import select
import socket
import struct

from hypothesis import strategies as st
from websocket import ABNF

from lmstudio._connection.call import END, Call
from lmstudio._connection.connect import Connected
from lmstudio._connection.dispatcher import Dispatcher
from lmstudio._connection.endpoints import channel, rpc
from lmstudio._connection.frames import FrameReader
from lmstudio._prediction.request import PREDICT
from lmstudio.errors import LMStudioError

LOAD = channel("llm", "loadModel", "Loading the model", "Model load", "success")
ENDPOINTS = (PREDICT, LOAD, rpc("llm", "countTokens"), rpc("llm", "listLoaded"))
IDS = range(1, 5)  # of the calls that are open, one for each endpoint
HUGE = 10**400  # JSON has numbers that no float holds

json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.sampled_from([HUGE, -HUGE])
    | st.floats()
    | st.text(max_size=5)
    | st.sampled_from(["fragment", "success", "\ud800"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=10,
)
ids = st.integers(0, max(IDS) + 2) | st.sampled_from([True, 1.0, "1", None, [], 10**30])

_warnings = st.builds(
    "Received {}, {} = {}, {} = {}. More".format,
    st.sampled_from(["rpcCall for unknown endpoint", "invalid parameter", ""]),
    st.sampled_from(["endpoint", "endpointName", "channelId"]),
    st.sampled_from(["predict", "loadModel", "countTokens", "nothing", "1"]),
    st.sampled_from(["parameter", "creationParameter"]),
    st.sampled_from(['{"n":1}', '{"n":', "[" * 10_000, "null", "undefined"]),
)
_kinds = st.sampled_from(
    [
        "rpcEndpointUnknown",
        "rpcEndpointUnhandled",
        "channelEndpointUnknown",
        "channelEndpointUnhandled",
        "rpcParameterTypeError",
        "channelCreationParameterTypeError",
        "channelUnknown",
        "channelMessageTypeError",
        "new",
    ]
)
packets = (
    st.fixed_dictionaries(
        {
            "type": st.sampled_from(
                ["fragment", "promptProcessingProgress", "success", "loadProgress", "new"]
            )
        },
        optional={
            "fragment": st.fixed_dictionaries({}, optional={"content": json_values}) | json_values,
            "progress": json_values,
            "stats": json_values,
        },
    )
    | json_values
)
messages = (
    st.fixed_dictionaries(
        {"type": st.just("channelSend"), "channelId": ids, "message": packets},
    )
    | st.fixed_dictionaries(
        {"type": st.sampled_from(["channelClose", "channelError"]), "channelId": ids},
        optional={"error": json_values},
    )
    | st.fixed_dictionaries(
        {"type": st.sampled_from(["rpcResult", "rpcError"]), "callId": ids},
        optional={"error": json_values, "result": json_values},
    )
    | st.fixed_dictionaries(
        {"type": st.just("communicationWarning")},
        optional={"warning": _warnings | json_values, "kind": _kinds | json_values},
    )
    | st.fixed_dictionaries({"type": json_values})
    | json_values
)


def frame(payload, opcode=ABNF.OPCODE_TEXT, final=True):
    """A frame as a server writes it."""
    first, size = (0x80 if final else 0) | opcode, len(payload)
    if size < 126:
        return struct.pack("!BB", first, size) + payload
    return struct.pack("!BBH", first, 126, size) + payload


def text_frame(message):
    return frame(json.dumps(message).encode())


frames = (
    messages.map(text_frame)
    | st.binary(max_size=30).map(frame)
    | st.builds(frame, st.binary(max_size=30), st.sampled_from([0, 1, 2, 8, 9, 10]), st.booleans())
    | st.sampled_from([frame(b"[" * 60_000), frame(b"1" * 5_000), frame(b"\xef\xbb\xbf{}")])
    | st.binary(max_size=30)
)


@st.composite
def streams(draw):
    """The bytes of a connection: frames of all kinds, some bytes changed, added or left out."""
    data = bytearray(b"".join(draw(st.lists(frames, max_size=8))))
    for _ in range(draw(st.integers(0, 3))):
        position = draw(st.integers(0, len(data)))
        data[position : position + draw(st.integers(0, 2))] = draw(st.binary(max_size=2))
    return bytes(data)


class Wire:
    """A dispatcher without its thread, four open calls, and the server's end of their socket."""

    timeout = None  # of the connector, for which this stands

    def __init__(self):
        self.dispatcher = Dispatcher(self)
        self.reactor = self.dispatcher.reactor
        self.reactor._open_waker()
        self.calls = [Call(self.dispatcher, endpoint, {"n": 1}) for endpoint in ENDPOINTS]
        for number, call in zip(IDS, self.calls, strict=True):
            call.id = number
            self.dispatcher.open[number] = call
            self.reactor.post(self.dispatcher.begin, call, call.text())
        while not all(call.is_sent for call in self.calls):
            self.reactor._run_once()
        self.port = self.dispatcher._ports["llm"]

    def start(self, path, attempt, done):
        """Connect; the port calls this."""
        self._client, self._peer = socket.socketpair()
        done(Connected(self._client, FrameReader(64 * 1024)))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._peer.close()
        self.dispatcher.finish(None)
        self.reactor._close_waker()

    def send(self, data):
        """Have the client receive some bytes; return whether it still listens."""
        try:
            self._peer.sendall(data)
            while self._peer in select.select([self._peer], [], [], 0)[0] and self._peer.recv(9999):
                pass  # what the client says is not looked at
        except OSError:
            return False
        while self.port.transport is not None:
            if not select.select([self._client], [], [], 0)[0]:
                return True
            self.reactor._run_once()
        return False

    def outcomes(self):
        """End the connection, and tell what came of each call."""
        if self.port.transport is not None:
            self._peer.shutdown(socket.SHUT_WR)
        while self.port.transport is not None:
            self.reactor._run_once()
        return [self._outcome(call) for call in self.calls]

    @staticmethod
    def _outcome(call):
        items = [call.inbox.get_nowait() for _ in range(call.inbox.qsize())]
        assert [item is END for item in items] == [False] * (len(items) - 1) + [True]
        error = call.outcome.error
        assert error is None or isinstance(error, LMStudioError)
        return repr(items[:-1]), repr(call.outcome.value), type(error), str(error)
