"""Servers behind TLS, as a reverse proxy offers them; and behind an HTTP proxy."""

import asyncio
import socket
import ssl
import threading

import pytest
from helpers import Worker, eventually
from tls_proxy import TlsProxy, trusting_context

import lmstudio as lms


@pytest.fixture
def proxy(server):
    with TlsProxy(server.host) as proxy:
        yield proxy


@pytest.fixture
def trusting():
    return trusting_context()


def test_predictions_stream_and_stop_over_tls(server, proxy, trusting):
    with lms.Client(f"https://localhost:{proxy.port}", ssl_context=trusting) as client:
        model = client.llm.model()
        server.reply(["a", "b"])
        assert model.respond("hi").content == "ab"
        server.reply("word " * 20_000, delay=0.001)
        stream = model.respond_stream("hi")
        for _ in stream:
            stream.cancel()
        assert stream.result().acknowledged


def test_large_messages_of_several_threads_pass_both_ways_over_tls(server, proxy, trusting):
    server.reply("word " * 4000, repeat=8)
    with lms.Client(f"wss://localhost:{proxy.port}", ssl_context=trusting) as client:
        model = client.llm.model()
        workers = [Worker(model.respond, str(number) * 300_000) for number in range(8)]

        contents = [worker.result(30).content for worker in workers]

    assert contents == ["word " * 4000] * 8
    assert len(server.connections) == 1


def test_a_certificate_that_is_not_trusted_is_a_clear_error(proxy):
    client = lms.Client(f"https://localhost:{proxy.port}")

    with pytest.raises(lms.LMStudioWebsocketError, match="unable to get local issuer"):
        client.llm.list_loaded()
    with pytest.raises(lms.LMStudioWebsocketError, match="unable to get local issuer"):
        client.__enter__()
    client.close()


@pytest.mark.parametrize("name", ["_create_default_https_context", "create_default_context"])
def test_a_program_that_replaces_pythons_context_does_not_switch_off_ours(proxy, monkeypatch, name):
    monkeypatch.setattr(ssl, name, ssl._create_unverified_context)
    client = lms.Client(f"https://localhost:{proxy.port}")

    for ask in (client.__enter__, client.llm.list_loaded):
        with pytest.raises(lms.LMStudioWebsocketError, match="unable to get local issuer"):
            ask()
    assert not lms.Client.is_valid_api_host(f"https://localhost:{proxy.port}")
    client.close()


def test_all_connections_of_a_client_have_one_context(proxy, trusting):
    own = lms.Client(f"https://localhost:{proxy.port}")
    given = lms.Client(f"https://localhost:{proxy.port}", ssl_context=trusting)
    for client in (own, given):
        route = client._discovery._route
        assert client._session._connector.route is route
        assert route.tls_context is route.tls_context
    assert route.tls_context is trusting


def test_what_is_no_context_is_refused():
    with pytest.raises(lms.LMStudioValueError, match="SSLContext"):
        lms.Client("https://h", ssl_context="cert.pem")


def test_close_ends_a_tls_handshake_that_the_peer_never_answers(trusting):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        host = f"https://localhost:{silent.getsockname()[1]}"
        client = lms.Client(host, ssl_context=trusting, connect_timeout=60)
        worker = Worker(client.llm.list_loaded)
        peer, _ = silent.accept()
        with peer:
            assert peer.recv(1)  # the client's side of the handshake has begun
            client.close()

            assert isinstance(worker.error(), lms.LMStudioCancelledError)
            eventually(lambda: "lmstudio-connect" not in {t.name for t in threading.enumerate()})


def test_a_lost_tls_connection_is_noticed(server, proxy, trusting):
    server.hold("predict")
    with lms.Client(f"https://localhost:{proxy.port}", ssl_context=trusting) as client:
        worker = Worker(client.llm.model().respond, "hi")
        call = server.expect("predict")
        call.fragment("a")
        call.connection.drop()

        error = worker.error()

    assert isinstance(error, lms.LMStudioConnectionLostError)
    assert error.partial.content == "a"


class TunnelProxy(TlsProxy):
    """An HTTP proxy that opens tunnels for whoever has the password."""

    LOGIN = b"Proxy-Authorization: Basic dXNlcjpwYXNzd29yZA=="  # user:password

    def __init__(self) -> None:
        super().__init__("nowhere:0")
        self._context = None

    async def _handle(self, reader, writer) -> None:
        self._handlers.add(asyncio.current_task())
        request = await reader.readuntil(b"\r\n\r\n")
        if self.LOGIN not in request:
            writer.write(b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n")
            await writer.drain()
            writer.close()
            await writer.wait_closed()
            return
        self._host, _, port = request.split()[1].decode().partition(":")
        self._port = int(port)
        writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        await super()._handle(reader, writer)


def test_a_proxy_that_was_asked_for_is_gone_through(server, monkeypatch):
    with TunnelProxy() as tunnel:
        address = f"http://user:password@127.0.0.1:{tunnel.port}"
        with lms.Client(server.host, proxy=address) as client:
            assert client.llm.model().count_tokens("a b") == 2
            assert tunnel._port == server.port
            assert "password" not in repr(client._session._connector)


def test_a_proxy_reaches_servers_behind_tls_too(proxy, trusting):
    with TunnelProxy() as tunnel:
        address = f"http://user:password@127.0.0.1:{tunnel.port}"
        host = f"https://localhost:{proxy.port}"
        with lms.Client(host, ssl_context=trusting, proxy=address) as client:
            assert client.llm.model().count_tokens("a b") == 2


def test_a_proxy_that_refuses_is_a_clear_error_without_the_password(server):
    with TunnelProxy() as tunnel:
        client = lms.Client(server.host, proxy=f"http://user:wrong@127.0.0.1:{tunnel.port}")
        with pytest.raises(lms.LMStudioWebsocketError, match="407") as caught:
            client.llm.list_loaded()
        client.close()

    assert "wrong" not in str(caught.value)


@pytest.mark.parametrize("wrong", ["host:1", "socks5://h:1", "http://h", "http://h:1/path", 5])
def test_a_proxy_that_is_no_http_url_is_refused_without_repeating_it(wrong):
    with pytest.raises(lms.LMStudioValueError, match="proxy must read"):
        lms.Client("localhost:1", proxy=wrong)
    with pytest.raises(lms.LMStudioValueError, match="needs an api_host"):
        lms.Client(proxy="http://h:1")
