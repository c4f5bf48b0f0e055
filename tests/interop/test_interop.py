"""The embedded server, checked by clients that nobody here wrote: LM Studio's own.

The programs of the Python client (interop/official_*.py) and those of the JavaScript client
(interop/*.mjs) run against the server. Where both have one of the same name, they print the same.
"""

import contextlib
import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from interop import schemas
from interop.node import node_command

from lmstudio.testing import Plugin, ScriptedEngine, Server, Tool
from lmstudio.testing._engines.models_on_disk import TEST_EMBEDDING, TEST_LLM

pytestmark = pytest.mark.interop

PROGRAMS = Path(__file__).parent
PYTHON_CLIENT = Path(sys.prefix) / "official"
JAVASCRIPT_CLIENTS = {"1.5.0": "js", "2.0.0": "js2"}  # by the version, the folder that has it
LIMIT = 40.0  # seconds that a program may take
LONG = "word " * 100_000  # minutes, at a millisecond a token
STORY = [f"{number} " for number in range(100_000)]
REPLY = '"This is a reply of the test server."'


class Program:
    """A program that runs beside the test."""

    def __init__(self, server, command, directory, **environment):
        self._server = server
        # The official Python client's process was once seen to die of a segmentation fault, cause
        # unknown. What it printed is checked all the same, so a crash before its end is noticed.
        is_python = str(command[0]) == sys.executable
        self._good_ends = (0, -signal.SIGSEGV) if is_python else (0,)
        # What would steer the interpreters, or make them write more than the program does.
        foreign = ("PYTHON", "NODE_", "FORCE_COLOR", "LM_", "LMSTUDIO_")
        inherited = {key: value for key, value in os.environ.items() if not key.startswith(foreign)}
        self._process = subprocess.Popen(
            [*command],
            env={**inherited, **environment},
            cwd=directory,  # not here, where `lmstudio` would be ours
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def output(self, warnings=()):
        """The lines that it has printed. Neither it nor the server may have warned of anything.

        `warnings` are kinds of warnings that the server is to have sent all the same.
        """
        output, complaints = self._process.communicate(timeout=LIMIT)
        assert complaints == "", output
        assert self._process.returncode in self._good_ends, output
        sent = [sent for connection in self._server.connections for sent in connection.sent]
        kinds = [one["kind"] for one in sent if one.get("type") == "communicationWarning"]
        assert kinds == list(warnings)
        assert self._server.received("communicationWarning") == []
        if schemas.missing() is None:
            published = schemas.Schemas()
            for connection in self._server.connections:
                assert published.problems(connection) == []
        return output.splitlines()

    def close(self):
        if self._process.poll() is None:
            self._process.kill()
            self._process.communicate()


@pytest.fixture
def python_client():
    if not (PYTHON_CLIENT / "lmstudio").is_dir():
        pytest.skip("the official Python client is not here: `make interop` installs it")
    return PYTHON_CLIENT


def find_javascript_client(version):
    """The command that runs its programs, and where it is."""
    node = node_command()
    modules = Path(sys.prefix) / JAVASCRIPT_CLIENTS[version] / "node_modules"
    if not (modules / "@lmstudio").is_dir():
        pytest.skip(f"the JavaScript client {version} is not here: `make interop` installs it")
    return node, modules


@pytest.fixture
def run(tmp_path):
    """Starts programs, which end with the test."""
    with contextlib.ExitStack() as stack:

        def run(server, command, **environment):
            program = Program(server, command, tmp_path, **environment)
            stack.callback(program.close)
            return program

        yield run


@pytest.fixture
def start_python(run, python_client):
    """Starts a program of the official Python client."""

    def start(server, name, *arguments):
        path = PROGRAMS / f"official_{name}.py"
        command = [sys.executable, path, server.host, *arguments]
        return run(server, command, PYTHONPATH=str(python_client))

    return start


def javascript_starter(run, version):
    node, client = find_javascript_client(version)

    def start(server, name, *arguments):
        command = [node, PROGRAMS / f"{name}.mjs", server.host, *arguments]
        return run(server, command, NODE_PATH=str(client))

    return start


@pytest.fixture(params=JAVASCRIPT_CLIENTS)
def start_javascript(run, request):
    """Starts a program of the official JavaScript client."""
    return javascript_starter(run, request.param)


@pytest.fixture(params=["python", *JAVASCRIPT_CLIENTS])
def start(run, request):
    """Starts a program that there is for both clients."""
    if request.param == "python":
        return request.getfixturevalue("start_python")
    return javascript_starter(run, request.param)


def lines(text):
    return textwrap.dedent(text).strip().splitlines()


def test_a_client_without_the_token_is_refused_and_one_with_it_comes_in(start):
    token = "sk-lm-abcdefgh:abcdefghij0123456789"
    with Server(token=token) as server:
        assert start(server, "auth", token).output() == lines(f"""
            guest: "refused"
            llms: ["test-llm"]
            embedding models: ["test-embedding"]
            reply: {REPLY}
        """)
        refused, *others = server.connections
        assert refused.sent[-1]["success"] is False
        assert {connection.client_identifier for connection in others} == {"abcdefgh"}
        assert refused.client_identifier != "abcdefgh"


def test_models_are_listed_loaded_with_progress_and_unloaded(start):
    third, two_thirds = 1 / 3, 2 / 3
    with Server(load_time=0.03) as server:
        assert start(server, "models").output() == lines(f"""
            downloaded: [["test-llm","llm"],["test-vlm","llm"],["test-embedding","embedding"]]
            llms: ["test-llm","test-vlm"]
            embedding models: ["test-embedding"]
            loaded: ["test-llm"]
            load: "test-vlm" [0,{third},{two_thirds},1]
            info: "Test VLM 2B" true false 2234567
            same instance: "test-vlm"
            new instance: "second" [0,{third},{two_thirds},1]
            context length: 2048
            not so named: "test-llm:2"
            loaded: ["test-llm","test-vlm","second","test-llm:2"]
            loaded: ["test-llm","test-llm:2"]
            embedding: ["test-embedding"]
        """)
        assert server.identifiers == ["test-llm", "test-embedding", "test-llm:2"]
        load = server.received("channelCreate", endpoint="loadModel")[0]
        assert load["creationParameter"]["ttlMs"] == 60_000


def test_replies_come_whole_in_fragments_limited_structured_and_with_their_reasoning(start):
    with Server() as server:
        server.reply("Hello there!")
        server.reply(["one", " two", " three"])
        server.reply("one two three four five")
        server.reply(" a time")
        server.reply("42.", reasoning="Hm hm")
        server.reply("ok", prefill=0.01)
        assert start(server, "predict").output() == lines("""
            respond: "Hello there!" "eosFound"
            counts: 13 3
            model: "test-llm"
            stream: ["one"," two"," three"]
            events: ["first token","one two three"]
            result: "one two three"
            limited: "one two three" "maxPredictedTokensReached"
            complete: " a time" "eosFound"
            reasoning: [["reasoningStartTag","<think>"],["reasoning","Hm"],["reasoning"," hm"],\
["reasoningEndTag","</think>"],["none","42"],["none","."]]
            progress: [0,0.07142857142857142,0.14285714285714285,0.2857142857142857,\
0.35714285714285715,0.5,0.5714285714285714,0.6428571428571429,0.7857142857142857,\
0.8571428571428571,1]
            structured: "text" 1900 ["old"]
        """)
        limited, completion = server.predictions[2:4]
        assert [message["role"] for message in limited.messages] == [
            *("system", "user", "assistant", "user")
        ]
        assert limited.config == {
            "llm.prediction.temperature": 0.5,
            "llm.prediction.maxPredictedTokens": {"checked": True, "value": 3},
            "llm.prediction.stopStrings": ["END"],
        }
        assert completion.prompt == "Once upon"


def test_a_cancel_stops_the_processing_of_a_prompt_and_a_reply_in_the_middle(start):
    with Server(hold=["predict"]) as server:
        server.reply(LONG, delay=0.001)
        program = start(server, "cancel")
        call = server.expect("predict", timeout=LIMIT)
        call.progress(0.0)
        call.progress(0.5)
        call.expect_cancel(timeout=LIMIT)
        server.release("predict")
        call.success("userStopped")
        assert program.output() == lines(f"""
            fragments: []
            in the prompt: [0,0.5] "" "userStopped"
            in the middle: "word word word" "userStopped"
            afterwards: {REPLY}
        """)
        in_the_prompt, in_the_middle, _ = server.predictions
        assert in_the_prompt.cancelled_after == 0
        assert in_the_middle.cancelled_after >= 3
        assert in_the_middle.stop_reason == "userStopped"


def test_the_engine_stops_when_a_client_cancels_before_the_first_token(start):
    with Server() as server:
        server.reply("never", prefill=600.0)
        server.reply(LONG, delay=0.001)
        program = start(server, "cancel_at_once")
        assert program.output() == ['at once: "" "userStopped"']
        prediction = server.predictions[0].wait_finished()
        assert (prediction.cancelled_after, prediction.tokens_sent) == (0, 0)


@pytest.mark.parametrize(
    ("start", "unloaded"),
    [
        ("python", "No loaded model satisfies all requirements specified in the query."),
        # Its handles stand for one instance.
        *((version, "Model unloaded") for version in JAVASCRIPT_CLIENTS),
    ],
    indirect=["start"],
)
def test_what_the_server_refuses_and_a_reply_that_fails_half_way_are_errors(start, unloaded):
    with Server() as server:
        server.reply("one two three", error_after=2, error="Out of memory")
        assert start(server, "errors").output() == lines(rf"""
            unknown model: "Model not found: no-such-model"
            unknown model, loaded anew: "Model not found: no-such-model"
            not an LLM: "\"test-embedding\" is an embedding model, but an LLM was asked for."
            identifier in use: "Model load error: the identifier \"test-llm\" already exists."
            unknown identifier: "Cannot find a model with identifier \"nobody\""
            unknown preset: "Cannot find a preset that matches \"nonsense\""
            half-way: ["one"," two"] "Out of memory"
            unloaded: "{unloaded}"
            afterwards: {REPLY}
        """)


def test_a_broken_connection_is_an_error_and_not_the_end_of_the_server(start):
    with Server() as server:
        server.reply("one two three", drop_after=2)
        assert start(server, "lost").output() == lines(f"""
            lost: ["one"," two"] true
            afterwards: {REPLY}
        """)


def test_tools_are_called_over_several_rounds(start):
    def ask(name, **arguments):
        return {"name": name, "arguments": arguments}

    with Server() as server:
        server.reply("First.", tool_calls=[ask("add", a=1, b=2)])
        server.reply("Then.", tool_calls=[ask("add", a=3, b=3), ask("shout", text="six")])
        server.reply("It is 6.")
        server.reply(tool_calls=[ask("divide", a=1, b=0)])
        server.reply("I cannot divide.")
        server.reply(tool_calls=[ask("add", a=1, b=2)])
        server.reply("That makes 3.")
        assert start(server, "tools").output() == lines(r"""
            said: "First." ["add"]
            results: ["3"]
            said: "Then." ["add","shout"]
            results: ["\"SIX\"","6"]
            said: "It is 6." []
            rounds: 3 [0,1,2]
            calls: [["add",1,2],["add",3,3],["shout","six"]]
            rounds: 2
            rounds: 2
        """)
        third, fifth = server.predictions[2], server.predictions[4]
        assert [message["role"] for message in third.messages] == [
            *("user", "assistant", "tool", "assistant", "tool")
        ]
        (answer,) = fifth.messages[-1]["content"]
        assert "Cannot find tool with name divide." in answer["content"]
        assert [tools_of(prediction) for prediction in server.predictions[-2:]] == [["add"], []]


def tools_of(prediction):
    """The names of the tools that the model could call."""
    setting = prediction.config.get("llm.prediction.tools", {})
    return [tool["function"]["name"] for tool in setting.get("tools", [])]


def test_the_javascript_client_shows_each_step_of_a_request_for_a_tool(start_javascript):
    with Server() as server:
        asked = {"name": "add", "arguments": {"a": 1, "b": 2}}
        server.reply(
            tool_calls=[{**asked, "id": "1", "pieces": 2}, {**asked, "id": "2", "failure": "Torn"}]
        )
        server.reply("It is 3.")
        assert start_javascript(server, "tool_requests").output() == lines(r"""
            start: {"toolCallId":"1"}
            name: "add"
            arguments: "{\"a\":1,"
            arguments: "\"b\":2}"
            end: {"id":"1","type":"function","arguments":{"a":1,"b":2},"name":"add"}
            start: {"toolCallId":"2"}
            name: "add"
            arguments: "{\"a\":1,"
            arguments: "\"b\":2}"
            failure: "{\"a\":1,\"b\":2}"
            rounds: 2
        """)


def test_texts_become_tokens_prompts_and_embeddings(start):
    engine = ScriptedEngine()

    def tokens(text):
        return str(engine.tokenize(TEST_LLM, text)).replace(" ", "")

    def embedding(text):
        return str(engine.embed(TEST_EMBEDDING, text)).replace(" ", "")

    with Server(engine=engine) as server:
        assert start(server, "texts").output() == lines(rf"""
            tokens: {tokens("a b c")}
            several: [{tokens("a b")},{tokens("c")}]
            count: 3
            context length: 4096
            template: "<s><|system|>You are brief.\n<|user|>Hi.\n<|assistant|>"
            embedding: {embedding("hello world")}
            embeddings: [{embedding("hello")},{embedding("world")}]
            embedding tokens: [101,{tokens("a b c")[1:-1]},102] 3
            embedding model: "test-embedding" 2048 2048
        """)


def test_an_image_is_uploaded_and_put_into_a_chat(start):
    with Server() as server:
        output = start(server, "files").output()
        (part,) = [
            part for part in server.predictions[0].messages[0]["content"] if part["type"] == "file"
        ]
        assert output == lines(f"""
            image: "pixel.png" "image" 70
            identifier: "{part["identifier"]}"
            the same again: false
            reply: {REPLY}
        """)
        assert (part["name"], part["fileType"], part["sizeBytes"]) == ("pixel.png", "image", 70)
        assert server.predictions[0].identifier == "test-vlm"


def test_a_model_is_found_downloaded_with_progress_and_used(start):
    with Server(download_time=0.04) as server:
        assert start(server, "repository").output() == lines(f"""
            found: ["testing/tiny-llm"]
            nothing: 0
            limited: 2
            option: "Tiny LLM 100M" "Q4_K_M" 100000 true
            option: "Tiny LLM 100M" "Q8_0" 100000 false
            progress: [[0,100000],[25000,100000],[50000,100000],[75000,100000],[100000,100000]]
            downloaded: "tiny-llm" [true]
            llms: ["test-llm","test-vlm","tiny-llm"]
            reply: {REPLY}
        """)


def test_the_javascript_client_aborts_loads_downloads_and_loops_with_tools(start_javascript):
    with Server(load_time=600.0, download_time=600.0) as server:
        server.reply(tool_calls=[{"name": "ping"}])
        server.reply(LONG, delay=0.001)
        program = start_javascript(server, "aborts")
        # It cancels all rounds of a loop, those that have ended too.
        assert program.output(warnings=["channelUnknown"]) == lines(f"""
            load: "enough loaded"
            download: "enough downloaded"
            act: 2 ["ping"]
            afterwards: {REPLY}
            warnings: ["unknown channel"]
        """)
        assert server.identifiers == ["test-llm", "test-embedding"]
        assert server.predictions[1].stop_reason == "userStopped"


def test_the_javascript_client_parses_documents_and_finds_what_they_say(start_javascript):
    with Server() as server:
        assert start_javascript(server, "documents").output() == lines("""
            files: ["notes.txt","text/plain",24] ["more.md","text/other",24]
            path: true
            library: {"library":"testing","version":"1.0.0"}
            parsed: "The lighthouse is green." ["testing"] [0,0.5,1]
            steps: [2,"notes.txt","more.md","searched"]
            found: [["The lighthouse is green.","notes.txt"]]
        """)


def test_the_javascript_client_uses_the_tools_of_a_plugin(start_javascript):
    topic = {"type": "object", "properties": {"topic": {"type": "string"}}, "required": ["topic"]}
    notes = {"lighthouse": "green", "harbour": ["two cranes"]}

    def look(topic):
        return notes[topic]

    tools = [
        Tool(name="read", description="Read.", parameters=topic, implementation=look),
        Tool(name="search", warnings=["no index"], status=["shelf 1", "shelf 2"], hold=True),
        Tool(name="broken", error="The shelf fell down."),
    ]
    plugins = [Plugin(identifier="mcp/notes", tools=tools)]
    plugins.append(Plugin(identifier="mcp/private", permitted=False))
    with Server(plugins=plugins) as server:
        asked = {"name": "read", "arguments": {"topic": "lighthouse"}}
        server.reply("Let me look.", tool_calls=[asked])
        server.reply("They say green.")
        assert start_javascript(server, "plugins").output() == lines(r"""
            tool: "read" "Read." "mcp/notes" ["topic"]
            tool: "search" "" "mcp/notes" []
            tool: "broken" "" "mcp/notes" []
            act: 2 ["\"green\""]
            returned: ["two cranes"] []
            threw: "The shelf fell down." []
            threw: "enough" ["no index","shelf 1","shelf 2"]
            threw: "Session disposed by client." []
            nobody: "Cannot find a plugin with identifier \"mcp/nobody\""
            refused: "Permission denied to use plugin 'mcp/private'."
        """)
        assert [(run.name, run.state) for run in server.tool_runs] == [
            ("read", "complete"),
            ("read", "complete"),
            ("broken", "failed"),
            ("search", "aborted"),
            ("search", "discarded"),
        ]
        (created, *_) = server.received("channelCreate", endpoint="startToolUseSession")
        assert created["creationParameter"] == {
            "pluginIdentifier": "mcp/notes",
            "pluginConfigSpecifier": {
                "type": "direct",
                "config": {"fields": []},
                "workingDirectoryPath": "/notes",
            },
        }


def test_the_javascript_client_asks_for_the_app_itself_and_sees_its_end(start_javascript):
    with Server(version="1.2.3", hold=["alive"]) as server:
        program = start_javascript(server, "system")
        server.expect("alive", timeout=LIMIT).connection.drop()
        assert program.output() == lines("""
            version: {"version":"1.2.3","build":1}
            flags: ["flag"]
            flags: []
            disconnected: true
        """)
        (notice,) = server.received("rpcCall", endpoint="notify")
        assert notice["parameter"] == {"title": "Hello", "description": "from a test"}


@pytest.mark.parametrize("api", ["convenience", "scoped"])
@pytest.mark.parametrize("package", ["official", "ours"])
def test_the_documented_program_for_cancelling_prints_the_same_with_both_packages(
    run, request, api, package
):
    command = [sys.executable, PROGRAMS / f"both_{api}.py"]
    environment = {}
    if package == "official":
        environment["PYTHONPATH"] = str(request.getfixturevalue("python_client"))
    with Server() as server:
        server.reply(STORY, delay=0.001)
        program = run(server, [*command, server.host], **environment)
        assert program.output() == ["True 0 1 2 3 4 5 6 7 ", "userStopped test-llm"]
