"""After a sleep, and behind dead routers: a connection whose other end is gone is noticed."""

import pytest
from helpers import Worker, creates, eventually, in_io_thread, let_in

import lmstudio as lms
from lmstudio._connection import port as _link
from lmstudio._connection.transport import Transport


@pytest.fixture(autouse=True)
def long_patience(monkeypatch):
    monkeypatch.setattr(_link, "_QUICK_ANSWER", 15.0)  # a living server may be late


@pytest.fixture
def short_silence(monkeypatch):
    monkeypatch.setattr(_link, "SILENCE", 0.05)


@pytest.fixture
def impatient(monkeypatch):
    """For as long as a server is gone, and answers nothing."""
    with monkeypatch.context() as patience:

        def begin():
            patience.setattr(_link, "_ANSWER", 0.1)
            patience.setattr(_link, "_QUICK_ANSWER", 0.1)

        begin.end = patience.undo
        yield begin


@pytest.fixture
def pings(monkeypatch):
    """The pings that were sent."""
    sent, ping = [], Transport.ping

    def note(transport):
        sent.append(transport)
        ping(transport)

    monkeypatch.setattr(Transport, "ping", note)
    return sent


def link(client):
    return client._session.dispatcher._ports["llm"]


def rest(client):
    """Forged: the connection has rested for a minute."""

    def forge():
        link(client).heard -= 60.0

    in_io_thread(client, forge)


@pytest.mark.usefixtures("short_silence")
def test_a_prediction_whose_server_is_gone_is_lost_with_what_it_had(server, model, impatient):
    server.hold("predict")
    stream = model.respond_stream("hi", idle_timeout=None)
    stream.start()
    iterator = iter(stream)
    call = server.expect("predict")
    call.fragment("so far")
    next(iterator)
    call.connection.pause()  # it takes nothing and says nothing, as a laptop that sleeps
    impatient()

    with pytest.raises(lms.LMStudioConnectionLostError, match="answer to a ping") as caught:
        next(iterator)

    assert caught.value.partial.content == "so far"
    impatient.end()
    server.release("predict")
    assert model.respond("again").content  # on a new connection
    assert len(let_in(server, "/llm")) == 2
    call.connection.resume()


@pytest.mark.usefixtures("short_silence")
def test_a_remote_call_whose_server_is_gone_is_lost(server, model, impatient):
    server.hold("countTokens")
    worker = Worker(lambda: model.count_tokens("a b", idle_timeout=None))
    call = server.expect("countTokens")
    call.connection.pause()
    impatient()

    # A ping that was under way before has the longer limit.
    assert isinstance(worker.error(30), lms.LMStudioConnectionLostError)
    call.connection.resume()


@pytest.mark.usefixtures("short_silence")
def test_a_server_that_thinks_for_long_is_alive_while_it_answers_pings(server, model, pings):
    server.hold("predict")
    worker = Worker(lambda: model.respond("hi", idle_timeout=None))
    call = server.expect("predict")
    eventually(lambda: len(pings) >= 3)

    call.fragment("at last")
    call.success()

    assert worker.result().content == "at last"
    assert len([c for c in server.connections if c.path == "/llm"]) == 1


@pytest.mark.usefixtures("short_silence")
def test_a_pong_is_no_word_of_the_server_for_the_idle_timeout(server, model, pings):
    server.hold("predict")
    worker = Worker(lambda: model.respond("hi", idle_timeout=0.3))
    call = server.expect("predict")

    assert isinstance(worker.error(), lms.LMStudioTimeoutError)
    assert pings
    call.expect_cancel()
    call.success("userStopped")


def test_a_connection_at_rest_is_not_asked(server, client, model, pings):
    model.count_tokens("a")
    port = link(client)
    assert port._plan  # to look while the answer was awaited

    in_io_thread(client, lambda: port._look_for_life(port._plan, port.heard + _link.SILENCE))

    assert not pings
    assert port._plan is None  # it looks no more


def test_after_a_rest_a_living_connection_is_used_again(server, client, model, pings):
    rest(client)

    assert model.count_tokens("a b") == 2

    assert len(pings) == 1
    assert len([c for c in server.connections if c.path == "/llm"]) == 1


def test_after_a_rest_a_dead_connection_is_replaced_and_nothing_is_sent_twice(
    server, client, model, pings, impatient
):
    (old,) = [c for c in server.connections if c.path == "/llm"]
    old.pause()
    rest(client)
    impatient()
    server.reply("Fine.")

    assert model.respond("hi").content == "Fine."

    old.resume()
    assert len(pings) == 1
    assert len(creates(server)) == 1
    assert len(let_in(server, "/llm")) == 2


def test_several_calls_wait_for_one_sign_of_life(server, client, model, pings):
    rest(client)
    server.reply("Fine.", repeat=4)

    workers = [Worker(model.respond, "hi") for _ in range(4)]

    assert [worker.result().content for worker in workers] == ["Fine."] * 4
    assert len(pings) <= 4
    assert len([c for c in server.connections if c.path == "/llm"]) == 1


def test_a_call_that_waits_for_a_sign_of_life_is_withdrawn_by_a_cancel(server, client, model):
    (old,) = [c for c in server.connections if c.path == "/llm"]
    old.pause()
    rest(client)
    stream = model.respond_stream("hi")
    stream.start()
    eventually(lambda: link(client)._waiting)

    stream.cancel("no")

    assert stream.result().cancelled
    old.resume()
    assert model.count_tokens("a") == 1  # on the same connection, after its sign of life
    assert not creates(server)


def test_a_connection_that_broke_at_rest_is_replaced_when_the_ping_cannot_be_written(
    server, client, model, monkeypatch
):
    """Forged: the ping fails, and nobody has read the end yet."""

    def fail(transport):
        raise lms.LMStudioConnectionLostError("broken pipe")

    monkeypatch.setattr(Transport, "ping", fail)
    rest(client)

    assert model.count_tokens("a b c") == 3
    assert len(let_in(server, "/llm")) == 2
