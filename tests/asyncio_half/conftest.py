"""What the tests of the asyncio half share."""

import asyncio

import pytest
from asyncio_half.halves import Loop, Threads
from asyncio_half.loops import run

import lmstudio as lms
from lmstudio.testing import Plugin, Server, Tool


@pytest.fixture
def slow_server():
    """A server whose loads and downloads have several steps, and whose replies take a moment."""
    look = Tool(name="look", status=["first", "second"], delay=0.01, result="green")
    notes = Plugin(identifier="mcp/notes", tools=[look], start_time=0.01)
    with Server(load_time=0.02, download_time=0.02, plugins=[notes]) as server:
        yield server


@pytest.fixture(params=[Threads, Loop], ids=lambda half: half.name)
def half(request, server):
    """One half, connected to `server`, and then the other."""
    half = request.param(server)
    yield half
    half.end()


@pytest.fixture
def loop_half(server):
    """The half of asyncio."""
    half = Loop(server)
    yield half
    half.end()


@pytest.fixture
def run_with(held):
    """Runs ``main(model, started)``, where ``started()`` gives a stream and the server's call."""

    def run_main(main):
        async def work():
            async with lms.AsyncClient(held.host) as client:
                model = await client.llm.model()

                async def started(**options):
                    stream = await model.respond_stream("hi", **options)
                    await stream.start()
                    call = await asyncio.to_thread(held.expect, "predict")
                    call.fragment("a")
                    return stream, call

                return await main(model, started)

        return run(work)

    return run_main
