"""What the load server says, encoded beforehand: frames of LM Studio, events of the other APIs."""

import functools
import json
import random
import re
import struct

_INFO = {
    "type": "llm",
    "modelKey": "load",
    "format": "gguf",
    "displayName": "load",
    "path": "load",
    "sizeBytes": 1,
    "vision": True,
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
# What a prompt or an input asks for, as in "bench:burst:2000".
COMMAND = re.compile(rb"bench:([a-z]+):(\d+)")
RPC = re.compile(rb'"endpoint":\s*"(\w+)",\s*"callId":\s*(\d+)')
CHANNEL = re.compile(rb'"channelId":\s*(\d+)')


def to_json(message):
    """Compact JSON, as LM Studio writes it."""
    return json.dumps(message, separators=(",", ":")).encode()


def frame(payload):
    """A whole text frame."""
    size = len(payload)
    if size < 126:
        return bytes([0x81, size]) + payload
    if size < 65536:
        return b"\x81\x7e" + struct.pack("!H", size) + payload
    return b"\x81\x7f" + struct.pack("!Q", size) + payload


def packet(channel, message):
    """A frame with a packet of a channel."""
    return frame(to_json({"type": "channelSend", "channelId": channel, "message": message}))


def fragment(channel):
    """A frame with a fragment."""
    return packet(channel, {"type": "fragment", "fragment": _FRAGMENT})


def progress(channel):
    """A frame that says that a tenth of the prompt was processed."""
    return packet(channel, {"type": "promptProcessingProgress", "progress": 0.1})


def end(channel, reason):
    """The frames that end a prediction."""
    success = {
        "type": "success",
        "stats": {"stopReason": reason},
        "modelInfo": _INFO,
        "loadModelConfig": {"fields": []},
        "predictionConfig": {"fields": []},
    }
    close = {"type": "channelClose", "channelId": channel}
    return packet(channel, success) + frame(to_json(close))


@functools.cache
def _result(endpoint, size):
    """The JSON of a procedure's result; `size` is the length of an embedding."""
    if endpoint == b"listLoaded":
        return to_json([_INFO])
    if endpoint == b"countTokens":
        return to_json({"tokenCount": 3})
    if endpoint == b"uploadFileBase64":
        return to_json({"identifier": "file-1", "fileType": "image", "sizeBytes": 3})
    if endpoint == b"embedString":
        numbers = random.Random(size)
        return to_json({"embedding": [numbers.uniform(-0.1, 0.1) for _ in range(size)]})
    return to_json(_INFO)


def answer(endpoint, call, size):
    """The frame that answers a call of a procedure."""
    result = _result(endpoint, size)
    return frame(b'{"type":"rpcResult","callId":%b,"result":%b}' % (call, result))


def openai_events(count):
    """The body of a chat completion as a stream, in pieces."""
    choice = {"index": 0, "delta": {"content": " word"}, "logprobs": None, "finish_reason": None}
    chunk = {
        "id": "chatcmpl-1",
        "object": "chat.completion.chunk",
        "created": 1760000000,
        "model": "load",
        "system_fingerprint": "load",
        "choices": [choice],
    }
    yield from _in_bulk(b"data: " + to_json(chunk) + b"\n\n", count)
    choice.update(delta={}, finish_reason="stop")
    yield b"data: " + to_json(chunk) + b"\n\ndata: [DONE]\n\n"


def ollama_lines(count):
    """The body of a chat with Ollama, in pieces."""
    line = {
        "model": "load",
        "created_at": "2025-11-01T12:00:00.123456789Z",
        "message": {"role": "assistant", "content": " word"},
        "done": False,
    }
    yield from _in_bulk(to_json(line) + b"\n", count)
    line.update(message={"role": "assistant", "content": ""}, done=True, done_reason="stop")
    yield to_json(line) + b"\n"


def _in_bulk(item, count, at_once=200):
    """The item so many times, in pieces that are made once."""
    piece = item * at_once
    for _ in range(count // at_once):
        yield piece
    yield item * (count % at_once)
