"""Nothing holds up the event loop: no lock, no name lookup, no file, no other thread's end."""

import asyncio
import io
import os
import socket
import sys
import threading
from pathlib import Path

import pytest
from asyncio_half.ways import WAYS, Bench, add

import lmstudio as lms
from lmstudio.testing import Server

PACKAGE = str(Path(lms.__file__).parent)
# Functions of C in which a thread waits, or asks the system for what may take long.
BLOCKING = {
    *("acquire", "get", "join", "sleep", "select", "poll", "getaddrinfo", "gethostbyname"),
    *("connect", "recv", "recv_into", "accept", "open", "read", "readinto", "readall", "stat"),
    *("readline", "write", "fsync", "flock", "locking"),
}
HARMLESS_OWNERS = (str, bytes, dict, type(type.__dict__))  # `join` and `get` of these


class Turns:
    """Counts the turns of the loop, as another task of it sees them."""

    def __init__(self):
        self.count = 0

    async def __aenter__(self):
        self._task = asyncio.create_task(self._run())
        return self

    async def __aexit__(self, *_):
        self._task.cancel()

    async def _run(self):
        while True:
            self.count += 1
            await asyncio.sleep(0.0005)

    def wait_for_more(self, count):
        """In another thread: return when the loop has turned; it fails where it is held up."""
        last = self.count + count
        for _ in range(20_000):
            if self.count >= last:
                return
            threading.Event().wait(0.0005)
        raise AssertionError("the event loop is held up")


def _is_harmless(function):
    return isinstance(getattr(function, "__self__", None), HARMLESS_OWNERS)


def _caller_in_package(frame):
    while frame is not None:
        name = frame.f_code.co_filename
        if name.startswith(PACKAGE) and not name.startswith(PACKAGE + os.sep + "testing"):
            return frame
        frame = frame.f_back
    return None


@pytest.mark.parametrize("name", WAYS)
def test_no_operation_calls_anything_that_blocks(slow_server, name):
    """Every call of a function of C that the package makes in the loop's thread is looked at."""
    found = set()

    def look(frame, event, argument):
        if event == "c_call" and argument.__name__ in BLOCKING and not _is_harmless(argument):
            ours = _caller_in_package(frame)
            if ours is not None:
                found.add(f"{argument.__qualname__} at {ours.f_code.co_filename}:{ours.f_lineno}")

    async def main():
        async with lms.AsyncClient(slow_server.host) as client:
            bench = Bench(slow_server, client, await client.llm.model())
            await WAYS[name](bench)  # what is needed is imported by now
            sys.setprofile(look)
            try:
                await WAYS[name](bench)
            finally:
                sys.setprofile(None)

    asyncio.run(main())
    assert not found


def test_a_slow_name_lookup_does_not_hold_up_the_loop(server, monkeypatch):
    looked_up = []
    lookup = socket.getaddrinfo

    async def main():
        async with Turns() as turns:

            def slow(*arguments, **options):
                turns.wait_for_more(50)
                looked_up.append(threading.current_thread().name)
                return lookup(*arguments, **options)

            monkeypatch.setattr(socket, "getaddrinfo", slow)
            async with lms.AsyncClient(f"localhost:{server.port}") as client:
                assert await client.llm.list_loaded()

    asyncio.run(main())
    assert looked_up
    assert threading.current_thread().name not in looked_up


def test_a_big_upload_does_not_hold_up_the_loop(server):
    size = 30 << 20

    async def main():
        async with Turns() as turns, lms.AsyncClient(server.host) as client:

            class Slow(io.BytesIO):
                def read(self, count=-1):
                    assert threading.current_thread() is not threading.main_thread()
                    turns.wait_for_more(1)
                    return super().read(count)

            await client.llm.list_loaded()
            await client.prepare_image(Slow(b"\x89PNG\r\n\x1a\n" + bytes(size)), "big.png")
            return turns.count

    assert asyncio.run(main()) >= 30
    (file,) = server._core.files.values()
    assert len(file.content) == size + 8


def test_closing_beside_a_silent_server_does_not_hold_up_the_loop():
    with Server(auth="silent") as server:

        async def main():
            client = lms.AsyncClient(server.host)
            async with Turns() as turns:
                call = asyncio.create_task(client.llm.list_loaded())
                await asyncio.to_thread(server.wait_for, lambda: server.connections)
                close = client._session.close

                def slow(timeout):
                    turns.wait_for_more(50)
                    close(timeout)

                client._session.close = slow
                await client.aclose()
                with pytest.raises(lms.LMStudioCancelledError):
                    await call

        asyncio.run(main())


@pytest.mark.parametrize("call", ["respond", "count_tokens", "act", "respond_many"])
def test_an_is_set_that_hangs_holds_up_neither_the_loop_nor_the_limits(held, call):
    may_end = threading.Event()
    held.hold("countTokens")

    class Hanging:
        def is_set(self):
            assert threading.current_thread() is not threading.main_thread()
            may_end.wait(10)
            return False

    async def main():
        async with Turns() as turns, lms.AsyncClient(held.host) as client:
            model = await client.llm.model()
            limits = {"cancel_event": Hanging(), "timeout": 0.05}
            before = turns.count
            if call == "respond_many":
                pairs = [pair async for pair in model.respond_many(["a"], **limits)]
                assert isinstance(pairs[0][1], lms.LMStudioTimeoutError)
            else:
                with pytest.raises(lms.LMStudioTimeoutError):
                    await getattr(model, call)("a", *([[add]] if call == "act" else []), **limits)
            assert turns.count > before

    try:
        asyncio.run(main())
    finally:
        may_end.set()
    for _ in held.received(type="channelCreate", endpoint="predict"):
        prediction = held.expect("predict")
        prediction.expect_cancel()


def test_a_client_that_is_collected_does_not_hold_up_the_loop(held):
    """Its thread is told to leave, and nobody waits for that."""

    async def main():
        client = lms.AsyncClient(held.host)
        stream = await (await client.llm.model()).respond_stream("hi")
        await stream.start()
        call = await asyncio.to_thread(held.expect, "predict")
        found = []

        def look(frame, event, argument):
            if event == "c_call" and argument.__name__ in ("acquire", "get", "join"):
                found.append(argument)

        sys.setprofile(look)
        try:
            del stream, client
        finally:
            sys.setprofile(None)
        assert not [function for function in found if not _is_harmless(function)]
        await asyncio.to_thread(call.expect_cancel)

    asyncio.run(main())
