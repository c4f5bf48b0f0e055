"""The plugins of the embedded server: sessions with their tools, and how these are scripted."""

import contextlib
import json
import threading

import pytest
from helpers import Worker
from server.raw_client import RawClient

from lmstudio.testing import Plugin, Server, Tool
from lmstudio.testing.script_file import read_script

SCHEMA = {"type": "object", "properties": {"a": {"type": "number"}}, "required": ["a"]}


def start(client, identifier="mcp/sums", **specifier):
    config = {"type": "direct", "config": {"fields": []}, **specifier}
    parameter = {"pluginIdentifier": identifier, "pluginConfigSpecifier": config}
    return client.open("startToolUseSession", parameter)


def send(client, channel, packet):
    client.send({"type": "channelSend", "channelId": channel, "message": packet})


def call(client, channel, name, number=0, **arguments):
    packet = {"type": "callTool", "callId": number, "name": name, "arguments": arguments}
    send(client, channel, packet)


def abort(client, channel, number=0):
    send(client, channel, {"type": "abortToolCall", "callId": number})


class Session:
    """A server with one plugin, and a session with its tools."""

    def __init__(self, stack, *tools):
        self.server = stack.enter_context(Server(plugins=[Plugin(identifier="mcp/a", tools=tools)]))
        self.client = stack.enter_context(RawClient(self.server, "plugins"))
        self.channel = start(self.client, "mcp/a")
        self.ready = self.client.packet(self.channel)

    def call(self, name, number=0, **arguments):
        call(self.client, self.channel, name, number, **arguments)

    def packet(self):
        return self.client.packet(self.channel)

    def answer(self, name, **arguments):
        self.call(name, **arguments)
        return self.packet()


@pytest.fixture
def session():
    """Starts a server with a plugin that has some tools, and a session with these."""
    with contextlib.ExitStack() as stack:
        yield lambda *tools: Session(stack, *tools)


def test_a_session_tells_the_tools_once_the_plugin_has_started(session):
    tools = [Tool(name="add", description="Add.", parameters=SCHEMA), Tool(name="stop")]

    add, stop = session(*tools).ready["toolDefinitions"]

    assert add == {
        "type": "function",
        "function": {"name": "add", "description": "Add.", "parameters": SCHEMA},
    }
    assert stop["function"] == {
        "name": "stop",
        "description": "",
        "parameters": {"type": "object", "properties": {}},
    }


def test_a_tool_answers_with_its_result_or_what_its_function_returns_or_raises(session):
    def fail():
        raise KeyError("nothing there")

    tools = session(
        Tool(name="fixed", result={"green": True}),
        Tool(name="nothing"),
        Tool(name="add", implementation=lambda a, b: a + b),
        Tool(name="odd", implementation=lambda: object()),
        Tool(name="fail", implementation=fail),
        Tool(name="error", error="Out of paper"),
    )

    assert tools.answer("fixed") == {
        "type": "toolCallComplete",
        "callId": 0,
        "result": {"green": True},
    }
    assert tools.answer("nothing")["result"] is None
    assert tools.answer("add", a=1, b=2)["result"] == 3
    assert tools.answer("error")["error"]["title"] == "Out of paper"
    assert tools.answer("fail")["error"]["title"] == "'nothing there'"
    assert "fit for JSON" in tools.answer("odd")["error"]["title"]
    assert tools.answer("nobody")["error"]["title"] == "Tool nobody not found."
    runs = tools.server.tool_runs
    assert [run.state for run in runs] == ["complete"] * 3 + ["failed"] * 4
    assert (runs[2].plugin, runs[2].name, runs[2].arguments) == ("mcp/a", "add", {"a": 1, "b": 2})


def test_warnings_and_status_come_before_the_answer(session):
    tools = session(Tool(name="slow", warnings=["odd"], status=["1 of 2", "2 of 2"], delay=0.001))

    tools.call("slow", 7)

    assert [tools.packet() for _ in range(4)] == [
        {"type": "toolCallWarn", "callId": 7, "warnText": "odd"},
        {"type": "toolCallStatus", "callId": 7, "statusText": "1 of 2"},
        {"type": "toolCallStatus", "callId": 7, "statusText": "2 of 2"},
        {"type": "toolCallComplete", "callId": 7, "result": None},
    ]


def test_nothing_more_is_said_of_a_call_that_was_aborted(session):
    tools = session(Tool(name="slow", status=["begun"], delay=600.0), Tool(name="quick"))
    tools.call("slow", 1)
    assert tools.packet()["statusText"] == "begun"

    abort(tools.client, tools.channel, 1)
    abort(tools.client, tools.channel, 1)  # which is nothing
    tools.call("quick", 2)

    assert tools.packet() == {"type": "toolCallComplete", "callId": 2, "result": None}
    slow, quick = tools.server.tool_runs
    assert (slow.state, slow.aborted) == ("aborted", True)
    assert (quick.state, quick.aborted) == ("complete", False)


