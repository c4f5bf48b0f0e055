"""What our client sends fits the published schemas of the protocol, and so do the answers."""

import queue
import re
from pathlib import Path
from typing import Literal

import pytest
from helpers import eventually
from interop import schemas
from interop.schemas import assert_fit

import lmstudio as lms
from lmstudio.testing import Model, Plugin, Server, Tool, ToolCall
from lmstudio.testing._engines.models_on_disk import DEFAULT_MODELS

pytestmark = pytest.mark.skipif(
    schemas.missing() is not None, reason=f"did not run: {schemas.missing()}"
)

LOAD_OPTIONS = {
    "context_length": 2048,
    "gpu": {"ratio": 0.5, "main_gpu": 0, "split_strategy": "evenly", "disabled_gpus": [1]},
    "seed": 7,
    "rope_frequency_base": False,
    "flash_attention": True,
    "llama_k_cache_quantization_type": "q8_0",
    "llama_v_cache_quantization_type": False,
    "keep_model_in_memory": True,
    "num_experts": 2,
}
OPTIONS = {
    "max_tokens": 100,
    "temperature": 0.7,
    "stop_strings": ["END"],
    "tool_call_stop_strings": ["</tool>"],
    "context_overflow_policy": "rollingWindow",
    "seed": 3,
    "top_k_sampling": 20,
    "top_p_sampling": 0.9,
    "min_p_sampling": False,
    "repeat_penalty": 1.2,
    "presence_penalty": 0.5,
    "log_probs": 3,
    "enable_thinking": False,
    "reasoning_budget": False,
    "draft_model": "test-vlm",
    "raw": {"llm.prediction.llama.frequencyPenalty": {"checked": True, "value": 0.1}},
}
# Parts of the template of a completion, as the official Python client sends them too: older servers
# want them, newer ones ignore them.
FOR_OLDER_SERVERS = "('bosToken', 'eosToken', 'inputConfig' were unexpected)"
PLUGIN = Plugin(
    identifier="mcp/notes", tools=[Tool(name="look", result="green"), Tool(name="slow", hold=True)]
)
SCHEMA = {"type": "object", "properties": {"title": {"type": "string"}}, "required": ["title"]}


WITH_A_METHOD = 47  # of the 93 endpoints of LM Studio, at least: the test prints the others


@pytest.fixture(scope="module")
def driven():
    """A server, closed by now, that our client has asked for all that it can."""
    models = [*DEFAULT_MODELS, Model(key="far-llm", device_identifier="far")]
    with Server(models=models, plugins=[PLUGIN]) as server, lms.Client(server.host) as client:
        use_models(client)
        use_devices(client)
        use_chats(client.llm.model("test-llm"), server)
        use_tools(client.llm.model("test-llm"), server)
        use_repository(client)
        use_files(client, server)
        use_errors(client)
        use_system(client)
        use_logs(client, server)
        use_plugins(client, server)
        client.system.request_shutdown()
    return server


def test_all_that_our_client_sends_fits_and_so_do_the_answers(published, driven):
    assert_fit(published, driven, tolerated=FOR_OLDER_SERVERS)
    assert {endpoint for _, endpoint in called(published)} >= documented_endpoints()
    assert ("llm", "predict", "from client: cancel") in published.seen
    assert ("diagnostics", "streamLogs", "from client: stop") in published.seen
    for packet in ("callTool", "abortToolCall", "discardSession"):
        assert ("plugins", "startToolUseSession", f"from client: {packet}") in published.seen


def test_the_endpoints_that_no_method_reaches_are_counted(published, driven):
    assert_fit(published, driven, tolerated=FOR_OLDER_SERVERS)
    there = {
        (namespace, endpoint)
        for namespace, kinds in published.namespaces.items()
        for kind in ("rpc", "channel")
        for endpoint in kinds[kind]
    }

    left = sorted(there - called(published))
    print(f"{len(there) - len(left)} of {len(there)} endpoints have a method. Without one:")
    print(*(f"  {namespace}/{endpoint}" for namespace, endpoint in left), sep="\n")

    assert called(published) <= there
    assert len(there) - len(left) >= WITH_A_METHOD
    assert len(there) == 93


def called(published):
    """The endpoints that were called, as (namespace, endpoint)."""
    return {(name, endpoint) for name, endpoint, what in published.seen if what == "parameter"}


