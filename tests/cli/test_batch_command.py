"""`python -m lmstudio batch`: rows in, rows with answers out, and what it says meanwhile."""

import json
import re
import subprocess
import sys

import pytest
from batch.storms import Echo
from cli.batch_command import LIMIT, Files
from helpers import NO_FILE, needs_terminal

from lmstudio.testing import Server

SCHEMA = {"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]}
PNG = b"\x89PNG\r\n\x1a\n" + bytes(40)


@pytest.fixture
def files(tmp_path, server):
    return Files(tmp_path, [server.host])


def test_each_row_is_answered_once_and_a_second_run_asks_nothing(files, server):
    said = files.run()
    assert re.fullmatch(
        r"12 rows: 12 answered, 0 failed\. \d+ tokens read, \d+ written, [\d.]+ s\.\n", said
    )
    row = files.rows()[0]
    assert list(row)[:3] == ["nr", "prompt", "answer"]
    assert row["answer"] == "This is a reply of the test server."
    assert (row["error"], row["stop_reason"]) == (None, "eosFound")
    assert row["predicted_tokens"] > 0
    assert files.numbers() == list(range(1, 13))
    before = files.output.read_bytes(), files.journal.read_bytes()
    assert files.run().startswith("12 rows: 12 answered (12 in earlier runs), 0 failed. ")
    assert (files.output.read_bytes(), files.journal.read_bytes()) == before
    assert len(server.predictions) == 12


def test_the_journal_is_that_of_the_api(files, server, model):
    files.run("--id", "nr")
    import lmstudio as lms

    rows = [json.loads(line) for line in files.input.read_text().splitlines()]
    journal = lms.BatchJournal(files.journal, input_id=lambda row: row["nr"])
    batch = model.respond_many(rows, to_prompt=lambda row: row["prompt"], journal=journal)
    assert all(outcome.recorded for outcome in batch)
    assert len(server.predictions) == 12


def test_a_row_that_fails_is_told_once_counted_and_asked_again_if_that_is_wished(files, server):
    server.reply("one", error_after=0, error="Out of memory", repeat=2)
    said = files.run("--parallel", 1, code=4)
    assert re.match("lmstudio: Line 1 failed: .*Out of memory\n12 rows: 10 answered, 2 fai", said)
    assert said.count("Out of memory") == 1
    assert said.endswith("Add --retry-errors to ask the failed rows again.\n")
    assert [bool(row["error"]) for row in files.rows()] == [True, True] + [False] * 10
    # Without that, it is done.
    said = files.run(code=4)
    assert "12 rows: 10 answered (10 in earlier runs), 2 failed (2 in earlier runs). " in said
    assert files.run("--retry-errors").startswith("12 rows: 12 answered (10 in ")
    assert files.numbers() == list(range(1, 13))
    assert not any(row["error"] for row in files.rows())


def test_a_row_may_be_tried_again_at_once(files, server):
    server.reply("one", error_after=0, error="Out of memory", repeat=2)
    said = files.run("--parallel", 1, "--retries", 2)
    assert said.startswith("12 rows: 12 answered, 0 failed, 2 tried again. ")


def test_options_reach_the_model(files, server):
    files.write(
        [
            '{"prompt": "a"}',
            '{"messages": [{"role": "user", "content": "b"}]}',
            '{"messages": [{"role": "system", "content": "c"}, {"role": "user", "content": "d"}]}',
        ]
    )
    files.run("--system", "Be brief.", "--temperature", 0.25, "--max-tokens", 7, "--parallel", 1)
    systems = [one.messages[0]["content"][0]["text"] for one in server.predictions]
    assert systems == ["Be brief.", "Be brief.", "c"]
    assert server.predictions[0].config["llm.prediction.temperature"] == 0.25
    wanted = {"checked": True, "value": 7}
    assert server.predictions[0].config["llm.prediction.maxPredictedTokens"] == wanted


def test_a_schema_makes_structured_replies_and_a_time_limit_is_for_each_row(
    files, server, tmp_path
):
    (tmp_path / "schema.json").write_text(json.dumps(SCHEMA))
    server.reply('{"name": "Ada"}')
    server.reply("never", silent_after=0)
    server.reply("no JSON")
    server.reply('{"name": "A', stop_reason="maxPredictedTokensReached")
    options = ["--schema", tmp_path / "schema.json", "--timeout", 2, "--parallel", 1]
    files.write(json.dumps({"prompt": word}) for word in "abcd")
    files.run(*options, code=4)
    for _ in range(2):  # as it was told, and as the journal tells it
        rows = files.rows()
        assert [row["parsed"] for row in rows] == [{"name": "Ada"}, None, None, None]
        assert rows[0]["error"] is None
        assert "time limit" in rows[1]["error"] or "did not" in rows[1]["error"]
        assert rows[2]["error"] == "The reply is no JSON."
        assert rows[2]["answer"] == "no JSON"
        assert rows[3]["error"] == "The reply was cut short: maxPredictedTokensReached."
        files.output.unlink()
        files.run(*options, code=4)
    assert files.run(*options, "--retry-errors").startswith("4 rows: 4 answered (1 in ")
    assert not any(row["error"] for row in files.rows())


@pytest.mark.parametrize("column", [False, True])
def test_pictures_go_with_the_rows(tmp_path, column):
    with Server(engine=Echo()) as server:
        server.unload("test-llm")
        server.load("test-vlm")
        folder = tmp_path / "data"
        folder.mkdir()
        files = Files(folder, [server.host])
        (folder / "a.png").write_bytes(PNG)
        files.write(['{"prompt": "x", "image": "a.png"}', '{"prompt": "y", "image": "b.png"}'])
        options = ["--image-column", "image"] if column else ["--image", folder / "a.png"]
        said = files.run(*options, "--parallel", 1, code=4 if column else 0)
        asked = [str(one.messages) for one in server.predictions]
        assert all("a.png" in words for words in asked)
        if column:
            assert "Line 2 failed: " in said
            assert "b.png" in files.rows()[1]["error"]
            uploads = len(server.received(endpoint="uploadFileBase64"))
            files.run(*options, code=4)
            assert len(server.received(endpoint="uploadFileBase64")) == uploads
            (folder / "b.png").write_bytes(PNG)
            files.run(*options)
        assert [row["answer"] for row in files.rows()] == ["to x", "to y"]


def test_a_picture_that_the_server_does_not_take_fails_its_row_only(tmp_path):
    with Server(engine=Echo()) as server:
        server.load("test-vlm")
        server.unload("test-llm")
        files = Files(tmp_path, [server.host])
        (tmp_path / "a.png").write_bytes(PNG)
        files.write(['{"prompt": "x", "image": "a.png"}', '{"prompt": "y", "image": "a.png"}'])
        server.hold("uploadFileBase64")
        process = files.start("--image-column", "image", "--parallel", 1)
        server.expect("uploadFileBase64", timeout=LIMIT).error("No room")
        server.release("uploadFileBase64")
        _, said = process.communicate(timeout=LIMIT)
        assert process.returncode == 4
        assert "No room" in said
        assert [row["answer"] for row in files.rows()] == [None, "to y"]
        files.run("--image-column", "image")  # what was never asked is asked again anyway
        assert [row["answer"] for row in files.rows()] == ["to x", "to y"]


def test_rows_are_known_by_content_and_may_move(files, server):
    files.write(['{"prompt": "a"}', '{"prompt": "b"}', '{"prompt": "a"}'])
    files.run()
    assert len(server.predictions) == 3  # equal ones stay two
    files.write(
        [
            *('{"prompt": "c"}', '{"prompt": "a"}', '{"prompt": "b", "more": 1}'),
            *('{"prompt": "a"}', '{"prompt": "a"}'),
        ]
    )
    assert ": 5 answered (3 in earlier runs), 0 failed." in files.run()
    assert [row["prompt"] for row in files.rows()] == ["c", "a", "b", "a", "a"]
    files.write(['{"prompt": "c"}'])
    assert files.run().endswith(f"4 answers in {files.journal} belong to no row (any more).\n")
    assert len(files.rows()) == 1


def test_a_row_is_known_by_its_own_name_and_a_changed_one_is_refused(files):
    files.run("--id", "nr")
    text = files.input.read_text()
    files.input.write_text(text.replace("Question 3", "Another one"))
    said = files.run("--id", "nr", code=1)
    assert (
        "The row with the nr 3 itself, or one of --system, --schema, --image, is not what it was"
        in said
    )
    assert "Name another journal" not in said
    assert files.numbers() == list(range(1, 13))
    files.input.write_text(text.replace('"nr": 3', '"nr": 4'))
    said = files.run("--id", "nr", code=1)
    assert "line 4: another row has the nr 4 too. Nothing was asked." in said


def test_another_system_prompt_or_schema_is_refused(files, tmp_path):
    files.run()
    before = files.output.read_bytes()
    (tmp_path / "schema.json").write_text(json.dumps(SCHEMA))
    for options in (["--system", "Be brief."], ["--schema", tmp_path / "schema.json"]):
        said = files.run(*options, code=1)
        assert "One of --system, --schema, --image is not what it was" in said
        assert files.run()
        assert files.output.read_bytes() == before


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("no JSON", "It is no JSON"),
        ('{"text": 1}', 'A row must be {"prompt": "..."} or {"messages": [...]}.'),
        ('{"prompt": "a", "messages": []}', "A row must be"),
        ("[1]", "It is no JSON object."),
        ("[" * 100_000, "It is no JSON"),
        ('{"prompt": NaN}', "It is no JSON: it has no NaN, write null."),
        (b'{"prompt": "\xe4"}', "It is not UTF-8."),
    ],
)
def test_an_unreadable_row_among_the_first_is_refused_and_spoils_no_other_later(
    files, server, line, words
):
    line = line if isinstance(line, bytes) else line.encode()
    good = b'{"prompt": "a"}\n'
    files.input.write_bytes(good * 2 + b"\n" + line + b"\n")
    said = files.run(code=1)
    assert said.startswith(f"lmstudio: {files.input}, line 4: {words}")
    assert " Nothing was asked.\n" in said
    assert len(said) < 300
    assert not server.predictions
    assert not files.output.exists()

    files.input.write_bytes(good * 10 + line + b"\n" + good)
    for _ in range(2):
        said = files.run(code=4)
        assert said.startswith(f"lmstudio: Line 11 failed: {words}")
        assert len(files.rows()) == 12
        assert files.rows()[10]["error"].startswith(f"Line 11: {words}")
        assert "--retry-errors" not in said
    assert len(server.predictions) == 11


