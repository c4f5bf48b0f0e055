"""The parts of `lmstudio chat` that need no terminal."""

import json
import os

import pytest

from lmstudio.cli._chat.conversation import BadConversation, Conversation, Question
from lmstudio.cli._chat.images import paths_in
from lmstudio.cli._chat.saved import Folder, Keeper
from lmstudio.cli._chat.talk import Talk
from lmstudio.cli._chat.typed import Typed, goes_on, unfolded
from lmstudio.cli._chat.typed_lines import TypedLines


class Script:
    """An editor, screen and clock in one: texts that are typed; a number is Ctrl-C at that time."""

    reads_keys = True

    def __init__(self, *steps):
        self.steps = list(steps)
        self.notes = []
        self.now = 0.0
        self.screen = self

    def read(self, text=""):
        if not self.steps:
            raise AssertionError("it should have left")
        step = self.steps.pop(0)
        if isinstance(step, float):
            self.now = step
            raise KeyboardInterrupt
        if step is None:
            raise EOFError
        return Typed(step)

    def note(self, text):
        self.notes.append(text)

    def end(self):
        pass

    def run(self):
        Talk(self, self, lambda: self.now).run()
        assert self.steps == []
        return len(self.notes)


def test_ctrl_c_twice_leaves_only_within_a_second():
    assert Script(5.0, 5.9).run() == 1
    assert Script(5.0, 6.1, 7.2, 8.1).run() == 3
    assert Script(5.0, None).run() == 1


def test_ctrl_c_that_comes_while_something_is_told_leaves_nothing():
    script = Script()

    def note(text):
        script.note = script.notes.append
        script.now = 9.0
        raise KeyboardInterrupt

    script.note = note
    script.steps = [1.0, None]
    script.run()


def test_empty_lines_are_nothing():
    assert Script("", "  ", "\n", None).run() == 0


@pytest.mark.parametrize("text", ["a\\", '"""', '"""a', '"""a\nb', '"""""'])
def test_what_goes_on(text):
    assert goes_on(text)


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("a", "a"),
        ("a\\\nb", "a\nb"),
        ('"""a\nb"""', "a\nb"),
        ('"""\n  a\n"""', "  a"),
        ('""""""', ""),
        ("a\\b", "a\\b"),
    ],
)
def test_what_is_meant(text, meant):
    assert not goes_on(text)
    assert unfolded(text) == meant


def test_a_conversation_is_read_as_it_was_written():
    one = Conversation("Be brief.", "test-llm")
    one.ask(Question("a \ud83d \x1b[2J", ["/a.png"]))
    one.answer("b")
    one.ask(Question("c"))
    assert Conversation.from_json(one.to_json()) == one
    assert one.title == "a \ud83d [2J"


@pytest.mark.parametrize(
    "messages",
    [
        None,
        [1],
        [{"role": "user"}],
        [{"role": "user", "content": [], "images": []}],
        [{"role": "user", "content": "a", "images": [1]}],
        [{"role": "assistant", "content": "a"}],
        [{"role": "user", "content": "a"}, {"role": "system", "content": "b"}],
    ],
)
def test_what_is_no_conversation_is_refused(messages):
    with pytest.raises(BadConversation):
        Conversation.from_json(json.dumps({"messages": messages}))
    with pytest.raises(BadConversation):
        Conversation.from_json("[" * 100_000)


def test_a_write_that_fails_leaves_the_file_and_no_other(tmp_path, monkeypatch):
    told = []
    keeper = Keeper(lambda: tmp_path / "talk.json", told.append)
    conversation = Conversation()
    conversation.ask(Question("First."))
    keeper.keep(conversation)
    before = (tmp_path / "talk.json").read_bytes()

    def fail(*_):
        raise OSError(28, "No space left on device")

    conversation.answer("One.")
    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", fail)
        keeper.keep(conversation)
        keeper.keep(conversation)
    assert told == ["(the conversation is not saved: No space left on device)"]
    assert [path.name for path in tmp_path.iterdir()] == ["talk.json"]
    assert (tmp_path / "talk.json").read_bytes() == before
    keeper.keep(conversation)
    assert (tmp_path / "talk.json").read_bytes() != before


def test_a_folder_that_is_not_there_lists_nothing(tmp_path):
    assert Folder(tmp_path / "none").entries() == []


def test_typed_lines_are_kept_once_each_and_not_for_ever(tmp_path):
    path = tmp_path / "folder" / "typed.jsonl"
    lines = TypedLines(path)
    for text in ["a", "a", " ", "b\nc", "x" * 50_000]:
        lines.add(text)
    assert TypedLines(path).lines == ["a", "b\nc"]
    path.write_text("".join(f"{number}\nnot JSON\n" for number in range(1500)))
    for number in range(1500):
        TypedLines(None).add("x")
        lines.add(f"line {number}")
    assert TypedLines(path).lines[-1] == "line 1499"
    assert len(path.read_text().splitlines()) <= 1000


@pytest.mark.skipif(os.name != "posix", reason="paths are written otherwise there")
def test_paths_as_they_are_typed_and_dragged(tmp_path):
    (tmp_path / "a b.png").touch()
    path = str(tmp_path / "a b.png")
    assert paths_in(path) == [path]
    assert paths_in(f"'{path}' b.png") == [path, "b.png"]
    assert paths_in(path.replace(" ", "\\ ")) == [path]
    assert paths_in("it's.png") == ["it's.png"]
    assert paths_in("") == []
