"""The loop is rung once for all that has come; one that is stuck or closed costs nobody a thing."""

import asyncio
import threading

import pytest
from asyncio_half.halves import Loop
from helpers import Worker, eventually

import lmstudio as lms
from lmstudio._asyncio.inbox import LoopInbox

pytestmark = pytest.mark.races


def count_rings(loop):
    """Count from now on how often other threads ring a loop."""
    rings, ring = [], loop.call_soon_threadsafe

    def counted(function, *arguments, **options):
        rings.append(threading.current_thread().name)
        return ring(function, *arguments, **options)

    loop.call_soon_threadsafe = counted
    return rings


def test_ten_thousand_fragments_ring_a_busy_loop_once(server):
    count = 10_000
    server.reply(["word "] * count)

    async def main():
        async with lms.AsyncClient(server.host, timeout=None, idle_timeout=None) as client:
            model = await client.llm.model()
            await model.count_tokens("connected")
            stream = await model.respond_stream("hi")
            await asyncio.sleep(0)
            rings = count_rings(asyncio.get_running_loop())
            await stream.start()
            eventually(stream.done, 30)  # the loop does nothing else until all has arrived
            arrived = len(rings)
            assert stream._inbox._items.maxlen is None
            assert len(stream._inbox._items) >= count
            result = await stream.wait_for_result()
            return arrived, result

    arrived, result = asyncio.run(main())
    assert arrived == 1
    assert result.stats.predicted_tokens_count == count


def test_an_inbox_rings_again_once_the_loop_has_looked():
    async def main():
        loop = asyncio.get_running_loop()
        rings = count_rings(loop)
        inbox = LoopInbox(loop)
        for expected in (1, 2, 3):
            for item in range(100):
                inbox.put(item)
            assert len(rings) == expected
            assert await inbox.wait()
            await asyncio.sleep(0)
            assert [inbox.take() for _ in range(100)] == list(range(100))

    asyncio.run(main())


def test_a_ring_that_ctrl_c_interrupts_is_made_up_for_by_the_next():
    async def main():
        loop = asyncio.get_running_loop()
        inbox = LoopInbox(loop)
        ring = loop.call_soon_threadsafe

        def interrupted(*_):
            raise KeyboardInterrupt

        loop.call_soon_threadsafe = interrupted
        with pytest.raises(KeyboardInterrupt):
            inbox.put("a")
        loop.call_soon_threadsafe = ring
        waiter = asyncio.create_task(_take_two(inbox))
        await asyncio.sleep(0)
        inbox.put("b")
        assert await asyncio.wait_for(waiter, 10) == ["a", "b"]

    asyncio.run(main())


async def _take_two(inbox):
    items = []
    while len(items) < 2:
        await inbox.wait()
        items.append(inbox.take())
    return items


def test_a_second_task_that_waits_for_the_same_is_refused():
    async def main():
        inbox = LoopInbox(asyncio.get_running_loop())
        waiter = asyncio.create_task(inbox.wait())
        await asyncio.sleep(0)
        with pytest.raises(lms.LMStudioRuntimeError):
            await inbox.wait()
        inbox.put("a")
        assert await waiter

    asyncio.run(main())


@pytest.mark.parametrize("state", ["stuck", "closed"])
def test_a_loop_that_is_stuck_or_closed_costs_the_other_streams_nothing(held, state):
    """Both loops have one client, so one I/O thread."""
    client = lms.AsyncClient(held.host)
    may_go_on = threading.Event()

    async def first():
        model = await client.llm.model()
        stream = await model.respond_stream("hi")
        await stream.start()
        call = await asyncio.to_thread(held.expect, "predict")
        if state == "stuck":
            streams.append((stream, call))
            assert may_go_on.wait(10)  # the loop is blocked
            assert len((await stream.wait_for_result()).content) == 500
        else:
            streams.append((stream, call))

    streams = []
    stuck = Worker(asyncio.run, first())
    if state == "closed":
        stuck.result()
    eventually(lambda: streams)
    stream, call = streams[0]

    other = Loop(held)
    other.client, own = client, other.client
    model = other.do(client.llm.model)
    second = other.do(lambda: model.respond_stream("hi"))
    other.do(second.start)
    second_call = held.expect("predict")
    reader = Worker(other.result, second)
    for _ in range(500):
        if state == "stuck":
            call.fragment("a")
        second_call.fragment("b")
    second_call.success()

    assert len(reader.result().content) == 500
    if state == "stuck":
        call.success()
        may_go_on.set()
        stuck.result()
    else:
        call.expect_cancel()
        call.success("userStopped")
        eventually(stream.done)
        assert stream.result().cancelled
    other.do(own.aclose)
    other.close()
    other.end()