def test_a_function_that_is_aborted_goes_on_and_nobody_hears_of_it(session):
    release, left = threading.Event(), threading.Event()

    def stuck():
        release.wait(20)
        left.set()
        return "late"

    tools = session(Tool(name="stuck", implementation=stuck), Tool(name="quick"))
    tools.call("stuck", 1)
    run = tools.server.wait_tool_run()
    abort(tools.client, tools.channel, 1)
    run.wait("aborted")
    release.set()
    assert left.wait(10)

    assert tools.answer("quick")["callId"] == 0


def test_several_calls_run_at_once_and_the_test_ends_them_in_any_order(session):
    tools = session(Tool(name="held", hold=True))
    for number in (1, 2, 3):
        tools.call("held", number)
    one, two, three = (tools.server.wait_tool_run(index) for index in range(3))

    two.status("half")
    two.warn("odd")
    two.complete(["two"])
    three.fail("Out of paper", cause="no trees")
    one.complete()

    packets = [tools.packet() for _ in range(5)]
    assert [(p["type"], p["callId"]) for p in packets] == [
        *(("toolCallStatus", 2), ("toolCallWarn", 2), ("toolCallComplete", 2)),
        *(("toolCallError", 3), ("toolCallComplete", 1)),
    ]
    assert packets[3]["error"]["cause"] == "no trees"
    assert repr(three) == "<ToolRun of 'held' of 'mcp/a': failed>"
    for send_late in (one.complete, lambda: one.fail("x"), lambda: one.status("x")):
        with pytest.raises(AssertionError, match="after the end"):
            send_late()
    with pytest.raises(TypeError, match="fit for JSON"):
        one.complete(object())


def test_waiting_for_a_state_says_what_came_instead(session):
    tools = session(Tool(name="held", hold=True))
    with pytest.raises(AssertionError, match="expected tool run 0"):
        tools.server.wait_tool_run(timeout=0.01)
    tools.call("held")
    run = tools.server.wait_tool_run()
    worker = Worker(run.wait, "complete")
    run.complete()
    assert worker.result() is run

    with pytest.raises(AssertionError, match="expected 'aborted', but this came: <ToolRun of"):
        run.wait("aborted")
    with pytest.raises(ValueError, match="there is no state of a tool's run 'abort'; the nearest"):
        run.wait("abort")


def test_a_session_that_is_discarded_ends_with_all_that_runs(session):
    tools = session(Tool(name="held", hold=True))
    tools.call("held")
    run = tools.server.wait_tool_run()

    send(tools.client, tools.channel, {"type": "discardSession"})

    end = {"type": "channelClose", "channelId": tools.channel}
    assert tools.client.rest(tools.channel) == ([], end)
    assert (run.state, run.aborted) == ("discarded", True)


def test_a_lost_connection_ends_all_that_runs(session):
    tools = session(Tool(name="held", hold=True))
    tools.call("held")
    run = tools.server.wait_tool_run()

    tools.client.close()

    assert not run.wait("connection lost").aborted


def test_a_plugin_that_is_not_there_or_not_permitted_or_fails_to_start():
    plugins = [
        Plugin(identifier="mcp/private", permitted=False),
        Plugin(identifier="mcp/broken", start_error="It exited with code 1."),
    ]
    with Server(plugins=plugins) as server, RawClient(server, "plugins") as client:
        titles = []
        for name in ("mcp/nobody", "mcp/private", "mcp/broken"):
            packets, end = client.rest(start(client, name))
            assert (packets, end["type"]) == ([], "channelError")
            titles.append(end["error"]["title"])

    assert titles[0] == 'Cannot find a plugin with identifier "mcp/nobody"'
    assert titles[1].startswith("Permission denied to use plugin 'mcp/private'.")
    assert titles[2] == "It exited with code 1."


def test_a_session_that_is_discarded_while_the_plugin_starts_is_closed():
    plugins = [Plugin(identifier="mcp/slow", start_time=600.0)]
    with Server(plugins=plugins) as server, RawClient(server, "plugins") as client:
        channel = start(client, "mcp/slow")
        client.cancel(channel, "discardSession")
        assert client.rest(channel) == ([], {"type": "channelClose", "channelId": channel})


def test_there_is_no_prediction_process_that_a_session_could_belong_to():
    with (
        Server(plugins=[Plugin(identifier="mcp/a")]) as server,
        RawClient(server, "plugins") as client,
    ):
        channel = start(client, "mcp/a", type="predictionProcess", pci="1", token="2")
        assert client.rest(channel)[1]["type"] == "channelError"


@pytest.mark.parametrize(
    ("parameter", "words"),
    [
        ({}, "- creationParameter.pluginIdentifier: Required"),
        (
            {"pluginIdentifier": "mcp/a", "pluginConfigSpecifier": {"type": "none"}},
            "Invalid discriminator value. Expected 'direct' | 'predictionProcess'",
        ),
        (
            {
                "pluginIdentifier": "mcp/a",
                "pluginConfigSpecifier": {
                    "type": "direct",
                    "config": {"fields": []},
                    "workingDirectoryPath": None,
                },
            },
            "workingDirectoryPath: Expected string, received null",
        ),
    ],
)
def test_a_session_that_cannot_be_is_warned_of(server, parameter, words):
    with RawClient(server, "plugins") as client:
        client.open("startToolUseSession", parameter)
        warning = client.recv()
        assert warning["kind"] == "channelCreationParameterTypeError"
        assert words in warning["warning"]


