"""Operations of the asyncio half, each of which comes to its end by itself."""

import asyncio
import contextlib
import inspect
import tempfile
from pathlib import Path

import lmstudio as lms

IMAGE = b"image" * 400_000
TEXTS = [f"text {number}" for number in range(70)]  # more than are sent at once


class Bench:
    """What the operations need; the tests of cancelled tasks have one that looks closer."""

    def __init__(self, server, client, model):
        self.server, self.client, self.model = server, client, model

    def script(self, *reply, **options):
        self.server.reply(*reply, **options)

    async def finished(self):
        """Let what is to be read arrive; some of it will do."""
        await self.model.count_tokens("on the same connection")


class NeverSet:
    """An event of another kind, which a thread has to ask."""

    def is_set(self):
        return False


async def respond(bench):
    return await bench.model.respond("hi", cancel_event=asyncio.Event())


async def complete(bench):
    return await bench.model.complete("hi", cancel_event=NeverSet())


async def complete_raw_text(bench):
    return await bench.model.complete_raw_text("hi", cancel_event=NeverSet())


async def wait_for_result(bench):
    stream = await bench.model.respond_stream("hi")
    await stream.start()
    return await stream.wait_for_result(10)


async def iterate(bench):
    return [fragment async for fragment in await bench.model.respond_stream("hi")]


async def texts(bench):
    return [text async for text in (await bench.model.respond_stream("hi")).texts()]


async def texts_closed(bench):
    texts = (await bench.model.respond_stream("hi")).texts(reasoning=True)
    text = await anext(texts)
    await texts.aclose()
    return text


async def iterate_with_an_object_event(bench):
    stream = await bench.model.respond_stream("hi", cancel_event=NeverSet())
    return [fragment async for fragment in stream]


async def start_with_an_object_event(bench):
    stream = await bench.model.respond_stream("hi", cancel_event=NeverSet())
    await stream.start()
    return await stream.wait_for_result()


async def async_with(bench):
    async with await bench.model.respond_stream("hi", cancel_event=NeverSet()) as stream:
        return [fragment async for fragment in stream]


async def iterate_what_is_there(bench):
    """So much that other tasks have their turn in between."""
    bench.script(["word "] * 300)
    stream = await bench.model.respond_stream("hi")
    await stream.start()
    await bench.finished()
    return [fragment async for fragment in stream]


async def read_what_is_there(bench):
    bench.script(["word "] * 300)
    stream = await bench.model.respond_stream("hi")
    await stream.start()
    await bench.finished()
    return await stream.wait_for_result()


async def wait_beside_a_reader(bench):
    stream = await bench.model.respond_stream("hi")
    reader = asyncio.ensure_future(stream.wait_for_result())
    try:
        await asyncio.sleep(0)
        return await stream.wait_for_result()
    finally:
        reader.cancel()
        await asyncio.wait([reader])


async def wait_after_a_cancel(bench):
    bench.script(["word "] * 50, delay=0.002, slow_stop=0.02)
    stream = await bench.model.respond_stream("hi")
    async for _ in stream:
        stream.cancel()
    return await stream.wait_for_result()


def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


async def add_later(a: int, b: int) -> int:
    """Add two numbers."""
    await asyncio.sleep(0.002)
    return a + b


async def _act(bench, tool, cancel=None, **options):
    request = {"name": tool.__name__, "arguments": {"a": 1, "b": 2}}
    bench.script(["word "] * 16, delay=0.005, tool_calls=[request])
    return await bench.model.act("1 + 2?", [tool], **options)


async def act(bench):
    return await _act(bench, add, cancel_event=[asyncio.Event(), NeverSet()])


async def act_with_coroutines(bench):
    return await _act(bench, add_later)


async def act_that_is_cancelled_while_a_tool_runs(bench):
    token = lms.CancelToken()

    async def stubborn(a: int, b: int) -> int:
        """Add two numbers, a little later than it was told to stop."""
        token.cancel("enough")
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            await asyncio.sleep(0.005)
        return a + b

    return await _act(bench, stubborn, cancel_event=token)


async def act_with_a_call_that_is_left_pending(bench):
    ask = {"type": "function", "function": {"name": "ask"}}
    bench.script(["word "] * 8, delay=0.005, tool_calls=[{"name": "ask"}])
    return await bench.model.act("Ask.", [ask, add])


async def respond_with_tools(bench):
    bench.script(["word "] * 8, delay=0.005, tool_calls=[{"name": "add"}])
    return await bench.model.respond("1 + 2?", tools=[add, add_later])


async def load(bench):
    await bench.client.llm.load_new_instance("test-vlm", "another", on_load_progress=print_nothing)
    await bench.client.llm.unload("another")


async def load_once(bench):
    model = await bench.client.llm.model("test-vlm")
    await model.unload()


async def load_none(bench):
    embedder = await bench.client.embedding.model("test-embedding")
    await embedder.unload()
    with contextlib.suppress(lms.LMStudioModelNotFoundError):
        await bench.client.embedding.model()


async def load_downloaded(bench):
    for model in await bench.client.list_downloaded_models("embedding"):
        handle = await model.load_new_instance(instance_identifier="another")
        await handle.unload()
        await model.model()


def print_nothing(_):
    pass


