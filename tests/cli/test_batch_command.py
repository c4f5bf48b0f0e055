"""`python -m lmstudio batch`: one line for each, resumed to exactly the full set."""

import json
import os
import re
import signal
import subprocess
import sys

import pytest
from helpers import NO_FILE, eventually, needs_signals, needs_terminal

LIMIT = 30.0  # seconds
SCHEMA = {"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]}


class Files:
    """The input, the output and the command over them."""

    def __init__(self, folder, server, count):
        self.input, self.output = folder / "in.jsonl", folder / "out.jsonl"
        self.server, self.count = server, count
        self.write(json.dumps({"prompt": f"Question {n}"}) for n in range(1, count + 1))

    def write(self, lines):
        self.input.write_text("".join(f"{line}\n" for line in lines))

    def start(self, *options, input=None, pass_fds=()):
        names = [input or self.input, self.output, "--host", self.server.host]
        return subprocess.Popen(
            [sys.executable, "-m", "lmstudio", "batch", *map(str, [*names, *options])],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            pass_fds=pass_fds,
        )

    def run(self, *options, code=0):
        """Run it to its end; what it said on stderr."""
        process = self.start(*options)
        output, errors = process.communicate(timeout=LIMIT)
        assert (process.returncode, output) == (code, ""), errors
        assert "Traceback" not in errors
        return errors

    def results(self):
        """The results by line; each line must be there once."""
        records = [json.loads(line) for line in self.output.read_text().splitlines()]
        assert len({record["line"] for record in records}) == len(records)
        return {record["line"]: record for record in records}

    def has_results(self, count):
        return self.output.exists() and self.output.read_bytes().count(b"\n") >= count


@pytest.fixture
def files(tmp_path, server):
    return Files(tmp_path, server, 12)


def test_each_line_is_answered_once_and_a_second_run_does_nothing(files, server):
    assert files.run() == "12 lines: 12 results, 0 errors.\n"
    results = files.results()
    assert sorted(results) == list(range(1, 13))
    record = results[1]
    assert record["content"] == "This is a reply of the test server."
    assert record["stop_reason"] == "eosFound"
    assert record["predicted_tokens"] > 0
    before = files.output.read_bytes()
    assert files.run() == "12 lines: 0 results, 0 errors, 12 done before.\n"
    assert files.output.read_bytes() == before
    assert len(server.predictions) == 12


def test_chats_and_bad_lines_and_errors_of_the_server(files, server):
    server.reply("one", error_after=0, error="Out of memory")
    chat = {"messages": [{"role": "user", "content": "hi"}]}
    files.write(['{"prompt": "a"}', json.dumps(chat), "", "no JSON", '{"text": 1}', "{}", "[1]"])
    assert files.run("--parallel", 1) == "6 lines: 1 result, 5 errors.\n"
    results = files.results()
    assert sorted(results) == [1, 2, 4, 5, 6, 7]  # the empty line has none
    assert results[1]["type"] == "LMStudioServerError"
    assert "Out of memory" in results[1]["error"]
    assert results[2]["content"]
    assert "no JSON" in results[4]["error"]
    assert '{"prompt": "..."}' in results[5]["error"]


def test_a_schema_makes_structured_replies_and_a_time_limit_is_for_each_line(
    files, server, tmp_path
):
    (tmp_path / "schema.json").write_text(json.dumps(SCHEMA))
    server.reply('{"name": "Ada"}')
    server.reply("never", silent_after=0)
    files.write(['{"prompt": "a"}', '{"prompt": "b"}'])
    files.run("--schema", tmp_path / "schema.json", "--timeout", "0.3", "--parallel", 1)
    assert files.results()[1]["parsed"] == {"name": "Ada"}
    assert files.results()[2]["type"] == "LMStudioTimeoutError"


@pytest.mark.parametrize("end", [pytest.param("Ctrl-C", marks=needs_signals), "kill"])
def test_ctrl_c_and_kill_lose_nothing_finished_and_write_nothing_twice(files, server, end):
    server.reply("quick", repeat=5)
    server.reply("word " * 100_000, delay=0.001, repeat=2)
    process = files.start("--parallel", 2)
    eventually(lambda: files.has_results(5), LIMIT)
    server.wait_prediction(6, timeout=LIMIT).wait_tokens(1)
    if end == "kill":
        process.kill()
    else:
        process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=LIMIT)

    if end == "Ctrl-C":
        assert process.returncode == 130
        assert (
            errors
            == "12 lines: 5 results, 0 errors, 7 to do.\nStopped. The same command goes on.\n"
        )
    assert len(files.results()) == 5
    for prediction in server.predictions[5:]:
        prediction.wait_finished()
    assert files.run() == "12 lines: 7 results, 0 errors, 5 done before.\n"
    assert sorted(files.results()) == list(range(1, 13))


def test_a_last_line_that_is_not_whole_is_cut_off_and_done_again(files):
    files.run()
    text = files.output.read_bytes()
    files.output.write_bytes(text[:-20])
    assert files.run() == "12 lines: 1 result, 0 errors, 11 done before.\n"
    assert sorted(files.results()) == list(range(1, 13))


