"""Wrong calls of both halves: each error says in a few words what is wrong and what to do."""

import asyncio
import re
import threading

import pytest
from asyncio_half.loops import run

import lmstudio as lms

BIG = b"\x89PNG" + bytes(100_000)


class Book(lms.BaseModel):
    """A book."""

    title: str


def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


def texts():
    yield "a"


# What is called, with a client and a model; a part of what the error says.
CALLS = {
    # chats
    "nothing": (lambda c, m: m.respond(None), "Expected Chat"),
    "no messages": (lambda c, m: m.respond({}), "or a dict with a 'messages' key"),
    "a list": (lambda c, m: m.respond([]), "in a dict, as {'messages': [...]}"),
    "messages of OpenAI": (
        lambda c, m: m.respond([{"role": "user", "content": "a"}]),
        "Chat.from_openai() reads one",
    ),
    "a text for messages": (
        lambda c, m: m.respond({"messages": "x"}),
        "The value of 'messages' is a list, as [{'role': 'user'",
    ),
    "a single message": (
        lambda c, m: m.respond({"role": "user", "content": "a"}),
        "Put a single message into a list: {'messages': [message]}.",
    ),
    "a message without role": (
        lambda c, m: m.respond({"messages": ["a"]}),
        "A message has a role and content, as {'role': 'user', 'content': 'text'}",
    ),
    "bytes": (lambda c, m: m.respond(b"hi"), "A text is decoded first"),
    "a chat as prompt": (lambda c, m: m.complete(lms.Chat()), "For a chat there is respond()"),
    "texts as prompt": (lambda c, m: m.complete(["a"]), "for several texts complete_many()"),
    "a preset": (lambda c, m: m.respond("hi", preset=5), "preset must be a string; 5 was given"),
    # options
    "a text as options": (
        lambda c, m: m.respond("hi", config="temperature=1"),
        "a dict of options or a LlmPredictionConfig, not 'temperature=1' (str)",
    ),
    "an option twice": (
        lambda c, m: m.respond("hi", config={"max_tokens": 5, "maxTokens": 6}),
        "is given twice, as 'maxTokens' too: write one of the two.",
    ),
    "options of loading": (
        lambda c, m: m.respond("hi", config=lms.LlmLoadModelConfig()),
        "a LlmPredictionConfig, not LlmLoadModelConfig()",
    ),
    "no number": (
        lambda c, m: m.respond("hi", config={"temperature": "hot"}),
        "temperature takes a finite number, not 'hot' (str)",
    ),
    "an object for a class": (
        lambda c, m: m.respond("hi", response_format=Book(title="a")),
        "It takes the class itself, Book, and no object of it.",
    ),
    "a list of classes": (
        lambda c, m: m.respond("hi", response_format=list[Book]),
        "a class with a field that is such a list",
    ),
    "no schema": (
        lambda c, m: m.respond("hi", response_format={"title": str}),
        "A JSON Schema has a 'type', as {'type': 'object', 'properties': {...}}.",
    ),
    "a schema as text": (
        lambda c, m: m.respond("hi", response_format='{"type": "object"}'),
        "as a dict, which json.loads() makes of a text",
    ),
    # limits
    "seconds as text": (lambda c, m: m.respond("hi", timeout="5"), "number of seconds"),
    "a negative limit": (lambda c, m: m.respond("hi", idle_timeout=-1), "at least 0, or None"),
    "a lock": (
        lambda c, m: m.respond("hi", cancel_event=threading.Lock()),
        "cancel_event must be a threading.Event, a CancelToken, another object with is_set()",
    ),
    "the class of an event": (
        lambda c, m: m.respond("hi", cancel_event=threading.Event),
        "Event() instead of Event",
    ),
    "a callback": (lambda c, m: m.respond("hi", on_message=5), "on_message must be a function"),
    # batches
    "a text for inputs": (lambda c, m: m.respond_many("hi"), "Put a single input into a list"),
    "a chat for inputs": (lambda c, m: m.respond_many(lms.Chat()), "Put a single input into a"),
    "a generator's function": (lambda c, m: m.respond_many(texts), "Call it: texts()."),
    "no place": (
        lambda c, m: m.respond_many(["a"], max_parallel=0),
        "at least 1, or None; 0 was given",
    ),
    "a text for a number": (
        lambda c, m: m.respond_many(["a"], max_parallel="4"),
        "max_parallel must be a whole number of at least 1, or None; '4' was given",
    ),
    # tools
    "a tool in no list": (lambda c, m: m.act("hi", add), "given as a list, as [add]"),
    "a tool to respond with": (lambda c, m: m.respond("hi", tools=add), "a list, as [add]"),
    "no tools": (lambda c, m: m.act("hi", []), "Without any, use respond()"),
    "print": (lambda c, m: m.act("hi", [print]), "Write a function around it, with annotated"),
    "a lambda": (lambda c, m: m.act("hi", [lambda a: a]), "write a function by def"),
    "a called tool": (lambda c, m: m.act("hi", [add(1, 2)]), "A tool is a function"),
    "tools of OpenAI": (
        lambda c, m: m.act("hi", [{"type": "function", "name": "add"}]),
        "With an implementation, it is a RawFunctionTool",
    ),
    "rounds": (
        lambda c, m: m.act("hi", [add], max_prediction_rounds="3"),
        "a whole number of at least 1, or None; '3' was given",
    ),
    # models
    "a key that is none": (lambda c, m: c.llm.model("tst-llm"), "Downloaded: test-llm, test-"),
    "a handle as key": (lambda c, m: c.llm.model(m), "Its identifier is one: 'test-llm'."),
    "a handle to unload": (lambda c, m: c.llm.unload(m), "Its identifier is one: 'test-llm'."),
    "a handle to ask for": (lambda c, m: c.llm.get_model_info(m), "Its identifier is one"),
    "an embedding model": (
        lambda c, m: c.llm.model("test-embedding"),
        "an embedding model, which is loaded by client.embedding.model('test-embedding')",
    ),
    "a language model": (
        lambda c, m: c.embedding.model("test-llm"),
        "a language model, which is loaded by client.llm.model('test-llm')",
    ),
    "a negative ttl": (lambda c, m: c.llm.model("test-llm", ttl=-1), "ttl must be a positive"),
    "a taken name": (
        lambda c, m: c.llm.load_new_instance("test-llm", "test-llm"),
        'Model load error: the identifier "test-llm" already exists.',
    ),
    "a namespace": (lambda c, m: c.list_loaded_models("vision"), "there are 'llm' and 'embedd"),
    # files
    "a path for an image": (
        lambda c, m: lms.Chat().add_user_message("Look.", images=["cat.png"]),
        "client.prepare_image('cat.png') uploads one, and returns its handle",
    ),
    "bytes for an image": (
        lambda c, m: lms.Chat().add_user_message("Look.", images=BIG),
        "(100,004 bytes). Images are file handles: client.prepare_image(image)",
    ),
    "bytes for a text": (
        lambda c, m: lms.Chat().add_user_message(BIG),
        "client.prepare_image(data) makes a file handle of an image",
    ),
    "a URL": (lambda c, m: c.prepare_image("https://a.example/b.png"), "nothing is fetched"),
    "a document": (
        lambda c, m: c.files.parse_document(BIG),
        "A file is given by its handle, which client.files.prepare_file(src) returns",
    ),
    "a file in no list": (
        lambda c, m: c.files.retrieve("cats", "docs/a.pdf"),
        "client.files.prepare_file('docs/a.pdf') returns",
    ),
    # chats that are added to
    "a text to append": (lambda c, m: lms.Chat().append("hi"), "add_user_message()"),
    "a part of OpenAI": (
        lambda c, m: lms.Chat().add_user_message({"type": "image_url", "image_url": {}}),
        "Chat.from_openai() reads messages",
    ),
    "a list as prompt of the system": (
        lambda c, m: lms.Chat(["Be kind."]),
        "Chat.from_history({'messages': [...]}) reads messages",
    ),
    "no tool calls": (lambda c, m: lms.Chat().add_assistant_response("a", 5), "ToolCallRequest("),
    "no tool results": (lambda c, m: lms.Chat().add_tool_results(5), "ToolCallResultData("),
    "no saved chat": (lambda c, m: lms.Chat.from_json(None), "A saved chat must be JSON"),
    "a big role": (lambda c, m: lms.Chat().add_entry("x" * 10**6, "a"), "Unknown history role"),
    # clients
    "a number as host": (lambda c, m: type(c)(12), "a string such as 'localhost:1234'"),
    "a port": (lambda c, m: type(c)("localhost:99999"), "its port is no number from 1 to 65535"),
    "a word as port": (lambda c, m: type(c)("localhost:x"), "its port is no number from 1 to"),
    "no host": (lambda c, m: type(c)("http://"), "it names no host. Write 'host:port'"),
    "a space": (lambda c, m: type(c)("localhost 1234"), "it has a space in it"),
    "a grace": (lambda c, m: type(c)("a:1", cancel_grace=None), "finite numbers of seconds"),
    "strictness": (lambda c, m: type(c)("a:1", strict_options="x"), "must be True or False"),
    "a handle by hand": (lambda c, m: type(m)("test-llm"), "client.llm.model('key')"),
}


