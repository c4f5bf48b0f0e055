"""Finding a server: the known ports, the default client, and the file that LM Studio writes."""

import contextlib
import json
import os
import socket
import sys
import threading
from pathlib import Path

import pytest
from helpers import HOME, Worker, eventually, free_port

import lmstudio as lms
from lmstudio._api.secret import Secret
from lmstudio._connection import discovery as _discovery
from lmstudio._connection import port as _port
from lmstudio._connection.address import parse_api_host
from lmstudio.testing import Server

# -- ports ------------------------------------------------------------------------------------


def test_without_a_host_the_known_ports_are_asked_at_once(server, monkeypatch):
    monkeypatch.setattr(_discovery, "DEFAULT_PORTS", (free_port(), server.port, free_port()))
    client = lms.Client()
    with pytest.raises(lms.LMStudioRuntimeError, match="looked for"):
        client.api_host  # noqa: B018

    assert client.llm.list_loaded()
    assert client.api_host == server.host
    client.close()


def test_without_a_server_the_error_says_what_was_tried(monkeypatch):
    ports = (free_port(), free_port())
    monkeypatch.setattr(_discovery, "DEFAULT_PORTS", ports)
    client = lms.Client()

    with pytest.raises(
        lms.LMStudioWebsocketError, match=f"{ports[0]}, {ports[1]}.*Start LM Studio"
    ):
        client.llm.list_loaded()
    client.close()


def test_a_server_at_the_port_of_the_rest_api_is_told_but_not_used(server, monkeypatch):
    monkeypatch.setattr(_discovery, "DEFAULT_PORTS", (free_port(),))
    monkeypatch.setattr(_discovery, "_REST", parse_api_host(Secret(server.host)))
    client = lms.Client()

    with pytest.raises(lms.LMStudioWebsocketError, match=f"one answers at {server.host}.*Pass"):
        client.llm.list_loaded()
    client.close()


def test_a_server_that_restarts_on_another_known_port_is_found_again(monkeypatch):
    with Server() as first:
        monkeypatch.setattr(_discovery, "DEFAULT_PORTS", (first.port,))
        client = lms.Client()
        assert client.llm.list_loaded()
    with Server() as second:
        monkeypatch.setattr(_discovery, "DEFAULT_PORTS", (first.port, second.port))
        eventually_answers(client)
        assert client.api_host == second.host
    client.close()


def eventually_answers(client):
    """Call until the loss of the old connection was noticed."""

    def answers():
        try:
            return client.llm.list_loaded()
        except lms.LMStudioWebsocketError:
            return None

    eventually(answers)


def test_a_host_is_valid_if_an_lm_studio_greets_there(server, listener):
    assert lms.Client.is_valid_api_host(server.host)
    assert not lms.Client.is_valid_api_host(f"127.0.0.1:{free_port()}")


@pytest.fixture(autouse=True)
def patient_probes(monkeypatch):
    """A busy machine may be late with an answer."""
    monkeypatch.setattr(_discovery, "_PROBE_SECONDS", 20.0)


