"""Sessions with the tools of plugins and MCP servers, in both halves: opened, called, stopped."""

import gc
import json
import math
import pickle
import threading

import pytest
from helpers import Worker, cancels, eventually, time_passes

import lmstudio as lms
from lmstudio.testing import Plugin, Server, Tool

TOPIC = {"type": "object", "properties": {"topic": {"type": "string"}}, "required": ["topic"]}
NOTES = {"lighthouse": {"colour": "green", "lamps": [1, 2.5, None]}, "harbour": "two cranes"}


def read(topic):
    return NOTES[topic]


TOOLS = [
    Tool(name="read", description="Read a note.", parameters=TOPIC, implementation=read),
    Tool(name="report", warnings=["no index"], status=["shelf 1", "shelf 2"], result=True),
    Tool(name="broken", error="The shelf fell down."),
    Tool(name="held", hold=True),
]
PLUGINS = [
    Plugin(identifier="mcp/notes", tools=TOOLS),
    Plugin(identifier="mcp/private", permitted=False),
    Plugin(identifier="mcp/broken", start_error="It exited with code 1."),
]


@pytest.fixture
def server():
    """An embedded LM Studio with plugins."""
    with Server(plugins=PLUGINS) as server:
        yield server


@pytest.fixture
def held(server):
    """The server, whose sessions the test answers."""
    server.hold("startToolUseSession")
    return server


def prepared(half, identifier="mcp/notes", **options):
    return half.do(lambda: half.client.plugins.tools(identifier, **options))


def opened(half, *arguments, **options):
    session = prepared(half, *arguments, **options)
    half.do(session.open)
    return session


def close(half, session):
    half.do(session.close if half.name == "threads" else session.aclose)


def call(half, session, name, arguments=None, **options):
    return half.do(lambda: session.call_tool(name, arguments, **options))


def in_a_call(server, half, session, **options):
    """A call that the server has got, in a thread of its own, and how the server sees it."""
    index = len(server.tool_runs)
    worker = Worker(lambda: call(half, session, "held", **options))
    return worker, server.wait_tool_run(index)


def opening(held, half, **options):
    """A session that is being opened in a thread of its own, and the server's call."""
    session = prepared(half, **options)
    worker = Worker(half.do, session.open)
    return session, worker, held.expect("startToolUseSession")


def ready(*names):
    tools = [{"type": "function", "function": {"name": name}} for name in names]
    return {"type": "sessionReady", "toolDefinitions": tools}


def opened_by_test(held, half, **options):
    """A session whose server is the test, with the server's call."""
    session, worker, channel = opening(held, half, **options)
    channel.packet(ready("look"))
    assert worker.result() is session
    return session, channel


def calls_of(half, session):
    """What is open inside of a session."""
    calls = half.client._session.dispatcher.open.values()
    return [one for one in calls if getattr(one, "channel", None) is session._call]


def packets(server):
    """What was sent into sessions."""
    return [message["message"] for message in server.received("channelSend", path="plugins")]


def kinds(server):
    return [packet["type"] for packet in packets(server)]


def assert_stops(server, *expected):
    """These packets that stop something have come, and no more come with what is sent next."""
    stops = ("abortToolCall", "discardSession")
    wanted = sorted(expected)
    eventually(lambda: sorted(kind for kind in kinds(server) if kind in stops) == wanted)


# -- opening, listing, calling --------------------------------------------------------------------


