"""Connections: opened once, refused clearly, lost, replaced; and what garbage does to them."""

import threading

import pytest
from helpers import Worker, eventually, free_port

import lmstudio as lms

# -- opening ----------------------------------------------------------------------------------


def test_twelve_threads_racing_the_first_call_open_one_websocket(server, client):
    barrier = threading.Barrier(12)

    def first_call():
        barrier.wait(5)
        return client.llm.model().count_tokens("a b c")

    workers = [Worker(first_call) for _ in range(12)]

    assert {worker.result() for worker in workers} == {3}
    assert len(server.connections) == 1


def test_a_client_has_one_thread_and_starts_it_with_the_first_call(server):
    before = threading.active_count()
    client = lms.Client(server.host)
    assert threading.active_count() == before

    client.llm.list_loaded()
    client.llm.model().count_tokens("a")

    (thread,) = [t for t in threading.enumerate() if t.name == "lmstudio-io"]
    client.close()
    assert client._session.dispatcher.reactor.has_ended
    thread.join(5)  # it says so in its last steps
    assert not thread.is_alive()


def test_the_thread_of_a_client_that_was_dropped_ends(server):
    client = lms.Client(server.host)
    client.llm.list_loaded()
    (thread,) = [t for t in threading.enumerate() if t.name == "lmstudio-io"]

    del client
    thread.join(5)

    assert not thread.is_alive()


def test_a_stream_keeps_its_line_alive_when_the_client_is_dropped(server):
    server.reply(["a", "b"])
    stream = lms.Client(server.host).llm.model().respond_stream("hi")

    assert [fragment.content for fragment in stream] == ["a", "b"]


@pytest.mark.parametrize("form", ["{}", "http://{}", "http://{}/v1", "ws://{}/llm", " {} "])
def test_a_host_may_be_a_url(server, form):
    with lms.Client(form.format(server.host)) as client:
        assert client.api_host == server.host
        assert client.llm.list_loaded()


def test_nothing_listening_is_a_quick_and_clear_error():
    port = free_port()
    client = lms.Client(f"127.0.0.1:{port}")

    with pytest.raises(lms.LMStudioWebsocketError, match=f"not reachable.*:{port}.*refused"):
        client.llm.list_loaded()
    with pytest.raises(lms.LMStudioWebsocketError, match="not reachable"), client:
        pass
    client.close()


def test_each_waiter_for_a_failed_connection_gets_an_exception_of_its_own():
    client = lms.Client(f"127.0.0.1:{free_port()}")
    workers = [Worker(client.llm.list_loaded) for _ in range(4)]

    errors = [worker.error() for worker in workers]

    assert all(isinstance(error, lms.LMStudioWebsocketError) for error in errors)
    assert len({id(error) for error in errors}) == 4
    client.close()


def test_a_port_that_never_answers_is_given_up_at_the_connect_timeout(listener):
    client = lms.Client(listener, connect_timeout=0.1)

    with pytest.raises(lms.LMStudioWebsocketError, match="connect_timeout"):
        client.llm.list_loaded()
    client.close()


def test_close_ends_a_connection_that_is_being_made(listener):
    client = lms.Client(listener, connect_timeout=60)
    worker = Worker(client.llm.list_loaded)
    eventually(lambda: client._session.dispatcher.open)

    client.close()

    assert isinstance(worker.error(), lms.LMStudioCancelledError)


def test_another_kind_of_server_is_a_clear_error(server):
    client = lms.Client(f"http://{server.host}/elsewhere")

    with pytest.raises(lms.LMStudioWebsocketError, match="HTTP status 404"):
        client.llm.list_loaded()
    client.close()


def test_proxy_variables_do_not_capture_a_local_server(server, monkeypatch):
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{free_port()}")

    with lms.Client(server.host) as client:
        assert client.llm.list_loaded()


# -- garbage and loss -------------------------------------------------------------------------


