"""One connection of the load server: HTTP at first, then a websocket or a body that is streamed."""

import base64
import hashlib
import selectors
import struct
from collections import deque

import load_frames as say

_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_BLOCK = 64 * 1024  # bytes that are made at once
_HEAD = 16 * 1024  # bytes of a message that are looked at; the rest of a big one is dropped


def unmask(data, mask):
    """What a client's masked bytes say."""
    size = len(data)
    key = (mask * (size // 4 + 1))[:size]
    return (int.from_bytes(data, "big") ^ int.from_bytes(key, "big")).to_bytes(size, "big")


class Prediction:
    """One prediction: how many fragments it still has to send, and how many it sent."""

    def __init__(self, channel, kind, count):
        self.channel, self.kind, self.left, self.sent = channel, kind, count, 0
        self.frame = say.fragment(channel)
        self.is_over = False


class Connection:
    """One client: HTTP at first, then a websocket, or a body that is streamed."""

    def __init__(self, server, sock):
        self.server, self.sock = server, sock
        self.take = self.take_http
        self.data = bytearray()
        self.out = deque()  # bytes, and iterators over bytes
        self.predictions = {}  # by channel, the open ones
        self.bursts = []  # those that send as fast as they can
        self.skip = 0  # bytes of a big frame that are still to come
        self.head = b""  # the beginning of a message in several frames
        self.closes = False  # once all is written
        self.interest = selectors.EVENT_READ

    # -- reading ------------------------------------------------------------------------------

    def read(self):
        try:
            count = self.sock.recv_into(self.server.buffer)
        except BlockingIOError:
            return
        except OSError:
            count = 0
        if not count:
            self.server.drop(self)
            return
        dropped = min(count, self.skip)
        self.skip -= dropped
        self.data += self.server.buffer[dropped:count]
        self.take()

    def take_http(self):
        head, found, body = self.data.partition(b"\r\n\r\n")
        if not found:
            return
        first, *lines = bytes(head).split(b"\r\n")
        headers = {}
        for line in lines:
            name, _, value = line.partition(b":")
            headers[name.strip().lower()] = value.strip()
        if len(body) < int(headers.get(b"content-length", 0)):
            return
        if b"sec-websocket-key" in headers:
            key = hashlib.sha1(headers[b"sec-websocket-key"] + _GUID).digest()
            self.out.append(
                b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
                b"Connection: Upgrade\r\nSec-WebSocket-Accept: " + base64.b64encode(key)
            )
            self.out.append(b"\r\n\r\n")
            self.data, self.take = body, self.take_frames
        else:
            self.closes = True
            self.data.clear()
            self.answer_http(first, bytes(body))
        self.write()

    def answer_http(self, request, body):
        command = say.COMMAND.search(body)
        count = int(command[2]) if command else 0
        if b"/chat/completions" in request:
            kind, pieces = b"text/event-stream", say.openai_events(count)
        elif b"/api/chat" in request:
            kind, pieces = b"application/x-ndjson", say.ollama_lines(count)
        elif b"greeting" in request:
            kind, pieces = b"application/json", iter([b'{"lmstudio":true}'])
        else:
            kind, pieces = b"application/json", iter([self.server.command(request)])
        self.out.append(
            b"HTTP/1.1 200 OK\r\nContent-Type: " + kind + b"\r\nConnection: close\r\n\r\n"
        )
        self.out.append(pieces)

    def take_frames(self):
        data, at = self.data, 0
        while len(data) - at >= 6:
            first, length, start = data[at], data[at + 1] & 0x7F, at + 2
            if length == 126:
                start += 2
                length = int.from_bytes(data[start - 2 : start], "big")
            elif length == 127:
                start += 8
                if len(data) < start:
                    break
                length = struct.unpack_from("!Q", data, start - 8)[0]
            start += 4
            shown = min(length, _HEAD)
            if len(data) < start + shown:
                break
            text = unmask(data[start : start + shown], bytes(data[start - 4 : start]))
            at = start + length
            self.skip = max(0, at - len(data))
            at = min(at, len(data))
            self.take_frame(first, text)
            if self.skip:
                break
        del data[:at]
        if self.out or self.bursts:
            self.write()

    def take_frame(self, first, text):
        if first & 0x0F == 8:
            self.closes = True
            self.out.append(bytes([0x88, 0]))
            return
        if first & 0x0F == 9:
            self.out.append(bytes([0x8A, len(text)]) + text)
            return
        if first & 0x0F:
            self.head = text
        if first & 0x80:
            if not self.skip:
                self.take_message(self.head)
            else:  # answered when all of it has come; nothing else comes meanwhile
                self.head, rest = b"", self.head
                self.take = lambda: self.take_big(rest)

    def take_big(self, head):
        if not self.skip:
            self.take = self.take_frames
            self.take_message(head)
            self.take_frames()

    def take_message(self, text):
        if match := say.RPC.search(text):
            wanted = say.COMMAND.search(text)
            size = int(wanted[2]) if wanted else 0
            self.out.append(say.answer(match[1], match[2], size))
        elif b'"authVersion"' in text:
            self.out.append(say.frame(b'{"success":true}'))
        elif b'"alive"' in text:
            pass  # a channel that is open, and no more
        elif b'"channelCreate"' in text:
            wanted = say.COMMAND.search(text) or (b"", b"burst", b"100")
            self.begin(int(say.CHANNEL.search(text)[1]), wanted[1].decode(), int(wanted[2]))
        elif b'"cancel"' in text:
            prediction = self.predictions.get(int(say.CHANNEL.search(text)[1]))
            if prediction is not None:
                self.finish(prediction, "userStopped")

    # -- predictions --------------------------------------------------------------------------

    def begin(self, channel, kind, count):
        prediction = self.predictions[channel] = Prediction(channel, kind, count)
        self.server.last = prediction
        self.server.most = max(self.server.most, len(self.predictions))
        if kind == "burst":
            self.bursts.append(prediction)
        elif kind == "open":
            self.out.append(prediction.frame * count or say.progress(channel))
            prediction.sent = count
        elif kind == "drip":
            self.server.dripping[self, channel] = prediction
        elif kind == "slot":
            self.server.slots.add(self, prediction)
        elif kind == "deaf":
            self.interest = 0
            self.server.selector.unregister(self.sock)

    def finish(self, prediction, reason):
        prediction.is_over = True
        self.predictions.pop(prediction.channel)
        self.server.dripping.pop((self, prediction.channel), None)
        if prediction in self.bursts:
            self.bursts.remove(prediction)
        self.out.append(say.end(prediction.channel, reason))

    def release(self):
        held = [p for p in self.predictions.values() if p.kind == "held"]
        if held:
            self.bursts += held
            self.write()

    def make_block(self):
        """Fragments of all bursts in turn, about a block of them."""
        turns = _BLOCK // sum(len(p.frame) for p in self.bursts) or 1
        turns = min(turns, min(p.left for p in self.bursts))
        self.out.append(b"".join([p.frame for p in self.bursts]) * turns)
        for prediction in self.bursts[:]:
            prediction.left -= turns
            prediction.sent += turns
            if not prediction.left:
                self.finish(prediction, "eosFound")

    # -- writing ------------------------------------------------------------------------------

    def write(self):
        """Write what the socket takes."""
        try:
            while self.out or self.bursts:
                if not self.out:
                    self.make_block()
                piece = self.out[0]
                if not isinstance(piece, (bytes, memoryview)):
                    made = next(piece, None)
                    if made is None:
                        self.out.popleft()
                    else:
                        self.out.appendleft(made)
                    continue
                count = self.sock.send(piece)
                self.out.popleft()
                if count < len(piece):
                    self.out.appendleft(memoryview(piece)[count:])
        except BlockingIOError:
            self.wait_for(selectors.EVENT_READ | selectors.EVENT_WRITE)
        except OSError:
            self.server.drop(self)
        else:
            self.wait_for(selectors.EVENT_READ)
            if self.closes:
                self.server.drop(self)

    def wait_for(self, interest):
        if self.interest and interest != self.interest:
            self.interest = interest
            self.server.selector.modify(self.sock, interest, self)
