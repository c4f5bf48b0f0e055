"""What belongs to one event loop, in another one: an error that names the rule, and no cancel."""

import asyncio

import pytest
from asyncio_half.halves import in_the_middle
from asyncio_half.loops import run
from helpers import cancels

import lmstudio as lms

pytestmark = pytest.mark.races

RULE = "in the event loop in which it was made"
NO_LOOP = "No event loop of asyncio runs here"


async def iterate(what):
    return [item async for item in what]


STREAM = {
    "iterate": iterate,
    "wait_for_result": lambda stream: stream.wait_for_result(5),
    "start": lambda stream: stream.start(),
    "async with": lambda stream: stream.__aenter__(),
    "anext": lambda stream: anext(aiter(stream)),
}


def refused(coroutine_function, *arguments):
    async def main():
        with pytest.raises(lms.LMStudioRuntimeError, match=RULE):
            await asyncio.wait_for(coroutine_function(*arguments), 10)

    run(main)


@pytest.mark.parametrize("way", STREAM)
def test_a_stream_that_runs_in_another_loop_is_refused_and_goes_on(held, loop_half, way):
    stream = loop_half.started()
    call = held.expect("predict")

    refused(STREAM[way], stream)

    call.fragment("a")
    call.success()
    assert loop_half.read(stream) == ["a"]
    assert not cancels(held)


@pytest.mark.parametrize("way", STREAM)
def test_a_stream_that_was_not_started_is_refused_and_may_be_started_in_its_own(
    server, loop_half, way
):
    server.reply("Hello.")
    stream = loop_half.stream()

    refused(STREAM[way], stream)

    assert loop_half.result(stream).content == "Hello."


def test_an_iterator_that_was_begun_in_another_loop_is_refused(held, loop_half):
    _, iterator, call = in_the_middle(held, loop_half)

    refused(iterator.__anext__)

    call.expect_cancel()  # it belongs to nobody now
    call.success("userStopped")


def test_the_result_of_a_stream_that_was_read_is_there_in_any_loop(server, loop_half):
    server.reply("Hello.")
    stream = loop_half.started()
    loop_half.read(stream)

    async def main():
        assert [fragment async for fragment in stream] == []
        return await stream.wait_for_result()

    assert run(main).content == stream.result().content == "Hello."


@pytest.mark.parametrize("is_started", [True, False])
@pytest.mark.parametrize("way", STREAM)
def test_a_stream_of_a_loop_that_is_closed_is_refused(server, way, is_started):
    client = lms.AsyncClient(server.host)

    async def make():
        stream = await (await client.llm.model()).respond_stream("hi")
        if is_started:
            await stream.start()
        return stream

    stream = run(make)
    refused(STREAM[way], stream)
    del stream
    asyncio.run(client.aclose())


@pytest.mark.parametrize("way", [iterate, lambda batch: batch.__anext__()])
def test_a_batch_of_another_loop_is_refused_and_goes_on(server, loop_half, way):
    server.reply("Hello.", repeat=2)
    batch = loop_half.do(lambda: loop_half.model.respond_many(["a", "b"]))

    refused(way, batch)

    assert not batch.cancelled()
    outcomes = loop_half.do(lambda: iterate(batch))
    assert [outcome.content for _, outcome in outcomes] == ["Hello."] * 2


def test_logs_that_are_read_in_another_loop_are_refused_and_go_on(server, loop_half):
    logs = loop_half.do(loop_half.client.diagnostics.stream_logs)
    loop_half.do(logs.__aenter__)

    refused(iterate, logs)

    assert not logs.cancelled()
    loop_half.do(logs.aclose)


def test_a_batch_or_a_light_without_a_loop_says_so(server, loop_half):
    with pytest.raises(lms.LMStudioRuntimeError, match=NO_LOOP):
        loop_half.client.on_connection_change(print)
    with pytest.raises(lms.LMStudioRuntimeError, match=NO_LOOP):
        loop_half.model.respond_many(["a"])
    embedding = loop_half.do(loop_half.client.embedding.model)
    with pytest.raises(lms.LMStudioRuntimeError, match=NO_LOOP):
        embedding.embed_many(["a"])


@pytest.mark.parametrize(
    "call",
    [
        lambda client, model: model.respond("hi"),
        lambda client, model: model.count_tokens("hi"),
        lambda client, model: client.prepare_image(b"image"),
        lambda client, model: client.aclose(),
    ],
)
def test_a_coroutine_that_asyncio_does_not_run_says_so(loop_half, call):
    coroutine = call(loop_half.client, loop_half.model)
    with pytest.raises(lms.LMStudioRuntimeError, match=NO_LOOP):
        coroutine.send(None)  # as another framework would
