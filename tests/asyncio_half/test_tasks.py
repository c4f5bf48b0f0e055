"""What only tasks and event loops do: each way of leaving sends one cancel, and all goes on."""

import asyncio
import gc
import signal
import sys
import threading
import warnings

import pytest
from helpers import Worker, cancels, creates, eventually

import lmstudio as lms

pytestmark = pytest.mark.races


def run(main):
    """Run a coroutine function in an event loop that complains of nothing."""
    complaints = []

    async def work():
        asyncio.get_running_loop().set_exception_handler(lambda _, what: complaints.append(what))
        try:
            return await main()
        finally:
            await asyncio.sleep(0)
            gc.collect()

    result = asyncio.run(work())
    gc.collect()
    assert not complaints
    return result


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


async def ended(call):
    """The server sees the cancel, and ends."""
    await asyncio.to_thread(call.expect_cancel)
    call.success("userStopped", predicted_tokens_count=1)


async def turns(condition):
    """Let other tasks run until something holds."""
    for _ in range(10_000):
        if condition():
            return
        await asyncio.sleep(0.001)
    raise AssertionError("it never held")


# -- ways of leaving --------------------------------------------------------------------------


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
    with pytest.raises(asyncio.TimeoutError):
        await asyncio.wait_for(read_all(stream), 0.05)


async def by_timeout(stream):
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await read_all(stream)


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


# -- what never waits -------------------------------------------------------------------------


def test_result_stats_and_model_info_never_wait(held, run_with):
    async def main(model, started):
        stream, call = await started()
        with pytest.raises(lms.LMStudioRuntimeError, match="wait_for_result"):
            stream.result()
        assert (stream.stats, stream.model_info) == (None, None)
        iterator = aiter(stream)
        await anext(iterator)
        stream.cancel("enough")
        result = stream.result()  # the server has not answered
        assert (result.content, result.cancelled, result.acknowledged) == ("a", True, False)
        assert stream.stats.stop_reason == "userStopped"
        await ended(call)
        result = await stream.wait_for_result()
        assert result.acknowledged
        assert stream.result() is result

    run_with(main)


def test_a_cancel_that_nobody_awaits_acts_at_once_and_warns_of_nothing(held, run_with):
    async def main(model, started):
        stream, call = await started()
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            stream.cancel()
            gc.collect()
        assert not caught
        assert stream.cancelled()
        await ended(call)

    run_with(main)


@pytest.mark.skipif(not hasattr(signal, "SIGUSR1"), reason="no such signal here")
def test_a_signal_handler_may_cancel(held, run_with):
    async def main(model, started):
        stream, call = await started()
        iterator = aiter(stream)
        await anext(iterator)
        signal.signal(signal.SIGUSR1, lambda *_: stream.cancel("a signal"))
        step = asyncio.create_task(anext(iterator, None))
        await asyncio.sleep(0)
        signal.raise_signal(signal.SIGUSR1)
        assert await step is None
        await ended(call)
        assert (await stream.wait_for_result()).cancel_reason == "a signal"

    before = signal.getsignal(signal.SIGUSR1)
    try:
        run_with(main)
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert len(cancels(held)) == 1


def test_two_steps_of_one_iterator_at_once_are_refused_and_cancel_nothing(held, run_with):
    async def main(model, started):
        stream, call = await started()
        iterator = aiter(stream)
        await anext(iterator)
        step = asyncio.create_task(anext(iterator, None))
        await asyncio.sleep(0)
        with pytest.raises(lms.LMStudioRuntimeError, match="Another task"):
            await iterator.__anext__()
        with pytest.raises(lms.LMStudioRuntimeError, match="Another task"):
            aiter(stream)
        call.success()
        assert await step is None
        assert not stream.cancelled()

    run_with(main)
    assert not cancels(held)


def test_a_loop_may_read_the_rest_at_once_in_its_middle(held, run_with):
    async def main(model, started):
        stream, call = await started()
        call.fragment("b")
        call.success()
        async for _ in stream:
            assert (await stream.wait_for_result()).content == "ab"

    run_with(main)


# -- events of loops --------------------------------------------------------------------------


def test_an_event_of_another_loop_is_watched_there(held, run_with):
    other = {}
    is_ready, may_end = threading.Event(), threading.Event()

    async def run_other():
        event = other["event"] = asyncio.Event()
        other["loop"] = asyncio.get_running_loop()
        waiter = asyncio.create_task(event.wait())  # which makes it that loop's
        await asyncio.sleep(0)
        is_ready.set()
        await waiter
        await asyncio.to_thread(may_end.wait, 10)

    thread = Worker(asyncio.run, run_other())
    assert is_ready.wait(10)

    async def main(model, started):
        stream, call = await started(cancel_event=other["event"])
        other["loop"].call_soon_threadsafe(other["event"].set)
        await ended(call)
        assert (await stream.wait_for_result()).cancelled

    run_with(main)
    may_end.set()
    thread.result()


