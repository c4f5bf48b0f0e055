"""Batches, tools that are coroutine functions, and uploads, left by tasks and events."""

import asyncio

import pytest
from asyncio_half.loops import ended, run, turns
from helpers import cancels, creates

import lmstudio as lms

pytestmark = pytest.mark.races


# -- batches ----------------------------------------------------------------------------------


def test_a_batch_takes_async_inputs_lazily(server):
    server.reply("Hello.", repeat=20)
    taken = []

    async def inputs():
        for number in range(12):
            await asyncio.sleep(0)
            taken.append(number)
            yield f"question {number}"

    async def main():
        async with lms.AsyncClient(server.host) as client:
            model = await client.llm.model()
            batch = model.respond_many(inputs(), max_parallel=2, ahead=6, ordered=True)
            assert not taken
            first = await anext(batch)
            assert first[0] == 0
            assert len(taken) <= 8
            return [first, *[pair async for pair in batch]]

    pairs = run(main)
    assert [index for index, _ in pairs] == list(range(12)) == taken
    assert {result.content for _, result in pairs} == {"Hello."}


@pytest.mark.parametrize("error", [ZeroDivisionError, StopIteration])
def test_what_async_inputs_raise_comes_after_what_was_under_way(server, error):
    server.reply("Hello.")

    async def inputs():
        yield "question"
        raise error

    async def main():
        async with lms.AsyncClient(server.host) as client:
            batch = (await client.llm.model()).respond_many(inputs())
            assert (await anext(batch))[1].content == "Hello."
            with pytest.raises(error if error is ZeroDivisionError else RuntimeError):
                await anext(batch)

    run(main)


@pytest.mark.parametrize("way", ["break", "task", "event", "cancel"])
def test_a_batch_that_is_left_stops_what_runs_once_each(held, run_with, way):
    async def main(model, started):
        event = asyncio.Event()
        # Of a third input nobody knows whether it is begun before the loop is left by `break`.
        inputs = ["a", "b"] if way == "break" else ["a", "b", "c"]
        batch = model.respond_many(inputs, max_parallel=2, cancel_event=event)

        async def read():
            async for _ in batch:
                break

        task = asyncio.create_task(read())
        calls = [await asyncio.to_thread(held.expect, "predict") for _ in range(2)]
        if way == "break":
            calls.pop().success()
            await task
        elif way == "task":
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        elif way == "event":
            event.set()
        else:
            assert batch.cancel("enough")
        for call in calls:
            await ended(call)
        await asyncio.wait([task])
        if way != "break":
            assert all(result.cancelled for _, result in [pair async for pair in batch])

    run_with(main)
    assert len(creates(held)) == 2
    assert len(cancels(held)) == (1 if way == "break" else 2)


# -- act() and uploads ------------------------------------------------------------------------


@pytest.mark.parametrize("way", ["event", "task"])
def test_a_coroutine_tool_is_cancelled_with_act(held, run_with, way):
    async def main(model, started):
        event, is_running, outcome = asyncio.Event(), asyncio.Event(), []

        async def wait_for_ever() -> str:
            """Wait."""
            is_running.set()
            try:
                await asyncio.Event().wait()  # which nobody sets
            except asyncio.CancelledError:
                outcome.append("cancelled")
                raise
            return "never"

        task = asyncio.create_task(model.act("go", [wait_for_ever], cancel_event=event))
        call = await asyncio.to_thread(held.expect, "predict")
        call.tool_call("wait_for_ever", {})
        call.success("toolCalls")
        await is_running.wait()
        if way == "event":
            event.set()
            assert (await task).cancelled
        else:
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        await turns(lambda: outcome == ["cancelled"])

    run_with(main)
    assert not cancels(held)


def test_a_cancelled_upload_stops_in_its_middle_and_the_next_one_works(server):
    from handles.uploading import BIG, Steps, names, sending

    async def main():
        async with lms.AsyncClient(server.host) as client:
            source = Steps(BIG)
            task = asyncio.create_task(client.prepare_image(source, "big.png"))
            source.allow(20)
            await asyncio.to_thread(sending, client)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            source.finish()
            await client.prepare_image(b"the next one", "next.txt")

    run(main)
    assert names(server) == ["next.txt"]
