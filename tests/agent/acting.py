"""What the tests of `act()` share: tools, and looks at what came of them."""


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


def results(chat):
    return [part.content for message in chat if message.role == "tool" for part in message.content]
