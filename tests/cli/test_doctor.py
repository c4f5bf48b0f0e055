"""`python -m lmstudio doctor`: each finding, and what it says to do."""

import contextlib
import json
import os
import re
import socket
import subprocess
import sys

import pytest
from cli.commands import LIMIT
from helpers import HOME, WINDOWS
from tls_proxy import AUTHORITY, TlsProxy

import lmstudio
from lmstudio.testing import Server

TOKEN = "sk-lm-abcdefgh:ABCDEFGHIJKLMNOPQRST"
OTHER_TOKEN = TOKEN.replace("a", "b")


def doctor(*options, path=None, after=(), **environment):
    """Run it; its exit code and what it printed (it never writes to stderr)."""
    inherited = {
        key: value for key, value in os.environ.items() if not key.lower().endswith("_proxy")
    }
    if path is not None:
        environment["PYTHONPATH"] = str(path)
    done = subprocess.run(
        [sys.executable, "-m", "lmstudio", *options, "doctor", *after],
        env={**inherited, **environment},
        capture_output=True,
        text=True,
        timeout=LIMIT,
    )
    assert done.stderr == ""
    return done.returncode, done.stdout


@pytest.fixture
def packages(tmp_path):
    """Write a module, or what pip notes of a package, where Python looks first."""

    def write(name, text):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
        return tmp_path

    return write


def test_all_is_well(server):
    code, text = doctor("--host", server.host)
    assert code == 0
    assert text.startswith("ok       Python 3.")
    assert f"ok       lmstudio {lmstudio.__version__}, in " in text
    assert "ok       websocket-client 1." in text
    assert "ok       no API token: you connect as a guest\n" in text
    assert f"ok       LM Studio 0.4.0 answers at {server.host}\n" in text
    assert "ok       the connection is accepted\n" in text
    assert "ok       loaded: test-llm\n" in text
    assert text.endswith("\nAll is well.\n")


def test_no_model_is_loaded(server):
    server.unload("test-llm")
    code, text = doctor("--host", server.host)
    assert code == 0
    assert "note     No model is loaded. Name one, and it is loaded: --model test-" in text


def test_no_model_is_there():
    with Server(models=[]) as server:
        code, text = doctor("--host", server.host)
    assert code == 1
    assert "problem  There is no language model. Download one" in text


def test_nobody_answers():
    code, text = doctor("--host", "127.0.0.1:9")
    assert code == 1
    assert "problem  LM Studio is not reachable at 127.0.0.1:9" in text
    assert "Then write https:// before the host." in text
    assert text.endswith("\nThere is something to do.\n")


def test_a_host_that_is_none():
    code, text = doctor("--host", "no host")
    assert code == 1
    assert "problem  'no host'" in text or "'no host'" in text
    assert "Traceback" not in text


def test_a_refused_token_is_told_and_not_shown():
    with Server(token=OTHER_TOKEN) as server:
        code, text = doctor("--host", server.host, LM_API_TOKEN=TOKEN)
    assert code == 1
    assert "ok       LM_API_TOKEN has the form of an API token\n" in text
    assert f"answers at {server.host}\nproblem  " in text
    assert "(The environment variable LM_API_TOKEN was used.)" in text
    assert "(Tokens are made in LM Studio's server settings.)" in text
    assert TOKEN not in text


@pytest.mark.parametrize("name", ["LM_API_TOKEN", "LMSTUDIO_API_TOKEN"])
def test_a_token_that_is_none_is_told_and_the_server_is_looked_for_all_the_same(server, name):
    code, text = doctor("--host", server.host, **{name: "lm_secret"})
    assert code == 1
    assert f"problem  {name} holds no API token of LM Studio" in text
    assert "secret" not in text
    assert f"answers at {server.host}\n" in text
    assert "accepted" not in text


