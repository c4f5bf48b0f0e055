"""The asyncio half on uvloop, where that is installed."""

import asyncio
import contextlib

import pytest

import lmstudio as lms


@pytest.fixture
def run():
    uvloop = pytest.importorskip("uvloop", reason="did not run: uvloop is not here")

    def run(coroutine):
        with contextlib.closing(uvloop.new_event_loop()) as loop:
            return loop.run_until_complete(coroutine)

    return run


def test_one_loop_after_another_uses_a_client_that_was_made_before_them(server, run):
    client = lms.AsyncClient(server.host)

    async def read_a_bit():
        model = await client.llm.model()
        stream = await model.respond_stream("hi")
        async for _ in stream:
            break
        return stream

    try:
        for number in range(3):
            server.reply("word " * 2000, delay=0.002)
            stream = run(read_a_bit())
            assert server.wait_prediction(number).wait_finished().stop_reason == "userStopped"
            assert stream.result().cancelled
    finally:
        run(client.aclose())


def test_what_a_loop_waits_for_is_brought_and_a_task_that_is_cancelled_stops_the_model(server, run):
    async def main():
        async with lms.AsyncClient(server.host) as client:
            model = await client.llm.model()
            server.reply("one two", repeat=20)
            answers = await asyncio.gather(*[model.respond("hi") for _ in range(20)])
            assert {answer.content for answer in answers} == {"one two"}
            server.reply("word " * 2000, delay=0.002)
            task = asyncio.ensure_future(model.respond("hi"))
            await asyncio.to_thread(server.wait_prediction, 20)
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
            await asyncio.to_thread(server.predictions[20].wait_finished)
            assert server.predictions[20].cancelled_after is not None

    run(main())
