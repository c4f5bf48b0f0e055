"""What goes wrong between a model and its tools, and who is told."""

import sys

import lmstudio as lms


def divide(a: int, b: int) -> float:
    """Divide two whole numbers."""
    return a / b


class TooMuch(Exception):
    pass


def show(message):
    for part in message.content:
        if isinstance(part, lms.ToolCallResultData):
            print("  told:", part.content.split("for tool divide")[0])
        elif isinstance(part, lms.TextData):
            print("  said:", part.text)


def note(error, request):
    kind = type(error.__cause__).__name__ if "Unhandled" in str(error) else "no exception"
    print("  handler:", type(error).__name__, request and request.name, kind)


def override(error, request):
    note(error, request)
    return f"Do not call {request.name}." if request else "Nothing can be done."


def refuse(error, request):
    raise TooMuch(request.name if request else "no request")


with lms.Client(sys.argv[1]) as client:
    model = client.llm.model()
    for handler in (None, note, override):  # an unknown tool, bad arguments, a failing tool
        print(handler and handler.__name__)
        result = model.act(
            "Divide.", [divide], on_message=show, handle_invalid_tool_request=handler
        )
        print("  rounds:", result.rounds)
    for _ in range(2):  # an unknown tool, a failing tool
        try:
            model.act("Divide.", [divide], handle_invalid_tool_request=refuse)
        except TooMuch as error:
            print("raised by the handler:", error)
    print(model.respond("Still there?"))
