"""However a client is refused, no frame of ours has a token, a header or a password to show."""

import io
import socket
import ssl
import traceback
from base64 import b64encode
from collections.abc import Mapping, Sequence

import pytest
from helpers import Worker, free_port
from tls_proxy import TlsProxy

import lmstudio as lms
from lmstudio._api.secret import Secret
from lmstudio.testing import Server

SECRET = "abcdefghij0123456789"
TOKEN = f"sk-lm-abcdefgh:{SECRET}"
HEADER = "Bearer header-of-the-proxy"
PASSWORD = "password-of-the-proxy"
LOGIN = b64encode(f"user:{PASSWORD}".encode()).decode()  # as a proxy gets it
SECRETS = (SECRET, HEADER, PASSWORD, LOGIN)
HEADERS = {"Authorization": HEADER}
PROXY = f"http://user:{PASSWORD}@127.0.0.1:1"


def chain(error):
    """An error, and those that it came from, hidden ones too."""
    seen = []
    waiting = [error]
    while waiting:
        one = waiting.pop()
        if one is not None and one not in seen:
            seen.append(one)
            waiting += [one.__cause__, one.__context__]
    return seen


def values(value, depth=4):
    """A value, and what reports of errors look for in it."""
    yield value
    if depth and isinstance(value, Mapping):
        for key, inner in value.items():
            yield from values(key, depth - 1)
            yield from values(inner, depth - 1)
    elif depth and isinstance(value, Sequence) and not isinstance(value, (str, bytes, bytearray)):
        for inner in value:
            yield from values(inner, depth - 1)


def shown_by(error):
    """All that can be seen of an error, but for the frames of this file."""
    for one in chain(error):
        yield f"{one!r} {one} {vars(one)!r}"
        for frame, _ in traceback.walk_tb(one.__traceback__):
            if frame.f_code.co_filename != __file__:
                for name, value in frame.f_locals.items():
                    for inner in values(value):
                        yield f"{frame.f_code.co_name}: {name} = {inner!r}"


def check(error):
    """Fail if anything secret can be seen."""
    told = [text for text in shown_by(error) if any(secret in text for secret in SECRETS)]
    assert not told


class Refuses:
    """An argument that cannot be looked at."""

    def __bool__(self):
        raise ArithmeticError("no")


class Broken(Mapping):
    """Headers that cannot be read."""

    def __getitem__(self, name):
        raise ArithmeticError("no")

    def __iter__(self):
        yield "Authorization"

    def __len__(self):
        return 1


@pytest.mark.parametrize(
    "wrong",
    [
        {"timeout": "x"},
        {"idle_timeout": "x"},
        {"cancel_grace": "x"},
        {"connect_timeout": "x"},
        {"connect_timeout": None},
        {"ssl_context": "x"},
        {"max_upload_bytes": 0},
        {"strict_options": Refuses()},
        {"api_host": None},
        {"api_host": 5},
        {"api_host": HEADERS},
        {"api_host": TOKEN},
        {"api_host": "ftp://h"},
        {"api_host": "h\r\nX: y"},
        {"api_host": f"http://user:{PASSWORD}@h"},
        {"api_host": f"ftp://user:{PASSWORD}@h"},
        {"api_host": f"http://user:{PASSWORD}/@h"},
        {"api_host": f"http://[user:{PASSWORD}@h"},
        {"api_host": f"http://user:{PASSWORD}\n@h"},
        {"api_token": TOKEN + "!"},
        {"api_token": [TOKEN]},
        {"api_token": TOKEN.encode()},
        {"headers": {"Authorization": HEADER + "\n"}},
        {"headers": {"Authorization": HEADER.encode()}},
        {"headers": {"Authorization": HEADER + "\u20ac"}},
        {"headers": {HEADER: "Authorization"}},
        {"headers": {**HEADERS, "Connection": "close"}},
        {"headers": {**HEADERS, 5: "x"}},
        {"headers": HEADER},
        {"headers": Broken()},
        {"proxy": PROXY + "/path"},
        {"proxy": PROXY + "\n#"},
        {"proxy": [PROXY]},
    ],
)
def test_a_constructor_that_refuses_one_argument_shows_none(wrong):
    given = {"api_host": "h:1", "api_token": TOKEN, "headers": HEADERS, "proxy": PROXY, **wrong}
    with pytest.raises((lms.LMStudioValueError, ArithmeticError)) as caught:
        lms.Client(**given)

    check(caught.value)