@pytest.mark.parametrize("name", CALLS)
def test_a_wrong_call_is_told_what_to_do(half, name):
    call, words = CALLS[name]
    with pytest.raises(lms.LMStudioError) as caught:
        half.do(lambda: call(half.client, half.model))
    text = str(caught.value)
    assert words in text
    assert len(text) < 700
    beginning = re.match(r"[\w/ ]+ error: ", text)
    assert beginning is None or text.count(beginning[0]) == 1


@pytest.mark.parametrize("name", ["respond", "respond_many", "act"])
def test_an_embedding_model_says_who_responds(half, name):
    embedding = half.do(half.client.embedding.model)
    assert not hasattr(embedding, name)
    with pytest.raises(AttributeError, match=r"a language model has it, as client\.llm\.model"):
        getattr(embedding, name)


def test_a_language_model_says_who_embeds(half):
    with pytest.raises(AttributeError, match=r"an embedding model has it, as client\.embedding"):
        half.model.embed("hi")
    with pytest.raises(AttributeError, match=r"object has no attribute 'chat'$"):
        half.model.chat("hi")


def test_a_result_is_added_to_a_chat_by_its_method(half):
    result = half.do(lambda: half.model.respond("hi"))
    chat = lms.Chat()
    chat.add_user_message("hi")
    for add_it in (chat.append, chat.add_user_message, lms.Chat, lms.Chat.from_history):
        with pytest.raises(lms.LMStudioValueError, match=r"chat\.add_assistant_response\(result\)"):
            add_it(result)
    with pytest.raises(lms.LMStudioValueError, match=r"chat\.add_assistant_response\(result\)"):
        half.do(lambda: half.model.respond(result))

    chat.add_assistant_response(result)
    assert chat[-1].text == result.content
    chat[-1] = {"role": "assistant", "content": result}
    assert chat[-1].text == result.content
    assert lms.Chat.from_history({"messages": [("assistant", result)]})[-1].text == result.content


