"""Tools of plugins and MCP servers that a model calls in `act()`, in both halves."""

import json
import threading

import attrs
import pytest
from asyncio_half.halves import Loop
from helpers import Worker, eventually, valid_chat

import lmstudio as lms
from lmstudio.testing import Plugin, Server, Tool

COUNT = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
ANY = {"type": "object", "properties": {}, "additionalProperties": True}
PLUGIN = Plugin(
    identifier="mcp/notes",
    tools=[
        Tool(name="look", parameters=ANY, implementation=lambda **arguments: arguments),
        Tool(name="report", warnings=["no index"], status=["shelf 1", "shelf 2"], result="none"),
        Tool(name="broken", error="The shelf fell down."),
        Tool(name="held", parameters=ANY, hold=True),
        Tool(name="count", parameters=COUNT, result=3),
    ],
)


def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


@pytest.fixture
def server():
    """An embedded LM Studio with a plugin."""
    with Server(plugins=[PLUGIN]) as server:
        yield server


@pytest.fixture
def tools(half):
    """The tools of the plugin, in a session that is open."""
    session = half.do(lambda: half.client.plugins.tools("mcp/notes"))
    return half.do(session.open)


def ask(name, /, **arguments):
    return {"name": name, "arguments": arguments}


def act(half, tools, **options):
    chat = lms.Chat("Go.")
    result = half.do(lambda: half.model.act(chat, tools, on_message=chat.append, **options))
    assert valid_chat(chat)
    return result, [p.content for m in chat if m.role == "tool" for p in m.content]


def in_a_tool(server, half, tools, *calls, **options):
    """An `act()` in a thread of its own, while the server runs the calls of its first round."""
    calls = calls or [ask("held")]
    server.reply("Let me see.", tool_calls=calls)
    first = len(server.tool_runs)
    worker = Worker(lambda: act(half, tools, **options))
    return worker, [server.wait_tool_run(first + index) for index in range(len(calls))]


def sent(server):
    """The types of what was sent into sessions, but for calls."""
    messages = server.received("channelSend", path="plugins")
    return [m["message"]["type"] for m in messages if m["message"]["type"] != "callTool"]


def test_a_model_calls_tools_of_a_plugin_beside_functions(server, half, tools):
    server.reply(tool_calls=[ask("look", at=["the", {"light": 1}]), ask("add", a=1, b=2)])
    server.reply("Done.")

    result, contents = act(half, [*tools, add])

    assert result.rounds == 2
    assert contents == ['{"at": ["the", {"light": 1}]}', "3"]
    config = server.predictions[0].config["llm.prediction.tools"]
    offered = [tool["function"]["name"] for tool in config["tools"]]
    assert offered == ["look", "report", "broken", "held", "count", "add"]
    assert config["tools"][0]["function"]["parameters"] == ANY
    assert [run.state for run in server.tool_runs] == ["complete"]


def test_a_session_itself_is_a_list_of_tools(server, half, tools):
    server.reply(tool_calls=[ask("report")])
    assert act(half, tools)[1] == ['"none"']


def test_arguments_may_have_the_names_of_our_own_parameters(server, half, tools):
    names = ("self", "context", "name", "arguments", "tools", "cancel_event", "timeout", "a b")
    arguments = dict.fromkeys(names, 1)
    server.reply(tool_calls=[ask("look", **arguments)])
    (content,) = act(half, tools)[1]
    assert json.loads(content) == arguments


def test_a_tool_under_another_name_is_still_the_same(server, half, tools):
    renamed = [attrs.evolve(tool, name=f"notes_{tool.name}") for tool in tools]
    server.reply(tool_calls=[ask("notes_report")])
    assert act(half, renamed)[1] == ['"none"']
    assert server.tool_runs[0].name == "report"


def test_what_a_tool_says_comes_to_the_callbacks_of_act(server, half, tools):
    said = []
    server.reply(tool_calls=[ask("look"), ask("report")])

    act(
        half,
        tools,
        on_tool_call_status=lambda *what: said.append(("status", *what)),
        on_tool_call_warning=lambda *what: said.append(("warning", *what)),
    )

    assert said == [
        ("warning", 1, "no index", 0),
        ("status", 1, "shelf 1", 0),
        ("status", 1, "shelf 2", 0),
    ]


def test_the_model_is_told_a_tools_error(server, half, tools):
    server.reply(tool_calls=[ask("broken")])
    result, (content,) = act(half, tools)
    assert not result.cancelled
    assert "The tool 'broken' failed: The shelf fell down." in json.loads(content)


def test_arguments_that_do_not_fit_the_plugins_schema_are_told_to_the_model_and_not_sent(
    server, half, tools
):
    server.reply(tool_calls=[ask("count", n="many"), ask("count", n=3)])
    results = []

    contents = act(half, tools, on_tool_call_result=lambda *what: results.append(what))[1]

    assert contents[0].startswith("Failed to parse arguments for tool count: n: ")
    assert contents[1] == "3"
    assert [run.arguments for run in server.tool_runs] == [{"n": 3}]
    assert [result.content for _, result, _ in results] == contents


def test_tools_of_a_plugin_can_be_described_in_a_loop_of_ones_own(server, half, tools):
    server.reply(tool_calls=[ask("count", n=3)])
    result = half.do(lambda: half.model.respond("Go.", tools=tools))
    (call,) = result.tool_calls
    assert half.do(lambda: tools.call_tool(call.name, call.arguments)) == 3


