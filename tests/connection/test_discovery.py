"""Finding a server: the known ports, the default client, and the file that LM Studio writes."""

import json

import pytest
from helpers import eventually, free_port

import lmstudio as lms
from lmstudio._connection import discovery as _discovery
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


# -- LM Studio's info file ---------------------------------------------------------------------


def test_the_info_file_in_the_home_folder_leads_to_the_server(server, monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(_discovery, "DEFAULT_PORTS", ())
    folder = tmp_path / ".lmstudio" / ".internal"
    folder.mkdir(parents=True)
    info = {"host": "127.0.0.1", "pid": 1, "port": server.port}
    (folder / "http-server.json").write_text(json.dumps(info))

    assert lms.Client.find_default_local_api_host() == server.host


def test_the_home_folder_may_be_elsewhere(server, monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
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
    monkeypatch.setenv("HOME", str(tmp_path))
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