def test_what_act_returns_is_no_message(half):
    chat = lms.Chat()
    done = half.do(lambda: half.model.act("hi", [add], on_message=chat.append))
    with pytest.raises(lms.LMStudioValueError, match=r"on_message=chat\.append"):
        lms.Chat().append(done)
    assert len(chat) == 1


def test_a_stream_is_not_started_by_adding_it_to_a_chat(half, held):
    stream = half.stream()
    for add_it in (lms.Chat().add_user_message, lms.Chat().add_assistant_response):
        with pytest.raises(lms.LMStudioValueError, match=r"stream\.result\(\)"):
            add_it(stream)
    with pytest.raises(lms.LMStudioValueError, match=r"has no is_set\(\)"):
        half.do(lambda: half.model.respond("hi", cancel_event=stream))
    assert "not started" in repr(stream)


@pytest.mark.parametrize("callback", [None, 5, add])
def test_a_callback_that_cannot_be_called_so_is_refused_at_once(half, callback):
    with pytest.raises(lms.LMStudioValueError, match="on_cancel"):
        lms.CancelToken().on_cancel(callback)
    with pytest.raises(lms.LMStudioValueError, match="add_done_callback"):
        half.stream().add_done_callback(callback)


def test_the_messages_of_a_chat_have_numbers():
    with pytest.raises(TypeError, match=r"have numbers, as in chat\[-1\]; 'messages' was given"):
        lms.Chat("Be kind.")["messages"]


def test_inputs_of_async_for_are_for_the_other_half(model):
    async def inputs():
        yield "a"

    with pytest.raises(lms.LMStudioValueError, match="The models of an AsyncClient take"):
        model.respond_many(inputs())


def test_async_with_a_client_of_threads_says_what_to_write(client):
    async def main():
        async with client:
            pass

    with pytest.raises(TypeError, match="Write 'with' for a Client; an AsyncClient takes 'async"):
        asyncio.run(main())