def test_the_handler_of_failed_calls_has_a_say(server, half, tools):
    failures = []
    server.reply(tool_calls=[ask("broken")])

    def handle(error, request):
        failures.append(error)
        return "Try later."

    assert act(half, tools, handle_invalid_tool_request=handle)[1] == ['"Try later."']
    assert isinstance(failures[0].__cause__, lms.LMStudioServerError)


def test_a_session_that_ends_while_its_tool_runs_is_told_to_the_model(server, half, tools):
    worker, _ = in_a_tool(server, half, tools)
    server.connections[-1].drop()
    result, (content,) = worker.result()
    assert result.rounds == 2
    assert "LMStudioConnectionLostError" in content


def test_a_session_that_was_closed_is_told_to_the_model(server, half, tools):
    tools.cancel()
    server.reply(tool_calls=[ask("report")])
    result, (content,) = act(half, tools)
    assert result.rounds == 2
    assert "The session with 'mcp/notes' is closed" in content


@pytest.mark.races
@pytest.mark.parametrize("kind", ["event", "token", "cancel_all"])
def test_a_stop_in_the_middle_of_a_remote_call_aborts_it_once(server, half, tools, kind):
    event, token = half.do(half.event), lms.CancelToken()
    worker, (run,) = in_a_tool(server, half, tools, cancel_event=[event, token])

    if kind == "event":
        half.set(event)
    elif kind == "token":
        token.cancel("enough")
    else:
        half.client.cancel_all("enough")

    result, contents = worker.result()
    assert result.cancelled
    assert result.cancel_reason == ("cancel_event was set" if kind == "event" else "enough")
    assert contents == ["cancelled"]
    eventually(lambda: run.aborted)
    if kind != "cancel_all":  # which ends the session as well
        assert sent(server) == ["abortToolCall"]
        assert run.state == "aborted"
        server.reply(tool_calls=[ask("report")])
        assert act(half, tools)[1] == ['"none"']
        assert sent(server) == ["abortToolCall"]


def test_a_tool_that_takes_too_long_is_aborted_once_and_the_model_is_told(
    server, half, tools, alarm
):
    worker, (run,) = in_a_tool(server, half, tools, tool_timeout=0.05)
    alarm.set()
    _, (content,) = worker.result()
    assert "did not end within tool_timeout=0.05 s" in content
    run.wait("aborted")
    assert sent(server) == ["abortToolCall"]


def test_the_limit_of_act_aborts_a_remote_call_once(server, half, tools):
    worker, (run,) = in_a_tool(server, half, tools, timeout=1.5)
    assert isinstance(worker.error(), lms.LMStudioTimeoutError)
    run.wait("aborted")
    assert sent(server) == ["abortToolCall"]


def test_several_calls_of_one_round_run_at_once(server, half, tools):
    calls = [ask("held", at=number) for number in range(3)]
    worker, runs = in_a_tool(server, half, tools, *calls, max_parallel_tool_calls=None)
    for run in reversed(runs):
        run.complete(run.arguments["at"])
    assert worker.result()[1] == ["0", "1", "2"]


def test_all_calls_of_a_round_are_aborted_each_once(server, half, tools):
    token = lms.CancelToken()
    options = {"max_parallel_tool_calls": None, "cancel_event": token}
    worker, runs = in_a_tool(server, half, tools, *[ask("held")] * 3, **options)
    token.cancel()
    assert worker.result()[1] == ["cancelled"] * 3
    for run in runs:
        run.wait("aborted")
    assert sent(server) == ["abortToolCall"] * 3


def test_a_call_that_the_guard_denies_is_not_sent(server, half, tools):
    server.reply(tool_calls=[ask("report")])
    result, (content,) = act(half, tools, guard_tool_call=lambda call: call.deny("No."))
    assert (result.rounds, content) == (2, '{"error": "No."}')
    assert server.tool_runs == []


def test_tools_of_threads_work_in_a_loop(server):
    with lms.Client(server.host) as client, client.plugins.tools("mcp/notes") as tools:
        loop = Loop(server)
        try:
            server.reply(tool_calls=[ask("report")])
            assert act(loop, tools)[1] == ['"none"']
            token = lms.CancelToken()
            worker, (run,) = in_a_tool(server, loop, tools, cancel_event=token)
            token.cancel()
            assert worker.result()[0].cancelled
            run.wait("aborted")
        finally:
            loop.end()


def test_tools_of_a_loop_are_refused_where_threads_run_them(loop_half):
    session = loop_half.do(lambda: loop_half.client.plugins.tools("mcp/notes"))
    loop_half.do(session.open)
    with (
        lms.Client(loop_half.client.api_host) as client,
        pytest.raises(lms.LMStudioValueError, match="Asynchronous tool 'look' is not supported"),
    ):
        client.llm.model().act("Go.", session)


def test_a_thread_stops_an_agent_that_waits_for_a_plugin(server):
    """As in the documentation: with `threading.Event`."""
    stop = threading.Event()
    with lms.Client(server.host) as client, client.plugins.tools("mcp/notes") as tools:
        server.reply(tool_calls=[ask("held")])
        worker = Worker(lambda: client.llm.model().act("Go.", [*tools, add], cancel_event=stop))
        run = server.wait_tool_run()
        stop.set()
        assert worker.result().cancelled
        run.wait("aborted")
    eventually(lambda: sent(server) == ["abortToolCall", "discardSession"])
