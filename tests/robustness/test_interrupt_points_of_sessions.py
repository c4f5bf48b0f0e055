"""Ctrl-C at each point of sessions with plugins and of lights: one stop for each, none is left."""

from collections import Counter

import pytest
from helpers import Worker, eventually
from robustness.signal_points import each_point

import lmstudio as lms
from lmstudio.testing import Plugin, Server, Tool

pytestmark = pytest.mark.races
LIMIT = 10.0  # seconds
TOOLS = [Tool(name="look", result=5, status=["nearly"]), Tool(name="held", hold=True)]


@pytest.fixture
def server():
    """An embedded LM Studio with a plugin."""
    with Server(plugins=[Plugin(identifier="mcp/notes", tools=TOOLS)]) as server:
        yield server


def counts(server):
    """How often each session and each call was started and stopped."""
    found = Counter()
    for message in server.received(path="plugins"):
        if message["type"] == "channelCreate":
            found["started", message["channelId"]] += 1
        elif message["type"] == "channelSend":
            packet = message["message"]
            number = packet.get("callId", message["channelId"])
            kind = "started" if packet["type"] == "callTool" else packet["type"]
            found[kind, number] += 1
    return found


def discarded(server):
    """How many sessions were discarded."""
    return len({number for kind, number in counts(server) if kind == "discardSession"})


def assert_stopped_once(server, client):
    eventually(lambda: not client._session.dispatcher.open)

    def is_right():
        found = counts(server)
        sessions = {number for kind, number in found if kind == "discardSession"}
        return set(found.values()) <= {1} and all(found["started", one] for one in sessions)

    eventually(is_right)


def test_a_session_that_is_interrupted_anywhere_is_discarded_once(server):
    with lms.Client(server.host) as client:
        client.list_loaded_models()

        def scenario(interrupted):
            tools = None
            try:
                with interrupted(), client.plugins.tools("mcp/notes") as tools:
                    assert tools.call_tool("look", on_status=str) == 5
            except KeyboardInterrupt:
                pass
            del tools  # Ctrl-C may have come when it was about to be closed
            eventually(lambda: not client._session.dispatcher.open)

        assert each_point(scenario, stride=7) > 100
        assert_stopped_once(server, client)
        created = len(server.received("channelCreate", path="plugins"))
        eventually(lambda: discarded(server) == created)


def test_a_call_that_is_interrupted_anywhere_leaves_a_session_that_works(server):
    with lms.Client(server.host) as client, client.plugins.tools("mcp/notes") as tools:

        def scenario(interrupted):
            try:
                with interrupted():
                    assert (
                        tools.call_tool("look", on_status=str, cancel_event=lms.CancelToken()) == 5
                    )
            except KeyboardInterrupt:
                pass
            assert Worker(tools.call_tool, "look").result() == 5
            eventually(lambda: set(client._session.dispatcher.open.values()) == {tools._call})

        assert each_point(scenario, stride=5) > 50
        tools.close()
        assert_stopped_once(server, client)


def test_a_session_that_is_closed_under_ctrl_c_is_discarded_once(server):
    with lms.Client(server.host) as client:

        def scenario(interrupted):
            tools = client.plugins.tools("mcp/notes").open()
            known = len(server.tool_runs)
            worker = Worker(tools.call_tool, "held")
            server.wait_tool_run(known)
            try:
                with interrupted():
                    tools.close()
            except KeyboardInterrupt:
                tools.close()
            with pytest.raises(lms.LMStudioCancelledError):
                worker.result()

        assert each_point(scenario) > 3
        assert_stopped_once(server, client)


def test_a_light_that_is_interrupted_anywhere_is_out_or_works(server):
    with lms.Client(server.host) as client:
        held = client._session.listeners

        def scenario(interrupted):
            light, told = None, []
            try:
                with interrupted():
                    light = client.on_connection_change(told.append)
                    light.close()
            except KeyboardInterrupt:
                if light is not None:
                    light.close()
            if light is None and held:  # it was made, and who asked for it has not got it
                eventually(lambda: told == [True])
                for listener in list(held.values()):
                    listener.subscription.close()
            eventually(lambda: not held and not client._session.dispatcher.state._subscriptions)

        assert each_point(scenario) > 30
        told = []
        with client.on_connection_change(told.append):
            eventually(lambda: told == [True])
