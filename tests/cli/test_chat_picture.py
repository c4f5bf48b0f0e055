"""docs/images/chat.svg is a picture of a session with `lmstudio chat`, as it really is.

``LMSTUDIO_PICTURES=write python -m pytest tests/cli/test_chat_picture.py`` makes it anew.
"""

import html
import os
import re
from pathlib import Path

import pytest
from cli.chats import ask, chat, leave, say

from lmstudio.testing import Model, Server

pytest.importorskip("prompt_toolkit")
pytestmark = [pytest.mark.usefixtures("data_home"), pytest.mark.terminal]

PICTURE = Path(__file__).parents[2] / "docs" / "images" / "chat.svg"
SIZE = (26, 80)  # rows, columns
ANSWER = """**Air scatters blue light** more than red light:

1. Sunlight holds all colours.
2. Scattering grows with `1 / wavelength ** 4`.

```python
scattering = (700 / 450) ** 4  # of blue to red: 5.9
```
"""


def has_session(server):
    """Talk a little; the terminal at the end."""
    with chat(server, "--stats", size=SIZE) as terminal:
        terminal.wait_prompt()
        call = ask(server, terminal, "Why is the sky blue?")
        call.fragment("Rayleigh. Short, with the number.", reasoningType="reasoning")
        for piece in ANSWER.split(" "):
            call.fragment(f"{piece} ")
        numbers = {"tokens_per_second": 41.8, "predicted_tokens_count": 68}
        numbers |= {"prompt_tokens_count": 14, "time_to_first_token_sec": 0.21}
        call.success(**numbers)
        terminal.wait_for("41.8 tokens/s")
        say(terminal, "/modle", "Did you mean: /model")
        say(terminal, "/model", "/model KEY changes to it.")
        terminal.wait_prompt()
        leave(terminal)
    return terminal


def as_rich(screen):
    """What a terminal's screen shows, for rich."""
    from rich.style import Style
    from rich.text import Text

    lines = []
    for row in range(screen.lines):
        line = Text()
        for column in range(screen.columns):
            char = screen.buffer[row][column]
            # (The terminal of the tests shows faint characters as struck through.)
            style = Style(
                color=colour(char.fg),
                bold=char.bold,
                italic=char.italics,
                dim=char.strikethrough,
            )
            line.append(char.data, style)
        line.rstrip()
        lines.append(line)
    while lines and not lines[-1].plain:
        lines.pop()
    return Text("\n").join(lines)


def colour(name):
    """A colour of the terminal, for rich."""
    if re.fullmatch("[0-9a-f]{6}", name):
        return f"#{name}"
    return None if name == "default" else _OTHERWISE.get(name, name.replace("bright", "bright_"))


_OTHERWISE = {"brown": "yellow", "brightbrown": "bright_yellow"}  # what rich calls otherwise


def as_svg(screen):
    from rich.console import Console

    with open(os.devnull, "w") as nowhere:
        console = Console(file=nowhere, record=True, width=screen.columns, force_terminal=True)
        console.print(as_rich(screen))
        return console.export_svg(title="lmstudio chat", unique_id="chat")


def words_of(svg):
    """The texts of a picture, without what differs between versions of rich."""
    texts = re.findall(r"<text[^>]*>(.*?)</text>", svg, re.DOTALL)
    return " ".join(html.unescape("".join(texts)).replace("\xa0", " ").split())


def test_the_picture_shows_what_the_terminal_shows():
    models = [Model(key="qwen/qwen3-4b"), Model(key="google/gemma-3-12b", vision=True)]
    with Server(models=models, loaded=["qwen/qwen3-4b"], hold=["predict"]) as server:
        svg = as_svg(has_session(server).screen)
    if os.environ.get("LMSTUDIO_PICTURES") == "write":
        PICTURE.write_text(svg + "\n", encoding="utf-8")
    assert words_of(svg) == words_of(PICTURE.read_text(encoding="utf-8"))