def test_each_frame_of_a_session(server, half):
    session = opened(half)
    call(half, session, "read", {"topic": "harbour"})
    call(half, session, "report")
    close(half, session)
    server.wait_for(lambda: "discardSession" in kinds(server))

    created, read, report, discard = server.received(path="plugins")
    number = created["channelId"]
    assert created == {
        "type": "channelCreate",
        "endpoint": "startToolUseSession",
        "channelId": number,
        "creationParameter": {
            "pluginIdentifier": "mcp/notes",
            "pluginConfigSpecifier": {"type": "direct", "config": {"fields": []}},
        },
    }
    calls = [read["message"].pop("callId"), report["message"].pop("callId")]
    assert len({number, *calls}) == 3
    assert read == {
        "type": "channelSend",
        "channelId": number,
        "message": {"type": "callTool", "name": "read", "arguments": {"topic": "harbour"}},
    }
    assert report["message"] == {"type": "callTool", "name": "report", "arguments": {}}
    assert discard == {
        "type": "channelSend",
        "channelId": number,
        "message": {"type": "discardSession"},
    }


def test_a_plugin_gets_its_settings_and_a_folder_to_work_in(server, half, tmp_path):
    config = {"shelves": 3, "order": ["a", {"b": None}]}
    close(half, opened(half, config=config, working_directory=tmp_path))

    (created,) = server.received("channelCreate", path="plugins")
    assert created["creationParameter"]["pluginConfigSpecifier"] == {
        "type": "direct",
        "config": {
            "fields": [
                {"key": "shelves", "value": 3},
                {"key": "order", "value": ["a", {"b": None}]},
            ]
        },
        "workingDirectoryPath": str(tmp_path),
    }


def test_nothing_is_sent_before_it_is_opened(server, half):
    session = prepared(half)

    with pytest.raises(lms.LMStudioRuntimeError, match="known once the session with it is open"):
        list(session)
    with pytest.raises(lms.LMStudioRuntimeError, match="known once the session with it is open"):
        call(half, session, "read")
    assert not server.received(path="plugins")


def test_the_tools_are_told_with_their_schemas(half):
    session = opened(half)

    read, *others = session

    assert isinstance(read, lms.PluginTool)
    assert isinstance(read, lms.RawFunctionTool)
    assert (read.name, read.description) == ("read", "Read a note.")
    assert read.parameters_json_schema == TOPIC
    assert read.plugin_identifier == session.plugin_identifier == "mcp/notes"
    assert [tool.name for tool in others] == ["report", "broken", "held"]
    assert list(session) == [read, *others]
    close(half, session)
    assert [tool.name for tool in session] == ["read", "report", "broken", "held"]


def test_a_tool_of_which_nothing_is_told_but_its_name(held, half):
    session, _ = opened_by_test(held, half)
    (tool,) = session
    assert (tool.description, tool.parameters_json_schema) == ("", {})


def test_a_tool_returns_json_data(half):
    session = opened(half)

    assert call(half, session, "read", {"topic": "lighthouse"}) == NOTES["lighthouse"]
    assert call(half, session, "read", {"topic": "harbour"}) == "two cranes"
    assert call(half, session, "report") is True


def test_a_tool_object_can_be_called_as_well(half):
    session = opened(half)
    read, *_ = session
    assert half.do(lambda: read.implementation(topic="harbour")) == "two cranes"


def test_a_result_that_is_not_there_is_none(held, half):
    session, channel = opened_by_test(held, half)
    worker = Worker(call, half, session, "look")
    eventually(lambda: channel.packets)
    channel.packet({"type": "toolCallComplete", "callId": channel.packets[0]["callId"]})
    assert worker.result() is None


def test_what_a_tool_says_comes_to_the_callbacks(half):
    session, said = opened(half), []

    call(
        half,
        session,
        "report",
        on_status=lambda text: said.append(("status", text)),
        on_warning=lambda text: said.append(("warning", text)),
    )

    assert said == [("warning", "no index"), ("status", "shelf 1"), ("status", "shelf 2")]


def test_a_callback_that_raises_aborts_the_call(server, half):
    session = opened(half)

    def stop(text):
        raise ValueError(text)

    with pytest.raises(ValueError, match="half of it"):
        worker, run = in_a_call(server, half, session, on_status=stop)
        run.status("half of it")
        worker.result()

    assert run.wait("aborted")
    assert_stops(server, "abortToolCall")
    assert call(half, session, "report") is True