def test_a_changed_input_and_a_strange_output_are_refused(files):
    files.run()
    before = files.output.read_bytes()
    files.input.write_text(files.input.read_text().replace("Question 3", "Another one"))
    words = "Line 3 of the input, or the schema, is not the one that was answered before."
    assert words in files.run(code=1)
    assert files.output.read_bytes() == before
    files.output.write_text("something else\n")
    assert "is no result of a batch. Name another file." in files.run(code=1)


def test_a_schema_that_comes_later_is_refused(files, tmp_path):
    files.run()
    (tmp_path / "schema.json").write_text(json.dumps(SCHEMA))
    errors = files.run("--schema", tmp_path / "schema.json", code=1)
    assert "or the schema, is not the one" in errors


def test_a_server_that_goes_ends_the_run_and_its_lines_are_done_later(files, server):
    server.reply("quick", repeat=3)
    server.reply("one two", drop_after=1)
    errors = files.run("--parallel", 1, code=1)
    first, second, _ = errors.split("\n", 2)
    assert first == "12 lines: 3 results, 0 errors, 9 to do."
    assert re.match("lmstudio: (The connection to LM Studio broke|LM Studio closed)", second)
    assert errors.endswith("\nThe same command goes on later.\n")
    files.run()
    assert sorted(files.results()) == list(range(1, 13))


def test_what_a_model_was_unloaded_in_is_asked_again_if_the_model_is_there(files, server):
    server.reply("quick", repeat=3)
    server.reply("one two", stop_reason="modelUnloaded")
    assert files.run("--parallel", 1) == "12 lines: 12 results, 0 errors.\n"
    assert sorted(files.results()) == list(range(1, 13))
    assert len(server.predictions) == 13


def test_an_input_that_lost_lines_is_refused(files):
    files.run()
    files.input.write_text("".join(files.input.read_text().splitlines(keepends=True)[:-1]))
    errors = files.run(code=1)
    assert errors == (
        "lmstudio: The input has 11 lines, but line 12 was answered before. "
        "Name another output file, or take the input as it was.\n"
    )


@pytest.mark.parametrize("line", ["[" * 100_000, '{"prompt": "a", "messages": []}'])
def test_a_line_that_holds_no_question_has_an_error_and_the_others_go_on(files, line):
    files.write([line, '{"prompt": "a"}'])
    assert files.run() == "2 lines: 1 result, 1 error.\n"
    assert files.results()[1]["type"] == "LMStudioValueError"
    assert len(files.results()[1]["error"]) < 200


@needs_signals
def test_ctrl_c_does_not_wait_for_the_next_line_of_a_pipe(files, server):
    server.reply("word " * 100_000, delay=0.001)
    reader, writer = os.pipe()
    with os.fdopen(writer, "wb", buffering=0) as pipe:
        pipe.write(b'{"prompt": "a"}\n')
        process = files.start("--parallel", 2, input=f"/dev/fd/{reader}", pass_fds=[reader])
        os.close(reader)
        server.wait_prediction(0, timeout=LIMIT).wait_tokens(1)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=LIMIT)
    assert process.returncode == 130
    assert errors == "0 results, 0 errors.\nStopped. The same command goes on.\n"
    server.predictions[0].wait_finished()
    assert not files.results()


def test_two_runs_on_one_output_at_once_are_refused(files, server):
    server.hold("predict")
    first = files.start("--parallel", 1)
    call = server.expect("predict", timeout=LIMIT)
    assert "Another batch is writing" in files.run(code=1)
    call.success()
    server.release("predict")
    first.communicate(timeout=LIMIT)
    assert first.returncode == 0


def test_what_cannot_work_is_one_line_and_writes_nothing(files, tmp_path):
    missing = tmp_path / "missing.jsonl"
    for arguments, words in (
        ([missing, files.output], rf"({NO_FILE}).*: {re.escape(str(missing))}"),
        ([files.input, files.input], "The input and the output are the same file."),
        ([files.input, files.output, "--schema", missing], NO_FILE),
        ([files.input, files.output, "--schema", files.input], "is no JSON"),
        ([files.input, files.output, "--host", "127.0.0.1:9"], "not reachable at 127.0.0.1:9"),
    ):
        done = subprocess.run(
            [sys.executable, "-m", "lmstudio", "batch", *map(str, arguments)],
            capture_output=True,
            text=True,
            timeout=LIMIT,
        )
        assert (done.returncode, done.stdout) == (1, "")
        assert done.stderr.startswith("lmstudio: ")
        assert re.search(words, done.stderr)
        assert not re.search(r"\n\S", done.stderr)  # suggestions on lines of their own, set in


@needs_terminal
def test_a_bar_is_shown_at_a_terminal(files):
    pytest.importorskip("rich")
    pytest.importorskip("pyte")
    from cli.terminal import Terminal

    with Terminal(
        "-m", "lmstudio", "batch", files.input, files.output, "--host", files.server.host
    ) as terminal:
        assert terminal.wait_end() == 0
        assert "12/12" in terminal.text()
        assert "12 lines: 12 results, 0 errors." in terminal.text()