def test_two_tokens_that_differ(server):
    tokens = {"LM_API_TOKEN": TOKEN, "LMSTUDIO_API_TOKEN": OTHER_TOKEN}
    _, text = doctor("--host", server.host, **tokens)
    assert "note     LM_API_TOKEN and LMSTUDIO_API_TOKEN differ: LM_API_TOKEN is used." in text


def test_proxy_variables_are_named(server):
    proxies = {"HTTP_PROXY": "http://127.0.0.1:9", "all_proxy": "http://127.0.0.1:9"}
    code, text = doctor("--host", server.host, **proxies)
    assert code == 0
    (note,) = (line for line in text.splitlines() if "does not use proxy variables" in line)
    assert note.startswith("note ")
    assert {"http_proxy", "all_proxy"} <= set(note.lower().split())  # Windows has capitals only


def test_https_where_there_is_none(server):
    code, text = doctor("--host", f"https://{server.host}")
    assert code == 1
    assert "the TLS handshake failed" in text
    assert "LM Studio itself does not: try http://" in text


def test_a_certificate_of_an_authority_of_ones_own(server, tmp_path):
    authority = tmp_path / "authority.pem"
    AUTHORITY.cert_pem.write_to_path(str(authority))
    with TlsProxy(server.host) as proxy:
        host = f"https://localhost:{proxy.port}"
        code, text = doctor("--host", host)
        assert code == 1
        assert "set SSL_CERT_FILE to the file of its authority" in text
        code, text = doctor("--host", host, SSL_CERT_FILE=str(authority))
        assert code == 0
        assert text.endswith("\nAll is well.\n")


def test_another_package_called_websocket(packages):
    path = packages("websocket.py", "")
    code, text = doctor(path=path)
    assert code == 1
    assert f"finds {path / 'websocket.py'}, which is not websocket-client" in text
    assert "give it another name" in text
    assert text.endswith("\nMend this first: no server was looked for.\n")


@pytest.mark.parametrize("failure", ["ImportError('it is broken')", "SystemExit(3)"])
def test_a_package_that_cannot_be_imported(packages, failure):
    code, text = doctor(path=packages("cattrs.py", f"raise {failure}"))
    assert code == 1
    assert f"problem  'cattrs' cannot be imported ({failure}): pip install cattrs." in text


def test_a_package_that_is_too_old(packages):
    path = packages("attrs-22.2.0.dist-info/METADATA", "Name: attrs\nVersion: 22.2.0\n")
    code, text = doctor(path=path)
    assert code == 1
    assert 'problem  attrs 22.2.0 is too old: pip install "attrs>=23.1"' in text


@pytest.fixture
def names(packages):
    """Have a name of several addresses in the program that is started."""

    def have(*addresses):
        return packages(
            "sitecustomize.py",
            f"""
import socket
real = socket.getaddrinfo
def getaddrinfo(host, *arguments, **options):
    if host != "studio.example":
        return real(host, *arguments, **options)
    kind = socket.SOCK_STREAM, socket.IPPROTO_TCP, ""
    return [(socket.AddressFamily(family), *kind, address) for family, address in {addresses!r}]
socket.getaddrinfo = getaddrinfo
""",
        )

    return have


def v4(host, port):
    return int(socket.AF_INET), (host, port)


@pytest.fixture
def silent():
    """An address of this machine that never answers: a socket whose queue is full."""
    if sys.platform != "linux":
        pytest.skip("it needs Linux to make a port that drops what comes")
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.socket())
        listener.bind(("127.0.0.2", 0))
        listener.listen(0)
        for _ in range(4):
            one = stack.enter_context(socket.socket())
            one.setblocking(False)
            one.connect_ex(listener.getsockname())
        yield listener.getsockname()