@contextlib.contextmanager
def saying(*parts):
    """A server that is none: says these parts to whoever asks, then waits; notes all it got."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        received, is_over = [], threading.Event()

        def serve():
            while True:
                peer, _ = listener.accept()
                with peer, contextlib.suppress(OSError):
                    if is_over.is_set():
                        return
                    received.append(peer.recv(4096))
                    for part in parts:
                        peer.sendall(part)
                    while data := peer.recv(4096):
                        received.append(data)

        worker = Worker(serve)
        yield listener.getsockname()[1], received
        is_over.set()
        socket.create_connection(listener.getsockname()).close()  # what wakes it everywhere
        worker.result()


HEAD = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: "


@pytest.mark.parametrize(
    "body",
    [
        b"[" * 4000,
        b'{"lmstudio":' * 300,
        b'{"lmstudio": true, "n": ' + b"1" * 4000,
        b"[]",
        b'"lmstudio"',
        b'{"lmstudio": 1}',
        json.dumps({"lmstudio": True}).encode("utf-16"),
        b"\xff",
    ],
    ids=["deep list", "deep object", "number", "list", "text", "one", "utf-16", "bytes"],
)
def test_what_greets_in_another_way_is_no_lm_studio(body):
    with saying(HEAD + b"%d\r\n\r\n" % len(body) + body) as (port, _):
        assert not lms.Client.is_valid_api_host(f"127.0.0.1:{port}")


@pytest.mark.parametrize("part", [b"", b"HTTP/1.1 200 OK\r\nX", HEAD + b"99\r\n\r\n{"])
def test_a_server_that_stops_in_the_middle_leaves_no_thread_and_no_socket(part, monkeypatch):
    monkeypatch.setattr(_discovery, "_PROBE_SECONDS", 0.5)
    with saying(part) as (port, _):  # the fixture of all tests looks for what is left
        assert not lms.Client.is_valid_api_host(f"127.0.0.1:{port}")
        assert threading.active_count() >= 1
        eventually(lambda: "lmstudio-probe" not in {t.name for t in threading.enumerate()})


@pytest.mark.parametrize("error", [RecursionError(), MemoryError(), SystemExit(1), LookupError()])
def test_whatever_happens_in_a_probe_is_an_answer(server, monkeypatch, error, capfd):
    def get_json(*_):
        raise error

    monkeypatch.setattr(_discovery, "_get_json", get_json)
    monkeypatch.setattr(_discovery, "_PROBE_SECONDS", 1000)  # nobody waits so long
    monkeypatch.setattr(_discovery, "DEFAULT_PORTS", (server.port,))

    assert not lms.Client.is_valid_api_host(server.host)
    assert lms.Client.find_default_local_api_host() is None
    client = lms.Client(server.host, connect_timeout=1000)
    with pytest.raises(lms.LMStudioWebsocketError, match=type(error).__name__):
        client.__enter__()
    client.close()
    assert capfd.readouterr() == ("", "")


TOKEN = "sk-lm-abcdefgh:abcdefghij0123456789"


def test_a_token_of_the_environment_goes_to_nobody_who_has_not_greeted(monkeypatch, tmp_path):
    monkeypatch.setattr(_port, "_MOST_REPEATS", 0)  # nothing is tried again on a slow machine
    body = b'{"package": "lmstudio", "version": "1"}'  # but no greeting
    with saying(HEAD + b"%d\r\n\r\n" % len(body) + body) as (port, received):
        monkeypatch.setenv("LM_API_TOKEN", TOKEN)
        monkeypatch.setattr(_discovery, "DEFAULT_PORTS", (port,))
        monkeypatch.setattr(_discovery, "lm_studio_home", lambda: tmp_path)
        (tmp_path / ".internal").mkdir()
        (tmp_path / ".internal" / "http-server.json").write_text(json.dumps({"port": port}))
        client = lms.Client()
        with pytest.raises(lms.LMStudioWebsocketError, match="default port"):
            client.llm.list_loaded()
        client.close()

    assert len(received) == 2  # the file's place, and the port
    assert all(data.startswith(b"GET /lmstudio-greeting ") for data in received)


# -- LM Studio's info file ---------------------------------------------------------------------


def test_the_info_file_in_the_home_folder_leads_to_the_server(server, monkeypatch, tmp_path):
    monkeypatch.setenv(HOME, str(tmp_path))
    monkeypatch.setattr(_discovery, "DEFAULT_PORTS", ())
    folder = tmp_path / ".lmstudio" / ".internal"
    folder.mkdir(parents=True)
    info = {"host": "127.0.0.1", "pid": 1, "port": server.port}
    (folder / "http-server.json").write_text(json.dumps(info))

    assert lms.Client.find_default_local_api_host() == server.host


def test_the_home_folder_may_be_elsewhere(server, monkeypatch, tmp_path):
    monkeypatch.setenv(HOME, str(tmp_path))
    monkeypatch.setattr(_discovery, "DEFAULT_PORTS", ())
    folder = tmp_path / "elsewhere" / ".internal"
    folder.mkdir(parents=True)
    (folder / "http-server.json").write_text(json.dumps({"port": server.port}))
    (tmp_path / ".lmstudio-home-pointer").write_text(f"{tmp_path / 'elsewhere'}\n")

    assert lms.Client.find_default_local_api_host() == server.host


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "{}", '{"port": 0}', '{"port": 1.5}', '{"port": 65536}']
)
def test_an_info_file_that_says_nothing_falls_back_to_the_ports(
    server, monkeypatch, tmp_path, text
):
    monkeypatch.setenv(HOME, str(tmp_path))
    monkeypatch.setattr(_discovery, "DEFAULT_PORTS", (server.port,))
    folder = tmp_path / ".cache" / "lm-studio" / ".internal"
    folder.mkdir(parents=True)
    (folder / "http-server.json").write_text(text)

    assert lms.Client.find_default_local_api_host() == server.host


def test_an_info_file_that_was_chosen_is_strict(server, monkeypatch, tmp_path):
    monkeypatch.setattr(_discovery, "DEFAULT_PORTS", (server.port,))
    path = tmp_path / "info.json"
    monkeypatch.setenv("LMS_API_SERVER_INFO_PATH", str(path))
    with pytest.raises(lms.LMStudioWebsocketError, match="LMS_API_SERVER_INFO_PATH"):
        lms.Client.find_default_local_api_host()
    path.write_text(json.dumps({"port": server.port}))

    assert lms.Client.find_default_local_api_host() == server.host


@pytest.fixture
def only_port(server, monkeypatch):
    """The server, found by its port alone."""
    monkeypatch.setattr(_discovery, "DEFAULT_PORTS", (server.port,))
    return server


def test_a_home_folder_that_nobody_knows_is_done_without(only_port, monkeypatch):
    def home():
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "home", home)

    assert lms.Client.find_default_local_api_host() == only_port.host


def test_a_home_folder_of_somebody_else_is_done_without(only_port, monkeypatch, tmp_path):
    def refuse(*_, **__):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setenv(HOME, str(tmp_path))
    monkeypatch.setattr(os, "open", refuse)
    monkeypatch.setattr(Path, "exists", refuse)

    assert lms.Client.find_default_local_api_host() == only_port.host


@pytest.mark.parametrize("home", ["loop", "", ".", "missing/home", "file"])
def test_a_home_folder_that_is_none_is_done_without(only_port, monkeypatch, tmp_path, home):
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "file").touch()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", home)
    assert lms.Client.find_default_local_api_host() == only_port.host

    monkeypatch.setenv("HOME", str(tmp_path / home))
    assert lms.Client.find_default_local_api_host() == only_port.host


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no such files here")
@pytest.mark.parametrize("name", [".lmstudio-home-pointer", ".lmstudio/.internal/http-server.json"])
@pytest.mark.parametrize("kind", ["pipe", "device", "folder", "huge"])
def test_a_file_of_lm_studio_that_is_none_is_done_without(
    only_port, monkeypatch, tmp_path, name, kind
):
    monkeypatch.setenv(HOME, str(tmp_path))
    path = tmp_path / name
    path.parent.mkdir(parents=True, exist_ok=True)
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "device":
        path.symlink_to("/dev/zero")
    elif kind == "folder":
        path.mkdir()
    else:
        with path.open("wb") as file:
            file.truncate(1 << 40)  # no memory holds it

    assert Worker(lms.Client.find_default_local_api_host).result() == only_port.host
    if sys.platform == "linux":
        for fd in Path("/proc/self/fd").iterdir():
            with contextlib.suppress(OSError):  # the listing's own is gone by now
                assert not os.readlink(fd).startswith((str(tmp_path), "/dev/zero"))
