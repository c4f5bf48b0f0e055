"""A client of raw frames, so that the embedded server is not checked by our own client."""

import contextlib
import itertools
import json

from websockets.sync.client import connect

ANY = {"type": "query", "query": {}}
NOBODY = {"type": "query", "query": {"identifier": "nobody"}}
NO_CONFIG = {"layers": []}
ABSENT = object()


class RawClient(contextlib.ExitStack):
    """A client that knows nothing but websockets and JSON, so that it checks the server alone."""

    def __init__(self, server, path="llm", identity=("tester", "secret"), login=True):
        super().__init__()
        self.ids = itertools.count(1)
        address = f"ws://{server.host}/{path}"
        self.socket = self.enter_context(connect(address, compression=None))
        if login:
            assert self.login(*identity) == {"success": True}

    def login(self, identifier, passkey, version=1):
        packet = {"authVersion": version, "clientIdentifier": identifier}
        self.send({**packet, "clientPasskey": passkey})
        return self.recv()

    def send(self, message):
        self.socket.send(message if isinstance(message, str) else json.dumps(message))

    def recv(self, timeout=5):
        return json.loads(self.socket.recv(timeout=timeout))

    def call(self, endpoint, parameter=ABSENT):
        """The answer to an rpc call."""
        message = {"type": "rpcCall", "endpoint": endpoint, "callId": next(self.ids)}
        self.send(message if parameter is ABSENT else {**message, "parameter": parameter})
        return self.recv()

    def result(self, endpoint, parameter=ABSENT):
        answer = self.call(endpoint, parameter)
        assert answer["type"] == "rpcResult", answer
        return answer.get("result", ABSENT)

    def error(self, endpoint, parameter=ABSENT):
        answer = self.call(endpoint, parameter)
        assert answer["type"] == "rpcError", answer
        return answer["error"]

    def open(self, endpoint, parameter=ABSENT):
        """Open a channel and return its id."""
        channel = next(self.ids)
        message = {"type": "channelCreate", "endpoint": endpoint, "channelId": channel}
        self.send(message if parameter is ABSENT else {**message, "creationParameter": parameter})
        return channel

    def cancel(self, channel, kind="cancel"):
        self.send({"type": "channelSend", "channelId": channel, "message": {"type": kind}})

    def packet(self, channel):
        """The next message, which must be a packet of the channel."""
        message = self.recv()
        assert message.get("channelId") == channel, message
        assert message["type"] == "channelSend", message
        return message["message"]

    def until(self, channel, kind):
        """The packets of the channel up to the first of the kind, this one last."""
        packets = [self.packet(channel)]
        while packets[-1]["type"] != kind:
            packets.append(self.packet(channel))
        return packets

    def rest(self, channel):
        """The packets of the channel up to its end, and the message that ended it."""
        packets = []
        while (message := self.recv())["type"] == "channelSend":
            assert message["channelId"] == channel
            packets.append(message["message"])
        assert message["channelId"] == channel, message
        return packets, message

    def predict(self, text="hi", specifier=ANY, **fields):
        """Open a prediction on a text; the fields are a config as `temperature=1`."""
        config = [{"key": f"llm.prediction.{key}", "value": value} for key, value in fields.items()]
        layer = {"layerName": "apiOverride", "config": {"fields": config}}
        return self.open(
            "predict",
            {
                "modelSpecifier": specifier,
                "history": {"messages": [user(text)]},
                "predictionConfigStack": {"layers": [layer]},
            },
        )


def user(text):
    return {"role": "user", "content": [{"type": "text", "text": text}]}


def text_of(packets):
    """The text of the fragments among packets."""
    return "".join(p["fragment"]["content"] for p in packets if p["type"] == "fragment")
