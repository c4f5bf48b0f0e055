"""Typing at the prompt of `lmstudio chat`: several lines, pastes, Ctrl-C, what was typed before."""

import os

import pytest
from cli.chats import LIMIT, ask, asked, chat, leave, say, stop, without
from helpers import eventually

pytestmark = [pytest.mark.usefixtures("data_home"), pytest.mark.terminal]

EDITORS = {
    "prompt_toolkit": [],
    "readline": ["prompt_toolkit"],
    "bare": ["prompt_toolkit", "readline"],
}
# What a terminal sends: Enter is a carriage return, a paste is marked if the program asks for it.
CODE = "".join(f"    if line == {number}:\treturn 'it'  \r" for number in range(200))
PASTED = CODE.replace("\r", "\n")
UP, ALT_ENTER, TAB = "\x1b[A", "\x1b\r", "\t"


def pasted(text):
    return f"\x1b[200~{text}\x1b[201~"


@pytest.fixture(params=EDITORS)
def editor(request):
    if request.param != "bare":
        pytest.importorskip(request.param)
    return request.param


@pytest.fixture
def environment(editor, tmp_path):
    return without(tmp_path, *EDITORS[editor])


def test_a_paste_of_200_lines_is_one_question_byte_for_byte(server, editor, environment):
    server.reply("Fine.")
    with chat(server, **environment) as terminal:
        terminal.wait_prompt()
        terminal.type(CODE if editor == "bare" else pasted(CODE))
        terminal.wait_for("line == 199")
        if editor != "bare":
            terminal.type("\r")
        terminal.wait_for("Fine.")
        leave(terminal)
    # Where nothing marks a paste, its last line is sent by its own end.
    expected = PASTED[:-1] if editor == "bare" else PASTED
    assert [asked(one) for one in server.predictions] == [expected]


def test_pasted_code_that_looks_like_a_command_or_goes_on_is_sent_as_it_is(server):
    pytest.importorskip("prompt_toolkit")
    server.reply("Fine.", repeat=2)
    texts = ["// a comment\r/exit\r", '"""A docstring."""\rx = 1 \\']
    with chat(server) as terminal:
        for number, text in enumerate(texts):
            terminal.wait_prompt()
            terminal.type(pasted(text) + "\r")
            server.wait_prediction(number, timeout=LIMIT)
        leave(terminal)
    assert [asked(one) for one in server.predictions] == [t.replace("\r", "\n") for t in texts]


def test_what_is_typed_while_a_reply_runs_is_not_seen_in_it_and_comes_to_the_next_prompt(held):
    pytest.importorskip("prompt_toolkit")
    with chat(held) as terminal:
        terminal.wait_prompt()
        call = ask(held, terminal, "Count.")
        call.fragment("one ")
        terminal.wait_for("one")
        terminal.type("and then" + pasted("\rtwo\rlines"))
        call.fragment("two")
        terminal.wait_for("one two")
        assert "then" not in terminal.text()
        call.success()
        terminal.wait_for("> and then\n. two\n. lines")
        terminal.type("\r")
        assert asked(held.wait_prediction(1, timeout=LIMIT)) == "and then\ntwo\nlines"
        held.expect("predict").success()
        leave(terminal)


def test_a_question_that_is_typed_ahead_is_asked_when_the_reply_is_there(held):
    pytest.importorskip("prompt_toolkit")
    with chat(held) as terminal:
        terminal.wait_prompt()
        call = ask(held, terminal, "Count.")
        terminal.type("And on.\r")
        call.fragment("one")
        call.success()
        held.expect("predict", timeout=LIMIT).success()
        leave(terminal)
    assert asked(held.predictions[1]) == "And on."


def test_a_backslash_or_quotation_marks_begin_a_new_line(server, environment):
    server.reply("Fine.", repeat=2)
    with chat(server, **environment) as terminal:
        terminal.wait_prompt()
        terminal.type("one\\\r")
        terminal.wait_for("> one\\\n.")
        say_more(terminal, "two\r", "Fine.")
        terminal.type('"""\r')
        terminal.wait_for('> """\n.')
        terminal.type("three\r")
        terminal.wait_for(". three\n.")
        terminal.type('  four"""\r')
        server.wait_prediction(1, timeout=LIMIT)
        leave(terminal)
    assert [asked(one) for one in server.predictions] == ["one\ntwo", "three\n  four"]


def say_more(terminal, text, words):
    terminal.type(text)
    terminal.wait_for(words)
    terminal.wait_prompt()


def test_alt_and_enter_is_a_new_line(server):
    pytest.importorskip("prompt_toolkit")
    server.reply("Fine.")
    with chat(server) as terminal:
        terminal.wait_prompt()
        terminal.type(f"one{ALT_ENTER}two\r")
        terminal.wait_for("> one\n. two\nFine.")
        leave(terminal)
    assert asked(server.predictions[0]) == "one\ntwo"