def test_of_several_addresses_it_says_which_answer_and_which_do_not(server, names, silent):
    path = names(
        (int(socket.AF_INET6), ("::1", 9, 0, 0)), v4(*silent), v4("127.0.0.1", server.port)
    )
    code, text = doctor("--host", f"studio.example:{server.port}", path=path)
    answers = f"127.0.0.1:{server.port}"
    spares = f"Some programs try it first and wait for it: --host {answers} spares that."
    assert code == 0
    assert f"ok       studio.example has the address {answers}, which answers\n" in text
    which = "note     studio.example has the address"
    assert re.search(rf"{which} \[::1\]:9, which does not answer: .*{spares}", text)
    assert (
        f"{which} {silent[0]}:{silent[1]}, which does not answer: no answer in time. {spares}"
    ) in text
    assert f"ok       LM Studio 0.4.0 answers at studio.example:{server.port}\n" in text


def test_an_address_that_nothing_answers_at_is_told_beside_the_problem(names):
    path = names(v4("127.0.0.1", 9), v4("127.0.0.2", 9))
    code, text = doctor("--host", "studio.example:9", path=path)
    assert code == 1
    assert "note     studio.example has the address 127.0.0.1:9, which does not answer: " in text
    assert "spares" not in text
    assert "problem  LM Studio is not reachable at studio.example:9" in text


def test_a_name_that_nobody_knows():
    code, text = doctor("--host", "nowhere.invalid:1234")
    assert code == 1
    assert "problem  LM Studio is not reachable at nowhere.invalid:1234" in text


@pytest.mark.skipif(WINDOWS, reason="it needs links that lead round in circles")
def test_a_home_that_cannot_be_read_is_a_note_and_the_rest_is_looked_at(tmp_path):
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    code, text = doctor(**{HOME: str(tmp_path / "loop")})
    assert code == 1
    assert "note     LM Studio's folder cannot be read (" in text
    assert "so only its usual ports are asked.\n" in text
    assert "problem  No LM Studio answers on this machine (asked: 127.0.0.1 at 41343, " in text
    assert "Traceback" not in text


@pytest.mark.parametrize(
    ("broken", "what"),
    [
        ("importlib.metadata.distributions", "this package"),
        ("importlib.util.find_spec", "the packages"),
    ],
)
def test_what_cannot_be_looked_at_is_a_note_and_the_rest_is_looked_at(
    server, packages, broken, what
):
    module = broken.rpartition(".")[0]
    path = packages(
        "sitecustomize.py",
        f"""
import {module}
def fail(*arguments, **options):
    if arguments in ((), ("rich",)):
        raise PermissionError(13, "Permission denied", "/a/folder")
    return real(*arguments, **options)
real, {broken} = {broken}, fail
""",
    )
    code, text = doctor("--host", server.host, path=path)
    assert code == 0
    assert f"note     {what} could not be looked at: Permission denied: /a/folder\n" in text
    assert text.endswith("\nAll is well.\n")


def test_findings_as_json_are_a_line_each(server):
    code, text = doctor("--host", server.host, after=["--json"])
    found = [json.loads(line) for line in text.splitlines()]
    assert code == 0
    assert {one["finding"] for one in found} <= {"ok", "note"}
    assert {"finding": "ok", "text": "loaded: test-llm"} in found


def test_in_a_terminal_no_word_is_cut():
    if WINDOWS:
        pytest.skip("Windows has no pseudo-terminals as POSIX has")
    pytest.importorskip("pyte")
    from cli.terminal import Terminal

    with Terminal("-m", "lmstudio", "doctor", "--host", "127.0.0.1:9", size=(40, 60)) as screen:
        assert screen.wait_end() == 1
        lines = screen.text().splitlines()
        at = next(n for n, line in enumerate(lines) if line.startswith("problem  "))
        assert lines[at].startswith("problem  LM Studio is not reachable at ")
        assert lines[at + 1].startswith("         ")
        words = " ".join(line.strip() for line in lines[at:])
        assert "Then write https:// before the host." in words


def test_where_no_model_is_it_tells_the_command_that_gets_one():
    with Server(models=[]) as server:
        _, text = doctor("--host", server.host)
        assert f"(or: python -m lmstudio --host {server.host} download NAME)" in text