@pytest.mark.parametrize(
    ("packet", "words"),
    [
        ({"type": "cancel"}, "Expected 'callTool' | 'abortToolCall' | 'discardSession'"),
        ({"type": "callTool", "callId": "1", "name": "a"}, "callId: Expected number, received str"),
        ({"type": "callTool", "callId": 1}, "- message.name: Required"),
        ({"type": "abortToolCall"}, "- message.callId: Required"),
    ],
)
def test_a_packet_that_cannot_be_is_warned_of_and_the_session_goes_on(session, packet, words):
    tools = session(Tool(name="quick"))

    send(tools.client, tools.channel, packet)
    warning = tools.client.recv()

    assert warning["kind"] == "channelMessageTypeError"
    assert words in warning["warning"]
    assert tools.answer("quick")["type"] == "toolCallComplete"


def test_a_call_without_arguments_is_one(session):
    tools = session(Tool(name="quick", implementation=lambda: "done"))
    send(tools.client, tools.channel, {"type": "callTool", "callId": 1, "name": "quick"})
    assert tools.packet()["result"] == "done"
    assert tools.server.tool_runs[0].arguments == {}


def test_what_else_plugins_have_is_unhandled(server):
    with RawClient(server, "plugins") as client:
        assert client.call("reindexPlugins")["kind"] == "rpcEndpointUnhandled"
        client.open("setToolsProvider")
        assert client.recv()["kind"] == "channelEndpointUnhandled"


def test_a_session_that_the_test_answers_itself():
    with Server(hold=["startToolUseSession"]) as server, RawClient(server, "plugins") as client:
        channel = start(client)
        held = server.expect("startToolUseSession")
        held.packet({"type": "sessionReady", "toolDefinitions": []})
        assert client.packet(channel)["toolDefinitions"] == []
        assert not held.cancelled
        client.cancel(channel, "discardSession")
        held.expect_cancel()
        held.close()
        assert client.rest(channel)[1]["type"] == "channelClose"


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Tool(name=5), "name must be a text, got 5"),
        (lambda: Tool(name="a", parameters={"type": "string"}), "parameters must be the JSON Sch"),
        (lambda: Tool(name="a", parameters=5), "parameters must be a dict"),
        (lambda: Tool(name="a", result=object()), "result must be fit for JSON"),
        (lambda: Tool(name="a", implementation=5), "implementation must be a function, got 5"),
        (lambda: Tool(name="a", status="one"), "status must be a list of texts"),
        (lambda: Tool(name="a", delay=-1), "delay must be at least 0, got -1"),
        (lambda: Tool(name="a", error="b", hold=True), "give at most one of error, hold"),
        (lambda: Plugin(identifier="mcp"), "identifier must be 'owner/name'"),
        (lambda: Plugin(identifier="mcp/Files"), "identifier must be 'owner/name'"),
        (lambda: Plugin(identifier="mcp/a", tools=["b"]), r"tools\[0\] must be a Tool, as"),
        (
            lambda: Plugin(identifier="mcp/a", tools=[Tool(name="b"), Tool(name="b")]),
            "two tools of 'mcp/a' have the name 'b'",
        ),
        (lambda: Server(plugins=["mcp/a"]), r"plugins\[0\] must be a Plugin, as"),
        (lambda: Server(plugins=5), "plugins must be a list of Plugin objects, got 5"),
    ],
)
def test_a_wrong_plugin_says_what_was_expected(make, words):
    with pytest.raises((TypeError, ValueError), match=words):
        make()


def test_a_script_file_has_plugins(tmp_path):
    path = tmp_path / "script.json"
    tools = [{"name": "look", "result": "green", "parameters": SCHEMA}]
    path.write_text(json.dumps({"plugins": [{"identifier": "mcp/notes", "tools": tools}]}))

    (plugin,) = read_script(str(path)).server["plugins"]

    tool = Tool(name="look", result="green", parameters=SCHEMA)
    assert (plugin.identifier, list(plugin.tools)) == ("mcp/notes", [tool])


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        ({}, "plugins, entry 1: a plugin needs an identifier"),
        (
            {"identifier": "mcp/a", "tool": []},
            "plugins, entry 1: there is no field 'tool'; the nearest is 'tools' .there is",
        ),
        ({"identifier": "mcp/a", "tools": [{}]}, "entry 1, tools, entry 1: a tool needs a name"),
        (
            {"identifier": "mcp/a", "tools": [{"name": "b", "hold": True}]},
            "entry 1, tools, entry 1: there is no field 'hold'; there is name, description",
        ),
    ],
)
def test_a_wrong_plugin_in_a_script_file_says_where_it_is(tmp_path, entry, words):
    path = tmp_path / "script.json"
    path.write_text(json.dumps({"plugins": [entry]}))
    with pytest.raises(ValueError, match=words):
        read_script(str(path))
