"""The least that predictions cost two threads in Python: a socket and a queue, no package.

Nothing is encoded or decoded but a number, and only the ends are looked for. One thread asks and
takes the ends, the other one writes and reads, as with this package.
"""

import itertools
import queue
import selectors
import socket
import threading
from collections import deque

import clients
from loop_floors import connect

_END = b'"type":"channelClose"'
_WARM = 200


def frames(prompt):
    """Frames that start predictions, without end. The mask is zeros, which costs nothing."""
    text = (
        b'{"type":"channelCreate","endpoint":"predict","channelId":%%7d,"creationParameter":'
        b'{"modelSpecifier":{"type":"query","query":{"identifier":"load"}},"history":{"messages":'
        b'[{"role":"user","content":[{"type":"text","text":"%b"}]}]}}}' % prompt.encode()
    )
    head = bytes([0x81, 0x80 | 126]) + len(text % 0).to_bytes(2, "big") + bytes(4)
    return (head + text % number for number in itertools.count(1))


def predictions(variant, host, count, max_parallel, prompt):
    """So many predictions, of which at most `max_parallel` are under way."""
    sock, waiting = connect(host, "llm"), frames(prompt)
    reader, writer = socket.socketpair()
    asked, ended = deque(), queue.SimpleQueue()
    selector = selectors.DefaultSelector()
    for end in (sock, reader):
        end.setblocking(False)
        selector.register(end, selectors.EVENT_READ)

    def work():
        rest = b""
        while True:
            for key, _ in selector.select():
                if key.fileobj is sock:
                    data = rest + sock.recv(65536)
                    for _ in range(data.count(_END)):
                        ended.put(None)
                    rest = data[data.rfind(_END) + 1 :][-len(_END) + 1 :]
                    continue
                reader.recv(4096)
                some = [asked.popleft() for _ in range(len(asked))]
                if None in some:
                    return
                sock.sendall(b"".join(some))

    def ask(what):
        asked.append(what)
        writer.send(b"\0")

    def run(count):
        for _ in range(min(max_parallel, count)):
            ask(next(waiting))
        for done in range(count):
            ended.get(timeout=60)
            if done + max_parallel < count:
                ask(next(waiting))

    thread = threading.Thread(target=work)
    thread.start()
    try:
        run(min(_WARM, count))
        clock = clients.Clock()
        run(count)
        return clock.per(count)
    finally:
        ask(None)
        thread.join()
        for end in (selector, sock, reader, writer):
            end.close()
