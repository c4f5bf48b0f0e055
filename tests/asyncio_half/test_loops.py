"""What never waits, events that belong to loops, and clients of several loops."""

import asyncio
import gc
import signal
import threading
import warnings

import pytest
from asyncio_half.loops import ended, run, turns
from helpers import Worker, cancels

import lmstudio as lms

pytestmark = pytest.mark.races


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


@pytest.mark.parametrize("how", ["break", "cancel"])
def test_who_waits_after_a_cancel_that_is_not_answered_lets_the_loop_go_on(held, run_with, how):
    async def main(model, started):
        stream, call = await started()
        async for _ in stream:
            if how == "break":
                break
            stream.cancel()
        with pytest.raises(lms.LMStudioTimeoutError):
            await stream.wait_for_result(timeout=0.05)
        waiting = asyncio.create_task(stream.wait_for_result())
        await ended(call)  # by a task beside it
        result = await waiting
        assert (result.content, result.acknowledged) == ("a", True)

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


def test_the_result_of_a_stream_that_is_done_needs_no_wait(held, run_with):
    async def main(model, started):
        stream, call = await started(on_message=(told := []).append)
        call.success()
        await turns(stream.done)
        assert stream.result().content == "a"
        assert [message.text for message in told] == ["a"]
        assert (await stream.wait_for_result()) is stream.result()

        stream, call = await started()
        call.error("broken")
        await turns(stream.done)
        with pytest.raises(lms.LMStudioServerError, match="broken"):
            stream.result()

    run_with(main)