def test_what_our_client_sends_to_stop_a_load_fits(published):
    stop = lms.CancelToken()
    stopped = pytest.raises(lms.LMStudioCancelledError)
    with Server(load_time=600.0) as server, lms.Client(server.host) as client, stopped:
        client.llm.model("test-vlm", cancel_event=stop, on_load_progress=lambda _: stop.cancel())

    assert_fit(published, server)
    assert ("llm", "getOrLoad", "from client: cancel") in published.seen


def test_what_our_client_sends_to_stop_a_download_fits(published):
    stop = lms.CancelToken()
    with Server(download_time=600.0) as server, lms.Client(server.host) as client:
        option = client.repository.search_models("tiny")[0].get_download_options()[0]
        with pytest.raises(lms.LMStudioCancelledError):
            option.download(lambda update: stop.cancel(), cancel_event=stop)

    assert_fit(published, server)
    assert ("repository", "downloadModel", "from client: cancel") in published.seen


def documented_endpoints():
    """The endpoints that the docstrings of our client name."""
    texts = [file.read_text() for file in Path(lms.__file__).parent.rglob("*.py")]
    lines = [line for text in texts for line in re.findall(r"Endpoint: (?:rpc|channel) .*", text)]
    names = {name for line in lines for name in re.findall(r"``(?:\w+/)?(\w+)``", line)}
    assert "predict" in names
    return names


def use_models(client):
    """Call all that there is about models."""
    client.llm.model("test-vlm", ttl=60, config=LOAD_OPTIONS, on_load_progress=lambda share: None)
    client.llm.model("test-vlm", ttl=None)
    client.list_downloaded_models()
    client.list_loaded_models()
    second = client.llm.load_new_instance("test-llm", "second", config={"contextLength": 1024})
    client.embedding.model("test-embedding")
    embedder = client.embedding.load_new_instance("test-embedding", config={"contextLength": 512})
    for model in (second, client.embedding.model(), embedder):
        model.get_info()
        model.get_load_config()
        model.get_context_length()
        model.count_tokens("a b c")
        model.tokenize(["a b", "c"])
        model.get_processing_state()
    embedder.embed(["a", "b"])
    embedder.get_base_prediction_config()
    list(embedder.embed_many(["a"]))
    list(second.respond_many(["a"]))
    second.apply_prompt_template("Hi.")
    second.get_base_prediction_config()
    second.preload_draft_model("test-vlm")
    client.llm.estimate_resources("test-vlm", LOAD_OPTIONS)
    client.embedding.estimate_resources("test-embedding", {"contextLength": 512})
    client.system.list_downloaded_model_variants("test-vlm")
    second.unload()
    embedder.unload()


def use_devices(client):
    """Name devices wherever one can, this server itself among them."""
    for key, device in (("far-llm", "far"), ("test-llm", None)):
        client.llm.estimate_resources(key, device_identifier=device)
        client.llm.model(key, device_identifier=device).respond("Hi.")
        client.llm.load_new_instance(key, "third", device_identifier=device).get_info()
        client.llm.model(device_identifier=device)
        client.llm.unload("third", device_identifier=device)
    client.repository.lm_link.get_status()
    client.repository.lm_link.set_preferred_device("far")
    client.repository.lm_link.get_status()


def use_chats(model, server):
    """Predict in all the ways that there are."""
    chat = lms.Chat("You are brief.")
    chat.add_user_message(["Hi.", "How are you?"])
    chat.add_assistant_response(model.respond(chat, config=OPTIONS))
    chat.add_user_message("Go on.")
    model.respond(chat, response_format=SCHEMA)
    model.complete("Once upon", config={"maxTokens": 3})
    model.complete_raw_text("Once upon", config={"maxTokens": 3}, preset=None)
    server.reply("word " * 100_000, delay=0.001)
    with model.respond_stream("Tell me a story.") as stream:
        next(iter(stream))
        stream.cancel("enough")
        stream.result()
    server.predictions[-1].wait_finished()


