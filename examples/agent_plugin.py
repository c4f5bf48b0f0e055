"""An agent with the tools of an MCP server, that a stop event ends in the middle of a remote call.

Uses the LM Studio at --host and its MCP server --plugin; without them, an embedded server whose
replies and MCP server are scripted, and which tells what it saw of the stop.
"""

import argparse
import contextlib
import sys
import threading

import lmstudio as lms
from lmstudio.testing import Plugin, Server, Tool

PLUGIN = "mcp/archive"
QUESTION = "Use search to find out who built the lighthouse, and take a note of it."


def take_note(text: str) -> str:
    """Write a text into the notebook."""
    return f"noted: {text}"


def scripted_server() -> Server:
    """Start a server with an MCP server, whose search takes a while, and a model that asks it."""
    query = {"type": "object", "properties": {"query": {"type": "string"}}, "required": ["query"]}
    search = Tool(
        name="search",
        description="Search the archive for a text.",
        parameters=query,
        status=[f"searching shelf {shelf} of 100" for shelf in range(1, 101)],
        delay=5.0,
        result="Nothing was found.",
    )
    server = Server(plugins=[Plugin(identifier=PLUGIN, tools=[search])])
    server.reply("I will look.", tool_calls=[{"name": "search", "arguments": {"query": "light"}}])
    return server


def run_agent(client: lms.Client, plugin: str, stop: threading.Event) -> lms.ActResult:
    """Let the agent work; its third report of a remote tool makes another thread stop it."""
    chat = lms.Chat("You answer in one short sentence.")
    chat.add_user_message(QUESTION)
    reports: list[str] = []
    is_far = threading.Event()
    stop_button = threading.Thread(target=lambda: is_far.wait(60) and stop.set())
    stop_button.start()

    def on_status(call_id: int, text: str, round_index: int) -> None:
        print(f"  tool {call_id}: {text}")
        reports.append(text)
        if len(reports) == 3:
            is_far.set()

    # LM Studio runs the MCP server as long as this session is open.
    with client.plugins.tools(plugin) as tools:
        print("tools:", ", ".join(tool.name for tool in tools))
        result = client.llm.model().act(
            chat,
            [*tools, take_note],
            cancel_event=stop,  # a call that runs is aborted in LM Studio
            max_prediction_rounds=3,
            on_message=chat.append,
            on_tool_call_status=on_status,
        )
    is_far.set()
    stop_button.join()
    print(f"rounds {result.rounds}, cancelled {result.cancelled}: {result.cancel_reason}")
    print("chat", ", ".join(message.role for message in chat))
    return result


def main() -> int:
    """Run the agent and stop it."""
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--host", help="host:port of an LM Studio")
    parser.add_argument("--plugin", default=PLUGIN, help="one of its plugins or MCP servers")
    options = parser.parse_args()
    with contextlib.ExitStack() as stack:
        server = None
        if options.host is None:
            server = stack.enter_context(scripted_server())
        host = options.host if server is None else server.api_host
        try:
            client = stack.enter_context(lms.Client(host))
            run_agent(client, options.plugin, threading.Event())
        except lms.LMStudioError as error:
            print(f"The agent cannot go on: {error}", file=sys.stderr)
            return 1
        if server is not None:
            (run,) = server.tool_runs
            server.wait_for(lambda: run.state != "running")
            print(f"the server saw: {run.name}({run.arguments}) {run.state}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