@pytest.mark.parametrize(
    "message",
    [
        "[1, 2]",
        '"text"',
        "{}",
        '{"type": "brandNew"}',
        '{"type": "channelSend", "channelId": 987654, "message": {"type": "fragment"}}',
        '{"type": "rpcResult", "callId": 987654, "result": 1}',
        '{"type": "channelSend", "channelId": [], "message": 1}',
        '{"type": "communicationWarning"}',
        '{"type": "signalUpdate", "subscribeId": 1, "patches": [], "tags": []}',
        ' {"type": "keepAliveAck"} ',
    ],
)
def test_messages_that_concern_nobody_are_dropped(server, model, message):
    server.hold("predict")
    worker = Worker(model.respond, "hi")
    call = server.expect("predict")
    call.connection.send_text(message)
    call.connection.send_bytes(b"\0\1binary")
    call.fragment("a")
    call.success()

    assert worker.result().content == "a"
    assert len(server.connections) == 1


@pytest.mark.parametrize(
    "send",
    [
        lambda connection: connection.send_text("{not json"),
        lambda connection: connection.send_text('{"type": "rpcResult"} trailing'),
        lambda connection: connection.send_text("[" * 100_000),
        lambda connection: connection.send_raw(b"\x81\x02\xff\xfe"),  # invalid UTF-8
        lambda connection: connection.send_raw(b"\xff\xff\xff\xff"),  # no frame at all
        lambda connection: connection.send_raw(b"\x81\x7f" + b"\x7f" * 8),  # huge
    ],
    ids=["no JSON", "trailing text", "deep nesting", "no UTF-8", "no frame", "huge frame"],
)
def test_garbage_fails_what_runs_on_that_connection_and_the_next_call_works(server, model, send):
    server.hold("predict")
    predicting = Worker(model.respond, "hi")
    call = server.expect("predict")
    server.hold("countTokens")
    counting = Worker(model.count_tokens, "a")
    server.expect("countTokens")
    call.fragment("a")
    send(call.connection)

    error = predicting.error()

    assert isinstance(error, lms.LMStudioProtocolError)
    assert error.partial.content == "a"
    assert isinstance(counting.error(), lms.LMStudioProtocolError)
    again = Worker(model.respond, "again")
    call = server.expect("predict")
    call.success()
    assert again.result().content == ""


@pytest.mark.parametrize("half", [b"\x81", b"\x81\x7e\x01", b"\x81\x05hel"])
def test_a_half_frame_then_the_end_is_a_lost_connection(server, model, half):
    server.hold("predict")
    worker = Worker(model.respond, "hi")
    call = server.expect("predict")
    call.connection.send_raw(half)
    call.connection.drop()

    assert isinstance(worker.error(), lms.LMStudioConnectionLostError)


def test_a_lost_connection_fails_what_runs_at_once_with_the_partial_result(server, client, model):
    client.embedding.list_loaded()  # by a connection of its own, which stays
    server.hold("predict")
    workers = [Worker(model.respond, "hi") for _ in range(3)]
    calls = [server.expect("predict") for _ in workers]
    for call in calls:
        call.fragment("a")
    calls[0].connection.drop()

    errors = [worker.error() for worker in workers]

    assert all(isinstance(error, lms.LMStudioConnectionLostError) for error in errors)
    assert len({id(error) for error in errors}) == 3
    again = Worker(model.respond, "again")
    call = server.expect("predict")
    call.fragment("fine")
    call.success()
    assert again.result().content == "fine"
    assert len({c.client_identifier for c in server.connections}) == 1  # the same identity


def test_a_clean_close_tells_its_code(server, model):
    server.hold("predict")
    worker = Worker(model.respond, "hi")
    call = server.expect("predict")
    call.fragment("a")
    call.connection.close(code=1001)

    error = worker.error()

    assert isinstance(error, lms.LMStudioConnectionLostError)
    assert error.close_code == 1001
    assert "1001" in str(error)
    assert error.partial.content == "a"


