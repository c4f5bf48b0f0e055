"""Hostile servers: whatever the answer to a call is, a user sees a value or a documented error."""

from collections import Counter

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from robustness.hostile import HUGE, json_values, packets

import lmstudio as lms
from lmstudio._concurrency.callback_gate import CallbackGate
from lmstudio._connection.call import END, Outcome
from lmstudio._requests import plugins


@pytest.fixture(scope="module")
def deaf():
    """A client that sends nothing: "the server" has answered before it could."""
    client = lms.Client("127.0.0.1:9")
    client._session.start = lambda call, *_: end(call, *client.answers.pop(0))
    client.answers = []  # of the next calls: packets, and the outcome
    yield client
    client.close()


def end(call, received, outcome):
    if call.endpoint.channel:
        for packet in received:
            call.inbox.put(packet)
        if not isinstance(outcome, dict):
            outcome = {"info": outcome}
    call.outcome = Outcome(outcome)
    call.inbox.put(END)


def attempt(function):
    """Return what a function returns, or the error if it is a documented one."""
    try:
        return function()
    except lms.LMStudioError as error:
        return error


# -- predictions --------------------------------------------------------------------------------

fragments = st.builds(
    lambda content: {"type": "fragment", "fragment": {"content": content}}, st.text(max_size=5)
)
successes = st.fixed_dictionaries(
    {"type": st.just("success")},
    optional={
        "stats": st.fixed_dictionaries(
            {},
            optional={
                "stopReason": json_values | st.just("eosFound"),
                "tokensPerSecond": json_values,
                "predictedTokensCount": json_values,
            },
        )
        | json_values,
        "modelInfo": json_values,
        "loadModelConfig": st.fixed_dictionaries({"fields": json_values}) | json_values,
        "predictionConfig": json_values,
    },
)
typed_packets = (fragments | packets).filter(
    lambda packet: isinstance(packet, dict) and isinstance(packet.get("type"), str)
)


@pytest.mark.parametrize("way", ["iterate", "result"])
@given(received=st.lists(typed_packets, max_size=6), success=successes)
@example(received=[{"type": "promptProcessingProgress", "progress": HUGE}], success={})
@example(received=[{"type": "promptProcessingProgress", "progress": -HUGE}], success={})
def test_any_packets_make_a_result_or_a_documented_error(deaf, way, received, success):
    texts, steps = [], []
    stream = lms.LLM("m", deaf.llm).respond_stream(
        "hi",
        on_prediction_fragment=lambda fragment: texts.append(fragment.content),
        on_prompt_processing_progress=steps.append,
    )
    deaf.answers[:] = [(received, success)]
    stream.start()

    taken = attempt(lambda: list(stream)) if way == "iterate" else []
    result = attempt(stream.result)

    if isinstance(result, lms.LMStudioError):
        result = result.partial
    assert result.content == "".join(texts)
    if not isinstance(taken, lms.LMStudioError) and way == "iterate":
        assert [fragment.content for fragment in taken] == texts
    assert steps == sorted(steps)
    attempt(lambda: (stream.stats, stream.model_info, repr(result), str(result)))


tool_packets = st.fixed_dictionaries(
    {
        "type": st.sampled_from(["Start", "NameReceived", "ArgumentFragmentGenerated"]).map(
            "toolCallGeneration{}".format
        )
    },
    optional={"toolCallId": json_values, "name": json_values, "content": json_values},
) | st.fixed_dictionaries(
    {"type": st.sampled_from(["toolCallGenerationEnd", "toolCallGenerationFailed"])},
    optional={
        "error": json_values,
        "toolCallRequest": json_values
        | st.fixed_dictionaries(
            {"type": st.just("function"), "name": st.just("add") | json_values},
            optional={
                "id": st.just("1") | json_values,
                "arguments": json_values | st.dictionaries(st.sampled_from("ab"), json_values),
            },
        ),
    },
)


def add(a: int, b: float = 0.0) -> float:
    """Add."""
    return a + b


@given(received=st.lists(tool_packets | fragments, max_size=6), success=successes)
def test_any_tool_requests_end_in_rounds_or_a_documented_error(deaf, received, success):
    deaf.answers[:] = [(received, success), ([], {"stats": {"stopReason": "eosFound"}})]
    chat = lms.Chat()
    chat.add_user_message("hi")

    attempt(
        lambda: lms.LLM("m", deaf.llm).act(
            chat,
            [add],
            max_prediction_rounds=2,
            on_message=chat.append,
            on_tool_call_request_start=lambda *_: None,
            on_tool_call_request_end=lambda *_: None,
        )
    )

    parts = [part for message in chat._to_wire()["messages"] for part in message["content"]]
    kinds = Counter(part["type"] for part in parts)
    assert kinds["toolCallRequest"] == kinds["toolCallResult"]  # else the chat is not valid


# -- other calls --------------------------------------------------------------------------------

