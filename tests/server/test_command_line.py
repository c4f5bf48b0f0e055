"""The embedded server from the command line, and its script files."""

import json
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
from helpers import NO_FILE, WINDOWS, needs_signals
from server.raw_client import RawClient, text_of

import lmstudio as lms
from lmstudio.testing import Server
from lmstudio.testing.__main__ import _noted, _options, _server, main
from lmstudio.testing.script_file import read_script

SCRIPT = {
    "server": {"load_time": 0.01, "parallel": 2},
    "models": [{"key": "mine", "variants": ["mine@q4"], "quantization": ["Q4_0", 4]}],
    "replies": [
        {"text": "from a file", "delay": 0.001, "stats": {"numGpuLayers": 5}},
        {"tokens": ["a", "b"], "repeat": 2},
        {"tool_calls": [{"name": "add", "arguments": {"a": 1}}]},
    ],
}
TOML = """
[server]
load_time = 0.01

[[replies]]
text = "from toml"
"""


class Command:
    """A server in a process of its own."""

    def __init__(self, *arguments):
        self.process = subprocess.Popen(
            [sys.executable, "-m", "lmstudio.testing", "--port", "0", *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.first_line = self.process.stdout.readline()

    def __enter__(self):
        return self

    def __exit__(self, *problem):
        self.process.kill()
        self.process.communicate(timeout=20)

    @property
    def server(self):
        return SimpleNamespace(host=self.first_line.removeprefix("listening on ").strip())

    def end(self, number):
        """End it with a signal; return what it left."""
        self.process.send_signal(number)
        return self.left()

    def end_by_request(self):
        """End it as a client may, on Windows too; return what it left."""
        with lms.Client(self.server.host) as client:
            client.system.request_shutdown()
        return self.left()

    def left(self):
        """What it leaves at its end."""
        output, errors = self.process.communicate(timeout=20)
        return self.process.returncode, output, errors


@pytest.fixture
def script(tmp_path):
    path = tmp_path / "script.json"
    path.write_text(json.dumps(SCRIPT))
    return path


@needs_signals
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_runs_until_a_signal_and_ends_quietly(number):
    with Command("--delay", "0.001", "--prefill", "0.001", "--tokens", "3") as command:
        assert command.first_line.startswith("listening on 127.0.0.1:")
        with RawClient(command.server) as client:
            packets, _ = client.rest(client.predict())
            assert packets[-1]["stats"]["predictedTokensCount"] == 3
            client.predict("a story")
            assert command.end(number) == (0, "", "")


def test_a_client_may_end_it():
    with Command() as command:
        assert command.end_by_request() == (0, "", "")


@pytest.mark.parametrize(
    ("arguments", "who"),
    [((), "everybody there (--token"), (("--token", f"sk-lm-{'a' * 8}:{'b' * 20}"), "who has")],
    ids=["without a token", "with a token"],
)
def test_a_server_for_other_computers_says_what_that_means(arguments, who):
    with Command("--host", "0.0.0.0", *arguments) as command:
        assert command.first_line.startswith("listening on 127.0.0.1:")
        warning = command.process.stdout.readline()
        assert warning.startswith("on 0.0.0.0, so other computers may connect too: " + who)
        # Windows knows no such signal, and ends it by force.
        assert command.end(signal.SIGTERM) == (1 if WINDOWS else 0, "", "")


def test_generated_engine():
    with (
        Command("--engine", "generated", "--tokens", "5", "--delay", "0.001") as command,
        RawClient(command.server) as client,
    ):
        packets, _ = client.rest(client.predict())
        assert text_of(packets) == "word0 word1 word2 word3 word4"


def test_a_script_file(script):
    with Command("--script", str(script)) as command, RawClient(command.server) as client:
        assert client.result("listLoaded")[0]["variants"] == ["mine@q4"]
        packets, _ = client.rest(client.predict())
        assert text_of(packets) == "from a file"
        assert packets[-1]["stats"]["numGpuLayers"] == 5
        assert [text_of(client.rest(client.predict())[0]) for _ in range(2)] == ["ab", "ab"]
        assert client.rest(client.predict())[0][-1]["stats"]["stopReason"] == "eosFound"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--engine", "llama", "--model", "/nowhere.gguf"], "there is no model file"),
        (["--script", "/nowhere.json"], NO_FILE),
        (["--token", "x"], "token must be 'sk-lm-'"),
        (
            ["--loaded", "nope"],
            r"nope \(the downloaded models: test-llm, test-vlm",
        ),
    ],
)
def test_a_start_that_fails_says_why(arguments, words):
    with Command(*arguments) as command:
        output, errors = command.process.communicate(timeout=20)
        assert (command.process.returncode, command.first_line, output) == (1, "", "")
        assert errors.startswith("lmstudio.testing: ")
        assert re.search(words, errors)
        assert "Traceback" not in errors