async def upload(bench):
    return await bench.client.prepare_image(IMAGE, "image.png")


async def upload_with_an_object_event(bench):
    return await bench.client.prepare_image(IMAGE, "image.png", cancel_event=NeverSet())


async def embed(bench):
    embedding = await bench.client.embedding.model()
    await embedding.embed("text")
    return await embedding.embed(TEXTS)


async def tokenize(bench):
    await bench.model.tokenize(["a", "b"], cancel_event=NeverSet())
    return await bench.model.tokenize("a")


async def batch(bench):
    return [pair async for pair in bench.model.respond_many(["a", "b", "c"], max_parallel=2)]


async def batch_by_hand(bench):
    batch = bench.model.complete_many(["a", "b"], cancel_event=asyncio.Event())
    return [await anext(batch), await anext(batch)]


async def batch_of_async_inputs(bench):
    async def inputs():
        for text in ("a", "b", "c"):
            await asyncio.sleep(0)
            yield text

    embedding = await bench.client.embedding.model()
    return [pair async for pair in embedding.embed_many(inputs(), max_parallel=2)]


async def batch_that_asks_for_places(bench):
    batch = bench.model.respond_many(["a", "b"], max_parallel=None)
    return [pair async for pair in batch]


async def batch_with_a_journal(bench):
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        journal = lms.BatchJournal(Path(folder, "out.jsonl"), fsync=True)
        first = [pair async for pair in bench.model.respond_many(["a", "b"], journal=journal)]
        again = [pair async for pair in bench.model.respond_many(["a", "b"], journal=journal)]
        return first, again


async def what_a_batch_has_not_done(bench):
    async def inputs():
        for text in ("a", "b", "c"):
            await asyncio.sleep(0)
            yield text

    batch = bench.model.respond_many(inputs(), max_parallel=1)
    async for _ in batch:
        batch.cancel()
    return [text async for text in batch.unfinished()]


async def ask(bench):
    model = bench.model
    await model.get_info()
    await model.get_load_config()
    await model.get_context_length()
    await model.count_tokens("text", cancel_event=NeverSet())
    await model.count_tokens(lms.Chat("Be kind."))
    await model.apply_prompt_template("hi")
    await bench.client.list_loaded_models()
    await bench.client.llm.list_downloaded()
    await bench.client.llm.get_model_info(model.identifier)


async def ask_more(bench):
    client, model = bench.client, bench.model
    await model.get_processing_state()
    await model.get_base_prediction_config()
    await model.preload_draft_model("test-vlm")
    await client.llm.estimate_resources("test-vlm")
    await (await client.embedding.model()).get_base_prediction_config()
    await client.system.notify("A title")
    await client.system.list_downloaded_model_variants("test-llm")
    (downloaded, *_) = await client.llm.list_downloaded()
    await downloaded.variants()
    image = await client.prepare_image(b"image", "image.png")
    await client.files.get_file_path(image)


async def ask_the_server(bench):
    await bench.client.system.get_version()
    await bench.client.system.get_info()
    await bench.client.system.start_http_server()
    await bench.client.system.stop_http_server()
    await bench.client.repository.lm_link.get_status()
    await bench.client.repository.lm_link.set_preferred_device("testing-device")


async def read_documents(bench):
    files = bench.client.files
    file = await files.prepare_file(b"cats sleep", "a.txt")
    await files.get_document_parser(file)
    await files.parse_document(file)
    return await files.retrieve("cats", [file])


async def read_logs(bench):
    """In which nothing stands until the time is over."""
    options = {"cancel_event": NeverSet(), "timeout": 0.03}
    with contextlib.suppress(lms.LMStudioTimeoutError):
        return [event async for event in bench.client.diagnostics.stream_logs(**options)]


async def read_logs_in_async_with(bench):
    options = {"cancel_event": NeverSet(), "timeout": 0.03}
    with contextlib.suppress(lms.LMStudioTimeoutError):
        async with bench.client.diagnostics.stream_logs(**options) as logs:
            return [event async for event in logs]


async def use_plugin(bench):
    session = bench.client.plugins.tools("mcp/notes", cancel_event=NeverSet())
    async with session as tools:
        await tools.call_tool("look", on_status=print_nothing, cancel_event=NeverSet())
        (look,) = tools
        return await look.implementation()


async def act_with_a_plugin(bench):
    async with bench.client.plugins.tools("mcp/notes") as tools:
        bench.script(["word "] * 16, delay=0.005, tool_calls=[{"name": "look"}])
        return await bench.model.act("Look.", [*tools, add])


async def download(bench):
    (found, *_) = await bench.client.repository.search_models("tiny")
    (option, *_) = await found.get_download_options()
    return await option.download()


async def another_client(bench):
    async with lms.AsyncClient(bench.server.host) as client:
        await client.llm.list_loaded()


async def close_another_client(bench):
    client = lms.AsyncClient(bench.server.host)
    try:
        await client.llm.list_loaded()
    finally:
        await client.close()


async def look_for_servers(bench):
    await lms.AsyncClient.is_valid_api_host(bench.server.host)
    await lms.AsyncClient.find_default_local_api_host()


WAYS = {
    name: way
    for name, way in list(globals().items())
    if inspect.isfunction(way)
    and inspect.iscoroutinefunction(way)
    and name not in ("_act", "add_later")
}
