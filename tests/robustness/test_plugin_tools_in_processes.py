"""Sessions with plugins where a process exits, gets Ctrl-C or forks: LM Studio is told once."""

import pytest
from child_process import run
from helpers import eventually, needs_fork

from lmstudio.testing import Plugin, Server, Tool

PLUGIN = Plugin(
    identifier="mcp/notes", tools=[Tool(name="look", result=5), Tool(name="held", hold=True)]
)
OPENED = """
tools = client.plugins.tools("mcp/notes").open()
def start_call():
    caller = threading.Thread(target=tools.call_tool, args=["held"], daemon=True)
    caller.start()
    wait_until(lambda: any(call.is_sent for call in calls()))
    return caller
def calls():
    opened = list(client._session.dispatcher.open.values())
    return [call for call in opened if call is not tools._call]
"""


@pytest.fixture
def server():
    with Server(plugins=[PLUGIN]) as server:
        yield server


def sent(server):
    messages = server.received("channelSend", path="plugins")
    return [message["message"]["type"] for message in messages]


def test_the_exit_of_a_program_discards_the_session_once_and_aborts_nothing_beside_that(server):
    run(server, OPENED + "start_call()")

    (ended,) = server.tool_runs
    assert ended.wait("discarded")
    assert sent(server) == ["callTool", "discardSession"]


def test_ctrl_c_in_a_call_aborts_it_once_and_the_session_goes_on(server):
    output = run(
        server,
        OPENED
        + """
interrupt_soon(lambda: any(call.is_sent for call in calls()))
try:
    tools.call_tool("held")
except KeyboardInterrupt:
    wait_until(lambda: not calls())
    print("interrupted", tools.call_tool("look"))
client.close()
""",
    )

    assert output == ["interrupted", "5"]
    assert server.tool_runs[0].wait("aborted")
    eventually(lambda: sent(server)[-1] == "discardSession")
    assert sent(server) == ["callTool", "abortToolCall", "callTool", "discardSession"]


def test_ctrl_c_while_the_plugin_starts_discards_the_session_once():
    plugin = Plugin(identifier="mcp/notes", start_time=600.0)
    with Server(plugins=[plugin]) as server:
        output = run(
            server,
            """
tools = client.plugins.tools("mcp/notes")
interrupt_soon(lambda: tools._call.is_sent)
try:
    tools.open()
except KeyboardInterrupt:
    print("interrupted", tools.cancelled())
client.close()
""",
        )
        eventually(lambda: sent(server))
        assert output == ["interrupted", "True"]
        assert sent(server) == ["discardSession"]


@needs_fork
def test_a_session_of_the_parent_is_refused_in_a_child_and_goes_on_in_the_parent(server):
    output = run(
        server,
        OPENED
        + """
import warnings
warnings.simplefilter("ignore", DeprecationWarning)  # fork with threads, on purpose
warnings.simplefilter("ignore", ResourceWarning)  # inherited sockets
child = os.fork()
if child == 0:
    try:
        tools.call_tool("look")
    except lms.LMStudioRuntimeError as error:
        ended = "fork" not in str(error)
    with client.plugins.tools("mcp/notes") as own:
        os._exit(ended or own.call_tool("look") != 5)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), tools.call_tool("look"))
tools.close()
client.close()
""",
    )

    assert output == ["0", "5"]
