"""`python -m lmstudio batch` over tables as people have them: CSV, marks, pipes, odd characters."""

import codecs
import csv
import io
import json
import os
import subprocess
import sys

import pytest
from batch.storms import Echo
from cli.batch_command import Files
from helpers import needs_terminal

from lmstudio.cli.batch import SOME_FAILED
from lmstudio.testing import Server

HEADER = ["nr", "prompt", "wer"]
ROWS = [
    ["1", 'say "hi", please', "Jürgen"],
    ["2", "two\nlines", ""],
    ["3", "semi;colon", "日本"],
]


@pytest.fixture
def echo():
    with Server(engine=Echo()) as server:
        yield server


@pytest.fixture
def table(tmp_path, echo):
    files = Files(tmp_path, [echo.host], form="csv")
    files.write_csv([HEADER, *ROWS])
    return files


def answers(rows):
    return [[*row, f"to {row[1]}", "", "eosFound"] for row in rows]


def read(path, **dialect):
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.reader(file, **dialect))


def test_a_csv_keeps_its_columns_and_gets_its_answers(table, echo):
    table.run()
    added = ["answer", "error", "stop_reason"]
    assert read(table.output) == [[*HEADER, *added], *answers(ROWS)]
    before = table.output.read_bytes()
    table.run()
    assert table.output.read_bytes() == before
    assert len(echo.predictions) == 3


@pytest.mark.parametrize(
    ("encoding", "delimiter", "has_mark"),
    [
        ("utf-8-sig", ",", True),
        ("utf-8", ";", False),
        ("utf-8", "\t", False),
        ("utf-16", ",", True),
        ("utf-16-be", ",", True),
        ("utf-16", "\t", True),
    ],
)
def test_tables_as_excel_and_powershell_write_them(table, encoding, delimiter, has_mark):
    table.write_csv([HEADER, *ROWS], encoding, delimiter=delimiter, lineterminator="\r\n")
    if encoding == "utf-16-be":  # Python writes no mark then
        table.input.write_bytes(codecs.BOM_UTF16_BE + table.input.read_bytes())
    table.run()
    assert table.output.read_bytes().startswith(codecs.BOM_UTF8) == has_mark
    rows = read(table.output, delimiter=delimiter)
    assert rows[0][0].lstrip("\ufeff") == "nr"
    assert rows[1:] == answers(ROWS)


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_jsonl_as_powershell_writes_it(tmp_path, echo, encoding):
    files = Files(tmp_path, [echo.host])
    files.input.write_text('{"prompt": "ä"}\r\n{"prompt": "日本"}\r\n', encoding, newline="")
    files.run()
    assert [row["answer"] for row in files.rows()] == ["to ä", "to 日本"]


def test_other_encodings_are_refused_by_name(table, echo):
    table.write_csv([HEADER, *ROWS], "utf-16-le")
    assert "is UTF-16 without its mark, or no text.\n  Save it as UTF-8." in table.run(code=1)
    table.input.write_bytes("nr,prompt,größe\n1,a,b\n".encode("latin-1"))
    assert "is not UTF-8.\n  Save it as UTF-8; in Excel as CSV UTF-8." in table.run(code=1)
    table.input.write_bytes("nr,prompt\n1,größe\n".encode("latin-1"))
    assert "line 2: It is not UTF-8. Nothing was asked." in table.run(code=1)
    assert not echo.predictions


@pytest.mark.parametrize(
    ("text", "options", "words"),
    [
        (
            "nr,text\n1,a\n",
            [],
            "has no column 'prompt' (its first line has: 'nr', 'text').\n  Name",
        ),
        ("nr,prompt\n1,a\n", ["--id", "key"], "has no column 'key'"),
        ("nr,prompt,nr\n1,a,1\n", [], "has two columns 'nr'. Rename one."),
        ("nr,prompt\n1,a,b\n", [], "line 2: It has 3 cells, and the header has 2. Nothing"),
        ('nr,prompt\n1,"a"b\n', [], "line 2: This is no CSV"),
        ("", [], "has no column 'prompt' (its first line has: none)"),
    ],
)
def test_a_table_that_cannot_be_one_is_refused(table, echo, text, options, words):
    table.input.write_text(text)
    assert words in table.run(*options, code=1)
    assert not echo.predictions
    assert not table.output.exists()


