"""A TLS server in front of a plain one, as a reverse proxy is; its certificates are made here."""

import asyncio
import ssl
import threading

import trustme

AUTHORITY = trustme.CA()


def trusting_context():
    """What a client needs to trust the certificates."""
    context = ssl.create_default_context()
    AUTHORITY.configure_trust(context)
    return context


class TlsProxy:
    """Terminates TLS in front of a server, in a thread with an asyncio loop of its own."""

    def __init__(self, target: str) -> None:
        self._host, _, port = target.partition(":")
        self._port = int(port)
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        AUTHORITY.issue_cert("localhost").configure_cert(self._context)
        self._ready, self.port = threading.Event(), 0
        self._handlers: set[asyncio.Task] = set()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()))

    def __enter__(self) -> "TlsProxy":
        self._thread.start()
        assert self._ready.wait(10)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(10)
        assert not self._thread.is_alive()

    async def _serve(self) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        server = await asyncio.start_server(self._handle, "127.0.0.1", 0, ssl=self._context)
        self.port = server.sockets[0].getsockname()[1]
        self._ready.set()
        await self._stop.wait()
        server.close()
        if self._handlers:
            await asyncio.wait(self._handlers, timeout=10)
        for _ in range(3):  # the transports that were closed or aborted take their leave
            await asyncio.sleep(0)

    async def _handle(self, reader, writer) -> None:
        self._handlers.add(asyncio.current_task())
        try:
            inner_reader, inner_writer = await asyncio.open_connection(self._host, self._port)
        except OSError:  # the server is not there
            writer.transport.abort()
            return
        try:
            await asyncio.gather(pump(reader, inner_writer), pump(inner_reader, writer))
        finally:
            for side in (writer, inner_writer):
                side.transport.abort()


async def pump(reader, writer):
    """Pass on what comes, until either side ends."""
    try:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    except OSError:
        pass
    writer.transport.abort()