def test_a_tools_error_is_the_servers_and_the_session_goes_on(server, half):
    session = opened(half)

    with pytest.raises(lms.LMStudioServerError) as caught:
        call(half, session, "broken")

    assert str(caught.value) == "The tool 'broken' failed: The shelf fell down."
    assert caught.value.server_error.title == "The shelf fell down."
    assert call(half, session, "report") is True
    assert_stops(server)


def test_an_error_of_an_odd_shape_is_one(held, half):
    session, channel = opened_by_test(held, half)
    worker = Worker(call, half, session, "look")
    eventually(lambda: channel.packets)
    channel.packet(
        {"type": "toolCallError", "callId": channel.packets[0]["callId"], "error": ["odd"]}
    )
    assert str(worker.error()) == "The tool 'look' failed: ['odd']"


@pytest.mark.parametrize(
    ("name", "arguments", "words"),
    [
        ("reed", None, "'mcp/notes' has no tool 'reed', only: 'read', 'report', 'broken', 'held'"),
        ("read", ["a"], "The arguments of a tool are a dict"),
        ("read", {"topic": object()}, "The arguments of a tool must be JSON data"),
    ],
)
def test_what_cannot_be_called_is_refused_before_it_is_sent(server, half, name, arguments, words):
    session = opened(half)
    with pytest.raises(lms.LMStudioValueError, match=words):
        call(half, session, name, arguments)
    assert kinds(server) == []


@pytest.mark.parametrize(
    ("identifier", "words"),
    [
        ("playwright", "Perhaps it is 'mcp/playwright'"),
        ("mcp/oracle_Stream", "Perhaps it is 'mcp/oracle-stream'"),
        ("mcp/--", r"'mcp/--' was given\.$"),
        ("", r"'' was given\.$"),
        (None, "The identifier of a plugin must be a string"),
    ],
)
def test_a_name_that_lm_studio_would_refuse_is_refused(half, identifier, words):
    with pytest.raises(lms.LMStudioValueError, match=words):
        prepared(half, identifier)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"config": ["a"]}, "config of a plugin is a dict"),
        ({"config": {"a": object()}}, "JSON data"),
        ({"working_directory": 5}, "working_directory must be a string"),
        ({"timeout": -1}, "timeout must be"),
        ({"idle_timeout": "x"}, "idle_timeout must be"),
        ({"cancel_event": 5}, "cancel_event must be"),
    ],
)
def test_a_wrong_argument_is_refused_before_anything_is_sent(server, half, options, words):
    with pytest.raises(lms.LMStudioValueError, match=words):
        prepared(half, **options)
    assert not server.received(path="plugins")


# -- refused, failed, lost ------------------------------------------------------------------------


def test_a_refusal_by_permission_says_which_settings_there_are(server, half):
    with pytest.raises(lms.LMStudioServerError) as caught:
        opened(half, "mcp/private")

    text = str(caught.value)
    assert text.startswith("Plugin tools error: Permission denied to use plugin 'mcp/private'.")
    assert "'Allow calling servers from mcp.json'" in text
    assert caught.value.server_error.title.startswith("Permission denied")
    assert_stops(server)


@pytest.mark.parametrize(
    ("identifier", "words"),
    [
        ("mcp/nobody", 'Plugin tools error: Cannot find a plugin with identifier "mcp/nobody"'),
        ("mcp/broken", "Plugin tools error: It exited with code 1."),
    ],
)
def test_a_plugin_that_is_not_there_or_does_not_start_is_an_error(server, half, identifier, words):
    with pytest.raises(lms.LMStudioServerError) as caught:
        opened(half, identifier)

    assert str(caught.value).splitlines()[0] == words
    assert_stops(server)


def test_a_plugin_that_is_not_there_is_told_with_those_that_are(server, half):
    with pytest.raises(lms.LMStudioServerError, match=r"The plugins: .*mcp/notes"):
        opened(half, "mcp/nobody")