@pytest.mark.parametrize("name", ["LM_API_TOKEN", "LMSTUDIO_API_TOKEN"])
def test_a_token_of_the_environment_that_is_refused_is_not_shown(monkeypatch, name):
    monkeypatch.setenv(name, TOKEN + "!")
    with pytest.raises(lms.LMStudioValueError) as caught:
        lms.Client("h:1")

    check(caught.value)


def test_a_host_that_cannot_be_asked_is_not_shown():
    with pytest.raises(lms.LMStudioValueError) as caught:
        lms.Client.is_valid_api_host(f"http://user:{PASSWORD}@h")

    check(caught.value)


@pytest.fixture
def answering():
    """A function that starts a server which says one thing to each connection, and hangs up."""
    listeners = []

    def start(answer):
        listener = socket.create_server(("127.0.0.1", 0))

        def serve():
            while True:
                try:
                    peer, _ = listener.accept()
                except OSError:
                    return
                with peer:
                    peer.recv(4096)
                    peer.sendall(answer)

        listeners.append((listener, Worker(serve)))
        return f"127.0.0.1:{listener.getsockname()[1]}"

    yield start
    for listener, worker in listeners:
        with socket.create_connection(listener.getsockname()):
            listener.close()
        worker.join(10)


def refuse(host, **more):
    """Fail to use a client in both ways, and look at what comes of it."""
    client = lms.Client(host, TOKEN, headers=HEADERS, connect_timeout=5.0, **more)
    for use in (client.__enter__, client.llm.list_loaded, client.llm.model):
        with pytest.raises(lms.LMStudioError) as caught:
            use()
        check(caught.value)
    client.close()


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"HTTP/1.1 401 Unauthorized\r\n\r\n",
        b"HTTP/1.1 302 Found\r\nLocation: /\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n\r\n" + b"[" * 5000,
        b"HTTP/1.1 101 Switching Protocols\r\n\r\n",
        b"SSH-2.0-OpenSSH\r\n",
    ],
)
def test_a_server_that_is_none_gets_nothing_shown(answering, answer):
    refuse(answering(answer))


@pytest.mark.parametrize("answer", [b"", b"HTTP/1.1 407 No\r\n\r\n", b"SSH\r\n"])
def test_a_proxy_that_refuses_gets_nothing_shown(answering, answer):
    refuse("h:1", proxy=f"http://user:{PASSWORD}@{answering(answer)}")


def test_where_nobody_answers_nothing_is_shown():
    refuse(f"127.0.0.1:{free_port()}")
    refuse(f"https://127.0.0.1:{free_port()}")
    refuse("h:1", proxy=f"http://user:{PASSWORD}@127.0.0.1:{free_port()}")


def test_a_name_that_is_unknown_shows_nothing(monkeypatch):
    def lookup(*_, **__):
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", lookup)
    refuse("h:1")


def test_a_certificate_that_is_not_trusted_shows_nothing(server):
    with TlsProxy(server.host) as proxy:
        refuse(f"https://localhost:{proxy.port}")
        refuse(f"https://localhost:{proxy.port}", ssl_context=ssl.create_default_context())


def test_a_token_that_is_refused_is_not_shown():
    with Server(token=TOKEN[:-1] + "Z") as server:
        client = lms.Client(server.host, TOKEN, headers=HEADERS)
        with pytest.raises(lms.LMStudioServerError) as caught:
            client.llm.list_loaded()
        check(caught.value)
        client.close()


def test_rich_shows_no_secret_of_a_client_that_is_refused():
    console = pytest.importorskip("rich.console")
    rich = pytest.importorskip("rich.traceback")
    with pytest.raises(lms.LMStudioValueError) as caught:
        lms.Client("h:1", TOKEN, headers=HEADERS, proxy=PROXY, timeout="x")
    text = io.StringIO()

    trace = caught.value.__traceback__.tb_next  # not this frame
    shown = rich.Traceback.from_exception(
        type(caught.value), caught.value, trace, show_locals=True, locals_max_length=None
    )
    console.Console(file=text, width=300).print(shown)

    assert "connect_timeout" in text.getvalue()  # locals were shown
    assert not [secret for secret in SECRETS if secret in text.getvalue()]


def test_a_client_that_is_half_made_can_be_shown():
    assert repr(lms.Client.__new__(lms.Client)) == "Client(None)"


def test_a_secret_shows_nothing_and_leaves_by_no_copy():
    secret = Secret(SECRET)

    assert SECRET not in f"{secret!r} {secret}"
    assert Secret.of(secret) is secret
    with pytest.raises(TypeError, match="pickled"):
        secret.__reduce__()
