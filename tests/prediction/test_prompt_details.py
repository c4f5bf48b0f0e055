"""How many tokens a prompt has, and how many of them the model knew already."""

import asyncio
import pickle

import pytest
from helpers import Worker

import lmstudio as lms
from lmstudio.testing import Server, ToolCall


def details(total, processed, cached):
    return lms.PromptProcessingDetails(
        total_prompt_token_count=total,
        processed_prompt_token_count=processed,
        unprocessed_prompt_token_count=total - processed,
        cached_token_count=cached,
    )


def progress(call, total, processed, cached):
    call.progress(
        processed / total,
        total_prompt_token_count=total,
        processed_prompt_token_count=processed,
        unprocessed_prompt_token_count=total - processed,
        cached_token_count=cached,
    )


@pytest.mark.parametrize("name", ["respond", "complete"])
def test_each_step_is_told_and_the_last_is_in_the_result(held, model, name):
    seen = []
    worker = Worker(lambda: getattr(model, name)("a long prompt", on_prompt_details=seen.append))
    call = held.expect("predict")
    for processed in (0, 500, 1000):
        progress(call, 1000, processed, 250)
    call.fragment("a")
    call.success()

    result = worker.result()

    assert seen == [details(1000, processed, 250) for processed in (0, 500, 1000)]
    assert result.prompt_details == details(1000, 1000, 250)
    assert pickle.loads(pickle.dumps(result)) == result


def test_they_are_in_the_result_though_nobody_listens(held, model):
    worker = Worker(lambda: list(model.respond_stream("a long prompt")))
    stream_call = held.expect("predict")
    progress(stream_call, 10, 10, 5)
    stream_call.success()
    worker.result()
    worker = Worker(model.respond, "a long prompt")
    call = held.expect("predict")
    progress(call, 10, 10, 5)
    call.success()

    assert worker.result().prompt_details.cached_token_count == 5


def test_a_prediction_that_is_cancelled_while_the_prompt_is_read_has_what_was_told(held, model):
    stream = None

    def stop(_):
        stream.cancel("enough")

    stream = model.respond_stream("a long prompt", on_prompt_details=stop)
    worker = Worker(stream.result)
    call = held.expect("predict")
    progress(call, 1000, 500, 250)
    call.expect_cancel()
    call.success("userStopped")

    result = worker.result()

    assert result.cancelled
    assert result.prompt_details == details(1000, 500, 250)


def test_an_error_carries_them_too(held, model):
    worker = Worker(model.respond, "a long prompt")
    call = held.expect("predict")
    progress(call, 1000, 500, 250)
    call.error("Out of memory")

    assert worker.error().partial.prompt_details == details(1000, 500, 250)


@pytest.mark.parametrize(
    "odd",
    [
        {},
        {"details": None},
        {"details": {}},
        {"details": 5},
        {"details": {"cachedTokenCount": 1, "totalPromptTokenCount": "many"}},
    ],
)
def test_older_and_odd_servers_tell_none(held, model, odd):
    seen, steps = [], []
    worker = Worker(
        lambda: model.respond(
            "hi", on_prompt_details=seen.append, on_prompt_processing_progress=steps.append
        )
    )
    call = held.expect("predict")
    call.packet({"type": "promptProcessingProgress", "progress": 0.5, **odd})
    call.success()

    assert worker.result().prompt_details is None
    assert (seen, steps) == ([], [0.0, 0.5])


def test_a_callback_that_cannot_be_called_is_refused_and_one_that_raises_stops_the_model(
    held, model
):
    with pytest.raises(lms.LMStudioValueError, match=r"on_prompt_details.*1 argument \(details\)"):
        model.respond("hi", on_prompt_details=lambda: None)

    def fail(_):
        raise ZeroDivisionError

    worker = Worker(lambda: model.respond("hi", on_prompt_details=fail))
    call = held.expect("predict")
    progress(call, 10, 5, 0)

    assert isinstance(worker.error(), ZeroDivisionError)
    call.expect_cancel()
    call.success("userStopped")


def test_act_tells_them_with_the_round(server, model):
    server.reply("Let me.", prefill=0.01, tool_calls=[ToolCall("add", {"a": 1})])
    server.reply("Done.", prefill=0.01)
    seen, rounds = [], []

    def add(a: int) -> int:
        """Add."""
        return a

    model.act(
        "Go.",
        [add],
        on_prompt_details=lambda told, index: seen.append((index, told)),
        on_prediction_completed=rounds.append,
    )

    assert {index for index, _ in seen} == {0, 1}
    assert all(isinstance(told, lms.PromptProcessingDetails) for _, told in seen)
    for index, result in enumerate(rounds):
        assert result.prompt_details == [told for at, told in seen if at == index][-1]


def test_tasks_are_told_as_well():
    async def run(server):
        async with lms.AsyncClient(server.host) as client:
            model = await client.llm.model("test-llm")
            seen = []
            result = await model.respond("a b c", on_prompt_details=seen.append)
            assert result.prompt_details == seen[-1]
            return result.prompt_details

    with Server() as server:
        server.reply("Fine.", prefill=0.01)
        told = asyncio.run(run(server))
    assert told.unprocessed_prompt_token_count == 0
    assert told.total_prompt_token_count == told.processed_prompt_token_count > 0
