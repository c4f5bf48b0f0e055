"""`python -m lmstudio batch` and inputs that it refuses as a whole, with what to do."""

import json
import os
import re
import socket
import struct
import subprocess
import sys
from pathlib import Path

import pytest
from batch.storms import Echo
from cli.batch_command import LIMIT, Files
from helpers import WINDOWS, eventually, needs_full_disk, needs_signals

from lmstudio.testing import Server

PNG = b"\x89PNG\r\n\x1a\n" + bytes(40)


@pytest.fixture
def table(tmp_path, server):
    return Files(tmp_path, [server.host], form="csv")


@pytest.fixture
def lines(tmp_path, server):
    return Files(tmp_path, [server.host])


@pytest.mark.parametrize("before", [0, 12])
@pytest.mark.parametrize("after", ["r,1\n" * 50, 'r,1\n"closed",1\n'])
def test_a_quote_that_nothing_closes_swallows_no_rows(table, server, before, after):
    head = "prompt,x\n" + "".join(f"q{n},1\n" for n in range(before))
    table.input.write_text(f'{head}"open,1\n{after}')
    said = table.run(code=1)
    assert f"{table.input}, line {before + 2}: A quotation mark opens in the row that beg" in said
    assert "Nothing was asked.\n  Close it, or" in said
    assert not server.predictions
    assert not table.output.exists()


def test_a_quote_of_a_pipe_that_nothing_closes_is_told(table):
    data = b'prompt,x\na,1\n"open,1\nr,1\nr,1\n'
    out, said = table.pipe(data, "--format", "csv", code=4)
    assert "Line 3 failed: A quotation mark opens in the row that begins here" in said
    assert "not closed before line 5" in said
    assert out.count("\n") == 3


def test_an_empty_row_fails_by_itself_wherever_it_is(lines, server):
    lines.write(['{"prompt": "a", "nr": 1}', '{"prompt": "", "nr": 2}', '{"prompt": "b", "nr": 3}'])
    assert lines.run(code=4).startswith("lmstudio: Line 2 failed: Its 'prompt' is empty.\n3 rows")
    assert lines.numbers() == [1, 3]
    assert lines.rows()[1]["error"] == "Line 2: Its 'prompt' is empty."


def test_a_late_name_that_is_there_twice_fails_its_row_of_a_pipe_only(lines, server):
    rows = [{"nr": n, "prompt": f"Question {n}"} for n in (1, 2, 3, 2, 4)]
    data = "".join(json.dumps(row) + "\n" for row in rows).encode()
    options = ["--id", "nr", "--journal", lines.journal]
    out, said = lines.pipe(data, *options, code=4)
    assert "Line 4 failed: Another row before has the nr 2 too." in said
    assert sum(bool(json.loads(line)["answer"]) for line in out.splitlines()) == 4
    assert len(server.predictions) == 4


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('[{"prompt": "a"}]\n', "is a JSON array.\n  A row is one object a line: jq "),
        ('[\n  {"prompt": "a"}\n]\n', "is a JSON array.\n  A row is one object a line: jq "),
        ('{\n  "prompt": "a"\n}\n', "is one JSON object over several lines.\n  A row is one"),
        ('{"Prompt": "a"}\n', "Nothing was asked.\n  Did you mean: --column Prompt\n"),
    ],
)
def test_json_that_is_no_rows(lines, text, words):
    lines.input.write_text(text)
    assert words in lines.run(code=1)


def test_a_field_that_is_not_there_is_told_so(lines):
    lines.write(['{"prompt": "a", "num": 1}'])
    assert "It has no field 'nr'." in lines.run("--id", "nr", code=1)


@pytest.mark.parametrize(
    ("header", "words"),
    [
        ("Prompt,x", "Did you mean: --column Prompt\n"),
        ("prompt ,x", "Did you mean: --column 'prompt '\n"),
        ("prompt|x", "there must be commas, semicolons or tabs.\n"),
    ],
)
def test_a_column_that_is_not_there_is_told_with_the_nearest(table, header, words):
    table.input.write_text(f"{header}\na,1\n")
    assert words in table.run(code=1)


