"""Code as users write it, for type checkers: they must find errors in the lines marked WRONG only.

It is never run. `test_user_code_types.py` has it checked strictly by mypy and by pyright.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypedDict

import attrs
from typing_extensions import Unpack, assert_type

import lmstudio as lms
from lmstudio import testing


class Person(lms.BaseModel):
    name: str
    tags: list[str] = []  # noqa: RUF012


@dataclass
class Place:
    city: str


@attrs.define
class Animal:
    legs: int


class Book(TypedDict):
    title: str


# -- names --------------------------------------------------------------------------------------


def names() -> None:
    lms.Clint()  # WRONG
    lms.list_loaded_model()  # WRONG
    from lmstudio import PredictionReslt  # noqa: F401  # WRONG

    testing.Sever()  # WRONG
    with testing.Server() as server:
        lms.configure_default_client(server.host)
    print(lms.__version__)


# -- messages and their parts -------------------------------------------------------------------


def text_of(chat: lms.Chat) -> Iterator[str]:
    for message in chat:
        for part in message.content:
            if part.type == "text":
                assert_type(part, lms.TextData)
                yield part.text
            elif part.type == "file":
                assert_type(part, lms.FileHandle)
                yield part.name
            elif part.type == "toolCallResult":
                assert_type(part, lms.ToolCallResultData)
                yield part.content
            else:
                yield part.tool_call_request.name
                yield part.text  # WRONG


def who(message: lms.AnyChatMessage) -> str:
    if message.role == "system":
        assert_type(message, lms.SystemPrompt)
    elif message.role == "user":
        assert_type(message, lms.UserMessage)
    elif message.role == "tool":
        assert_type(message, lms.ToolResultMessage)
        return message.content[0].content
    else:
        assert_type(message, lms.AssistantResponse)
    return message.role


def matched(part: lms.TextData | lms.FileHandle) -> str:
    match part.type:
        case "text":
            return part.text
        case "file":
            return part.identifier


def tags_are_no_arguments() -> None:
    lms.TextData(text="hi")
    lms.TextData(type="text", text="hi")  # WRONG
    role: Literal["user"] = lms.UserMessage(content=[]).role
    tag: Literal["file"] = lms.TextData(text="hi").type  # WRONG
    print(role, tag)


# -- options ------------------------------------------------------------------------------------


def options(model: lms.LLM, client: lms.Client, anything: dict[str, Any]) -> None:
    model.respond("hi", config={"temperature": 0.5, "maxTokens": 20, "top_p_sampling": 1})
    model.respond("hi", config={"maxTokens": False, "seed": 3, "stopStrings": ["."]})
    model.respond("hi", config={"temprature": 0.5})  # WRONG
    model.respond("hi", config={"max_tokns": 20})  # WRONG
    model.respond("hi", config={"maxTokens": "20"})  # WRONG
    model.respond("hi", config=anything)  # WRONG
    model.respond("hi", config=lms.LlmPredictionConfig(max_tokens=5))
    model.complete_stream("hi", config={"temprature": 0.5})  # WRONG
    model.act("hi", [print], config={"temprature": 0.5})  # WRONG
    model.respond("hi", config={"structured": {"type": "json", "json_schema": {"type": "object"}}})
    model.respond("hi", config={"structured": {"jsonSchema": {}}})  # WRONG
    client.llm.model("m", config={"contextLength": 512, "gpu": {"ratio": 0.5, "mainGpu": 0}})
    client.llm.model("m", config={"context_length": 512, "gpu": lms.GpuSetting(ratio="max")})
    client.llm.model("m", config={"contextLenght": 512})  # WRONG
    client.llm.model("m", config={"gpu": {"mainGPU": 0}})  # WRONG
    client.llm.model("m", config={"temperature": 1})  # WRONG
    client.llm.load_new_instance("m", config={"flash_attention": True})
    client.embedding.model("e", config={"flash_attention": True})  # WRONG
    client.embedding.model("e", config={"evalBatchSize": 16})
    lms.llm("m", config={"contextLenght": 512})  # WRONG
    lms.llm("m", config={"contextLength": 512}, timeout=5, cancel_event=threading.Event())
    lms.llm("m", timout=5)  # WRONG
    lms.embedding_model("e", config={"contextLenght": 512})  # WRONG
    kept: lms.LlmPredictionConfigDict = {"temperature": 0.5}
    kept["maxTokens"] = 5
    kept["maxToken"] = 5  # WRONG
    model.respond("hi", config={**kept, "seed": 1})
    load: lms.LlmLoadModelConfigDict = {"gpuStrictVramCap": True}
    small: lms.EmbeddingLoadModelConfigDict = {"contextLength": 512}
    client.llm.list_downloaded()[0].model(config=load)
    client.embedding.list_downloaded()[0].load_new_instance(config=small)
    client.embedding.list_downloaded()[0].model(config={"contextLenght": 1})  # WRONG


# -- texts and lists ----------------------------------------------------------------------------


def texts(model: lms.EmbeddingModel, llm: lms.LLM) -> None:
    assert_type(model.embed("x"), Sequence[float])
    assert_type(model.embed(["x", "y"]), Sequence[Sequence[float]])
    assert_type(model.embed((text for text in "xy"), timeout=5), Sequence[Sequence[float]])
    assert_type(llm.tokenize("x"), Sequence[int])
    assert_type(model.tokenize({"x", "y"}), Sequence[Sequence[int]])
    model.embed(5)  # WRONG
    for index, vector in model.embed_many(["x"]):
        if isinstance(vector, lms.LMStudioError):
            raise vector
        print(index, vector[0])


def lists(client: lms.Client, kind: Literal["llm", "embedding"] | None) -> None:
    assert_type(client.list_loaded_models("llm"), Sequence[lms.LLM])
    assert_type(client.list_loaded_models("embedding"), Sequence[lms.EmbeddingModel])
    assert_type(client.list_loaded_models(), Sequence[lms.LLM | lms.EmbeddingModel])
    assert_type(lms.list_loaded_models("llm", timeout=5), Sequence[lms.LLM])
    assert_type(lms.list_loaded_models(namespace="embedding"), Sequence[lms.EmbeddingModel])
    assert_type(lms.list_loaded_models(None), Sequence[lms.LLM | lms.EmbeddingModel])
    assert_type(client.list_downloaded_models("llm"), Sequence[lms.DownloadedLlm])
    assert_type(lms.list_downloaded_models("embedding"), Sequence[lms.DownloadedEmbeddingModel])
    client.list_loaded_models("lm")  # WRONG
    lms.list_downloaded_models("embeddings")  # WRONG
    client.list_loaded_models(kind)
    assert_type(client.llm.list_loaded(), Sequence[lms.LLM])
    assert_type(client.embedding.list_downloaded(), Sequence[lms.DownloadedEmbeddingModel])
    for model in lms.list_downloaded_models():
        if model.type == "llm":
            assert_type(model, lms.DownloadedLlm)
            print(model.info.vision)
            assert_type(model.model(), lms.LLM)
        else:
            assert_type(model.load_new_instance(), lms.EmbeddingModel)


# -- replies ------------------------------------------------------------------------------------


def replies(model: lms.LLM, schema: lms.DictSchema, given: type[Person] | None) -> None:
    person = model.respond("Who?", response_format=Person).typed
    assert_type(person, Person | None)
    print(person.name)  # WRONG
    if person is not None:
        print(person.name.upper(), person.nme)  # WRONG
    assert_type(model.respond("Who?", response_format=given).typed, Person | None)
    assert_type(model.respond("Where?", response_format=Place).typed, Place | None)
    assert_type(model.complete("Which?", response_format=Animal).typed, Animal | None)
    assert_type(model.respond("Read", response_format=Book).typed, Book | None)
    assert_type(model.respond("Hi"), lms.PredictionResult[None])
    assert_type(model.respond("Hi", response_format=schema), lms.PredictionResult[None])
    assert_type(model.respond("Hi").typed, None)
    assert_type(model.respond("Hi").content, str)
    model.respond("Hi", response_format=5)  # WRONG


def streams(model: lms.LLM) -> None:
    with model.respond_stream("Who?", response_format=Person) as stream:
        for fragment in stream:
            assert_type(fragment, lms.LlmPredictionFragment)
    assert_type(stream.result().typed, Person | None)
    assert_type(stream.wait_for_result(5).typed, Person | None)
    stream.add_done_callback(lambda ended: print(ended.result().typed))
    plain = model.complete_stream("Once")
    assert_type(plain, lms.PredictionStream[None])
    raw = model.complete_raw_text_stream("Once", response_format=Person)
    assert_type(raw, lms.PredictionStream[Person])
    assert_type(model.complete_raw_text("Once").typed, None)
    model.complete_raw_text("Once", on_tool_call_request_end=print)  # WRONG
    running = model.respond_stream("Where?", response_format=Place).run_in_background(
        on_done=lambda result: print(result.typed and result.typed.city)
    )
    assert_type(running, lms.BackgroundCall[lms.PredictionResult[Place]])
    assert_type(running.result().typed, Place | None)


def batches(model: lms.LLM) -> None:
    batch = model.respond_many(["a", "b"], response_format=Person, progress="tqdm")
    assert_type(batch, lms.Batch[lms.PredictionResult[Person]])
    for _index, outcome in batch:
        if not isinstance(outcome, lms.LMStudioError):
            assert_type(outcome.typed, Person | None)
    for done in batch:
        assert_type(done, lms.BatchOutcome[lms.PredictionResult[Person]])
        assert_type(done.result, lms.PredictionResult[Person] | None)
        assert_type(done.error, lms.LMStudioError | None)
        assert_type((done.index, done.attempts), tuple[int, int])
    assert_type(batch.numbers.tokens_per_second, float)
    print(*batch.unfinished())
    model.complete_many(["a"], progress="bar")  # WRONG
    journal = lms.BatchJournal("out.jsonl", input_id=lambda row: str(row["id"]), fsync=True)
    several = lms.respond_many(
        [model, model],
        [{"id": 1, "text": "a"}],
        to_prompt=lambda row: row["text"],
        max_parallel=None,
        ordered=True,
        ahead=100,
        journal=journal,
        patience=60,
        retries=2,
        retry_if=lambda outcome: outcome.attempts < 3,
        progress=lambda numbers: print(numbers.seconds_left),
    )
    assert_type(several, lms.Batch[lms.PredictionResult[None]])
    model.respond_many(["a"], progress=lambda done, total: print(done, total), journal="out.jsonl")
    model.respond_many(["a"], retries="x")  # WRONG
    model.respond_many(["a"], retrys=3)  # WRONG
    lms.respond_many([3], ["a"])  # WRONG


async def several_async(models: list[lms.AsyncLLM]) -> None:
    batch = lms.respond_many(models, ["a"], response_format=Person)
    assert_type(batch, lms.AsyncBatch[lms.PredictionResult[Person]])
    async for outcome in batch:
        assert_type(outcome, lms.BatchOutcome[lms.PredictionResult[Person]])


def devices(client: lms.Client) -> None:
    model = client.llm.model("a", device_identifier=None)
    client.llm.unload(model.identifier, device_identifier=model.get_info().device_identifier)
    client.llm.model("a", device_identifier=5)  # WRONG
    status = client.repository.lm_link.get_status()
    assert_type(status, lms.LmLinkStatus)
    assert_type([peer.device_identifier for peer in status.peers], list[str])
    client.prepare_image("a.png", on_progress=lambda share: print(share.hex()))
    client.prepare_image("a.png", on_progress=lambda: None)  # WRONG


class Window:
    """Names the classes without saying what the reply becomes."""

    stream: lms.PredictionStream
    last: lms.PredictionResult | None = None
    persons: list[lms.PredictionResult[Person]]

    def ask(self, model: lms.LLM) -> lms.PredictionResult:
        self.stream = model.respond_stream("Hi")
        self.stream = model.respond_stream("Who?", response_format=Person)
        self.last = self.stream.result()
        self.persons = [model.respond("Who?", response_format=Person)]
        self.persons.append(model.respond("Where?", response_format=Place))  # WRONG
        return model.respond("Hi", on_message=lms.Chat().append)

    def show(self, error: lms.LMStudioError) -> None:
        if error.partial is not None:
            print(error.partial.content, error.partial.stats.stop_reason)


# -- everything else ----------------------------------------------------------------------------


def add(a: int, b: int, context: lms.ToolCallContext) -> int:
    """Add two numbers."""
    context.status("adding")
    return a + b


def acts(model: lms.LLM) -> None:
    chat = lms.Chat("You are brief.")
    chat.add_user_message("What is 1 + 2?")
    tools: list[lms.ToolDefinition] = [add]
    result = model.act(chat, tools, on_message=chat.append, guard_tool_call=lambda c: c.allow())
    assert_type(result, lms.ActResult)
    call = lms.run_in_background(model.act, chat, tools, on_done=lambda r: print(r.rounds))
    assert_type(call, lms.BackgroundCall[lms.ActResult])
    model.act(chat, tools, on_tool_call_status="no")  # WRONG
    assert_type(result.pending_tool_calls, list[lms.ToolCallRequest])
    openai: dict[str, Any] = {"type": "function", "function": {"name": "ask"}}
    raw = lms.RawFunctionTool(name="raw", description="It is.", parameters_json_schema={})
    model.act(
        chat,
        [add, openai, raw, {"type": "function", "function": {"name": "look"}}],
        on_tool_call_result=lambda number, told, index: print(number, told.content, index),
        handle_invalid_tool_request=explain,
    )
    reply = model.respond(chat, tools=[add, raw], tool_choice="required")
    assert_type(reply.tool_calls, list[lms.ToolCallRequest])
    model.respond(chat, tools=[add], tool_choice="any")  # WRONG
    model.respond(chat, tools=openai)  # WRONG


def explain(error: lms.LMStudioPredictionError, request: lms.ToolCallRequest | None) -> str:
    print(error.raw_content, error.tool_name, error.tool_arguments)
    return str(error) if request is None else request.name


def events(model: lms.LLM, token: lms.CancelToken, event: threading.Event) -> None:
    model.respond("Hi", cancel_event=token, timeout=None, idle_timeout=5.0)
    model.respond("Hi", cancel_event=[token, event])
    model.respond("Hi", cancel_event="stop")  # WRONG
    model.unload(timeout="5")  # WRONG
    assert_type(lms.CancelToken.after(5), lms.CancelToken)


def infos(model: lms.LLM) -> None:
    info = model.get_info()
    if isinstance(info, lms.LlmInstanceInfo):
        assert_type(info.type, Literal["llm"])
        print(info.vision)
        print(info.visions)  # WRONG


# -- asyncio ------------------------------------------------------------------------------------


async def tasks(stop: asyncio.Event) -> None:
    async with lms.AsyncClient() as client:
        model = await client.llm.model("a", ttl=None)
        assert_type(model, lms.AsyncLLM)
        assert_type(await client.embedding.model(), lms.AsyncEmbeddingModel)
        assert_type(await client.list_loaded_models("llm"), Sequence[lms.AsyncLLM])
        result = await model.respond("?", response_format=Animal, cancel_event=stop, timeout=1)
        assert_type(result, lms.PredictionResult[Animal])
        stream = await model.respond_stream("?")
        async for fragment in stream:
            assert_type(fragment, lms.LlmPredictionFragment)
            if stream.cancel("enough"):
                break
        assert_type(await stream.cancel(), bool)
        print((await stream.wait_for_result(timeout=1.0)).content, stream.result().content)
        async for index, outcome in model.respond_many(["?"]):
            print(index, outcome)
        await model.act("?", [], on_message=print)
    print(model.respond("?").content)  # WRONG


def is_neither(model: lms.AsyncLLM) -> lms.LLM:
    return model  # WRONG


# -- what the server tells ----------------------------------------------------------------------


def server_tells(client: lms.Client, model: lms.LLM, stop: threading.Event) -> None:
    with client.diagnostics.stream_logs(cancel_event=stop) as logs:
        assert_type(logs, lms.LogStream)
        for event in logs:
            assert_type(event, lms.DiagnosticsLogEvent)
            assert_type(event.data.output, str | None)
            print(event.data.text)  # WRONG
    assert_type(model.get_processing_state(timeout=1).queued, int)
    assert_type(client.llm.estimate_resources("key", {"context_length": 5}).memory.total_bytes, int)
    for downloaded in client.llm.list_downloaded():
        assert_type(downloaded.variants(), Sequence[lms.DownloadedLlm])
    assert_type(model.get_base_prediction_config(), lms.LlmPredictionConfig)
    client.system.notify("title", no_auto_dismiss=True)
    client.system.notify()  # WRONG
    assert_type(client.system.get_info(), lms.ServerInfo)
    found = client.files.retrieve("query", [client.files.prepare_file(b"text", "a.txt")], limit=3)
    assert_type(found.entries[0].page_number, int | tuple[int, int] | None)
    details = model.respond("hi", on_prompt_details=print).prompt_details
    assert_type(details, lms.PromptProcessingDetails | None)
    client.llm.model("key", on_load_resolved=lambda info, ambiguous: print(info, len(ambiguous)))


def plugins(client: lms.Client, model: lms.LLM, stop: threading.Event) -> None:
    def add(a: int, b: int) -> int:
        """Add."""
        return a + b

    with client.plugins.tools("mcp/a", config={"x": 1}, working_directory="/") as tools:
        assert_type(tools, lms.PluginTools)
        for tool in tools:
            assert_type(tool, lms.PluginTool)
        model.act("hi", [*tools, add], cancel_event=stop)
        model.act("hi", tools)
        tools.call_tool("name", {"a": 1}, on_status=print, cancel_event=stop, timeout=1)
        tools.call_tool("name", [1])  # WRONG
    client.plugins.tools(5)  # WRONG
    client.plugins.tool("mcp/a")  # WRONG


async def plugins_in_tasks(client: lms.AsyncClient, model: lms.AsyncLLM) -> None:
    async with client.plugins.tools("mcp/a") as tools:
        assert_type(tools, lms.AsyncPluginTools)
        await model.act("hi", [*tools])
        print(await tools.call_tool("name"))


async def server_tells_tasks(client: lms.AsyncClient) -> None:
    async with client.diagnostics.stream_logs() as logs:
        async for event in logs:
            assert_type(event, lms.DiagnosticsLogEvent)
    assert_type(await client.files.parse_document("id"), lms.ParsedDocument)


def annotated(
    client: lms.Client,
    stop: lms.CancelEvent,
    dispatch: lms.Dispatch,
    limit: lms.TimeLimit,
    progress: lms.ModelLoadingCallback,
    bar: lms.BatchProgress,
    **limits: Unpack[lms.CallLimits],
) -> lms.LLM:
    models: lms.LlmNamespace = client.llm
    files: lms.FilesNamespace = client.files
    search: lms.RepositoryNamespace = client.repository
    print(files, search, client.system.get_version(**limits))
    model = models.model("key", on_load_progress=progress, cancel_event=stop, timeout=limit)
    model.respond_stream("hi").run_in_background(on_text=print, dispatch=dispatch)
    model.respond_many(["hi"], progress=bar)
    limits["timeout"] = "soon"  # WRONG
    return models.model(**limits)
