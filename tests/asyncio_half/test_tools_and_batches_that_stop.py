"""Tools and batches of the asyncio half that do not go straight on."""

import asyncio

import pytest
from asyncio_half.loops import run

import lmstudio as lms
from lmstudio.testing import ToolCall


def add(a: int) -> int:
    """Add ten to a number.

    Args:
        a: A number.
    """
    return a + 10


def what_tools_answered(chat):
    """The results of tools in a chat, as the model gets them."""
    return [
        part.content
        for message in chat
        for part in getattr(message, "content", ())
        if isinstance(part, lms.ToolCallResultData)
    ]


# -- act() of the asyncio half ----------------------------------------------------------------


def test_a_guard_may_allow_change_and_deny(server, loop_half):
    calls = [ToolCall(name="add", arguments={"a": a}) for a in (1, 2, 3)]
    server.reply("", tool_calls=calls)
    server.reply("Done.")

    def guard(controller):
        a = controller.tool_call_request.arguments["a"]
        if a == 1:
            controller.allow()
        elif a == 2:
            controller.allow_and_override_parameters({"a": 20})
        else:
            controller.deny("too much")

    chat = lms.Chat()
    chat.add_user_message("Add.")
    loop_half.do(
        lambda: loop_half.model.act(chat, [add], on_message=chat.append, guard_tool_call=guard)
    )
    assert what_tools_answered(chat) == ["11", "30", '{"error": "too much"}']


@pytest.mark.parametrize(
    ("guard", "words"),
    [
        (lambda controller: None, "without a decision"),
        (lambda c: c.allow_and_override_parameters({"a": "x"}), "do not fit add"),
    ],
)
def test_a_guard_that_is_wrong_ends_act_with_an_error(server, loop_half, guard, words):
    server.reply("", tool_calls=[ToolCall(name="add", arguments={"a": 1})])
    with pytest.raises(lms.LMStudioError, match=words):
        loop_half.do(lambda: loop_half.model.act("Add.", [add], guard_tool_call=guard))


def test_no_more_tools_run_at_once_than_may(server, loop_half):
    calls = [ToolCall(name="wait", arguments={"a": a}) for a in range(5)]
    server.reply("", tool_calls=calls)
    server.reply("Done.")
    running, most = set(), []
    met = asyncio.Event()

    async def wait(a: int) -> int:
        """Wait until two run at once, and a moment more."""
        running.add(a)
        most.append(len(running))
        if len(running) == 2:
            met.set()
        await asyncio.wait_for(met.wait(), 10)
        await asyncio.sleep(0)
        running.remove(a)
        return a

    chat = lms.Chat()
    chat.add_user_message("Wait.")
    loop_half.do(
        lambda: loop_half.model.act(chat, [wait], on_message=chat.append, max_parallel_tool_calls=2)
    )
    assert sorted(what_tools_answered(chat)) == ["0", "1", "2", "3", "4"]
    assert max(most) == 2


def test_a_tool_says_how_it_goes_and_warns(server, loop_half):
    server.reply("", tool_calls=[ToolCall(name="look", arguments={})])
    server.reply("Done.")
    told = []

    def look(context: lms.ToolCallContext) -> str:
        """Look."""
        context.status("looking")
        context.warn("dark")
        return "green"

    loop_half.do(
        lambda: loop_half.model.act(
            "Look.",
            [look],
            on_tool_call_status=lambda call, text, index: told.append(("status", text)),
            on_tool_call_warning=lambda call, text, index: told.append(("warning", text)),
        )
    )
    assert told == [("status", "looking"), ("warning", "dark")]


def test_a_callback_of_a_tools_token_that_raises_keeps_act_from_nothing(server, loop_half):
    server.reply("", tool_calls=[ToolCall(name="stop", arguments={})])
    token = lms.CancelToken()

    def stop(context: lms.ToolCallContext) -> str:
        """Stop it all."""
        context.cancel_token.on_cancel(lambda: 1 / 0)
        token.cancel("enough")
        return "stopped"

    result = loop_half.do(lambda: loop_half.model.act("Stop.", [stop], cancel_event=token))
    assert result.cancelled


def test_tools_that_were_not_begun_are_not_when_act_is_cancelled(server, loop_half):
    calls = [ToolCall(name="stop", arguments={}) for _ in range(3)]
    server.reply("", tool_calls=calls)
    token, begun = lms.CancelToken(), []

    async def stop() -> str:
        """Stop it all."""
        begun.append(1)
        token.cancel("enough")
        return "stopped"

    result = loop_half.do(
        lambda: loop_half.model.act("Stop.", [stop], cancel_event=token, max_parallel_tool_calls=1)
    )
    assert result.cancelled
    assert begun == [1]


def test_a_guard_may_cancel_act_and_the_tool_does_not_run(server, loop_half):
    server.reply("", tool_calls=[ToolCall(name="add", arguments={"a": 1})])
    token, begun = lms.CancelToken(), []

    def note(a: int) -> int:
        """Note a number."""
        begun.append(a)
        return a

    note.__name__ = "add"

    def guard(controller):
        token.cancel("enough")
        controller.allow()

    result = loop_half.do(
        lambda: loop_half.model.act("Add.", [note], cancel_event=token, guard_tool_call=guard)
    )
    assert result.cancelled
    assert begun == []