@pytest.mark.skipif(sys.version_info < (3, 11), reason="no tomllib before Python 3.11")
def test_toml(tmp_path):
    path = tmp_path / "script.toml"
    path.write_text(TOML)
    script = read_script(str(path))
    assert script.server == {"load_time": 0.01}
    with Server(**script.server) as server, RawClient(server) as client:
        script.play(server)
        assert text_of(client.rest(client.predict())[0]) == "from toml"


@pytest.mark.skipif(sys.version_info >= (3, 11), reason="there is tomllib")
def test_toml_where_there_is_none(tmp_path):
    path = tmp_path / "script.toml"
    path.write_text(TOML)
    with pytest.raises(ValueError, match=r"TOML needs Python 3\.11"):
        read_script(str(path))


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("{", r"script.json, line 1: this is no JSON \(.*in column 2 of '{'\); TOML needs"),
        ('{"server": {\n"port": 0,\n}}', "script.json, line [23]: this is no JSON"),
        ("", "script.json, line 1: this is no JSON"),
        ('{"server": \n"\udcff"}', "script.json, line 2: this is no text in UTF-8"),
        ("[]", "expected sections server, models, hub, plugins, replies"),
        (
            '{"answers": []}',
            "there is no section 'answers'; there is server, models, hub, plugins, replies",
        ),
        ('{"reply": []}', "there is no section 'reply'; the nearest is 'replies' .there is server"),
        ('{"server": {"speed": 1}}', "server: there is no setting 'speed'; there is port, loaded"),
        ('{"server": {"lode_time": 1}}', "'lode_time'; the nearest is 'load_time' or .*there is"),
        ('{"replies": [{"txt": 1}]}', "entry 1: there is no field 'txt'; the nearest is 'text' "),
        ('{"replies": ["x"]}', "replies, entry 1: expected fields with values, got 'x'"),
        ('{"models": [{"name": 1}]}', "models, entry 1: there is no field 'name'; "),
        ('{"models": [{"key": "a", "vison": 1}]}', "no field 'vison'; the nearest is 'vision'"),
        ('{"hub": [{"key": "a"}, {"key": "A"}]}', r"script.json: hub\[1\] has the key of hub\[0\]"),
        ('{"hub": 5}', "script.json, hub: expected a list, got 5"),
        ('{"server": 5}', "script.json, server: expected settings with values, got 5"),
        ('{"server": {"load_time": "x"}}', "server: load_time must be a number, got 'x'"),
        ('{"server": {"stats": 1}}', "server: there is no setting 'stats'; "),
        ('{"server": {"hold": ["predict"]}}', "server: there is no setting 'hold'"),
        ('{"models": [{}]}', "models, entry 1: a model needs a key"),
        ('{"models": [{"key": "a"}, {"key": 5}]}', "models, entry 2: key must be a text, got 5"),
        ('{"hub": [{"key": "a", "size_bytes": "x"}]}', "hub, entry 1: size_bytes must be a whole"),
        ('{"replies": [{}, {"delay": "x"}]}', "replies, entry 2: delay must be a number, got 'x'"),
        ('{"replies": [{"text": 5}]}', "replies, entry 1: text must be a text, got 5"),
        ('{"replies": [{"text": "a", "tokens": []}]}', "entry 1: give text or tokens, not both"),
        ('{"replies": [{"stats": 5}]}', "replies, entry 1: stats must be a dict"),
        ('{"replies": [{"stats": {"delay": 1}}]}', "delay is a field of the reply, not of its st"),
        ('{"replies": [{"stats": {"gpuLayers": 1}}]}', "entry 1: there is no .* 'gpuLayers'; the"),
        ('{"replies": [{"repeat": 0}]}', "replies, entry 1: repeat must be at least 1, got 0"),
        ('{"replies": [{"tool_calls": [{"nam": "a"}]}]}', "there is no field of tool_calls.0. "),
    ],
)
def test_a_wrong_script_says_what_is_possible(tmp_path, content, words):
    path = tmp_path / "script.json"
    path.write_text(content, encoding="utf-8", errors="surrogateescape")
    with pytest.raises(ValueError, match=words):
        read_script(str(path))


def test_json_may_begin_with_a_byte_order_mark(tmp_path):
    path = tmp_path / "script.json"
    path.write_text('{"server": {"port": 0}}', encoding="utf-8-sig")
    assert read_script(str(path)).server == {"port": 0}


@pytest.mark.skipif(sys.version_info < (3, 11), reason="no tomllib before Python 3.11")
def test_toml_that_is_none_says_the_line(tmp_path):
    path = tmp_path / "script"
    path.write_text('{"server": {}}')
    words = "script: this is no TOML: .*line 1.*JSON needs a name that ends in .json"
    with pytest.raises(ValueError, match=words):
        read_script(str(path))


TOKENS = ("sk-lm-abcdefgh:abcdefghij0123456789", "sk-lm-ABCDEFGH:abcdefghij0123456789")