def test_a_row_with_too_many_cells_spoils_no_other(table):
    lines = ["nr,prompt", *(f"{n},a {n}" for n in range(12)), "12,b,c", "", "13,d", ",", '14,"e']
    table.input.write_text("\n".join(lines))
    said = table.run(code=4)
    assert said.startswith(
        "lmstudio: Line 14 failed: It has 3 cells, and the header has 2.\n15 row"
    )
    rows = table.rows()
    assert [row["nr"] for row in rows[:14]] == [str(n) for n in range(14)]
    assert rows[13]["answer"] == "to d"
    assert "This is no CSV" in rows[14]["error"]


def test_the_answers_of_one_run_are_the_questions_of_the_next(table, tmp_path):
    table.run()
    second = Files(tmp_path, table.hosts, form="csv")
    second.input = table.output
    second.output = tmp_path / "second.csv"
    second.run("--column", "answer", "--id", "nr")
    assert read(second.output)[0][-4:] == ["stop_reason", "answer_2", "error_2", "stop_reason_2"]
    assert [row[-3] for row in read(second.output)[1:]] == [f"to to {row[1]}" for row in ROWS]


def test_fields_of_a_schema_are_columns(tmp_path, server):
    files = Files(tmp_path, [server.host], count=2, form="csv")
    fields = {"topic": {"type": "string"}, "n": {"type": "integer"}, "nr": {"type": "array"}}
    (tmp_path / "schema.json").write_text(json.dumps({"type": "object", "properties": fields}))
    server.reply('{"topic": "ä", "n": 3, "nr": ["x"]}')
    server.reply('{"topic": "b"}')
    files.run("--schema", tmp_path / "schema.json", "--parallel", 1)
    first, second = files.rows()
    assert list(first) == [
        *("nr", "prompt", "answer", "topic", "n", "nr_2", "error", "stop_reason"),
    ]
    assert [first["topic"], first["n"], first["nr_2"]] == ["ä", "3", '["x"]']
    assert [second["topic"], second["n"], second["nr_2"]] == ["b", "", ""]


def test_one_form_becomes_the_other(table, tmp_path, echo):
    lines = tmp_path / "lines.jsonl"
    table.run(output=lines)
    rows = [json.loads(line) for line in lines.read_text(encoding="utf-8").splitlines()]
    assert [[row[name] for name in HEADER] for row in rows] == ROWS
    assert [row["answer"] for row in rows] == [f"to {row[1]}" for row in ROWS]

    files = Files(tmp_path, [echo.host])
    files.write(['{"prompt": "a", "tags": [1, "ä"]}', '{"prompt": "b", "n": null, "late": true}'])
    files.run(output=table.output)
    header, *rows = read(table.output)
    assert header[:4] == ["prompt", "tags", "n", "late"]
    assert [row[:5] for row in rows] == [
        ["a", '[1, "ä"]', "", "", "to a"],
        ["b", "", "", "true", "to b"],
    ]


def test_standard_input_and_output(table):
    out, said = table.pipe(table.input.read_bytes(), "--format", "csv", "--ordered")
    assert list(csv.reader(io.StringIO(out)))[1:] == answers(ROWS)
    assert said.startswith("3 rows: 3 answered, 0 failed. ")
    out, _ = table.pipe(b'{"prompt": "a"}\n{"prompt": "b"}\n', "--ordered")
    assert [json.loads(line)["answer"] for line in out.splitlines()] == ["to a", "to b"]
    out, said = table.pipe(b"no JSON\n", code=1)
    assert out == ""
    assert "standard input, line 1: It is no JSON" in said