def test_workbooks_and_single_json_values_are_refused(lines, table, tmp_path):
    for output, words in (("o.xlsx", "would be a workbook"), ("o.json", "Name it .jsonl")):
        said = lines.run(output=tmp_path / output, code=2)
        assert words in said
        assert not (tmp_path / output).exists()
        (tmp_path / output).write_text("")
        assert words in lines.run(input=tmp_path / output, code=2)
        (tmp_path / output).unlink()
    table.input.write_bytes(b"PK\x03\x04" + bytes(100))
    assert "Save it as CSV" in table.run(code=1)


def test_a_line_for_excel_and_tabs(table, tmp_path):
    table.input.write_text("sep=;\r\nnr;prompt\r\n1;a\r\n2;b, c\r\n", newline="")
    table.run()
    assert table.output.read_text().startswith("nr;prompt;answer;")
    tabs, commas = tmp_path / "t.tsv", tmp_path / "t.csv"
    tabs.write_text("nr\tprompt\n1\ta\n")
    table.run(input=tabs, output=commas)
    assert commas.read_text().startswith("nr,prompt,answer,")


def test_a_journal_of_other_names_is_refused(lines, server):
    lines.run("--id", "nr")
    said = lines.run(code=1)
    # Such as the one that was answered first.
    assert re.search(
        r"are known by names of their own, such as \d+\.\n  Say which field has them", said
    )
    assert len(server.predictions) == 12
    lines.run("--id", "nr")
    lines.output.unlink()
    lines.journal.unlink()
    lines.run()
    assert "Leave --id out" in lines.run("--id", "nr", code=1)
    assert len(server.predictions) == 24


@pytest.mark.parametrize("schema", ['{"type": "strin"}', "[1]", '{"properties": 1}'])
def test_a_schema_that_is_none_is_told_with_its_file(lines, tmp_path, schema):
    (tmp_path / "s.json").write_text(schema)
    said = lines.run("--schema", tmp_path / "s.json", code=1)
    assert said.startswith(f"lmstudio: --schema {tmp_path / 's.json'} is no JSON schema")
    assert "response_format" not in said
    assert "class" not in said


def test_a_reply_that_does_not_fit_the_schema_is_an_error(lines, server, tmp_path):
    (tmp_path / "s.json").write_text(
        '{"type": "object", "properties": {"topic": {"type": "string"}}, "required": ["topic"]}'
    )
    lines.write(['{"prompt": "a"}', '{"prompt": "b"}'])
    server.reply('{"topic": 5}')
    server.reply("{}", repeat=2)
    server.reply('{"topic": "x"}', repeat=2)
    options = ["--schema", tmp_path / "s.json", "--parallel", 1]
    assert "does not fit its schema: topic: expected string, got 5." in lines.run(*options, code=4)
    for _ in range(2):  # as it was told, and as the journal tells it
        rows = lines.rows()
        assert [row["parsed"] for row in rows] == [None, None]
        assert rows[1]["error"] == "The reply does not fit its schema: topic: missing."
        lines.output.unlink()
        lines.run(*options, code=4)
    lines.run(*options, "--retry-errors", "--retries", 1)
    assert [row["parsed"] for row in lines.rows()] == [{"topic": "x"}] * 2


def test_a_number_that_json_does_not_know_is_not_written(lines, server, tmp_path):
    (tmp_path / "s.json").write_text('{"type": "object"}')
    lines.write(['{"prompt": "a", "n": 1e999}'])
    server.reply('{"n": NaN}')
    lines.run("--schema", tmp_path / "s.json")
    text = lines.output.read_text()
    assert '"n": null' in text
    assert '"parsed": {"n": null}' in text


def test_pictures_must_be_some_and_need_a_model_that_sees(tmp_path):
    with Server(engine=Echo()) as server:
        files = Files(tmp_path, [server.host])
        (tmp_path / "a.png").write_bytes(PNG)
        (tmp_path / "b.png").write_bytes(b"nr,prompt\n")
        assert "b.png is no image" in files.run("--image", tmp_path / "b.png", code=1)
        assert "takes no pictures." in files.run("--image", tmp_path / "a.png", code=1)
        server.unload("test-llm")
        server.load("test-vlm")
        files.write(['{"prompt": "x", "image": "a.png"}', '{"prompt": "y", "image": "b.png"}'])
        assert "b.png is no image" in files.run("--image-column", "image", code=4)
        assert [row["answer"] for row in files.rows()] == ["to x", None]
        assert files.rows()[1]["error"].startswith("Line 2: ")


