"""What the tests of `act()` share: tools, and looks at what came of them."""

import lmstudio as lms


class Tools:
    """Two tools that remember their calls."""

    def __init__(self):
        self.calls = []

    def add(self, a: int, b: int = 10) -> int:
        """Add two numbers."""
        self.calls.append(("add", a, b))
        return a + b

    def shout(self, text: str) -> str:
        """Say it in capital letters."""
        self.calls.append(("shout", text))
        return text.upper()


def call(name, **arguments):
    return {"name": name, "arguments": arguments}


def act(half, *arguments, **options):
    """Run `act()` in one of the halves."""
    return half.do(lambda: half.model.act(*arguments, **options))


def answer(request, content):
    """What is put into a chat for a tool call that the test makes itself."""
    return lms.ToolCallResultData(content=content, tool_call_id=request.id, name=request.name)


def unanswered(chat):
    """The ids of the tool calls of a chat that no message after them answers."""
    wanted = []
    for message in chat:
        if message.role == "assistant":
            assert not wanted, "something else was said before the calls were answered"
            wanted = [request.id for request in message.tool_calls]
        elif message.role == "tool":
            for part in message.content:
                wanted.remove(part.tool_call_id)
    return wanted


def results(chat):
    return [part.content for message in chat if message.role == "tool" for part in message.content]