GPU_RATIO = "llm.load.llama.acceleration.offloadRatio"
infos = st.fixed_dictionaries(
    {"identifier": st.just("m")},
    optional={
        "type": st.sampled_from(["llm", "embedding", "new"]),
        "modelKey": json_values,
        "path": json_values,
        "sizeBytes": json_values,
        "contextLength": json_values,
    },
)
found = st.fixed_dictionaries(
    {"name": st.just("n"), "identifier": st.just({"type": "catalog", "identifier": "n"})},
    optional={
        "sizeBytes": json_values,
        "quantization": json_values,
        "fitEstimation": json_values,
        "downloadIdentifier": json_values,
    },
)
answers = (
    json_values
    | infos
    | st.lists(infos, max_size=2)
    | st.fixed_dictionaries({"tokenCount": json_values})
    | st.fixed_dictionaries({"tokens": json_values})
    | st.fixed_dictionaries({"embedding": json_values})
    | st.fixed_dictionaries({"formatted": json_values})
    | st.fixed_dictionaries({"info": infos | json_values})
    | st.fixed_dictionaries({"results": st.lists(found | json_values, max_size=2) | json_values})
    | st.fixed_dictionaries({"defaultIdentifier": json_values})
    | st.fixed_dictionaries(
        {
            "fields": st.lists(
                st.fixed_dictionaries(
                    {
                        "key": st.sampled_from(
                            [
                                "llm.load.contextLength",
                                GPU_RATIO,
                                "llm.load.llama.kCacheQuantizationType",
                                "load.gpuSplitConfig",
                                "embedding.load.contextLength",
                            ]
                        ),
                        "value": json_values,
                    }
                ),
                max_size=3,
            )
            | json_values
        }
    )
)
CALLS = {
    "count_tokens": lambda client: lms.LLM("m", client.llm).count_tokens("a"),
    "tokenize": lambda client: lms.LLM("m", client.llm).tokenize(["a", "b"]),
    "embed": lambda client: lms.EmbeddingModel("m", client.embedding).embed("a"),
    "template": lambda client: lms.LLM("m", client.llm).apply_prompt_template("a"),
    "get_info": lambda client: repr(lms.LLM("m", client.llm).get_info()),
    "context length": lambda client: lms.LLM("m", client.llm).get_context_length(),
    "load config": lambda client: repr(lms.LLM("m", client.llm).get_load_config()),
    "unload": lambda client: lms.LLM("m", client.llm).unload(),
    "embedding config": lambda client: repr(
        lms.EmbeddingModel("m", client.embedding).get_load_config()
    ),
    "list_loaded": lambda client: repr(client.list_loaded_models()),
    "list_downloaded": lambda client: repr(client.list_downloaded_models()),
    "any model": lambda client: repr(client.llm.model()),
    "model": lambda client: repr(client.llm.model("m", on_load_progress=lambda share: None)),
    "new instance": lambda client: repr(client.embedding.load_new_instance("m")),
    "prepare_image": lambda client: repr(client.prepare_image(b"GIF89a")),
    "search": lambda client: repr(client.repository.search_models("a")),
    "options": lambda client: [
        repr(model.get_download_options()) for model in client.repository.search_models("a")
    ],
}


@pytest.mark.parametrize("name", CALLS)
@given(answer=answers, progress=st.lists(json_values, max_size=3))
@example(answer={"tokenCount": float("inf")}, progress=[HUGE])
@example(answer={}, progress=[-HUGE])
@example(answer={"fields": [{"key": GPU_RATIO, "value": HUGE}]}, progress=[])
def test_any_answer_is_a_value_or_a_documented_error(deaf, name, answer, progress):
    received = [{"type": "progress", "progress": share} for share in progress]
    deaf.answers[:] = [(received, answer)] * 3

    attempt(lambda: CALLS[name](deaf))


# -- plugins ------------------------------------------------------------------------------------

functions = st.fixed_dictionaries(
    {"name": st.just("look") | json_values},
    optional={"description": json_values, "parameters": json_values},
)
definitions = st.lists(
    st.fixed_dictionaries({"function": functions | json_values}) | json_values, max_size=3
)


@given(definitions=definitions | json_values)
def test_any_list_of_tools_is_one_or_a_documented_error(definitions):
    request = plugins.start_tools("mcp/notes", None, None)

    tools = attempt(lambda: request.result({"type": plugins.READY, "toolDefinitions": definitions}))

    if isinstance(tools, list):
        for tool in tools:
            assert isinstance(tool.name, str)
            assert isinstance(tool.description, str)
            assert isinstance(tool.parameters, dict)


@given(
    said=st.lists(json_values, max_size=3),
    answer=st.fixed_dictionaries(
        {"type": st.sampled_from(["toolCallComplete", "toolCallError"])},
        optional={"result": json_values, "error": json_values},
    ),
)
def test_any_answer_of_a_tool_is_a_value_or_a_documented_error(said, answer):
    heard = []
    request = plugins.call_tool("look", {}, heard.append, heard.append, CallbackGate())
    for text in said:
        for kind in ("toolCallStatus", "toolCallWarn"):
            request.on_packet({"type": kind, "statusText": text, "warnText": text})

    result = attempt(lambda: request.result(answer))

    assert heard == [text for text in said if isinstance(text, str) for _ in range(2)]
    if answer["type"] == "toolCallComplete":
        assert result is answer.get("result")
    else:
        assert isinstance(result, lms.LMStudioServerError)