@pytest.mark.parametrize(
    ("end", "error"),
    [
        (lambda channel: channel.close(), lms.LMStudioChannelClosedError),
        (lambda channel: channel.error("It died."), lms.LMStudioServerError),
        (lambda channel: channel.connection.drop(), lms.LMStudioConnectionLostError),
        (lambda channel: channel.packet({"no": "type"}), lms.LMStudioProtocolError),
        (
            lambda channel: channel.packet({"type": "sessionReady", "toolDefinitions": [5]}),
            lms.LMStudioProtocolError,
        ),
        (
            lambda channel: channel.packet({"type": "sessionReady", "toolDefinitions": [{}]}),
            lms.LMStudioProtocolError,
        ),
    ],
)
def test_a_session_that_fails_while_it_is_opened_is_an_error(held, half, end, error):
    session, worker, channel = opening(held, half)
    end(channel)
    assert type(worker.error()) is error
    with pytest.raises(lms.LMStudioRuntimeError):
        half.do(session.open)


def test_a_malformed_list_of_tools_discards_the_session_once(held, half):
    _, worker, channel = opening(held, half)
    channel.packet({"type": "sessionReady"})
    assert "startToolUseSession is malformed" in str(worker.error())
    assert_stops(held, "discardSession")


@pytest.mark.parametrize("packet", [{}, {"type": []}, 5, {"callId": 1}])
def test_a_packet_without_a_type_discards_the_session_once(held, half, packet):
    session, channel = opened_by_test(held, half)
    worker = Worker(call, half, session, "look")
    held.wait_for(lambda: "callTool" in kinds(held))
    channel.packet(packet)

    error = worker.error()
    assert isinstance(error, lms.LMStudioProtocolError)
    assert "sent a packet without a type" in str(error)
    assert_stops(held, "discardSession")


@pytest.mark.parametrize("packet", [{}, {"type": []}, 5])
def test_a_packet_without_a_type_cancels_the_prediction_once(held, half, packet):
    held.hold("predict")
    stream = half.started()
    predict = held.expect("predict")
    predict.packet({"type": "fragment", "fragment": {"content": "Once", "tokensCount": 1}})
    predict.packet(packet)

    with pytest.raises(lms.LMStudioProtocolError, match="sent a packet without a type") as got:
        half.result(stream)
    assert got.value.partial.content == "Once"
    held.wait_for(lambda: cancels(held))
    predict.close()
    half.do(half.client.list_loaded_models)
    assert len(cancels(held)) == 1


def ended_by_close(channel):
    channel.close()
    return lms.LMStudioChannelClosedError, "LM Studio has ended the session"


def ended_by_error(channel):
    channel.error("The plugin died.")
    return lms.LMStudioServerError, "The plugin died"


def ended_by_loss(channel):
    channel.connection.drop()
    return lms.LMStudioConnectionLostError, "connection"


@pytest.mark.parametrize("end", [ended_by_close, ended_by_error, ended_by_loss])
def test_a_session_that_ends_fails_all_calls_of_now_and_later(held, half, end):
    session, channel = opened_by_test(held, half)
    workers = [Worker(call, half, session, "look") for _ in range(2)]
    eventually(lambda: len(channel.packets) == 2)

    error, words = end(channel)

    errors = [worker.error() for worker in workers]
    with pytest.raises(error, match=words) as later:
        call(half, session, "look")
    for one in errors:
        assert type(one) is error
        assert words in str(one)
    assert len({id(one) for one in [*errors, later.value]}) == 3
    assert not session.cancelled()
    close(half, session)
    assert kinds(held) == ["callTool", "callTool"]
    assert len(held.received("channelCreate", path="plugins")) == 1


def test_what_a_debugger_shows_of_a_tool_is_what_it_is_and_not_how_it_is_called(server, half):
    tool = next(iter(opened(half)))
    assert repr(tool).startswith(f"PluginTool(name={tool.name!r}, description=")
    assert "mplementation" not in repr(tool)


