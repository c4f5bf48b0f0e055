"""An agent that calculates with tools, some of which refuse; its messages are shown by their parts.

After the manner of UnusMundusWave/lmstudio-sdk-examples, act.py.
"""

import sys

import lmstudio as lms

lms.configure_default_client(sys.argv[1])


def addition(a: int, b: int) -> int:
    """Return the sum of two integers."""
    return a + b


def division(a: int, b: int) -> int:
    """Return the quotient of two integers, which must be an integer too."""
    if b == 0:
        raise ValueError("Nothing can be divided by zero")
    if a % b != 0:
        raise ValueError("The quotient must be an integer")
    return a // b


def show(message):
    if not hasattr(message, "role"):
        print("another message", type(message).__name__)
    elif message.role == "assistant":
        for item in message.content:
            if hasattr(item, "text") and item.text:
                print("Assistant:", item.text)
    elif message.role == "tool":
        print("Tool:", message.content[0].content)


model = lms.llm("test-llm")
for tools in ([addition, division], [division, addition]):
    print("with", [tool.__name__ for tool in tools])
    try:
        result = model.act("The numbers game: reach 254 with 25 and 7.", tools, on_message=show)
        print("rounds", result.rounds)
    except Exception as error:
        print("failed", type(error).__name__, error)
try:
    model.act("The numbers game.", [addition, addition])
except Exception as error:
    print(type(error).__name__, "Duplicate tool names" in str(error))