def use_tools(model, server):
    """Act with tools of all kinds, through a round, to the last one that is allowed."""

    def add(a: int, b: float = 1.5, *, how: Literal["fast", "slow"] = "fast") -> float:
        """Add two numbers."""
        return a + b

    raw = lms.RawFunctionTool(
        name="note",
        description="Take a note.",
        parameters_json_schema={"type": "object", "properties": {"text": {"type": "string"}}},
        implementation=lambda **arguments: arguments,
    )
    calls = [ToolCall("add", {"a": 1}), ToolCall("note", {"text": "x"}), ToolCall("nobody")]
    server.reply("Let me.", tool_calls=calls)
    server.reply("Done.")
    config = {"toolChoice": {"type": "generic", "mode": "required"}}
    assert model.act("Go.", [add, raw], max_prediction_rounds=2, config=config).rounds == 2
    ask = {"type": "function", "function": {"name": "ask", "parameters": {"type": "object"}}}
    chat = lms.Chat.from_history("Go on.")
    server.reply("Let me ask.", tool_calls=[ToolCall("ask"), calls[0]])
    result = model.act(chat, [add, ask], on_message=chat.append)
    chat.add_tool_results(
        lms.ToolCallResultData(content="yes", tool_call_id=request.id, name=request.name)
        for request in result.pending_tool_calls
    )
    server.reply("Once more.", tool_calls=calls[:2])
    result = model.respond(chat, tools=[add, raw, ask], tool_choice="required")
    chat.add_assistant_response(result, result.tool_calls)
    chat.add_tool_results(
        lms.ToolCallResultData(content="1", tool_call_id=request.id, name=request.name)
        for request in result.tool_calls
    )
    server.reply("Done.")
    model.respond(chat, tools=[])


def use_repository(client):
    """Search with all options, and download."""
    (model,) = client.repository.search_models("tiny", 25, ["gguf", "safetensors"])
    for option in model.get_download_options():
        option.download(lambda update: None, lambda: None)


def use_files(client, server):
    """Put images into a chat, a big one among them."""
    chat = lms.Chat()
    images = [client.prepare_image(data) for data in (b"\x89PNG\r\n\x1a\n", bytes(200_000))]
    client.files.get_file_path(images[0])
    notes = client.files.prepare_file(b"cats sleep", "notes.txt")
    parser = client.files.get_document_parser(notes)
    client.files.parse_document(notes, parser=parser)
    options = {"limit": 3, "embedding_model": "test-embedding", "chunk_size": 100}
    client.files.retrieve("cats", [notes], database_file="/tmp/vectors", **options)
    chat.add_user_message("What is this?", images=images)
    server.reply("An image.")
    client.llm.model("test-vlm").respond(chat)


def use_system(client):
    """Tell the server what it can be told."""
    client.system.notify("Ready")
    client.system.notify("Ready", "All of it.", no_auto_dismiss=True)
    client.system.get_version()
    client.system.get_info()
    client.system.start_http_server()
    client.system.start_http_server(1234, cors=True, network_interface="127.0.0.1")
    client.system.stop_http_server()
    states = queue.SimpleQueue()
    with client.on_connection_change(states.put):
        assert states.get(timeout=10)


def use_logs(client, server):
    """Read the log of a prediction."""
    model = client.llm.model()
    with client.diagnostics.stream_logs() as logs:
        eventually(lambda: server.received(endpoint="streamLogs"))
        model.respond("Hi.")
        events = iter(logs)
        assert [next(events).data.type for _ in range(2)] == [
            "llm.prediction.input",
            "llm.prediction.output",
        ]
    eventually(lambda: server.received(type="channelSend", endpoint="streamLogs"))


def use_plugins(client, server):
    """Let a model call a tool of a plugin, and stop another one."""
    stop = lms.CancelToken()
    server.reply(tool_calls=[ToolCall("look", {"at": "it"})])
    with client.plugins.tools("mcp/notes", working_directory="/") as tools:
        client.llm.model().act("Look.", tools)
        call = lms.run_in_background(tools.call_tool, "slow", cancel_event=stop)
        server.wait_tool_run(1)
        stop.cancel()
        with pytest.raises(lms.LMStudioCancelledError):
            call.result()
    server.tool_runs[1].wait("aborted")
    eventually(lambda: "discardSession" in str(server.received("channelSend", path="plugins")))


def use_errors(client):
    """Draw the errors that the server can answer with."""
    model = client.llm.model()
    for call in (
        lambda: client.llm.model("no-such-model"),
        lambda: client.llm.model("test-embedding"),
        lambda: client.llm.unload("nobody"),
        lambda: model.respond("Hi.", preset="nonsense"),
    ):
        with pytest.raises(lms.LMStudioServerError):
            call()