def test_a_chat_that_is_none_is_told_with_its_line(lines):
    lines.write(['{"prompt": "a"}', '{"messages": [{"role": "usr", "content": "a"}]}'])
    lines.run(code=4)
    assert lines.rows()[1]["error"].startswith("Line 2: ")


@needs_signals
def test_a_time_limit_ends_the_wait_for_the_first_row(lines):
    process = lines.start("--time-limit", 1, input="-", output="-", stdin=-1)
    try:
        assert process.wait(timeout=LIMIT) == 124
        assert process.stderr.read() == "The time limit has passed. Nothing was asked.\n"
    finally:
        process.kill()
        process.communicate()


@needs_full_disk
@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_full_disk_is_told_once_with_what_to_do(lines, unbuffered):
    command = [sys.executable, "-m", "lmstudio", "batch", str(lines.input), "-"]
    with open("/dev/full", "wb") as full:
        done = subprocess.run(
            [*command, "--host", lines.hosts[0], "--journal", str(lines.journal)],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            timeout=LIMIT,
            env={**os.environ, "PYTHONUNBUFFERED": unbuffered},
        )
    assert done.returncode == 1
    assert done.stderr.startswith("12 rows: ")
    assert done.stderr.endswith(
        "lmstudio: Standard output: No space left on device.\n  Make room on that disk.\n"
        "Run the same command again to continue.\n"
    )


def test_without_patience_nobody_is_said_to_wait(lines, server):
    server.reply("one two", drop_after=1)
    server.reply("one two", drop_after=1)
    assert "waits for it" not in lines.run("--parallel", 1, "--patience", 0, code=3)


@needs_signals
def test_what_has_finished_is_written_when_a_time_limit_ends_the_wait_for_a_row(lines):
    process = lines.start("--time-limit", 5, input="-", output="-", stdin=-1)
    try:
        process.stdin.write('{"prompt": "a"}\n')
        process.stdin.flush()
        assert process.wait(timeout=LIMIT) == 124
        assert json.loads(process.stdout.read())["answer"]
        assert "The time limit has passed." in process.stderr.read()
    finally:
        process.kill()
        process.communicate()


@pytest.mark.skipif(WINDOWS or not Path("/proc/self/mem").exists(), reason="every file can be read")
def test_an_input_that_cannot_be_read_is_told_as_such(lines):
    said = lines.run(input="/proc/self/mem", code=1)
    assert said == "lmstudio: Input/output error: /proc/self/mem\n"


@needs_signals
def test_an_input_that_breaks_off_is_told_as_such(lines):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        source = socket.create_connection(listener.getsockname())
        writer, _ = listener.accept()
    with source, writer:
        process = lines.start("--parallel", 1, input="-", stdin=source)
        source.close()
        writer.sendall(b'{"nr": 1, "prompt": "a"}\n')
        eventually(lambda: lines.has_records(1), LIMIT)
        writer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    _, said = process.communicate(timeout=LIMIT)
    assert process.returncode == 1, said
    assert "lmstudio: standard input: Connection reset by peer.\n" in said
    assert said.endswith("Run the same command again to continue.\n")


def test_a_heading_of_several_lines_is_refused(table):
    table.write_csv([["nr", "prompt", "a\nb"], [1, "Hi.", ""]])
    said = table.run(code=1)
    assert said.startswith(f"lmstudio: {table.input}: a quotation mark opens in its first line")
    table.input.write_text('nr,prompt,"size, in ""inches""",5" disk\n1,Hi.,,\n')
    assert "1 answered" in table.run()


def test_a_schema_that_is_nested_too_deeply_is_refused(lines, tmp_path):
    (tmp_path / "s.json").write_text("[" * 200_000)
    said = lines.run("--schema", tmp_path / "s.json", code=1)
    assert said.startswith(f"lmstudio: --schema {tmp_path / 's.json'} is no JSON: ")
