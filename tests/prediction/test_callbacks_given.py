"""Callbacks that would have to be awaited are refused: nobody would."""

import asyncio

import pytest

import lmstudio as lms


async def later(*_):
    """Never run."""


@pytest.mark.parametrize(
    "name", ["on_message", "on_first_token", "on_prediction_fragment", "on_prompt_details"]
)
def test_a_coroutine_function_is_no_callback(server, model, name):
    with pytest.raises(lms.LMStudioValueError, match=f"{name} must be a plain function.*later"):
        model.respond("hi", **{name: later})

    assert not server.predictions


def test_nor_of_loading_nor_of_an_agent_nor_at_the_end(client, model):
    with pytest.raises(lms.LMStudioValueError, match="on_load_progress must be a plain function"):
        client.llm.model("test-llm", on_load_progress=later)
    with pytest.raises(lms.LMStudioValueError, match="guard_tool_call must be a plain function"):
        model.act("hi", [len_of], guard_tool_call=later)
    with pytest.raises(lms.LMStudioValueError, match="must be a plain function"):
        model.respond_stream("hi").add_done_callback(later)


def len_of(text: str) -> int:
    """Return its length."""
    return len(text)


def test_nor_in_the_asyncio_half(server):
    async def main():
        async with lms.AsyncClient(server.host) as client:
            model = await client.llm.model()
            with pytest.raises(lms.LMStudioValueError, match=r"asyncio\.create_task"):
                await model.respond("hi", on_prediction_fragment=later)

    asyncio.run(main())
