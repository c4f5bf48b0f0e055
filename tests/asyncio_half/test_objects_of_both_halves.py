"""What the objects of both halves tell of themselves, and tools and batches that go another way."""

import asyncio
import pickle

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


# -- objects ----------------------------------------------------------------------------------


def test_what_a_client_offers_is_shown_with_its_server(server, half):
    client = half.client
    for namespace in (client.llm, client.system, client.repository, client.files):
        assert repr(namespace).endswith(f"Namespace of {server.host}>")


def test_handles_are_equal_if_they_name_the_same_model_of_the_same_server(half):
    again = half.do(half.client.llm.model)
    other = half.do(half.client.embedding.model)
    assert again == half.model
    assert hash(again) == hash(half.model)
    assert other != half.model
    assert half.model != half.model.identifier
    assert repr(again) == repr(half.model)
    assert "identifier='test-llm'" in repr(again)


def test_a_handle_that_is_pickled_names_its_server_and_no_token(server, half):
    data = pickle.dumps(half.model)
    restored = pickle.loads(data)
    assert restored == half.model
    assert type(restored) is type(half.model)
    assert server.host.encode() in data


@pytest.mark.parametrize("what", ["client", "batch"])
def test_what_holds_connections_cannot_be_pickled(half, what):
    held = half.client
    if what == "batch":
        held = half.do(lambda: half.model.respond_many(["a"]))
    with pytest.raises(TypeError, match="holds connections and cannot be pickled"):
        pickle.dumps(held)


def test_a_downloaded_model_shows_what_tells_it_from_others(half):
    models = half.do(half.client.system.list_downloaded_models)
    names = [type(model).__name__.removeprefix("Async") for model in models]
    assert {"DownloadedLlm", "DownloadedEmbeddingModel"} == set(names)
    for model in models:
        assert f"model_key={model.model_key!r}" in repr(model)
        assert model.path == model.info.path


def test_without_a_loaded_model_one_is_told_to_name_or_load_one(server, half):
    server.unload("test-llm")
    with pytest.raises(lms.LMStudioModelNotFoundError, match=r"Load one in LM Studio, or name one"):
        half.do(half.client.llm.model)


def test_the_finds_of_a_search_show_what_the_server_said(half):
    (found, *_) = half.do(lambda: half.client.repository.search_models("test"))
    assert repr(found).startswith(f"{type(found).__name__}(name=")
    (option, *_) = half.do(found.get_download_options)
    assert "indexed_model_identifier=" in repr(option)


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

    async def wait(a: int) -> int:
        """Wait for a moment."""
        running.add(a)
        most.append(len(running))
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
    server.reply("Hello.", repeat=3)

    async def main():
        async with lms.AsyncClient(server.host) as client:
            model = await client.llm.model()
            batch = model.respond_many(["a", "b", "c"], max_parallel=1)
            first = batch.__aiter__()
            await anext(first)
            assert repr(batch).startswith("<AsyncBatch: 1 given, ")
            assert batch.numbers.done == 1
            with pytest.raises(lms.LMStudioRuntimeError, match="The batch goes on"):
                batch.unfinished()
            with pytest.raises(lms.LMStudioRuntimeError, match="Another loop over this batch"):
                await anext(batch.__aiter__())
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