# -- what is missing is an await --------------------------------------------------------------

FORGOTTEN = {
    "history": lambda c, m, coroutine: m.respond(coroutine),
    "prompt": lambda c, m, coroutine: m.complete(coroutine),
    "content": lambda c, m, coroutine: m.respond(
        {"messages": [{"role": "user", "content": coroutine}]}
    ),
    "text": lambda c, m, coroutine: lms.Chat().add_user_message(coroutine),
    "response": lambda c, m, coroutine: lms.Chat().add_assistant_response(coroutine),
    "message": lambda c, m, coroutine: lms.Chat().append(coroutine),
    "system": lambda c, m, coroutine: lms.Chat(coroutine),
    "images": lambda c, m, coroutine: lms.Chat().add_user_message("Look.", images=[coroutine]),
    "options": lambda c, m, coroutine: m.respond("hi", config=coroutine),
    "option": lambda c, m, coroutine: m.respond("hi", config={"draft_model": coroutine}),
    "form": lambda c, m, coroutine: m.respond("hi", response_format=coroutine),
    "event": lambda c, m, coroutine: m.respond("hi", cancel_event=coroutine),
    "inputs": lambda c, m, coroutine: m.respond_many(coroutine),
    "texts": lambda c, m, coroutine: m.tokenize([coroutine]),
    "counted": lambda c, m, coroutine: m.count_tokens(coroutine),
    "tools": lambda c, m, coroutine: m.act("hi", coroutine),
    "tool": lambda c, m, coroutine: m.act("hi", [coroutine]),
    "key": lambda c, m, coroutine: c.llm.model(coroutine),
    "model": lambda c, m, coroutine: c.llm.get_model_info(coroutine),
    "image": lambda c, m, coroutine: c.prepare_image(coroutine),
    "document": lambda c, m, coroutine: c.files.parse_document(coroutine),
    "file": lambda c, m, coroutine: c.files.retrieve("cats", [coroutine]),
}


@pytest.mark.parametrize("name", FORGOTTEN)
def test_a_missing_await_is_told(loop_half, name):
    half = loop_half
    coroutine = half.do(lambda: (half.model.respond("hi"),))[0]
    with pytest.raises(lms.LMStudioValueError, match=r"write 'await' before AsyncLLM\.respond\(\)"):
        half.do(lambda: FORGOTTEN[name](half.client, half.model, coroutine))
    coroutine.close()


def test_an_input_of_a_batch_without_await_fails_alone(server):
    server.reply("Hello.")

    async def main():
        async with lms.AsyncClient(server.host) as client:
            model = await client.llm.model()
            forgotten = model.respond("a")
            batch = model.respond_many([forgotten, "b"], ordered=True)
            outcomes = [outcome async for _, outcome in batch]
            forgotten.close()
            return outcomes

    error, result = run(main)
    assert "write 'await' before AsyncLLM.respond()" in str(error)
    assert result.content == "Hello."


# -- async with, async for, close --------------------------------------------------------------


def test_a_batch_may_be_awaited_which_gives_it_itself(server):
    server.reply("Hello.")

    async def main():
        async with lms.AsyncClient(server.host) as client:
            model = await client.llm.model()
            batch = model.respond_many(["hi"])
            assert await batch is batch
            return [outcome.content async for _, outcome in await batch]

    assert run(main) == ["Hello."]


def test_a_batch_of_a_task_takes_any_iterable(server):
    server.reply("Hello.", repeat=2)

    async def main():
        async with lms.AsyncClient(server.host) as client:
            model = await client.llm.model()
            return [outcome.content async for _, outcome in model.respond_many(texts())]

    assert run(main) == ["Hello."]


@pytest.mark.parametrize("name", ["close", "aclose"])
def test_an_async_client_has_both_names_of_closing(server, name):
    async def main():
        client = lms.AsyncClient(server.host)
        model = await client.llm.model()
        await getattr(client, name)(timeout=10)
        with pytest.raises(lms.LMStudioClientError, match="closed"):
            await model.respond("hi")

    run(main)


def test_with_an_async_client_says_what_to_write(server):
    client = lms.AsyncClient(server.host)
    with pytest.raises(TypeError, match="Write 'async with' for an AsyncClient"), client:
        pass
    asyncio.run(client.close())
