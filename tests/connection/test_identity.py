"""Who we are to a server that lets in nobody whose last connection has closed."""

import pytest
from connection.forgetful_server import ForgetfulServer
from helpers import Worker, eventually, let_in

import lmstudio as lms
from lmstudio._connection.address import Identity

TOKEN = "sk-lm-abcdEFGH:abcdefghijklmnopqrst"
PNG = b"\x89PNG\r\n\x1a\n"


@pytest.fixture
def forgetful():
    with ForgetfulServer() as server:
        yield server


@pytest.fixture
def guest(forgetful):
    with lms.Client(forgetful.host) as client:
        yield client


def lose_connections(server, client):
    """Let the server close all connections, and return when the client knows it."""
    server.drop_all()
    for port in client._session.dispatcher._ports.values():
        eventually(lambda port=port: port.transport is None)


def test_a_guest_comes_once_more_as_another_one(forgetful, guest):
    guest.llm.list_loaded()
    lose_connections(forgetful, guest)

    assert guest.llm.list_loaded() == guest.embedding.list_loaded() == []

    (first, _, _), (refused, _, is_in), (second, path, _), (same, other_path, _) = forgetful.seen
    assert refused == first
    assert not is_in
    assert second == same != first
    assert (path, other_path) == ("/llm", "/embedding")


def test_all_connections_of_a_guest_that_comes_again_are_those_of_one(forgetful, guest):
    for _ in range(3):
        calls = [guest.llm.list_loaded, guest.embedding.list_loaded, guest.llm.list_loaded]
        for worker in [Worker(call) for call in calls]:
            worker.result()
        lose_connections(forgetful, guest)
    assert len(forgetful.identifiers) == 3
    assert all(who.startswith("guest:") for who in forgetful.identifiers)


def test_a_guest_that_is_refused_again_is_told_the_words_of_the_server(forgetful, guest):
    guest.llm.list_loaded()
    lose_connections(forgetful, guest)
    forgetful.refuse_all = True

    with pytest.raises(lms.LMStudioServerError, match="Client is already released"):
        guest.llm.list_loaded()

    assert len(forgetful.seen) == 3


def test_with_a_token_it_is_an_error_that_says_what_to_do(forgetful):
    with lms.Client(forgetful.host, TOKEN) as client:
        client.llm.list_loaded()
        lose_connections(forgetful, client)

        with pytest.raises(
            lms.LMStudioServerError, match=r"(?s)already released.*Restart.*keep one Client open"
        ) as caught:
            client.llm.list_loaded()

    assert TOKEN.partition(":")[2] not in str(caught.value)
    assert len(forgetful.seen) == 2


def test_files_of_the_guest_that_is_gone_are_told(forgetful, guest):
    image = guest.prepare_image(PNG, "cat.png")
    other = guest.prepare_image(PNG, "dog.png")
    model = guest.llm._handle("m")
    chat = lms.Chat()
    chat.add_user_message("What is it?", images=[image, other])
    with pytest.raises(lms.LMStudioServerError):  # it knows no model, but the file
        model.respond(chat)
    lose_connections(forgetful, guest)
    calls = len(forgetful.sent)

    for _ in range(2):  # on the new connection, and when it is there
        with pytest.raises(lms.LMStudioRuntimeError, match=r"'cat.png', 'dog.png'.*Upload them"):
            model.respond(chat)
    assert len(forgetful.sent) == calls

    chat = lms.Chat()
    chat.add_user_message("What is it?", images=[guest.prepare_image(PNG, "cat.png")])
    with pytest.raises(lms.LMStudioServerError):
        model.respond(chat)
    assert forgetful.sent[-1] == "predict"


def test_a_file_that_somebody_else_uploaded_is_the_servers_business(forgetful, guest):
    chat = lms.Chat()
    file = lms.FileHandle(name="a", identifier="file-of-old", size_bytes=1, file_type="image")
    chat.add_user_message("What is it?", images=[file])
    with pytest.raises(lms.LMStudioServerError):
        guest.llm._handle("m").respond(chat)


def test_a_used_up_connection_is_replaced_by_opening_the_new_one_first(forgetful):
    with lms.Client(forgetful.host, TOKEN) as client:
        for _ in range(5):
            with pytest.raises(lms.LMStudioServerError, match="does not accept the call"):
                client.llm.unload("m")
        assert len(forgetful.seen) == 1

        workers = [Worker(client.llm.list_loaded) for _ in range(3)]

        assert [worker.result() for worker in workers] == [[], [], []]
        assert forgetful.seen == [("abcdEFGH", "/llm", True)] * 2


def test_a_used_up_connection_that_cannot_be_replaced_is_tried_again(forgetful):
    with lms.Client(forgetful.host, TOKEN) as client:
        for _ in range(5):
            with pytest.raises(lms.LMStudioServerError, match="does not accept the call"):
                client.llm.unload("m")
        forgetful.refuse_all = True
        with pytest.raises(lms.LMStudioServerError, match="Authentication failed"):
            client.llm.list_loaded()
        forgetful.refuse_all = False

        assert client.llm.list_loaded() == []

    assert [is_in for _, _, is_in in forgetful.seen] == [True, False, True]


def test_on_the_embedded_server_a_guest_comes_once_more_as_well(server, client):
    image = client.prepare_image(PNG, "cat.png")
    model = client.llm.model("test-vlm")
    server.drop_all()
    for port in client._session.dispatcher._ports.values():
        eventually(lambda port=port: port.transport is None)
    server.wait_for(lambda: not any(one.open for one in server.connections))

    chat = lms.Chat()
    chat.add_user_message("What is it?", images=[image])
    with pytest.raises(lms.LMStudioRuntimeError, match=r"'cat.png'.*Upload"):
        model.respond(chat)

    assert model.respond("Hi.").content
    first, *_, last = (one.client_identifier for one in server.connections)
    assert first != last
    assert len(let_in(server, "/llm")) == 2


# -- another environment ------------------------------------------------------------------------


def test_the_token_of_the_environment_may_change_but_not_one_that_was_given(monkeypatch):
    monkeypatch.delenv("LM_API_TOKEN", raising=False)
    guest, given, nobody = Identity(), Identity(TOKEN), Identity("")
    before = [one.client_identifier for one in (guest, given, nobody)]

    monkeypatch.setenv("LM_API_TOKEN", TOKEN.replace("abcdEFGH", "HGFEdcba"))
    for identity in (guest, given, nobody):
        identity.read_again()

    assert guest.client_identifier == "HGFEdcba"
    assert guest.source == "The environment variable LM_API_TOKEN"
    assert given.client_identifier == before[1] == "abcdEFGH"
    assert nobody.source is None
    assert nobody.client_identifier.startswith("guest:")

    monkeypatch.delenv("LM_API_TOKEN")
    guest.read_again()
    assert guest.source is None
    assert guest.client_identifier not in (before[0], "HGFEdcba")
