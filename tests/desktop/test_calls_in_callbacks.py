"""Tools and callbacks may make calls that wait, in whichever thread of the package they run."""

import queue
import threading

import pytest

import lmstudio as lms
from lmstudio.testing import ToolCall

LIMIT = 10.0  # seconds


@pytest.fixture
def embedder(client):
    return client.embedding.model()


def test_a_tool_may_embed_and_ask_the_model(server, model, embedder):
    def look(word: str) -> str:
        """Look for a word."""
        assert model.respond("in a tool").content == "Inner."
        return f"{len(embedder.embed(word))} numbers"

    server.reply(tool_calls=[ToolCall("look", {"word": "a"})])
    server.reply("Inner.")
    server.reply("Done.")
    chat = lms.Chat()
    chat.add_user_message("Look.")

    model.act(chat, [look], on_message=chat.append, timeout=LIMIT)

    assert chat[-1].text == "Done."
    assert "32 numbers" in str(chat)


@pytest.mark.parametrize("where", ["on_done", "on_text", "a done callback", "on_error"])
def test_a_callback_in_the_background_may_embed_and_ask_the_model(server, model, embedder, where):
    answers = queue.SimpleQueue()

    def ask(*_):
        answers.put((len(embedder.embed("a")), model.respond("in a callback").content))

    if where == "on_error":
        server.reply("Outer", error="broken", error_after=1)
    else:
        server.reply("Outer")  # one token: on_text is called once
    server.reply("Inner.", repeat=5)
    callbacks = {} if where == "a done callback" else {where: ask}

    future = model.respond_stream("hi").run_in_background(**callbacks)
    if where == "a done callback":
        future.add_done_callback(ask)

    assert answers.get(timeout=LIMIT) == (32, "Inner.")


@pytest.mark.parametrize("where", ["on_done", "on_text"])
def test_a_client_that_is_closed_while_a_callback_waits_for_it_makes_no_noise(
    server, client, model, embedder, where, monkeypatch
):
    told = []
    monkeypatch.setattr(threading, "excepthook", told.append)
    server.reply("Outer")
    server.hold("embedString")
    future = model.respond_stream("hi").run_in_background(**{where: lambda _: embedder.embed("a")})
    server.expect("embedString")

    client.close()

    if where == "on_text":
        assert future.result(LIMIT).content == "Outer"
    for thread in threading.enumerate():
        if thread.name.startswith("lmstudio-") and "testing" not in thread.name:
            thread.join(LIMIT)
    assert not told


@pytest.mark.parametrize("where", ["on_done", "on_message"])
def test_a_callback_of_a_call_in_the_background_may_too(server, model, embedder, where):
    answers = queue.SimpleQueue()
    server.reply("Outer.")
    server.reply("Inner.", repeat=5)

    def ask(_):
        answers.put((len(embedder.embed("a")), model.respond("in a callback").content))

    lms.run_in_background(model.respond, "hi", **{where: ask})

    assert answers.get(timeout=LIMIT) == (32, "Inner.")


def test_a_callback_of_a_token_may_too(server, model, embedder):
    answers = queue.SimpleQueue()
    token = lms.CancelToken.after(0.01)
    token.on_cancel(lambda: answers.put(len(embedder.embed("a"))))

    assert answers.get(timeout=LIMIT) == 32
