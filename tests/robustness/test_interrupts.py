"""Ctrl-C in each call that blocks: it comes out, the server is told, and the client goes on."""

import pytest
from child_process import run

from lmstudio.testing import Server

# What is called, the endpoint that does not answer, and what comes before. A new call is one line.
CALLS = {
    "respond": ("model.respond('hi')", "predict", ""),
    "complete": ("model.complete('hi')", "predict", ""),
    "iterate": ("list(model.respond_stream('hi'))", "predict", ""),
    "result": ("stream.result(timeout=60)", "predict", "stream = model.respond_stream('hi')"),
    "act": ("model.act('hi', [search])", "predict", ""),
    "model": ("client.llm.model('test-vlm')", "getOrLoad", ""),
    "any model": ("client.llm.model()", "llm/getModelInfo", ""),
    "load": ("client.llm.load_new_instance('test-vlm')", "loadModel", ""),
    "load embedding": ("client.embedding.load_new_instance('test-embedding')", "loadModel", ""),
    "unload": ("model.unload()", "unloadModel", ""),
    "count_tokens": ("model.count_tokens('a')", "countTokens", ""),
    "tokenize": ("model.tokenize('a')", "tokenize", ""),
    "tokenize many": ("model.tokenize(['a'] * 99)", "tokenize", ""),
    "embed": ("embedding.embed('a')", "embedString", "embedding = client.embedding.model()"),
    "embed many": ("embedding.embed('abc')", "embedString", "embedding = client.embedding.model()"),
    "load config": ("model.get_load_config()", "getLoadConfig", ""),
    "context length": ("model.get_context_length()", "getModelInfo", ""),
    "list_loaded": ("client.list_loaded_models()", "llm/listLoaded", ""),
    "list_downloaded": ("client.list_downloaded_models()", "listDownloadedModels", ""),
    "search": ("client.repository.search_models('a')", "searchModels", ""),
    "options": ("found.get_download_options()", "getModelDownloadOptions", "found, *_ = search()"),
    "download": ("option.download()", "downloadModel", "option = options()[0]"),
    "prepare_image": ("client.prepare_image(b'GIF89a')", "uploadFileBase64", ""),
}
CHANNELS = {"predict", "getOrLoad", "loadModel", "downloadModel"}  # these can be cancelled
SET_UP = """
def search():
    "Search."
    return client.repository.search_models(limit=5)

options = lambda: search()[0].get_download_options()
"""
PROGRAM = """
{set_up}
interrupt_soon(lambda: any(call.is_sent for call in list(client._session.dispatcher.open.values())))
try:
    {call}
except KeyboardInterrupt:
    print("interrupted")
print(len(model.apply_prompt_template("hi")) > 0)
client.close()
"""


@pytest.mark.parametrize("name", CALLS)
def test_ctrl_c_ends_a_call_and_tells_the_server(name):
    call, endpoint, set_up = CALLS[name]
    with Server(hold=[endpoint]) as server:
        output = run(server, PROGRAM.format(call=call, set_up=SET_UP + set_up))

        packets = server.received(type="channelSend")

    assert output == ["interrupted", "True"]
    assert [packet["message"] for packet in packets] == [{"type": "cancel"}] * (
        endpoint in CHANNELS
    )


def test_ctrl_c_while_connecting_ends_the_call():
    with Server(auth="silent") as server:
        output = run(
            server,
            """
            def waits():
                return any(thread.name == "lmstudio-connect" for thread in threading.enumerate())
            interrupt_soon(waits)
            try:
                model.respond("hi")
            except KeyboardInterrupt:
                print("interrupted")
            client.close()
            """,
        )

        assert output == ["interrupted"]
        assert not server.received()


def test_ctrl_c_while_a_tool_runs_ends_act():
    with Server() as server:
        server.reply(tool_calls=[{"name": "wait", "arguments": {}}])
        output = run(
            server,
            """
            running = threading.Event()
            def wait() -> str:
                "Wait for nothing."
                running.set()
                threading.Event().wait(20)
                return "done"
            # The model has ended, too: else it is told to stop.
            interrupt_soon(lambda: running.is_set() and not client._session.dispatcher.open)
            try:
                model.act("hi", [wait])
            except KeyboardInterrupt:
                print("interrupted")
            print(model.count_tokens("a b"))
            client.close()
            """,
        )

        assert output == ["interrupted", "2"]
        assert len(server.predictions) == 1
        assert not server.received(type="channelSend")


def test_ctrl_c_in_close_leaves_a_client_that_can_be_closed():
    with Server() as server:
        output = run(
            server,
            """
            running, released = threading.Event(), threading.Event()
            def block(fragment):
                running.set()
                released.wait(20)
            def io_has_ended():
                return not any(thread.name == "lmstudio-io" for thread in threading.enumerate())
            reader = threading.Thread(
                target=lambda: model.respond("tell a story", on_prediction_fragment=block)
            )
            reader.start()
            running.wait(10)
            interrupt_soon(io_has_ended)
            try:
                client.close(20)  # waits for the callback
            except KeyboardInterrupt:
                print("interrupted")
            released.set()
            client.close()
            reader.join(10)
            print(reader.is_alive())
            """,
        )

        assert output == ["interrupted", "False"]
        assert server.wait_prediction().wait_finished().cancelled_after is not None
