"""Tools: the model asks for them over several rounds, and gets what they returned."""

from official_shared import HOST, lms, show

calls = []


def add(a: int, b: int) -> int:
    """Add two numbers."""
    calls.append(["add", a, b])
    return a + b


def shout(text: str) -> str:
    """Say it in capital letters."""
    calls.append(["shout", text])
    return text.upper()


def describe(message):
    if message.role == "tool":  # in no certain order
        show("results", sorted(part.content for part in message.content))
        return
    text, *requests = message.content
    show("said", text.text, [part.tool_call_request.name for part in requests])


with lms.Client(HOST) as client:
    model = client.llm.model()
    rounds = []
    result = model.act(
        "What is 1 + 2 + 3?",
        [add, shout],
        on_message=describe,
        on_round_start=rounds.append,
    )
    show("rounds", result.rounds, rounds)
    show("calls", calls)

    # The model asks for a tool that nobody has, and is told so.
    result = model.act("Divide.", [add])
    show("rounds", result.rounds)

    # In the last round that is allowed, no tool is offered.
    result = model.act("Add.", [add], max_prediction_rounds=2)
    show("rounds", result.rounds)