def test_after_a_loss_another_session_can_be_opened(server, half):
    lost = opened(half)
    server.drop_all()
    for _ in range(2):
        with pytest.raises(lms.LMStudioConnectionLostError) as caught:
            call(half, lost, "report")
        assert str(caught.value).endswith("has ended with it: open another one.")
        assert "connects again" not in str(caught.value)
    assert call(half, opened(half), "report") is True


def test_an_older_server_without_such_sessions_is_an_error_that_says_so(held, half):
    _, worker, channel = opening(held, half)
    words = "Received channelCreate for unknown endpoint, endpoint = startToolUseSession"
    warning = {"type": "communicationWarning", "kind": "channelEndpointUnknown", "warning": words}
    channel.connection.send_text(json.dumps(warning))
    assert "Starting the tools of 'mcp/notes' failed" in str(worker.error())


# -- stopped --------------------------------------------------------------------------------------


def stop_by_event(half, session, event):
    half.set(event)


def stop_by_cancel(half, session, event):
    assert session.cancel("enough")
    assert not session.cancel("again")


def stop_by_close(half, session, event):
    close(half, session)


def stop_by_client(half, session, event):
    half.client.cancel_all("all")


STOPS = [stop_by_event, stop_by_cancel, stop_by_close, stop_by_client]
REASONS = {stop_by_cancel: "enough", stop_by_client: "all"}


def make_event(half):
    return half.do(half.event)


def test_a_session_whose_event_is_set_already_is_never_opened(server, half):
    event = make_event(half)
    half.set(event)
    with pytest.raises(lms.LMStudioCancelledError):
        opened(half, cancel_event=event)
    assert not server.received(path="plugins")


@pytest.mark.parametrize("stop", [stop_by_cancel, stop_by_close])
def test_a_session_that_is_stopped_before_it_is_opened_sends_nothing(server, half, stop):
    session = prepared(half)
    stop(half, session, None)

    with pytest.raises(lms.LMStudioCancelledError) as caught:
        half.do(session.open)

    assert stop is stop_by_close or caught.value.reason == "enough"
    assert session.cancelled()
    assert not server.received(path="plugins")


@pytest.mark.parametrize("stop", STOPS)
def test_a_session_that_is_stopped_while_it_is_opened_is_discarded_once(held, half, stop):
    event = make_event(half)
    session, worker, channel = opening(held, half, cancel_event=event)

    stop(half, session, event)

    error = worker.error()
    assert type(error) is lms.LMStudioCancelledError
    assert "Starting the tools of 'mcp/notes' was cancelled" in str(error)
    assert error.reason == REASONS.get(stop, error.reason)
    channel.expect_cancel()
    assert_stops(held, "discardSession")
    close(half, session)
    assert kinds(held) == ["discardSession"]


@pytest.mark.parametrize("stop", STOPS)
def test_a_session_that_is_stopped_ends_its_calls_and_is_discarded_once(server, half, stop):
    event = make_event(half)
    session = opened(half, cancel_event=event)
    workers, runs = zip(*[in_a_call(server, half, session) for _ in range(2)], strict=True)

    stop(half, session, event)

    for worker in workers:
        error = worker.error()
        assert type(error) is lms.LMStudioCancelledError
        assert error.reason == REASONS.get(stop, error.reason)
    for run in runs:
        run.wait("aborted" if run.state == "aborted" else "discarded")
    eventually(lambda: "discardSession" in kinds(server))
    assert kinds(server).count("discardSession") == 1
    if stop is not stop_by_client:  # which cancels the calls, too
        assert "abortToolCall" not in kinds(server)
    with pytest.raises(lms.LMStudioRuntimeError, match="is closed: its tools run inside of"):
        call(half, session, "report")
    with pytest.raises(lms.LMStudioRuntimeError, match="Open another one"):
        half.do(session.open)


