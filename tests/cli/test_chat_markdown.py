"""Replies in a terminal: Markdown as it streams, nothing that steers the terminal, colours."""

import os

import pytest
from cli.chats import ask, chat, leave, without

pytest.importorskip("rich")
pytestmark = [pytest.mark.usefixtures("data_home"), pytest.mark.terminal]

REPLY = """# Title

Some **bold** words, and [a link](http://example.com/x).

- one
- two

```python
x = 1
```
"""


def answered(held, terminal, *fragments):
    """Ask something, and have this answered."""
    terminal.wait_prompt()
    call = ask(held, terminal, "Go.")
    for fragment in fragments:
        call.fragment(fragment)
    return call


def test_markdown_is_rendered_while_it_streams(held):
    with chat(held) as terminal:
        call = answered(held, terminal, "# Title\n\nSome **bo", "ld** words")
        terminal.wait_for("> Go.\nTitle\n\nSome bold words")
        assert terminal.style_of("bold").bold
        assert not terminal.style_of("words").bold
        call.fragment(", and `code`.\n\n- one\n- two\n")
        terminal.wait_for("Some bold words, and code.\n\n • one\n • two")
        call.success()
        leave(terminal)
    assert terminal.text().count("Title") == 1


def test_plain_shows_markdown_as_it_is_written(held):
    with chat(held, "--plain") as terminal:
        answered(held, terminal, *REPLY.splitlines(keepends=True)).success()
        terminal.wait_for(REPLY.strip())
        leave(terminal)


def test_without_rich_markdown_is_shown_as_it_is_written(held, tmp_path):
    with chat(held, **without(tmp_path, "rich")) as terminal:
        answered(held, terminal, REPLY).success()
        terminal.wait_for(REPLY.strip())
        leave(terminal)


def test_what_a_model_writes_is_never_left_out(held):
    with chat(held) as terminal:
        call = answered(held, terminal, "One line\nand the next: List<str>, <b>not</b> bold\n\n")
        call.fragment("<div>\na block\n</div>\n")
        call.success()
        terminal.wait_for(
            "One line\nand the next: List<str>, <b>not</b> bold", "<div>\na block\n</div>"
        )
        leave(terminal)


@pytest.mark.parametrize("kind", ["list", "code", "paragraphs"])
def test_a_reply_longer_than_the_terminal_is_there_once_in_full(held, kind):
    lines = {
        "list": [f"- item {number:03}\n" for number in range(100)],
        "code": ["```\n", *(f"item {number:03}\n" for number in range(100)), "```\n"],
        "paragraphs": [f"item {number:03}\n\n" for number in range(100)],
    }[kind]
    with chat(held, size=(200, 80)) as terminal:
        call = answered(held, terminal, *lines)
        call.success()
        terminal.wait_for("item 099")
        terminal.wait_prompt()
        shown = [line.strip(" •") for line in terminal.text().splitlines() if "item" in line]
        leave(terminal)
    assert shown == [f"item {number:03}" for number in range(100)]


def test_a_block_that_outgrows_the_terminal_scrolls_and_leaves_each_line_once(held):
    with chat(held) as terminal:
        call = answered(held, terminal, "```\n", *(f"item {n:03}\n" for n in range(60)))
        terminal.wait_for("item 059")
        call.fragment("```\n\nDone.")
        call.success()
        terminal.wait_for("Done.")
        leave(terminal)
        above = [line for line in terminal.scrolled() if "item" in line]
    seen = [line.strip() for line in [*above, *terminal.text().splitlines()] if "item" in line]
    assert seen == [f"item {number:03}" for number in range(60)]


@pytest.mark.parametrize(
    "evil",
    [
        "\x1b]0;evil\x07\x1b[31mred\x9b2J",
        "`\x1b[31mred`",
        "```\n\x1b[2J\x1b[31mred\n```\n",
        "[red](http://x/\x1b[2J\x1b]0;evil\x07)",
        "&#27;[2J&#x1b;[31m&#155;31mred &#13;&#8;",
        "&#x9b;31m&#12;&#127;red",
        "| a |\n|---|\n| \x1b[31mred |\n",
        "# \x1b[31mred\n",
        "![red](\x1b]0;evil\x07)",
    ],
)
def test_no_escape_sequence_of_a_reply_reaches_the_terminal(held, evil):
    with chat(held) as terminal:
        call = answered(held, terminal, "Before.\n\n", *evil, "\n\nAfter.")
        call.success()
        terminal.wait_for("> Go.\nBefore.", "red", "After.")
        assert terminal.screen.title == ""
        leave(terminal)
    for sequence in ("\x1b]", "\x1b[31m", "\x1b[2J", "\x9b", "\x07", "\x0c"):
        assert sequence not in terminal.raw


def test_escape_sequences_of_reasoning_and_of_errors_steer_nothing(held):
    with chat(held) as terminal:
        terminal.wait_prompt()
        call = ask(held, terminal, "Go.")
        call.fragment("\x1b[31mred\x1b]0;evil\x07", reasoningType="reasoning")
        terminal.wait_for("[31mred]0;evil")
        call.error("\x1b[2J\x1b]0;evil\x07gone", cause="\x9b31mred")
        terminal.wait_for("lmstudio: [2J]0;evilgone")
        assert terminal.screen.title == ""
        leave(terminal)


@pytest.mark.parametrize("asked_by", ["NO_COLOR", "--no-color", None])
def test_colours_are_off_where_that_is_asked_for(held, asked_by):
    options = ["--no-color"] if asked_by == "--no-color" else []
    setting = {"NO_COLOR": "1"} if asked_by == "NO_COLOR" else {}
    with chat(held, *options, **setting) as terminal:
        call = answered(held, terminal, "```python\n", "def one(): return 1\n", "```\n\nDone.")
        call.success()
        terminal.wait_for("def one()", "Done.")
        colours = {char.fg for row in terminal.screen.buffer.values() for char in row.values()} - {
            "default"
        }
        assert bool(colours) == (asked_by is None)
        leave(terminal)


def test_reasoning_is_dimmed_and_apart_from_the_answer(held):
    with chat(held) as terminal:
        terminal.wait_prompt()
        call = ask(held, terminal, "Go.")
        call.fragment("<think>", reasoningType="reasoningStartTag")
        call.fragment("Hm.", reasoningType="reasoning")
        call.fragment("</think>", reasoningType="reasoningEndTag")
        call.fragment("\n\nYes.")
        call.success()
        terminal.wait_for("> Go.\nHm.\n\nYes.")
        assert terminal.is_dimmed("Hm.")
        assert not terminal.is_dimmed("Yes.")
        leave(terminal)


def test_the_bar_of_the_prompt_stands_on_stderr_where_the_reply_goes_to_a_file(held, tmp_path):
    log = tmp_path / "log"
    with log.open("wb") as file, chat(held, "--plain", "Go.", stdout=file) as terminal:
        call = held.expect("predict", timeout=15)
        call.progress(0.4)
        terminal.wait_for("Processing the prompt", "40%")
        call.fragment("one")
        call.success()
        assert terminal.wait_end() == 0
        assert terminal.text() == ""
    assert log.read_text() == f"one{os.linesep}"
