"""A user's finaliser, which Python may run in any thread: what must not wait there refuses to."""

import threading

import pytest
from helpers import eventually

import lmstudio as lms

pytestmark = pytest.mark.races


def in_io_thread(client, function):
    """What a finaliser gets that the garbage collector runs in the client's I/O thread."""
    seen, done = [], threading.Event()

    def finaliser():
        try:
            seen.append(function())
        except BaseException as error:
            seen.append(error)
        done.set()

    client._session.dispatcher.reactor.post(finaliser)
    assert done.wait(10)
    return seen[0]


@pytest.fixture
def stream(server, client, model):
    """One that goes on, and has been read a little."""
    server.reply("word " * 100_000, delay=0.001)
    stream = model.respond_stream("hi")
    iterator = iter(stream)
    next(iterator)
    stream.rest = iterator
    yield stream
    stream.cancel()


def _tool(text: str) -> str:
    """Do nothing."""
    return text


WAITS = {
    "a call": lambda client, model, stream: model.count_tokens("a"),
    "unload": lambda client, model, stream: model.unload(),
    "several calls": lambda client, model, stream: model.embed(["a", "b"]),
    "a prediction": lambda client, model, stream: model.respond("hi"),
    "another loop": lambda client, model, stream: next(iter(model.respond_stream("hi"))),
    "the loop that goes on": lambda client, model, stream: next(stream.rest),
    "result": lambda client, model, stream: stream.result(),
    "a batch": lambda client, model, stream: list(model.respond_many(["a"])),
    "a token": lambda client, model, stream: lms.CancelToken().wait(5),
    "a greeting": lambda client, model, stream: client.__enter__(),
    "a host": lambda client, model, stream: lms.Client.is_valid_api_host(client.api_host),
    "act": lambda client, model, stream: model.act("hi", [_tool]),
    "a future": lambda client, model, stream: (
        model.respond_stream("hi").run_in_background().result(5)
    ),
}


@pytest.mark.parametrize("what", WAITS)
def test_what_waits_refuses_to_in_the_io_thread_and_the_client_goes_on(
    server, client, model, stream, what
):
    if what == "several calls":
        model = client.embedding.model()

    error = in_io_thread(client, lambda: WAITS[what](client, model, stream))

    assert isinstance(error, lms.LMStudioRuntimeError)
    assert "'lmstudio-io'" in str(error)
    assert client.llm.model().count_tokens("a b") == 2


def test_what_does_not_wait_works_in_the_io_thread(client, model, stream):
    assert in_io_thread(client, lambda: stream.cancel("dropped")) is True
    assert in_io_thread(client, stream.close) is None
    assert in_io_thread(client, lambda: client.cancel_all("all")) is None
    assert in_io_thread(client, lambda: repr(stream)).startswith("<PredictionStream")

    assert stream.result().cancel_reason == "dropped"
    assert in_io_thread(client, stream.result).cancel_reason == "dropped"  # it has ended


def test_a_client_may_be_closed_in_its_own_io_thread(server):
    client = lms.Client(server.host)
    client.llm.model()

    assert in_io_thread(client, client.close) is None

    eventually(lambda: client._session.dispatcher.reactor.has_ended)


def test_a_client_may_be_closed_in_the_io_thread_of_another(server, client, model):
    other = lms.Client(server.host)
    other.llm.model()

    assert in_io_thread(client, other.close) is None

    eventually(lambda: other._session.dispatcher.reactor.has_ended)
    assert model.count_tokens("a b") == 2
