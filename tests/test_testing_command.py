"""The embedded server from the command line, its script files, and its pytest plugin."""

import json
import signal
import subprocess
import sys
from importlib.metadata import entry_points
from types import SimpleNamespace

import pytest
from test_testing_raw import RawClient, text_of

from lmstudio.testing import Server
from lmstudio.testing._script_file import read_script

pytest_plugins = "pytester"

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
        self.end(signal.SIGKILL)

    @property
    def server(self):
        return SimpleNamespace(host=self.first_line.removeprefix("listening on ").strip())

    def end(self, number):
        """End it with a signal; return what it left."""
        self.process.send_signal(number)
        output, errors = self.process.communicate(timeout=20)
        return self.process.returncode, output, errors


@pytest.fixture
def script(tmp_path):
    path = tmp_path / "script.json"
    path.write_text(json.dumps(SCRIPT))
    return path


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_runs_until_a_signal_and_ends_quietly(number):
    with Command("--delay", "0.001", "--prefill", "0.001", "--tokens", "3") as command:
        assert command.first_line.startswith("listening on 127.0.0.1:")
        with RawClient(command.server) as client:
            packets, _ = client.rest(client.predict())
            assert packets[-1]["stats"]["predictedTokensCount"] == 3
            client.predict("a story")
            assert command.end(number) == (0, "", "")


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
        assert client.rest(client.predict())[0][-1]["stats"]["stopReason"] == "toolCalls"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--engine", "llama", "--model", "/nowhere.gguf"], "there is no model file"),
        (["--script", "/nowhere.json"], "No such file"),
        (["--token", "x"], "token must be 'sk-lm-'"),
    ],
)
def test_a_start_that_fails_says_why(arguments, words):
    with Command(*arguments) as command:
        output, errors = command.process.communicate(timeout=20)
        assert (command.process.returncode, command.first_line, output) == (1, "", "")
        assert errors.startswith("lmstudio.testing: ")
        assert words in errors
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
        ("{", "script.json: Expecting"),
        ("[]", "expected sections server, models, replies"),
        ('{"answers": []}', "there is no section answers; there is server, models, replies"),
        ('{"server": {"speed": 1}}', "server: there is no setting speed; there is port, loaded"),
        ('{"replies": [{"txt": 1}]}', "replies: there is no field txt; there is tokens"),
        ('{"replies": ["x"]}', "replies: expected fields with values, got 'x'"),
        ('{"models": [{"name": 1}]}', "models: there is no field name; there is key"),
    ],
)
def test_a_wrong_script_says_what_is_possible(tmp_path, content, words):
    path = tmp_path / "script.json"
    path.write_text(content)
    with pytest.raises(ValueError, match=words):
        read_script(str(path))


# Where the package is installed, its entry point has registered the plugin already.
INSTALLED = entry_points(group="pytest11", value="lmstudio.testing.pytest_plugin")
PLUGIN = () if INSTALLED else ("-p", "lmstudio.testing.pytest_plugin")


def test_the_plugin(pytester):
    pytester.makepyfile("""
        import lmstudio
        import pytest

        def app():  # as a user has it: it knows nothing of tests
            return str(lmstudio.llm().respond("hi"))

        def test_app(lmstudio_server, lmstudio_client):
            lmstudio_server.reply("from the test")
            assert app() == "from the test"
            assert lmstudio_client is lmstudio.get_default_client()
            assert lmstudio_server.predictions[0].messages[0]["role"] == "user"

        @pytest.mark.lmstudio_server(token="sk-lm-abcdefgh:abcdefghij0123456789")
        def test_arguments(lmstudio_server, lmstudio_client):
            assert lmstudio_server.tokens
            assert app() == "This is a reply of the test server."

        def test_server_alone(lmstudio_server):
            assert lmstudio_server.connections == []
    """)
    result = pytester.runpytest_subprocess(*PLUGIN, "--strict-markers")
    result.assert_outcomes(passed=3)


def test_the_plugin_is_light(pytester):
    pytester.makepyfile("""
        import sys

        def test_nothing_was_imported_for_nothing():
            assert "websockets" not in sys.modules
            assert "lmstudio.testing.server" not in sys.modules
    """)
    pytester.runpytest_subprocess(*PLUGIN).assert_outcomes(passed=1)
