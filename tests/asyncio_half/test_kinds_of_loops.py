"""Every operation in loops of other kinds: in debug mode, with eager tasks, of uvloop."""

import asyncio
import contextlib
import sys

import pytest
from asyncio_half.ways import WAYS, Bench

import lmstudio as lms


def make_loop(kind):
    """An event loop, which says where its rules are broken if it is in debug mode."""
    if kind == "uvloop":
        uvloop = pytest.importorskip("uvloop", reason="did not run: uvloop is not here")
        return uvloop.new_event_loop()
    loop = asyncio.new_event_loop()
    if kind == "eager":
        if sys.version_info < (3, 12):
            loop.close()
            pytest.skip("did not run: Python has eager tasks from 3.12 on")
        loop.set_task_factory(asyncio.eager_task_factory)
    loop.set_debug(kind == "debug")
    return loop


@pytest.mark.parametrize("kind", ["debug", "eager", "uvloop"])
def test_every_operation_works_in_a_loop_of_another_kind(slow_server, kind):
    complaints = []

    async def main():
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, what: complaints.append(what))
        async with lms.AsyncClient(slow_server.host) as client:
            bench = Bench(slow_server, client, await client.llm.model())
            for way in WAYS.values():
                await asyncio.create_task(way(bench))
            assert not client._session.dispatcher.open

    with contextlib.closing(make_loop(kind)) as loop:
        loop.run_until_complete(main())
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.run_until_complete(loop.shutdown_default_executor())
    assert not complaints