def test_an_event_of_a_closed_loop_counts_as_not_set(held, run_with):
    async def make():
        event = asyncio.Event()
        waiter = asyncio.create_task(event.wait())
        await asyncio.sleep(0)
        event.set()
        await waiter
        return event

    event = asyncio.run(make())

    async def main(model, started):
        stream, call = await started(cancel_event=event)
        call.success()
        assert not (await stream.wait_for_result()).cancelled

    run_with(main)


def test_an_event_keeps_nothing_of_calls_that_ended(held, run_with):
    async def main(model, started):
        event = asyncio.Event()
        for _ in range(3):
            stream, call = await started(cancel_event=event)
            call.success()
            await stream.wait_for_result()
            await model.count_tokens("text", cancel_event=event)
        stream, call = await started(cancel_event=event)
        call.success()
        await turns(stream.done)
        del stream  # which nobody has read
        gc.collect()
        await turns(lambda: not event._waiters)

    run_with(main)


# -- clients ----------------------------------------------------------------------------------


def test_a_client_works_without_async_with_and_in_one_loop_after_the_other(server):
    server.reply("Hello.", repeat=3)
    client = lms.AsyncClient(server.host)

    async def main():
        return (await (await client.llm.model()).respond("hi")).content

    assert [run(main) for _ in range(3)] == ["Hello."] * 3
    asyncio.run(client.aclose())


def test_a_client_in_two_loops_at_once_gives_each_its_own(server):
    server.reply("Hello.", repeat=20)
    client = lms.AsyncClient(server.host)

    async def main():
        model = await client.llm.model()
        return [(await model.respond("hi")).content for _ in range(10)]

    workers = [Worker(run, main) for _ in range(2)]
    assert [worker.result() for worker in workers] == [["Hello."] * 10] * 2
    asyncio.run(client.aclose())


def test_the_words_for_threads_say_what_to_write_instead(held, run_with):
    async def main(model, started):
        stream, call = await started()
        call.success()
        for what, words in ((stream, "async with"), (lms.AsyncClient(held.host), "async with")):
            with pytest.raises(TypeError, match=words), what:
                pass
        for what in (stream, model.respond_many([])):
            with pytest.raises(TypeError, match="async for"):
                list(what)
        await stream.wait_for_result()

    run_with(main)


def test_the_halves_are_no_relatives(server):
    client = lms.AsyncClient(server.host)

    assert not isinstance(client, lms.Client)
    assert not issubclass(lms.AsyncLLM, lms.LLM)
    assert not issubclass(lms.AsyncPredictionStream, lms.PredictionStream)
    asyncio.run(client.aclose())


# -- between the halves -----------------------------------------------------------------------


def test_a_background_call_may_be_awaited(server, model):
    server.reply("Hello.")

    async def main():
        return await model.respond_stream("hi").run_in_background()

    assert run(main).content == "Hello."


def test_an_awaited_background_call_raises_what_ended_it(held, model):
    async def main():
        call = model.respond_stream("hi").run_in_background()
        held.expect("predict").error("no memory")
        with pytest.raises(lms.LMStudioServerError, match="no memory"):
            await call

    run(main)


@pytest.mark.parametrize("is_shielded", [False, True])
def test_a_task_that_is_cancelled_stops_the_background_call_unless_it_is_shielded(
    held, model, is_shielded
):
    async def main():
        background = model.respond_stream("hi").run_in_background()
        call = await asyncio.to_thread(held.expect, "predict")
        waited = asyncio.shield(asyncio.wrap_future(background)) if is_shielded else background
        task = asyncio.create_task(_wait(waited))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        if is_shielded:
            call.success()
        else:
            await ended(call)
        assert (await background).cancelled is not is_shielded

    run(main)
    assert len(cancels(held)) == (not is_shielded)


async def _wait(awaitable):
    return await awaitable


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
            batch = model.respond_many(inputs(), max_parallel=2, ordered=True)
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
        batch = model.respond_many(["a", "b", "c"], max_parallel=2, cancel_event=event)

        async def read():
            async for _ in batch:
                break

        task = asyncio.create_task(read())
        calls = [await asyncio.to_thread(held.expect, "predict") for _ in range(2)]
        if way == "break":
            calls.pop().success()
            await task
            calls.append(await asyncio.to_thread(held.expect, "predict"))
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
    assert len(creates(held)) == (3 if way == "break" else 2)
    assert len(cancels(held)) == 2


# -- act() and uploads ------------------------------------------------------------------------


@pytest.mark.parametrize("way", ["event", "task"])
def test_a_coroutine_tool_is_cancelled_with_act(held, run_with, way):
    async def main(model, started):
        event, is_running, outcome = asyncio.Event(), asyncio.Event(), []

        async def wait_for_ever() -> str:
            """Wait."""
            is_running.set()
            try:
                await asyncio.sleep(60)
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
