"""The least that calls and uploads cost an event loop in Python: sockets and threads, no package.

A call here is the same bytes each time, and nobody reads the answer: what is left are the wake-ups.
"""

import asyncio
import binascii
import functools
import os
import selectors
import socket
import threading

import clients
import held

_WARM = 50
_PIECE = 96 * 1024  # bytes of a file that make a frame


def connect(host, path):
    """An open websocket, and nothing else."""
    name, _, port = host.partition(":")
    sock = socket.create_connection((name, int(port)))
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.sendall(
        f"GET /{path} HTTP/1.1\r\nUpgrade: websocket\r\nSec-WebSocket-Key: eA==\r\n\r\n".encode()
    )
    answer = b""
    while not answer.endswith(b"\r\n\r\n"):
        answer += sock.recv(1000)
    return sock


def count_tokens():
    """A frame with a call. The mask is zeros, which costs nothing."""
    text = (
        b'{"type":"rpcCall","endpoint":"countTokens","callId":1,"parameter":{"specifier":{"type":'
        b'"query","query":{"identifier":"load"}},"inputString":"a few words"}}'
    )
    return bytes([0x81, 0x80 | 126]) + len(text).to_bytes(2, "big") + bytes(4) + text


@functools.cache
def xor_with(byte):
    """What XOR with a byte makes of each byte."""
    return bytes(value ^ byte for value in range(256))


async def measured(call, count):
    """The time of so many calls."""
    for _ in range(_WARM):
        await call()
    clock = clients.Clock()
    for _ in range(count):
        await call()
    return clock.per(count)


def calls_in_loop(variant, host, count):
    """Calls one after another, which the loop itself writes and reads."""

    class Answers(asyncio.Protocol):
        def data_received(self, data):
            self.waiter.set_result(None)

    async def main():
        loop, frame = asyncio.get_running_loop(), count_tokens()
        transport, answers = await loop.create_connection(Answers, sock=connect(host, "llm"))

        async def call():
            answers.waiter = loop.create_future()
            transport.write(frame)
            await answers.waiter

        try:
            return await measured(call, count)
        finally:
            transport.close()

    return asyncio.run(main())


def calls_in_thread(variant, host, count):
    """The same, written and read by a second thread: four wake-ups instead of two."""

    async def main():
        loop, frame, waiter, is_over = asyncio.get_running_loop(), count_tokens(), None, False
        sock = connect(host, "llm")
        reader, writer = socket.socketpair()
        selector = selectors.DefaultSelector()
        for end in (sock, reader):
            end.setblocking(False)
            selector.register(end, selectors.EVENT_READ)

        def work():
            while True:
                for key, _ in selector.select():
                    if key.fileobj is sock:
                        sock.recv(65536)
                        loop.call_soon_threadsafe(waiter.set_result, None)
                        continue
                    reader.recv(4096)
                    if is_over:
                        return
                    sock.send(frame)

        async def call():
            nonlocal waiter
            waiter = loop.create_future()
            writer.send(b"\0")
            await waiter

        thread = threading.Thread(target=work)
        thread.start()
        try:
            return await measured(call, count)
        finally:
            is_over = True
            writer.send(b"\0")
            await asyncio.to_thread(thread.join)
            for end in (selector, sock, reader, writer):
                end.close()

    return asyncio.run(main())


def holds(variant, host, path, count):
    """As `held.holds_of`, of an upload by a thread that makes a frame and writes it, in turn."""

    head = (
        b'{"type":"rpcCall","endpoint":"uploadFileBase64","callId":1,"parameter":{"name":"image.png",'
        b'"contentBase64":"'
    )

    def upload():
        send(head, first=0x01)
        with open(path, "rb") as file:
            while piece := file.read(_PIECE):
                send(binascii.b2a_base64(piece, newline=False), first=0x00)
        send(b'"}}', first=0x80)
        sock.recv(65536)

    def send(payload, first):
        key = os.urandom(4)
        masked = bytearray(len(payload))
        for i in range(4):
            masked[i::4] = payload[i::4].translate(xor_with(key[i]))
        size = len(payload)
        sock.sendall(bytes([first, 0xFF]) + size.to_bytes(8, "big") + key + masked)

    async def main():
        return await held.holds_of(lambda: asyncio.to_thread(upload), count)

    with connect(host, "files") as sock:
        return asyncio.run(main())