def test_an_output_of_somebody_else_is_not_overwritten(files):
    files.output.write_text('{"line": 2, "input": "35b7ed8e", "content": "It is green."}\n')
    before = files.output.read_bytes()
    said = files.run(code=1)
    assert "would be overwritten: it is there, and its journal" in said
    assert files.output.read_bytes() == before
    assert not files.journal.exists()
    files.journal.write_text("something else\n")
    assert "is no record of a batch.\n  Name another output" in files.run(code=1)
    assert files.output.read_bytes() == before


def test_two_runs_on_one_output_at_once_are_refused(files, server):
    server.hold("predict")
    first = files.start("--parallel", 1)
    call = server.expect("predict", timeout=LIMIT)
    assert "Another batch writes the journal" in files.run(code=1)
    call.success()
    server.release("predict")
    first.communicate(timeout=LIMIT)
    assert first.returncode == 0


def test_what_cannot_work_is_told_and_writes_nothing(files, tmp_path):
    missing = tmp_path / "missing.jsonl"
    here = ["--host", files.hosts[0]]
    for arguments, code, words in (
        ([missing, files.output], 1, rf"({NO_FILE}).*: {re.escape(str(missing))}"),
        ([files.input, files.input], 2, "The input and the output are the same file."),
        ([files.input, files.output, "--journal", files.input], 2, "and the journal are the same"),
        ([files.input, files.output, "--schema", missing], 1, NO_FILE),
        ([files.input, files.output, "--schema", files.input], 1, "is no JSON"),
        ([files.input, files.output, "--image", missing], 1, "There is no picture"),
        ([files.input, tmp_path], 1, "is no file"),
        ([files.input, ""], 2, "OUT is empty"),
        (["", files.output], 2, "IN is empty"),
        ([files.input, tmp_path / "no" / "out.jsonl", *here], 1, "there is no folder"),
        ([files.input, "-", "--retry-errors"], 2, "--retry-errors needs a journal"),
        ([files.input, files.output, *here, "--model", "none"], 1, "none"),
        ([files.input, files.output, "--host", "127.0.0.1:9", "--patience", "0"], 3, "not reach"),
    ):
        done = subprocess.run(
            [sys.executable, "-m", "lmstudio", "batch", *map(str, arguments)],
            capture_output=True,
            text=True,
            timeout=LIMIT,
        )
        assert (done.returncode, done.stdout) == (code, ""), done.stderr
        assert done.stderr.startswith("lmstudio: ")
        assert re.search(words, done.stderr)
        assert "Traceback" not in done.stderr
        assert not files.output.exists()


@pytest.mark.parametrize(
    "options",
    ["--parallel 0", "--retries -1", "--temperature hot", "--patience -1", "--time-limit 0"],
)
def test_wrong_numbers_are_refused(files, options):
    assert options.split()[1] in files.run(*options.split(), code=2)


@needs_terminal
def test_a_bar_is_shown_at_a_terminal(files):
    pytest.importorskip("rich")
    pytest.importorskip("pyte")
    from cli.terminal import Terminal

    arguments = [files.input, files.output, "--host", files.hosts[0]]
    with Terminal("-m", "lmstudio", "batch", *arguments) as terminal:
        assert terminal.wait_end() == 0
        assert "12/12" in terminal.text()
        assert "12 rows: 12 answered, 0 failed." in terminal.text()
