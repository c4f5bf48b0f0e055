"""`python -m lmstudio doctor`: each finding, and what it says to do."""

import os
import subprocess
import sys

import pytest

from lmstudio.testing import Server

LIMIT = 30.0  # seconds
TOKEN = "sk-lm-abcdefgh:ABCDEFGHIJKLMNOPQRST"


def doctor(*options, path=None, **environment):
    """Run it; its exit code and what it printed (it never writes to stderr)."""
    inherited = {
        key: value for key, value in os.environ.items() if not key.lower().endswith("_proxy")
    }
    if path is not None:
        environment["PYTHONPATH"] = str(path)
    done = subprocess.run(
        [sys.executable, "-m", "lmstudio", *options, "doctor"],
        env={**inherited, **environment},
        capture_output=True,
        text=True,
        timeout=LIMIT,
    )
    assert done.stderr == ""
    return done.returncode, done.stdout


def test_all_is_well(server):
    code, text = doctor("--host", server.host)
    assert code == 0
    assert "ok       websocket-client 1." in text
    assert "ok       no API token: you connect as a guest" in text
    assert f"ok       LM Studio 0.4.0 answers at {server.host}" in text
    assert "ok       loaded: test-llm" in text
    assert text.endswith("\nAll is well.\n")


def test_no_model_is_loaded(server):
    server.unload("test-llm")
    code, text = doctor("--host", server.host)
    assert code == 0
    assert "note     No model is loaded. Name one, and it is loaded: model('test-llm" in text


def test_no_model_is_there():
    with Server(models=[]) as server:
        code, text = doctor("--host", server.host)
    assert code == 1
    assert "problem  There is no language model. Download one" in text


def test_nobody_answers(tmp_path):
    code, text = doctor("--host", "127.0.0.1:9")
    assert code == 1
    assert "problem  LM Studio is not reachable at 127.0.0.1:9" in text
    assert text.endswith("\nThere is something to do.\n")


def test_a_refused_token():
    with Server(token=TOKEN.replace("a", "b")) as server:
        code, text = doctor("--host", server.host, LM_API_TOKEN=TOKEN)
    assert code == 1
    assert "ok       an API token in LM_API_TOKEN" in text
    assert "Check the API token: LM_API_TOKEN" in text
    assert TOKEN not in text


@pytest.mark.parametrize("name", ["LM_API_TOKEN", "LMSTUDIO_API_TOKEN"])
def test_a_token_that_is_none(name):
    code, text = doctor(**{name: "lm_secret"})
    assert code == 1
    assert f"problem  {name} holds no API token of LM Studio" in text
    assert "secret" not in text


def test_two_tokens_that_differ(server):
    other = TOKEN.replace("a", "b")
    _, text = doctor("--host", server.host, LM_API_TOKEN=TOKEN, LMSTUDIO_API_TOKEN=other)
    assert "note     LM_API_TOKEN and LMSTUDIO_API_TOKEN differ: the first one is used." in text


def test_proxy_variables_are_named(server):
    code, text = doctor("--host", server.host, HTTP_PROXY="http://127.0.0.1:9")
    assert code == 0
    assert "note     HTTP_PROXY set: this package does not use them" in text


def test_https_where_there_is_none(server):
    code, text = doctor("--host", f"https://{server.host}")
    assert code == 1
    assert "the TLS handshake failed" in text
    assert "LM Studio itself does not: try http://" in text


def test_another_package_called_websocket(tmp_path):
    (tmp_path / "websocket.py").write_text("")
    code, text = doctor(path=tmp_path)
    assert code == 1
    assert f"finds {tmp_path / 'websocket.py'}, which is not websocket-client" in text
    assert "give it another name" in text
    assert "Mend this first" in text


def test_a_missing_package(tmp_path):
    (tmp_path / "cattrs.py").write_text("raise ImportError('it is broken')")
    code, text = doctor(path=tmp_path)
    assert code == 1
    assert "problem  cattrs cannot be imported (it is broken): pip install cattrs" in text