def test_a_pipe_may_have_a_journal_too(table, echo, tmp_path):
    journal = ["--journal", tmp_path / "j", "--ordered"]
    data = b'{"prompt": "a"}\n{"prompt": "b"}\n'
    first, _ = table.pipe(data, *journal)
    second, said = table.pipe(data, *journal)
    assert first == second
    assert "(2 in earlier runs)" in said
    out, _ = table.pipe(data, *journal, output=tmp_path / "out.jsonl")
    assert out == ""
    assert (tmp_path / "out.jsonl").read_text() == first
    assert len(echo.predictions) == 2


def test_nothing_that_steers_a_terminal_is_in_json(tmp_path, server):
    files = Files(tmp_path, [server.host], count=1)
    server.reply("\x1b]0;title\x07 \x9b31m red \x7f \ud800", repeat=3)
    files.run()
    data = files.output.read_bytes()
    assert data.isascii()
    assert not any(byte < 32 or byte == 127 for byte in data.rstrip(b"\n"))
    assert files.rows()[0]["answer"].startswith("\x1b]0;title\x07 \x9b31m red \x7f ")
    assert files.pipe(files.input.read_bytes())[0] == data.decode()


@needs_terminal
def test_nothing_that_steers_a_terminal_reaches_one(tmp_path, server):
    pytest.importorskip("pyte")
    from cli.terminal import Terminal

    files = Files(tmp_path, [server.host], count=1, form="csv")
    server.reply("before\x1b[2J\x1b[31mafter")
    with Terminal("-m", "lmstudio", "batch", files.input, "-", "--host", server.host) as terminal:
        assert terminal.wait_end() == 0
        assert "before[2J[31mafter" in terminal.text()


def test_a_closed_output_ends_it_quietly(table, echo):
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "wb") as closed:
        done = subprocess.run(
            [sys.executable, "-m", "lmstudio", "batch", table.input, "-", "--host", echo.host],
            stdout=closed,
            stderr=subprocess.PIPE,
            timeout=30,
        )
    assert (done.returncode, done.stderr) == (1, b"")


def test_a_very_long_cell_is_read(table):
    table.write_csv([HEADER, ["1", "x" * 200_000, ""]])
    table.run()
    assert len(table.output.read_bytes()) > 400_000


def test_a_row_of_a_pipe_keeps_fields_that_the_first_one_has_not(tmp_path, server):
    lines = Files(tmp_path, [server.host])
    server.reply("one")
    server.reply("two")
    rows = b'{"prompt": "a"}\n{"prompt": "b", "answer": "mine", "error": "own"}\n'
    out, _ = lines.pipe(rows, "--parallel", 1)
    first, second = map(json.loads, out.splitlines())
    assert (first["answer"], first["error"]) == ("one", None)
    assert (second["answer"], second["error"]) == ("mine", "own")
    assert (second["answer_2"], second["error_2"]) == ("two", None)


def test_a_field_for_which_a_csv_has_no_column_is_told_and_not_dropped(tmp_path, server):
    lines = Files(tmp_path, [server.host])
    rows = b'{"prompt": "a"}\n{"prompt": "b", "note": "keep me"}\n{"prompt": "c"}\n'
    _, said = lines.pipe(rows, "--ordered", output=tmp_path / "out.csv", code=SOME_FAILED)
    assert "Line 2 failed: It has the field 'note'" in said
    assert "--format jsonl" in said
    with open(tmp_path / "out.csv", newline="", encoding="utf-8") as file:
        first, second, third = csv.DictReader(file)
    assert (first["prompt"], first["error"]) == ("a", "")
    assert (third["prompt"], third["error"]) == ("c", "")
    assert "the field 'note'" in second["error"]  # it was not asked
    assert len(server.predictions) == 2
