"""Each way in which tasks and loops leave a stream sends one cancel, and all goes on."""

import asyncio
import gc
import sys

import pytest
from asyncio_half.loops import ended, run, turns
from helpers import cancels, eventually

import lmstudio as lms

pytestmark = pytest.mark.races


async def read_all(stream):
    async for _ in stream:
        pass


async def by_break(stream):
    async for _ in stream:
        break


async def by_an_exception(stream):
    with pytest.raises(ZeroDivisionError):
        async for _ in stream:
            1 / 0  # noqa: B018


async def by_cancelling_the_task(stream):
    task = asyncio.create_task(read_all(stream))
    await turns(lambda: stream._reader._has_fragment)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def by_cancelling_a_waiting_task(stream):
    task = asyncio.create_task(stream.wait_for_result())
    await turns(lambda: stream._reader._has_fragment)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def by_wait_for(stream):
    iterator = aiter(stream)
    await anext(iterator)
    with pytest.raises(asyncio.TimeoutError):
        await asyncio.wait_for(anext(iterator), 0.05)


async def by_timeout(stream):
    iterator = aiter(stream)
    await anext(iterator)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await anext(iterator)


async def by_a_task_group_that_fails(stream):
    async def fail():
        await turns(lambda: stream._reader._has_fragment)
        1 / 0  # noqa: B018

    with pytest.raises(BaseExceptionGroup) as caught:  # noqa: F821
        async with asyncio.TaskGroup() as group:
            group.create_task(read_all(stream))
            group.create_task(fail())
    assert caught.group_contains(ZeroDivisionError)


async def by_aclose_of_the_iterator(stream):
    iterator = aiter(stream)
    await anext(iterator)
    await iterator.aclose()
    assert [fragment async for fragment in iterator] == []


async def by_aclose_of_the_stream(stream):
    iterator = aiter(stream)
    await anext(iterator)
    await stream.aclose()


async def by_leaving_async_with(stream):
    async with stream:
        iterator = aiter(stream)
        await anext(iterator)


async def by_dropping_the_iterator(stream):
    iterator = aiter(stream)
    await anext(iterator)
    del iterator


async def by_a_generator_around_it(stream):
    async def texts():
        async for fragment in stream:
            yield fragment.content

    generator = texts()
    await anext(generator)
    await generator.aclose()


async def by_await_cancel(stream):
    iterator = aiter(stream)
    await anext(iterator)
    assert await stream.cancel("enough") is True
    assert await stream.cancel("again") is False


WAYS = [way for name, way in list(globals().items()) if name.startswith("by_")]


@pytest.mark.parametrize("leave", WAYS, ids=lambda way: way.__name__)
def test_every_way_of_leaving_sends_one_cancel_and_keeps_the_partial_result(held, run_with, leave):
    if leave in (by_timeout, by_a_task_group_that_fails) and sys.version_info < (3, 11):
        pytest.skip("from Python 3.11 on")

    async def main(model, started):
        stream, call = await started()
        await leave(stream)
        await ended(call)
        result = await stream.wait_for_result()
        assert (result.content, result.cancelled) == ("a", True)
        assert stream.result() is result
        assert stream.stats.predicted_tokens_count == 1

        stream, call = await started()  # all goes on
        call.success()
        assert (await stream.wait_for_result()).content == "a"

    run_with(main)
    assert len(cancels(held)) == 1


@pytest.mark.parametrize("name", ["respond", "complete"])
def test_a_cancelled_task_in_respond_stops_the_model(held, run_with, name):
    async def main(model, started):
        task = asyncio.create_task(getattr(model, name)("hi"))
        call = await asyncio.to_thread(held.expect, "predict")
        task.cancel("the browser is gone")
        with pytest.raises(asyncio.CancelledError):
            await task
        await ended(call)

    run_with(main)
    assert len(cancels(held)) == 1