def test_every_setting_of_a_server_is_an_option(tmp_path):
    path = tmp_path / "script.json"
    path.write_text('{"hub": [{"key": "far-away"}]}')
    options = (
        f"--script {path} --token {TOKENS[0]} --token {TOKENS[1]} --preset brief --preset long "
        "--loaded test-vlm --loaded test-embedding --server-version 1.2.3 --auth-timeout 9 "
        "--load-time 0 --download-time 0 --jit-evict --parallel 3 --port 0 --unknown-path hang "
        "--allow-origin https://app.example --allow-origin app://studio"
    )
    with _server(_options(options.split())) as server:
        assert server.tokens == list(TOKENS)
        assert server.identifiers == ["test-vlm", "test-embedding"]
        core = server._core
        assert [model.key for model in core.hub] == ["far-away"]
        assert core.options.presets == ["brief", "long"]
        assert core.options.version == "1.2.3"
        assert (core.options.auth_timeout, core.options.parallel) == (9, 3)
        assert (core.options.jit_evict, core.options.unknown_path) == (True, "hang")
        assert core.options.allow_origins == ["https://app.example", "app://studio"]


def test_the_options_outweigh_the_script(script):
    with _server(_options(["--script", str(script), "--port", "0", "--parallel", "5"])) as server:
        assert server._core.options.parallel == 5
        assert server._core.options.load_time == 0.01


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ("--port 99999", "argument --port: the value must be from 0 to 65535, got 99999"),
        ("--port x", "argument --port: the value must be a whole number, got 'x'"),
        ("--delay -1", "argument --delay: the value must be at least 0, got -1.0"),
        ("--delay nan", "argument --delay: the value must be a finite number, got nan"),
        ("--prefill x", "argument --prefill: the value must be a number, got 'x'"),
        ("--tokens 0", "argument --tokens: the value must be at least 1, got 0"),
        ("--parallel 0", "argument --parallel: the value must be at least 1, got 0"),
        ("--hold predict", "unrecognized arguments: --hold predict"),
        ("--por 0", "unrecognized arguments: --por 0"),
        ("--load=1", "unrecognized arguments: --load=1"),
        ("--model a.gguf", "--model needs --engine llama"),
        ("--engine llama --delay 1", "--delay and --prefill are not for --engine llama"),
    ],
)
def test_a_wrong_option_is_named_with_what_was_expected(capsys, arguments, words):
    with pytest.raises(SystemExit) as caught:
        main(arguments.split())
    assert caught.value.code == 2
    assert words in capsys.readouterr().err


def test_the_help_says_where_the_rest_is(capsys):
    with pytest.raises(SystemExit):
        main(["--help"])
    words = " ".join(capsys.readouterr().out.split())
    assert "The arguments models, hub, plugins and replies of a server are given in the" in words
    assert "There is no --hold" in words


def test_the_port_is_noted_in_a_file_while_it_runs(tmp_path):
    file = tmp_path / "http-server.json"
    file.write_text('{"port": 1}')  # of one that was killed
    with Command("--info-file", str(file)) as command:
        noted = json.loads(file.read_text())
        assert noted == {
            "host": "127.0.0.1",
            "pid": command.process.pid,
            "port": int(command.server.host.rpartition(":")[2]),
        }
        assert command.end_by_request() == (0, "", "")
    assert list(tmp_path.iterdir()) == []


def test_a_file_in_which_another_server_has_noted_its_port_is_left_to_it(tmp_path):
    file = tmp_path / "http-server.json"
    options = ("--info-file", str(file))
    with Command(*options) as first, Command(*options) as second:
        assert json.loads(file.read_text())["pid"] == second.process.pid
        assert first.end_by_request() == (0, "", "")
        assert json.loads(file.read_text())["pid"] == second.process.pid


@pytest.mark.parametrize("is_read_for_ever", [False, True])
def test_a_note_that_is_being_read_is_replaced_afterwards(monkeypatch, tmp_path, is_read_for_ever):
    """As on Windows, where a file cannot be replaced while somebody has it open."""
    file, replace, refused = tmp_path / "http-server.json", Path.replace, []

    def replace_later(path, target):
        if is_read_for_ever or not refused:
            refused.append(path)
            raise PermissionError(13, "Access is denied")
        return replace(path, target)

    monkeypatch.setattr(Path, "replace", replace_later)
    monkeypatch.setattr(time, "sleep", lambda seconds: None)
    with Server() as server:
        if is_read_for_ever:
            with pytest.raises(PermissionError), _noted(server, str(file)):
                pass
        else:
            with _noted(server, str(file)):
                assert json.loads(file.read_text())["port"] == server.port
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(not WINDOWS, reason="elsewhere a file may be replaced while it is read")
def test_a_note_that_is_being_read_on_windows(server, tmp_path):
    file = tmp_path / "http-server.json"
    reader = file.open("w")
    threading.Timer(0.2, reader.close).start()
    with _noted(server, str(file)):
        assert json.loads(file.read_text())["port"] == server.port


def test_a_port_that_cannot_be_noted_is_told(tmp_path):
    with Command("--info-file", str(tmp_path / "missing" / "http-server.json")) as command:
        output, errors = command.process.communicate(timeout=20)
    assert (command.process.returncode, command.first_line + output) == (1, "")
    assert errors.startswith("lmstudio.testing: ")
    assert "missing" in errors