def test_each_callback_for_messages_gets_what_was_said(server, loop_half):
    server.reply("", tool_calls=[ToolCall(name="add", arguments={"a": 1})])
    server.reply("Done.")
    chat = lms.Chat()
    chat.add_user_message("Add.")
    said = []
    loop_half.do(lambda: loop_half.model.act(chat, [add], on_message=said.append))
    assert [type(message) for message in said] == [
        *(lms.AssistantResponse, lms.ToolResultMessage),
        lms.AssistantResponse,
    ]


# -- batches of the asyncio half --------------------------------------------------------------


async def outcomes(batch):
    return [outcome async for outcome in batch]


def test_who_decides_what_is_tried_again_may_say_no(server):
    server.reply("one two", error_after=1, repeat=2)

    async def main():
        async with lms.AsyncClient(server.host) as client:
            model = await client.llm.model()
            batch = model.respond_many(["a"], retries=1, retry_if=lambda outcome: False)
            (outcome,) = await outcomes(batch)
            assert outcome.attempts == 1
            assert outcome.error is not None

    run(main)


def test_a_batch_tells_how_far_it_is_and_is_gone_over_once(server):
    server.reply("Hello.", repeat=2)
    server.hold("predict")  # else all may be done before the loop has its first

    async def main():
        async with lms.AsyncClient(server.host) as client:
            model = await client.llm.model()
            batch = model.respond_many(["a", "b", "c"], max_parallel=1)
            first = batch.__aiter__()
            step = asyncio.ensure_future(anext(first))
            call = await asyncio.to_thread(server.expect, "predict")
            call.success()
            await step
            assert repr(batch).startswith("<AsyncBatch: 1 given, ")
            assert batch.numbers.done == 1
            with pytest.raises(lms.LMStudioRuntimeError, match="The batch goes on"):
                batch.unfinished()
            with pytest.raises(lms.LMStudioRuntimeError, match="Another loop over this batch"):
                await anext(batch.__aiter__())
            server.release("predict")
            assert len([outcome async for outcome in first]) == 2
            assert batch.numbers.done == 3

    run(main)


@pytest.mark.parametrize("raises", ["iter", "next"])
def test_inputs_that_raise_stop_iteration_do_not_end_the_loop_in_silence(server, raises):
    class Inputs:
        def __iter__(self):
            if raises == "iter":
                raise StopIteration
            return self

        def __next__(self):
            raise AssertionError("not asked for" if raises == "iter" else "asked")

    async def main():
        async with lms.AsyncClient(server.host) as client:
            model = await client.llm.model()
            error = RuntimeError if raises == "iter" else AssertionError
            with pytest.raises(error):
                await outcomes(model.respond_many(Inputs()))

    run(main)


@pytest.mark.parametrize("retry_if", [None, lambda outcome: True])
def test_what_failed_is_tried_again_as_often_as_said(server, retry_if):
    server.reply("one two", error_after=1, repeat=3)

    async def main():
        async with lms.AsyncClient(server.host) as client:
            model = await client.llm.model()
            batch = model.respond_many(["a"], retries=2, retry_if=retry_if)
            (outcome,) = await outcomes(batch)
            assert outcome.attempts == 3
            assert outcome.error is not None
            assert (batch.numbers.failed, batch.numbers.retried) == (1, 2)

    run(main)


def test_a_decision_that_raises_ends_the_loop_with_its_error(server):
    server.reply("one two", error_after=1, repeat=2)

    async def main():
        async with lms.AsyncClient(server.host) as client:
            model = await client.llm.model()
            batch = model.respond_many(["a"], retries=1, retry_if=lambda outcome: 1 / 0)
            with pytest.raises(ZeroDivisionError):
                await outcomes(batch)

    run(main)


def test_a_lost_connection_is_not_the_inputs_fault(server):
    server.reply("one two", drop_after=1)
    server.reply("at last")

    async def main():
        async with lms.AsyncClient(server.host) as client:
            model = await client.llm.model()
            (outcome,) = await outcomes(model.respond_many(["a"]))
            assert outcome.error is None
            assert outcome.result.content == "at last"

    run(main)


def test_a_batch_that_is_cancelled_leaves_what_was_not_begun(held, run_with):
    async def main(model, started):
        batch = model.respond_many(["a", "b", "c"], max_parallel=1, ordered=True)
        task = asyncio.create_task(outcomes(batch))
        await asyncio.to_thread(held.expect, "predict")
        assert batch.cancel("enough")
        (outcome,) = await task
        assert outcome.cancelled
        assert "cancelled" in repr(batch)
        assert [text async for text in batch.unfinished()] == ["a", "b", "c"]

    run_with(main)


def test_inputs_of_another_kind_are_refused_with_what_was_meant(server):
    async def main():
        async with lms.AsyncClient(server.host) as client:
            model = await client.llm.model()
            with pytest.raises(lms.LMStudioError, match=r"Put a single input into a list"):
                model.respond_many("a")
            with pytest.raises(lms.LMStudioError, match=r"Call it: outcomes\(\)"):
                model.respond_many(outcomes)

    run(main)