def test_leaving_with_discards_it_once(server, half):
    session = prepared(half)
    if half.name == "threads":
        with session as same:
            assert same is session
    else:

        async def use():
            async with session as same:
                assert same is session

        half.do(use)

    assert session.cancelled()
    assert_stops(server, "discardSession")


def test_leaving_with_by_an_exception_discards_it_once(server, half):
    session = prepared(half)

    def use():
        with session:
            raise KeyError("mine")

    async def use_async():
        async with session:
            raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        half.do(use if half.name == "threads" else use_async)
    assert_stops(server, "discardSession")


def test_a_call_whose_event_is_set_already_sends_nothing(server, half):
    session, event = opened(half), make_event(half)
    half.set(event)
    with pytest.raises(lms.LMStudioCancelledError):
        call(half, session, "report", cancel_event=event)
    assert kinds(server) == []
    assert call(half, session, "report") is True


def test_a_call_that_is_stopped_is_aborted_once_and_the_session_goes_on(server, half):
    session, event = opened(half), make_event(half)
    other, other_run = in_a_call(server, half, session)
    worker, run = in_a_call(server, half, session, cancel_event=event)

    half.set(event)

    assert type(worker.error()) is lms.LMStudioCancelledError
    run.wait("aborted")
    assert other_run.state == "running"
    other_run.complete("kept")
    assert other.result() == "kept"
    assert call(half, session, "report") is True
    assert_stops(server, "abortToolCall")
    (started, aborted) = (p for p in packets(server) if p["callId"] == packets(server)[2]["callId"])
    assert (started["type"], aborted) == (
        "callTool",
        {"type": "abortToolCall", "callId": started["callId"]},
    )


def test_a_token_gives_the_call_its_reason(server, half):
    session, token = opened(half), lms.CancelToken()
    worker, run = in_a_call(server, half, session, cancel_event=token)
    token.cancel("enough")
    assert worker.error().reason == "enough"
    assert str(worker.error()) == "The call of the tool 'held' was cancelled: enough"
    run.wait("aborted")


def test_what_comes_late_for_an_aborted_call_is_dropped(held, half):
    session, channel = opened_by_test(held, half)
    token = lms.CancelToken()
    worker = Worker(lambda: call(half, session, "look", cancel_event=token))
    eventually(lambda: channel.packets)
    number = channel.packets[0]["callId"]
    token.cancel()
    worker.error()
    channel.packet({"type": "toolCallStatus", "callId": number, "statusText": "late"})
    channel.packet({"type": "toolCallComplete", "callId": number, "result": "late"})

    worker = Worker(call, half, session, "look")
    eventually(lambda: len(channel.packets) == 3)
    channel.packet(
        {"type": "toolCallComplete", "callId": channel.packets[2]["callId"], "result": "mine"}
    )
    assert worker.result() == "mine"


def test_a_dropped_session_is_discarded_once_all_its_tools_are_dropped(server, half):
    session = opened(half)
    tools = [next(iter(session))]
    del session
    gc.collect()
    half.do(half.client.llm.list_loaded)  # the I/O thread has looked for what was dropped
    assert half.do(lambda: tools[0].implementation(topic="harbour")) == "two cranes"
    assert kinds(server) == ["callTool"]

    tools.clear()
    gc.collect()

    assert_stops(server, "discardSession")


def test_a_closed_client_discards_it_and_says_that_it_is_closed(server, half):
    session = opened(half)
    worker, run = in_a_call(server, half, session)

    half.close()

    assert worker.error().reason == "client closed"
    run.wait("discarded")
    assert_stops(server, "discardSession")
    with pytest.raises(lms.LMStudioClientError, match="client is closed"):
        call(half, session, "report")


# -- time limits ----------------------------------------------------------------------------------


@pytest.mark.parametrize("limit", ["timeout", "idle_timeout"])
def test_a_session_that_does_not_open_in_time_is_discarded_once(held, half, limit):
    _, worker, _ = opening(held, half, **{limit: 30})
    time_passes(half.client, 40)
    error = worker.error()
    assert type(error) is lms.LMStudioTimeoutError
    assert "Starting the tools of 'mcp/notes'" in str(error)
    assert_stops(held, "discardSession")