def test_a_long_line_is_wrapped_and_looks_like_one(server):
    pytest.importorskip("prompt_toolkit")
    with chat(server) as terminal:
        terminal.wait_prompt()
        terminal.type("a" * 100)
        terminal.wait_for("> " + "a" * 78 + "\n" + "a" * 22)
        terminal.ctrl_c()
        leave(terminal)


def test_ctrl_c_clears_a_half_typed_line_and_the_chat_goes_on(server, editor, environment):
    server.reply("Fine.", repeat=2)
    with chat(server, **environment) as terminal:
        say(terminal, "First.", "Fine.")
        terminal.type("never mind")
        terminal.wait_for("> never mind")
        terminal.ctrl_c_until(lambda: terminal.text().endswith("\n>"))
        if editor != "bare":  # which cannot know that there was half a line
            assert "leaves" not in terminal.text().partition("Fine.")[2]
        say(terminal, "Second.", "> Second.\nFine.")
        leave(terminal)
    assert asked(server.predictions[1]) == "Second."
    assert len(server.predictions[1].messages) == 3


def test_ctrl_c_twice_at_an_empty_prompt_leaves_and_the_first_says_how(server, environment):
    with chat(server, **environment) as terminal:
        terminal.wait_prompt()
        hint = "(Ctrl-C again leaves; so do Ctrl-D and /exit)"
        while not terminal.has_ended():  # two within a second leave; a busy machine takes longer
            hints = terminal.text().count(hint)
            terminal.ctrl_c_until(
                lambda: terminal.has_ended() or terminal.text().count(hint) > hints  # noqa: B023
            )
        assert terminal.wait_end() == 0
        assert hint in terminal.text()
    assert "Traceback" not in terminal.text()


def test_what_was_typed_is_there_in_the_next_session(server, editor, environment, data_home):
    if editor == "bare":
        pytest.skip("there is no line editor")
    server.reply("Fine.", repeat=4)
    with chat(server, **environment) as terminal:
        say(terminal, "First.", "Fine.")
        terminal.type("one\\\r")
        terminal.wait_for("> one\\\n.")
        say_more(terminal, "two\r", "two\nFine.")
        leave(terminal)
    if os.name == "posix":
        assert (data_home / "typed.jsonl").stat().st_mode & 0o777 == 0o600
    with chat(server, **environment) as terminal:
        terminal.wait_prompt()
        terminal.type(UP)
        terminal.wait_for("one", "two")
        terminal.type("\r")
        server.wait_prediction(2, timeout=LIMIT)
        leave(terminal)
    assert asked(server.predictions[2]).split() in (["one", "two"], ["one\\", "two"])


def test_without_history_nothing_that_is_typed_is_kept(server, data_home):
    server.reply("Fine.")
    with chat(server, "--no-history") as terminal:
        say(terminal, "First.", "Fine.")
        leave(terminal)
    assert not data_home.exists()


def test_a_text_can_be_written_in_an_editor_of_ones_own(server, tmp_path):
    pytest.importorskip("prompt_toolkit")
    editor = tmp_path / "editor"
    editor.write_text("#!/bin/sh\nprintf 'one\\ntwo\\n' >> \"$1\"\n")
    editor.chmod(0o700)
    server.reply("Fine.")
    with chat(server, VISUAL="", EDITOR=str(editor)) as terminal:
        terminal.wait_prompt()
        terminal.type("zero ")
        terminal.wait_for("> zero")
        terminal.type("\x18\x05")
        terminal.wait_for("> zero one\n. two\nFine.")
        leave(terminal)
    assert asked(server.predictions[0]) == "zero one\ntwo"


def test_tab_completes_a_command(server):
    pytest.importorskip("prompt_toolkit")
    with chat(server) as terminal:
        terminal.wait_prompt()
        terminal.type(f"/he{TAB}")
        terminal.wait_for("> /help")
        terminal.type("\r")
        terminal.wait_for("this list")
        leave(terminal)


def test_a_terminal_that_knows_nothing_gets_the_plain_editor(server):
    server.reply("Fine.")
    with chat(server, TERM="dumb") as terminal:
        say(terminal, "First.", "Fine.")
        leave(terminal)
    assert "2004" not in terminal.raw


def test_the_keyboard_is_as_before_when_the_chat_has_ended(held):
    with chat(held) as terminal:
        before = terminal.modes_before
        terminal.wait_prompt()
        call = ask(held, terminal, "Count.")
        call.fragment("one")
        terminal.wait_for("one")
        assert terminal.modes() != before
        stop(terminal, call)
        call.success("userStopped")
        leave(terminal)
        eventually(lambda: terminal.modes() == before)
