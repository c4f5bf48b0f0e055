"""A journal makes a batch resumable: nothing finished is lost, and nothing is written twice."""

import json
import os
import pickle
import stat
import subprocess
import sys

import attrs
import pytest
from helpers import NO_FILE, WINDOWS, Worker, needs_fork

import lmstudio as lms
from lmstudio._batch import journal_file

SCHEMA = {"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]}


@attrs.define
class Person:
    name: str


@pytest.fixture
def path(tmp_path):
    return tmp_path / "out.jsonl"


def lines(path):
    return [json.loads(line) for line in path.read_bytes().splitlines()]


def run(model, path, inputs, **options):
    """A whole batch: its outcomes by index."""
    outcomes = list(model.respond_many(inputs, journal=path, **options))
    indices = [outcome.index for outcome in outcomes]
    assert sorted(indices) == list(range(len(indices)))
    return {outcome.index: outcome for outcome in outcomes}


def test_a_second_run_asks_nothing_and_gives_the_same(server, model, path):
    server.reply("the answer", reasoning="I think", prompt_tokens_count=7)
    first = run(model, path, ["a"])[0]
    again = run(model, str(path), ["a"])[0]
    assert len(server.predictions) == 1
    assert (first.recorded, again.recorded) == (False, True)
    for name in ("content", "answer", "reasoning_content", "parsed", "stats", "structured"):
        assert getattr(again.result, name) == getattr(first.result, name), name
    assert (again.attempts, again.host, again.input) == (first.attempts, first.host, "a")
    assert pickle.loads(pickle.dumps(again)) == again


def test_a_record_is_of_the_form_that_is_documented(server, model, path):
    server.reply("one two")
    server.reply("one two", error_after=1, error="Out of memory")
    run(model, path, ["a", "b"], max_parallel=1)
    good, bad = lines(path)
    assert list(good) == [
        "index", "occurrence", "input", "attempts", "host", "content", "stats",
    ]  # fmt: skip
    assert good["content"] == "one two"
    assert good["stats"]["stop_reason"] == "eosFound"
    assert (good["index"], good["occurrence"], good["attempts"]) == (0, 1, 1)
    assert good["host"] == server.host
    assert bad["type"] == "LMStudioPredictionError" or bad["type"] == "LMStudioServerError"
    assert "Out of memory" in bad["error"]


def test_equal_inputs_stay_two_and_may_move(server, model, path):
    server.reply("first")
    server.reply("second")
    server.reply("other")
    run(model, path, ["a", "a", "b"], max_parallel=1)
    again = run(model, path, ["b", "new", "a", "a"], max_parallel=1)
    assert [again[index].result.content for index in (0, 2, 3)] == ["other", "first", "second"]
    assert [again[index].recorded for index in range(4)] == [True, False, True, True]


def test_changed_inputs_are_asked_and_what_they_were_is_counted(server, model, path):
    run(model, path, ["a", "b", "c"])
    batch = model.respond_many(["a", "B", "c"], journal=path)
    outcomes = {outcome.input: outcome.recorded for outcome in batch}
    assert outcomes == {"a": True, "B": False, "c": True}
    assert batch.numbers.unmatched == 1
    assert batch.numbers.recorded == 2


def test_inputs_are_known_by_their_own_name(server, model, path):
    rows = [{"id": f"row {number}", "text": str(number)} for number in range(3)]
    journal = lms.BatchJournal(path, input_id=lambda row: row["id"])
    options = {"to_prompt": lambda row: row["text"]}
    run(model, journal, rows, **options)
    rows.reverse()
    again = run(model, journal, rows, **options)
    assert all(outcome.recorded for outcome in again.values())
    assert again[0].input == rows[0]
    assert [line["id"] for line in lines(path)].count("row 1") == 1

    rows[1]["text"] = "something else"
    batch = model.respond_many(rows, journal=journal, **options)
    with pytest.raises(lms.LMStudioValueError, match="'row 1' is not the one that was answered"):
        list(batch)


@pytest.mark.parametrize(
    ("ids", "words"),
    [
        (["x", "x"], "Two inputs have the id 'x'"),
        ([None], "must return a string"),
        ([True], "True"),
    ],
)
def test_names_that_tell_nothing_apart_are_refused(server, model, path, ids, words):
    rows = iter(ids)
    journal = lms.BatchJournal(path, input_id=lambda _: next(rows))
    with pytest.raises(lms.LMStudioValueError, match=words):
        list(model.respond_many(["a"] * len(ids), journal=journal))


def test_another_form_of_the_reply_is_another_question(server, model, path):
    run(model, path, ["a"])
    server.reply('{"name": "Ada"}')
    assert not run(model, path, ["a"], response_format=SCHEMA)[0].recorded


@pytest.mark.parametrize("form", [SCHEMA, Person])
def test_structured_replies_come_back_as_such(server, model, path, form):
    server.reply('{"name": "Ada"}')
    server.reply('{"name": "Ad', stop_reason="maxPredictedTokensReached")
    run(model, path, ["a", "b"], response_format=form, max_parallel=1)
    again = run(model, path, ["a", "b"], response_format=form)
    assert again[0].result.parsed == {"name": "Ada"}
    assert again[0].result.typed == (Person("Ada") if form is Person else None)
    assert again[0].error is None
    assert again[1].result.parsed is None
    assert isinstance(again[1].error, lms.ValidationError)
    assert len(server.predictions) == 2


def test_errors_are_outcomes_and_may_be_asked_again(server, model, path):
    server.reply("one two", error_after=1, error="Out of memory")
    first = run(model, path, ["a", "b"], max_parallel=1)
    again = run(model, path, ["a", "b"])
    assert type(again[0].error) is type(first[0].error)
    assert str(again[0].error) == str(first[0].error)
    assert len(server.predictions) == 2

    journal = lms.BatchJournal(path, retry_errors=True)
    third = run(model, journal, ["a", "b"])
    assert (third[0].error, third[0].recorded, third[1].recorded) == (None, False, True)
    assert len(lines(path)) == 3
    assert all(outcome.recorded for outcome in run(model, journal, ["a", "b"]).values())


def test_calls_of_tools_come_back(server, model, path):
    server.reply("Let me see.", tool_calls=[{"name": "add", "arguments": {"a": 1}, "id": "7"}])
    (first,) = run(model, path, ["a"]).values()
    (again,) = run(model, path, ["a"]).values()
    assert again.recorded
    assert again.result.tool_calls == first.result.tool_calls
    assert first.result.tool_calls[0].arguments == {"a": 1}


def test_vectors_have_a_journal_too(server, client, path):
    model = client.embedding.model()
    first = dict(model.embed_many(["a", "b"], journal=path))
    again = list(model.embed_many(["a", "b"], journal=path))
    assert {index: list(vector) for index, vector in again} == first
    assert all(outcome.recorded for outcome in again)


def test_pictures_are_the_same_when_they_are_uploaded_again(server, client, path):
    model = client.llm.model("test-vlm")

    def chats():
        chat = lms.Chat()
        chat.add_user_message("What is this?", images=[client.prepare_image(b"image", "image.png")])
        return [chat]

    run(model, path, chats())
    assert run(model, path, chats())[0].recorded


def test_a_line_is_written_before_its_outcome_is_given(server, model, path):
    batch = model.respond_many([str(number) for number in range(5)], max_parallel=2, journal=path)
    for given, outcome in enumerate(batch, start=1):
        assert len(lines(path)) >= given
        assert outcome.index in [line["index"] for line in lines(path)]


def test_a_torn_last_line_is_cut_at_whatever_byte(server, model, path):
    server.reply("äöü 🙂", repeat=2)
    run(model, path, ["a", "b"], max_parallel=1)
    whole = path.read_bytes()
    first = whole.index(b"\n") + 1
    asked = len(server.predictions)
    for end in range(first, len(whole)):
        path.write_bytes(whole[:end])
        is_there = end == len(whole) - 1  # all but the end of the line, which an editor may take
        again = run(model, path, ["a", "b"])
        assert [again[index].recorded for index in (0, 1)] == [True, is_there], end
        assert len(lines(path)) == 2
        asked += not is_there
    assert len(server.predictions) == asked


def test_a_stopped_batch_goes_on_where_it_was(server, model, path):
    inputs = [f"Question {number}" for number in range(20)]
    batch = model.respond_many(inputs, max_parallel=2, ahead=1, journal=path)
    for number, _ in enumerate(batch):
        if number == 4:
            break
    written = len(lines(path))
    assert 5 <= written <= 7  # at most two of those that were open had ended
    again = run(model, path, inputs)  # the other one is left: it lets the journal go
    assert sum(outcome.recorded for outcome in again.values()) == written
    assert len(lines(path)) == 20
    del batch


def test_what_was_cancelled_is_not_written(server, model, path):
    server.reply("word " * 10_000, delay=0.001)
    batch = model.respond_many(["a"], journal=path)
    worker = Worker(list, batch)
    server.wait_prediction().wait_tokens(2)
    batch.cancel()
    (outcome,) = worker.result()
    assert outcome.cancelled
    assert lines(path) == []
    assert list(batch.unfinished()) == ["a"]


def test_two_batches_on_one_journal_are_refused(server, model, path):
    batch = model.respond_many(["a", "b"], journal=path)
    with pytest.raises(lms.LMStudioRuntimeError, match="Another batch writes the journal"):
        model.respond_many(["a", "b"], journal=path)
    code = """
import sys
import lmstudio as lms
client = lms.Client(sys.argv[1])
try:
    client.llm.model().respond_many(["a"], journal=sys.argv[2])
except lms.LMStudioRuntimeError as error:
    print(error)
client.close()
"""
    done = subprocess.run(
        [sys.executable, "-c", code, server.host, str(path)],
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )
    assert "Another batch writes the journal" in done.stdout
    assert len(list(batch)) == 2
    assert len(run(model, path, ["a", "b"])) == 2


@needs_fork
def test_a_forked_child_does_not_keep_the_journal(server, client, model, path):
    batch = model.respond_many(["a"], journal=path)
    read, write = os.pipe()
    child = os.fork()
    if not child:
        os.close(write)
        os.read(read, 1)  # until the parent has gone on
        os._exit(0)
    list(batch)
    try:
        assert len(run(model, path, ["a"])) == 1
    finally:
        os.write(write, b"x")
        os.waitpid(child, 0)
        os.close(read)
        os.close(write)


@pytest.mark.parametrize("content", ["my notes\n", "my notes", '{"index": 0}\n', "[]\n", "\n"])
def test_a_file_that_is_no_journal_is_refused_and_left_as_it_is(server, model, path, content):
    path.write_text(content)
    batch = model.respond_many(["a"], journal=path)
    with pytest.raises(lms.LMStudioValueError, match="is no record of a batch"):
        list(batch)
    assert path.read_text() == content
    assert not server.predictions


def test_what_cannot_be_opened_is_refused_at_the_call(model, tmp_path):
    with pytest.raises(lms.LMStudioValueError, match="is not a file"):
        model.respond_many(["a"], journal=tmp_path)
    with pytest.raises(lms.LMStudioOSError, match=NO_FILE):
        model.respond_many(["a"], journal=tmp_path / "nothing" / "out.jsonl")
    with pytest.raises(lms.LMStudioOSError):
        model.respond_many(["a"], journal="a\0b")


@pytest.mark.skipif(WINDOWS, reason="Windows knows no such modes")
def test_others_cannot_read_it(model, path):
    run(model, path, ["a"])
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.parametrize("fsync", [True, False])
def test_the_disk_is_waited_for_if_that_is_asked(server, model, path, monkeypatch, fsync):
    synced = []
    monkeypatch.setattr(journal_file.os, "fsync", synced.append)
    run(model, lms.BatchJournal(path, fsync=fsync), ["a", "b", "c"], max_parallel=1)
    assert (len(synced) >= 3) == fsync


def test_a_full_disk_stops_the_batch_and_loses_no_outcome(server, model, path, monkeypatch):
    class Full:
        def __init__(self, file):
            self._file = file

        def __getattr__(self, name):
            return getattr(self._file, name)

        def write(self, data):
            self._file.write(data[:10])
            raise OSError(28, "No space left on device")

    batch = model.respond_many(["a", "b"], max_parallel=1, journal=path)
    batch._journal._file = Full(batch._journal._file)
    with pytest.raises(lms.LMStudioOSError, match="No space left"):
        list(batch)
    assert path.read_bytes() == b""
    assert [outcome.result is not None for outcome in batch] == [True]
    assert list(batch.unfinished()) == ["b"]


def test_a_write_that_is_repeated_writes_nothing_twice(server, model, path):
    """As after Ctrl-C in the middle of it."""
    batch = model.respond_many(["a", "b"], max_parallel=1, journal=path)
    journal = batch._journal
    write, calls = journal._write_line, []

    def interrupted(*line):
        write(*line)
        if not calls:
            calls.append(line)
            raise KeyboardInterrupt  # before it is noted

    journal._write_line = interrupted
    with pytest.raises(KeyboardInterrupt):
        list(batch)
    del journal._write_line
    assert [outcome.index for outcome in batch] == [0]
    assert [line["index"] for line in lines(path)] == [0]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"fsync": 1}, "fsync must be True or False"),
        ({"retry_errors": "x"}, "retry_errors must be True or False"),
        ({"input_id": 3}, "input_id must be a function"),
        ({"path": 3}, "journal must be a path"),
    ],
)
def test_wrong_arguments_are_refused_at_once(arguments, words):
    with pytest.raises(lms.LMStudioValueError, match=words):
        lms.BatchJournal(**{"path": "out.jsonl", **arguments})


def test_a_recorded_error_has_what_such_an_error_has(server, model, path):
    server.hold("predict")
    worker = Worker(list, model.respond_many(["a"], journal=path))
    server.expect("predict").packet({"type": "error", "error": {"title": "Out of memory"}})
    (first,) = worker.result()
    assert isinstance(first.error, lms.LMStudioPredictionError)
    (again,) = model.respond_many(["a"], journal=path)
    assert again.recorded
    lacking = (again.error.raw_content, again.error.tool_name, again.error.tool_arguments)
    assert lacking == (None, None, None)