def test_no_limit_of_its_opening_holds_for_an_open_session(server, half):
    session = opened(half, timeout=5, idle_timeout=5)
    assert (session._call.timeout, session._call.idle_timeout) == (None, None)


@pytest.mark.parametrize("limit", ["timeout", "idle_timeout"])
def test_a_call_that_takes_too_long_is_aborted_once(server, half, limit):
    session = opened(half)
    worker, run = in_a_call(server, half, session, **{limit: 30})
    time_passes(half.client, 40)
    error = worker.error()
    assert type(error) is lms.LMStudioTimeoutError
    assert "The call of the tool 'held'" in str(error)
    run.wait("aborted")
    assert call(half, session, "report") is True
    assert_stops(server, "abortToolCall")


def test_the_clients_own_limits_hold_for_a_call(server, half):
    session = opened(half)
    half.client._session._timeout = 30
    worker, run = in_a_call(server, half, session)
    time_passes(half.client, 40)
    assert type(worker.error()) is lms.LMStudioTimeoutError
    run.wait("aborted")


def test_a_status_breaks_the_silence(server, half, monkeypatch):
    monkeypatch.setattr("lmstudio._connection.reactor._AWAY", math.inf)  # which counts as heard
    session, heard = opened(half), []
    worker, run = in_a_call(server, half, session, on_status=heard.append)
    (inner,) = calls_of(half, session)
    assert inner.heard == 0.0
    run.status("half")
    eventually(lambda: heard)
    assert inner.heard == session._call.heard > 0
    run.complete()
    worker.result()


# -- several at once, and odd ones ----------------------------------------------------------------


def test_two_tools_run_at_once_and_each_gets_its_own_answer(server, half):
    session, said = opened(half), {"one": [], "two": []}
    one, first = in_a_call(server, half, session, on_status=said["one"].append)
    two, second = in_a_call(server, half, session, on_status=said["two"].append)
    second.status("second")
    first.status("first")
    second.complete(2)
    assert two.result() == 2
    first.complete(1)
    assert one.result() == 1
    assert said == {"one": ["first"], "two": ["second"]}


@pytest.mark.races
def test_many_threads_call_and_stop_tools_of_one_session(server, half):
    session = opened(half)
    barrier = threading.Barrier(8)

    def work(number):
        barrier.wait(10)
        results = []
        for at in range(5):
            token = lms.CancelToken()
            if (number + at) % 3 == 0:
                token.cancel()
            try:
                arguments = {"topic": "harbour"}
                results.append(call(half, session, "read", arguments, cancel_event=token))
            except lms.LMStudioCancelledError:
                results.append("two cranes")
        return results

    workers = [Worker(work, number) for number in range(8)]
    assert [worker.result() for worker in workers] == [["two cranes"] * 5] * 8
    assert not calls_of(half, session)
    close(half, session)
    assert_stops(server, "discardSession")


def test_packets_that_are_for_no_call_are_dropped(held, half):
    session, channel = opened_by_test(held, half)
    worker = Worker(call, half, session, "look")
    eventually(lambda: channel.packets)
    number = channel.packets[0]["callId"]
    others = (number + 1000, session._call.id, str(number), float(number), True, None, [number])
    for wrong in others:
        channel.packet({"type": "toolCallComplete", "callId": wrong, "result": "wrong"})
    channel.packet({"type": "toolCallComplete", "result": "for nobody"})
    channel.packet(ready("another"))
    channel.packet({"type": "toolCallStatus", "callId": number, "statusText": 5})
    channel.packet({"type": "somethingNew", "callId": number})
    channel.packet({"type": "toolCallComplete", "callId": number, "result": "right"})
    assert worker.result() == "right"
    assert [tool.name for tool in session] == ["look"]


