"""A server that only sends: pre-encoded fragments in bulk, so that it is never the limit.

Runs in its own process; its first line of output is the port.
"""

import base64
import hashlib
import json
import socket
import struct
import sys
import threading

_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_INFO = {
    "type": "llm",
    "modelKey": "load",
    "format": "gguf",
    "displayName": "load",
    "path": "load",
    "sizeBytes": 1,
    "vision": False,
    "trainedForToolUse": False,
    "maxContextLength": 4096,
    "identifier": "load",
    "instanceReference": "load",
    "contextLength": 4096,
}
_FRAGMENT = {
    "content": " word",
    "tokensCount": 1,
    "containsDrafted": False,
    "reasoningType": "none",
    "isStructural": False,
}


def frame(message):
    """A whole text frame."""
    payload = json.dumps(message, separators=(",", ":")).encode()
    if len(payload) < 126:
        return bytes([0x81, len(payload)]) + payload
    return b"\x81\x7e" + struct.pack("!H", len(payload)) + payload


def prediction(channel, fragments):
    """Everything that the server sends for one prediction, in pieces of 100 fragments."""

    def send(packet):
        return frame({"type": "channelSend", "channelId": channel, "message": packet})

    piece = send({"type": "fragment", "fragment": _FRAGMENT}) * 100
    end = {
        "type": "success",
        "stats": {"stopReason": "eosFound"},
        "modelInfo": _INFO,
        "loadModelConfig": {"fields": []},
        "predictionConfig": {"fields": []},
    }
    yield from [piece] * (fragments // 100)
    yield send(end) + frame({"type": "channelClose", "channelId": channel})


def handle(connection, fragments):
    """Serve one connection: the greeting, or a websocket."""
    stream = connection.makefile("rb")
    headers = {}
    request = stream.readline()
    while (line := stream.readline().strip()) != b"":
        name, _, value = line.partition(b":")
        headers[name.strip().lower()] = value.strip()
    if b"sec-websocket-key" not in headers:
        body = b'{"lmstudio":true}'
        if b"greeting" in request:
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
        connection.close()
        return
    accept = base64.b64encode(hashlib.sha1(headers[b"sec-websocket-key"] + _GUID).digest())
    connection.sendall(
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: " + accept + b"\r\n\r\n"
    )
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    while (message := receive(stream)) is not None:
        if "authVersion" in message:
            connection.sendall(frame({"success": True}))
        elif message["type"] == "channelCreate":
            for piece in prediction(message["channelId"], fragments):
                connection.sendall(piece)
        elif message["type"] == "rpcCall":
            infos = message["endpoint"] == "listLoaded"
            result = [_INFO] if infos else {**_INFO, "tokenCount": 3}
            answer = {"type": "rpcResult", "callId": message["callId"], "result": result}
            connection.sendall(frame(answer))


def receive(stream):
    """The next message of the client, or None at the end."""
    try:
        header = stream.read(2)
    except ConnectionError:
        return None
    if len(header) < 2 or header[0] & 0x0F == 8:
        return None
    length = header[1] & 0x7F
    if length == 126:
        (length,) = struct.unpack("!H", stream.read(2))
    elif length == 127:
        (length,) = struct.unpack("!Q", stream.read(8))
    mask = stream.read(4)
    data = stream.read(length)
    return json.loads(bytes(byte ^ mask[i % 4] for i, byte in enumerate(data)))


def main():
    """Listen on a free port until killed."""
    listener = socket.create_server(("127.0.0.1", 0))
    print(listener.getsockname()[1], flush=True)
    while True:
        connection, _ = listener.accept()
        arguments = (connection, int(sys.argv[1]))
        threading.Thread(target=handle, args=arguments, daemon=True).start()


if __name__ == "__main__":
    main()
