"""An agent with two tools that a stop event ends: while a tool runs, and while the model answers.

Uses the LM Studio at --host; without one, an embedded server with a real model (SmolLM2), which is
made to call the tool that the question names.
"""

import argparse
import contextlib
import sys
import threading
from typing import Literal

import lmstudio as lms

NOTES = {"lighthouse": "The light turns every ten seconds.", "harbour": "Twelve boats, two cranes."}


def read_note(topic: Literal["lighthouse", "harbour"]) -> str:
    """Return the note about a topic."""
    return NOTES[topic]


def search_archive(query: str, context: lms.ToolCallContext) -> str:
    """Search the archive for a text. This takes a while."""
    for shelf in range(1, 101):
        context.status(f"searching shelf {shelf} of 100 for {query!r}")
        if context.cancel_token.wait(0.05):  # instead of a sleep: ends at once when stopped
            break
    context.cancel_token.raise_if_cancelled()
    return "Nothing was found."


def ask(model: lms.LLM, question: str, stop: threading.Event, stop_at: str) -> None:
    """Let the agent answer, and have another thread set the event at a certain point."""
    chat = lms.Chat("You answer in one short sentence.")
    chat.add_user_message(question)
    reached = threading.Event()
    other_thread = threading.Thread(target=lambda: reached.wait(60) and stop.set())
    other_thread.start()

    def on_status(call_id: int, text: str, round_index: int) -> None:
        print(f"  tool {call_id}: {text}")
        if stop_at == "tool" and " 3 of" in text:
            reached.set()

    def on_fragment(fragment: lms.LlmPredictionFragment, round_index: int) -> None:
        print(fragment.content, end="", flush=True)
        if stop_at == "answer":
            reached.set()

    print(f"\nQuestion: {question}")
    result = model.act(
        chat,
        [read_note, search_archive],
        cancel_event=stop,
        max_prediction_rounds=3,
        config={"temperature": 0.0},  # what the model writes is then the same every time
        on_message=chat.append,
        on_prediction_fragment=on_fragment,
        on_tool_call_status=on_status,
        on_tool_call_request_end=lambda i, request, _: print(
            f"  tool {i}: {request.name}({request.arguments})"
        ),
    )
    reached.set()
    other_thread.join()
    print(f"\n  rounds {result.rounds}, cancelled {result.cancelled}: {result.cancel_reason}")
    print(f"  chat   {', '.join(message.role for message in chat)}")


def main() -> int:
    """Stop an agent twice, then let it answer."""
    parser = argparse.ArgumentParser(allow_abbrev=False, description=__doc__)
    parser.add_argument("--host", help="host:port of an LM Studio")
    host = parser.parse_args().host
    with contextlib.ExitStack() as stack:
        if host is None:
            from lmstudio.testing import LlamaEngine, Server, find_smollm2

            weights = find_smollm2()
            if weights is None:
                sys.exit("Name an LM Studio with --host, or install the model: make demo")
            host = stack.enter_context(Server(engine=LlamaEngine(weights, max_tokens=60))).host
        try:
            model = stack.enter_context(lms.Client(host)).llm.model()
            archive = "Use search_archive to find out who built the lighthouse."
            note = "Use read_note and tell me about the lighthouse."
            ask(model, archive, threading.Event(), stop_at="tool")
            ask(model, note, threading.Event(), stop_at="answer")
            ask(model, note, threading.Event(), stop_at="nothing")
        except lms.LMStudioError as error:
            print(f"The agent cannot go on: {error}", file=sys.stderr)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