def test_packets_before_it_is_ready_are_borne(held, half):
    _, worker, channel = opening(held, half)
    channel.packet({"type": "somethingNew"})
    channel.packet({"type": "toolCallComplete", "callId": 1, "result": 1})
    channel.packet(ready("look"))
    assert [tool.name for tool in worker.result()] == ["look"]


def test_big_arguments_and_results_pass(server, half):
    session = opened(half)
    worker = Worker(call, half, session, "held", {"text": "x" * 300_000})
    run = server.wait_tool_run()
    assert run.arguments == {"text": "x" * 300_000}
    run.complete("y" * 300_000)
    assert worker.result() == "y" * 300_000


@pytest.fixture
def stalled(server, half):
    """A session whose server reads nothing, a call that is half sent, and one that waits for it.

    Returns the session, the call's worker and token, those of the other, and the connection.
    """
    session, tokens = opened(half), (lms.CancelToken(), lms.CancelToken())
    (connection,) = (one for one in server.connections if one.path == "/plugins")
    connection.pause()
    port = half.client._session.dispatcher._ports["plugins"]
    big = {"text": "x" * 20_000_000}
    first = Worker(lambda: call(half, session, "report", big, cancel_event=tokens[0]))
    eventually(lambda: port.transport.is_busy)
    second = Worker(lambda: call(half, session, "report", cancel_event=tokens[1]))
    eventually(lambda: port._waiting)
    return session, (first, tokens[0]), (second, tokens[1]), connection


def test_a_lost_connection_ends_calls_that_wait_to_be_sent_and_none_goes_elsewhere(server, stalled):
    _, (first, _), (second, _), connection = stalled
    connection.drop()
    for worker in (first, second):
        assert type(worker.error()) is lms.LMStudioConnectionLostError
    assert [one.path for one in server.connections].count("/plugins") == 1


def test_a_call_that_is_stopped_before_it_is_sent_is_withdrawn(server, half, stalled):
    session, (first, _), (second, token), connection = stalled
    token.cancel("enough")
    assert second.error().reason == "enough"
    connection.resume()
    assert first.result() is True
    assert call(half, session, "report") is True
    assert kinds(server) == ["callTool", "callTool"]


def test_a_call_that_is_stopped_half_sent_is_never_whole_and_the_session_goes_on(
    server, half, stalled
):
    session, (first, token), (second, _), connection = stalled
    token.cancel("enough")
    assert first.error().reason == "enough"
    connection.resume()
    assert second.result() is True
    assert call(half, session, "report") is True
    assert kinds(server) == ["callTool", "callTool"]


def test_closing_ends_what_is_half_sent_and_what_waits_and_discards_once(server, half, stalled):
    session, (first, _), (second, _), connection = stalled
    close(half, session)
    for worker in (first, second):
        assert type(worker.error()) is lms.LMStudioCancelledError
    connection.resume()
    assert_stops(server, "discardSession")
    assert kinds(server) == ["discardSession"]


def test_it_opens_once_and_says_how_it_stands(held, half):
    kind = "PluginTools" if half.name == "threads" else "AsyncPluginTools"
    session, worker, channel = opening(held, half)
    assert repr(prepared(half)) == f"<{kind} of 'mcp/notes': not opened>"
    assert repr(session) == f"<{kind} of 'mcp/notes': opening>"
    with pytest.raises(lms.LMStudioRuntimeError):
        half.do(session.open)
    channel.packet(ready("a", "b"))
    worker.result()
    assert repr(session) == f"<{kind} of 'mcp/notes': open, 2 tools>"
    assert half.do(session.open) is session
    with pytest.raises(TypeError, match="cannot be pickled"):
        pickle.dumps(session)
    close(half, session)
    assert repr(session) == f"<{kind} of 'mcp/notes': closed>"
    assert f"PluginsNamespace of {held.host}>" in repr(half.client.plugins)
    assert len(held.received("channelCreate", path="plugins")) == 1