def test_a_loss_after_a_cancel_is_no_error(server, model):
    server.hold("predict")
    stream = model.respond_stream("hi")
    stream.start()
    call = server.expect("predict")
    stream.cancel()
    call.expect_cancel()
    call.connection.drop()

    result = stream.result()

    assert (result.cancelled, result.acknowledged) == (True, False)


def test_pings_are_answered(server, model):
    server.hold("predict")
    worker = Worker(model.respond, "hi")
    call = server.expect("predict")
    pong = server._core.loop.run(call.connection._websocket.ping(), 5.0)

    async def answered():
        await pong

    server._core.loop.run(answered(), 5.0)
    call.success()
    worker.result()


def test_an_endpoint_that_the_server_does_not_know_is_an_error_and_no_hang(server, model):
    server.hold("countTokens")
    worker = Worker(model.count_tokens, "a")
    call = server.expect("countTokens")
    call.connection.send_text(
        '{"type": "communicationWarning", "kind": "rpcEndpointUnknown", '
        '"warning": "Received rpcCall for unknown endpoint, endpoint = countTokens"}'
    )

    error = worker.error()

    assert isinstance(error, lms.LMStudioServerError)
    assert "unknown endpoint" in str(error)


def test_a_connection_that_ran_out_of_warnings_is_replaced_when_it_is_idle(server, model):
    server.hold("countTokens")
    worker = Worker(model.count_tokens, "a")
    call = server.expect("countTokens")
    for _ in range(5):
        call.connection.send_text(
            '{"type": "communicationWarning", "kind": "channelUnknown", '
            '"warning": "Received channelSend for unknown channel, channelId = 1"}'
        )
    call.result({"tokenCount": 1})
    assert worker.result() == 1

    again = Worker(model.count_tokens, "a")
    server.expect("countTokens").result({"tokenCount": 2})

    assert again.result() == 2
    assert len(server.connections) == 2


def test_a_failure_of_the_io_thread_wakes_every_waiter(server, client, model):
    server.hold("predict")
    worker = Worker(model.respond, "hi")
    server.expect("predict")

    client._session.dispatcher.reactor.post(lambda: 1 / 0)

    error = worker.error()
    assert isinstance(error, lms.LMStudioRuntimeError)
    assert "ZeroDivisionError" in str(error)
    assert model.count_tokens("a b") == 2  # a new thread, and a new connection


@pytest.mark.parametrize(
    "message",
    [
        '{"type": "communicationWarning", "kind": "rpcParameterTypeError", "warning": '
        '"Received invalid parameter, endpointName = countTokens, parameter = ' + "[" * 5000 + '"}',
        '{"type": "rpcError", "callId": %d, "error": {"title": "x", "displayData": '
        + '{"a":' * 900
        + "1"
        + "}" * 900
        + "}}",
    ],
    ids=["nested echo", "nested error data"],
)
def test_deeply_nested_data_does_not_end_the_io_thread(server, model, message):
    server.hold("countTokens")
    worker = Worker(model.count_tokens, "a")
    call = server.expect("countTokens")
    call.connection.send_text(message % call.id if "%d" in message else message)

    assert isinstance(worker.error(), lms.LMStudioError)
    again = Worker(model.count_tokens, "a")
    server.expect("countTokens").result({"tokenCount": 1})
    assert again.result() == 1


def test_messages_before_a_close_frame_are_delivered_and_the_close_is_answered(server, model):
    server.hold("predict")
    worker = Worker(model.respond, "hi")
    call = server.expect("predict")
    text = '{"type": "channelSend", "channelId": %d, "message": {"type": "fragment", %s}}'
    text %= call.id, '"fragment": {"content": "a"}'
    data = text.encode()
    call.connection.send_raw(bytes([0x81, len(data)]) + data + b"\x88\x02\x03\xe9" + b"\x81\x02{}")

    error = worker.error()

    assert error.partial.content == "a"
    assert error.close_code == 1001


def test_a_closed_client_is_not_entered_again(server):
    client = lms.Client(server.host)
    with client:
        pass
    with pytest.raises(lms.LMStudioClientError, match="closed"), client:
        pass