def test_a_task_that_is_cancelled_beside_a_reader_leaves_the_model_alone(held, run_with):
    async def main(model, started):
        stream, call = await started()
        reader = asyncio.create_task(read_all(stream))
        await turns(lambda: stream._reader._has_fragment)
        waiter = asyncio.create_task(stream.wait_for_result())
        await asyncio.sleep(0)
        waiter.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiter
        call.success()
        await reader
        assert stream.result().content == "a"

    run_with(main)
    assert not cancels(held)


def test_a_loop_that_ends_stops_what_its_tasks_read(held, run_with):
    calls = []

    async def main(model, started):
        stream, call = await started()
        asyncio.create_task(read_all(stream))  # noqa: RUF006
        await turns(lambda: stream._reader._has_fragment)
        calls.append(call)

    run_with(main)
    calls[0].expect_cancel()
    assert len(cancels(held)) == 1


@pytest.mark.parametrize("is_read", [False, True])
def test_a_loop_that_is_closed_stops_what_somebody_still_holds(held, is_read):
    """Nothing was told to stop, and the server says nothing more."""
    loop = asyncio.new_event_loop()
    client = loop.run_until_complete(_make_client(held.host))
    model = loop.run_until_complete(client.llm.model())
    stream = loop.run_until_complete(model.respond_stream("hi"))
    loop.run_until_complete(stream.start())
    call = held.expect("predict")
    call.fragment("a")
    if is_read:
        iterator = aiter(stream)
        loop.run_until_complete(iterator.__anext__())

    loop.close()

    call.expect_cancel()
    call.success("userStopped")
    assert len(cancels(held)) == 1
    eventually(stream.done)
    assert stream.result().content == ("a" if is_read else "")
    asyncio.run(client.aclose())


def test_a_loop_that_is_closed_stops_its_upload(server):
    from handles.uploading import BIG, Steps, names, sending

    loop = asyncio.new_event_loop()
    client = loop.run_until_complete(_make_client(server.host))
    source = Steps(BIG)
    upload = client.prepare_image(source, "big.png")
    # As a task would, which is destroyed with its loop and complains of that.
    loop.run_until_complete(_first_step(upload))
    source.allow(20)
    sending(client)

    loop.close()

    eventually(lambda: not client._session.dispatcher.open)
    source.finish()
    asyncio.run(client.prepare_image(b"the next one", "next.txt"))
    assert names(server) == ["next.txt"]
    asyncio.run(client.aclose())
    upload.close()


async def _first_step(coroutine):
    coroutine.send(None)


async def _make_client(host):
    return lms.AsyncClient(host)


def test_a_closed_loop_leaves_no_task_of_an_event(held, recwarn, caplog):
    """As with `loop.run_until_complete()`, which cancels nothing at its end."""
    loop = asyncio.new_event_loop()
    client = loop.run_until_complete(_make_client(held.host))
    model = loop.run_until_complete(client.llm.model())

    async def main():
        stream = await model.respond_stream("hi", cancel_event=asyncio.Event())
        await stream.start()
        call = await asyncio.to_thread(held.expect, "predict")
        call.success()
        return await stream.wait_for_result()

    loop.run_until_complete(main())
    loop.run_until_complete(client.aclose())
    loop.run_until_complete(loop.shutdown_default_executor())
    loop.close()
    gc.collect()

    assert not recwarn.list
    assert not [record for record in caplog.records if record.name == "asyncio"]


def test_a_break_stops_the_model_within_the_bound_of_a_thread(server):
    async def main():
        server.reply("many words " * 500, delay=0.001)
        client = lms.AsyncClient(server.host)
        model = await client.llm.model()
        async for _ in await model.respond_stream("hi"):
            break
        await asyncio.to_thread(server.predictions[-1].wait_finished)
        await client.aclose()

    run(main)
    assert server.predictions[-1].cancelled_after < 600
    assert server.predictions[-1].stop_reason == "userStopped"
