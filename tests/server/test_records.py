"""What the embedded server records, and how a test misbehaves on a connection."""

import asyncio
import contextlib
import threading

import pytest
from server.raw_client import ANY, RawClient
from websockets.exceptions import ConnectionClosed

from lmstudio.testing import Server


@pytest.fixture
def connection(server, client):
    return server.wait_for(lambda: server.connections)[0]


def test_messages_are_recorded_in_order(server, client, connection):
    server.hold("predict")
    channel = client.predict()
    client.cancel(channel)
    server.expect("predict").expect_cancel()
    with RawClient(server, "system") as system:
        system.result("version")
    types = [message["type"] for message in server.received()]
    assert types == ["channelCreate", "channelSend", "rpcCall"]
    assert connection.messages == server.received(path="/llm") == server.received(path="llm")
    assert server.received(endpoint="predict") == connection.messages
    assert server.received("channelSend", endpoint="predict") == [
        {"type": "channelSend", "channelId": channel, "message": {"type": "cancel"}}
    ]
    assert server.received("rpcCall", path="/llm") == []


def test_what_was_sent_is_recorded(client, connection):
    client.result("listLoaded")
    assert [message["type"] for message in connection.sent if "type" in message] == ["rpcResult"]


def test_wait_for_messages(server, client):
    thread = threading.Thread(target=lambda: [client.result("listLoaded") for _ in range(3)])
    thread.start()
    found = server.wait_for(type="rpcCall", endpoint="listLoaded", count=2)
    assert found == server.received("rpcCall")[1]
    thread.join()


def test_wait_for_a_predicate_returns_its_value(server):
    assert server.wait_for(lambda: "yes") == "yes"


def test_wait_for_says_what_came(server, client):
    client.result("listLoaded")
    words = r"expected 1 of {'type': 'channelCreate'.*, but 1 message\(s\) came, the last: \[/llm r"
    with pytest.raises(AssertionError, match=words):
        server.wait_for(type="channelCreate", timeout=0.01)
    with pytest.raises(AssertionError, match=r"expected prediction 0, but 1 message\(s\) came"):
        server.wait_prediction(timeout=0.01)


def test_a_wait_that_has_stopped_the_event_loop_of_its_thread_says_so(server):
    async def wait():
        server.wait_prediction(timeout=0.01)

    with pytest.raises(AssertionError, match=r"runs an event loop.* await asyncio\.to_thread"):
        asyncio.run(wait())
    with pytest.raises(AssertionError) as caught:
        server.wait_prediction(timeout=0.01)
    assert "event loop" not in str(caught.value)


def test_waiting_ends_when_the_server_is_closed():
    server = Server()
    began = threading.Event()
    failures = []

    def look():
        began.set()

    def wait():
        try:
            server.wait_for(look, timeout=60)
        except AssertionError as problem:
            failures.append(str(problem))

    thread = threading.Thread(target=wait)
    thread.start()
    assert began.wait(5)
    server.close()
    thread.join(5)
    assert not thread.is_alive()
    assert "no message came, on 0 connection(s) (the server was closed)" in failures[0]


def test_drop_is_a_reset(client, connection):
    assert connection.open
    connection.drop()
    with pytest.raises(ConnectionClosed) as caught:
        client.recv()
    assert caught.value.rcvd is None
    assert not connection.open
    assert repr(connection) == "<Connection /llm of 'tester', closed>"
    with pytest.raises(ConnectionError, match="nothing can be sent any more"):
        connection.send_text("x")
    connection.drop()


def test_drop_all(server):
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(RawClient(server, path)) for path in ("llm", "system")]
        server.drop_all()
        for client in clients:
            with pytest.raises(ConnectionClosed):
                client.recv()
        with RawClient(server) as again:
            assert again.result("listLoaded")


def test_close_with_a_code(client, connection):
    connection.close(4321, "bye")
    with pytest.raises(ConnectionClosed) as caught:
        client.recv()
    assert (caught.value.rcvd.code, caught.value.rcvd.reason) == (4321, "bye")


def test_any_frame_can_be_sent(client, connection):
    connection.send_text("{nope")
    assert client.socket.recv(timeout=5) == "{nope"
    connection.send_bytes(b"\x00\xff")
    assert client.socket.recv(timeout=5) == b"\x00\xff"
    connection.send_text("")
    assert client.socket.recv(timeout=5) == ""


def test_half_a_frame_and_the_other_half(client, connection):
    connection.send_raw(b"\x81\x05he")
    connection.send_raw(b"llo")
    assert client.socket.recv(timeout=5) == "hello"


def test_garbage_on_the_stream(client, connection):
    connection.send_raw(b"\xff\xff\xff\xff")
    with pytest.raises(ConnectionClosed):
        client.recv()


def test_pause_and_resume(server, client, connection):
    connection.pause()
    client.send({"type": "keepAlive"})
    with pytest.raises(TimeoutError):
        client.recv(timeout=0.05)
    assert connection.messages == []
    connection.resume()
    assert client.recv() == {"type": "keepAliveAck"}


def test_a_server_with_a_paused_client_closes():
    with Server() as server, RawClient(server) as client:
        connection = server.wait_for(lambda: server.connections)[0]
        connection.pause()
        client.predict()
        server.close()
        assert not connection.open


def test_binary_frames_of_a_client_are_read_as_text(client):
    client.socket.send(b'{"type":"keepAlive"}')
    assert client.recv() == {"type": "keepAliveAck"}


def test_unusual_characters_come_back_unharmed(client):
    half_a_pair = '{"type":"rpcCall","callId":1,"endpoint":"\\ud800"}'
    client.send(half_a_pair)
    assert client.recv()["warning"].endswith("endpoint = \ud800")
    client.send('{"type":"rpcCall","callId":1,"endpoint":"Grüße 🙂"}')
    assert client.recv()["warning"].endswith("endpoint = Grüße 🙂")


def test_big_messages(client):
    parameter = {"specifier": ANY, "inputString": "word " * 500_000}
    assert client.result("countTokens", parameter)["tokenCount"] > 500_000


def test_predictions_of_many_clients_at_once(server):
    def use():
        with RawClient(server) as client:
            for _ in range(20):
                packets, end = client.rest(client.predict())
                assert len(packets) == 12
                assert end["type"] == "channelClose"
        good.append(1)

    good = []
    threads = [threading.Thread(target=use) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len(good) == 8
    assert len(server.predictions) == 160
    assert {prediction.wait_finished().tokens_sent for prediction in server.predictions} == {9}
