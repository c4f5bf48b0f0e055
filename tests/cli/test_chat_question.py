"""`lmstudio chat QUESTION`: one question of a script; the answer, and nothing else."""

import io
import json
import signal
import subprocess
import sys

import pytest
from cli.chats import LIMIT, asked, chat, contents, contents_of, pipe, saved, stop
from cli.commands import start
from helpers import needs_signals
from PIL import Image

pytestmark = [pytest.mark.usefixtures("data_home"), pytest.mark.terminal]
SCHEMA = {"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]}


def png():
    data = io.BytesIO()
    Image.new("RGB", (2, 2)).save(data, "PNG")
    return data.getvalue()


def files(message):
    return [part["name"] for part in message["content"] if part["type"] == "file"]


def test_the_answer_is_on_standard_output_and_nothing_else(server):
    server.reply("It is **code**.", reasoning="Hm.")
    done = pipe("def f():\n    pass\n", "--host", server.host, "What is this?")
    assert (done.returncode, done.stdout, done.stderr) == (0, "It is **code**.\n", "")
    question = asked(server.predictions[0]).replace("\r\n", "\n")
    assert question == "What is this?\n\ndef f():\n    pass\n"


def test_words_need_no_quotation_marks_and_an_empty_input_is_none(server):
    server.reply("Fine.")
    done = pipe("", "--host", server.host, "How", "are", "you?")
    assert (done.returncode, done.stdout) == (0, "Fine.\n")
    assert asked(server.predictions[0]) == "How are you?"


def test_in_a_terminal_the_input_is_not_waited_for(server):
    server.reply("**Fine.**")
    with chat(server, "How are you?") as terminal:
        assert terminal.wait_end() == 0
        assert terminal.text() == "Fine."
        assert terminal.style_of("Fine.").bold


def test_neither_a_question_nor_an_input_is_told(server):
    done = pipe(" \n", "--host", server.host, "")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "lmstudio: There is no question.\n"


def test_options_of_the_prediction_are_sent(server):
    server.reply("Fine.")
    options = ["--system", "You are brief.", "--temperature", "0.5", "--max-tokens", "7"]
    done = pipe("", "--host", server.host, *options, "Hi.")
    assert done.returncode == 0
    (prediction,) = server.predictions
    assert contents_of(prediction) == ["You are brief.", "Hi."]
    (message,) = server.received(endpoint="predict")
    text = json.dumps(message)
    assert '"llm.prediction.temperature", "value": 0.5' in text
    assert '"llm.prediction.maxPredictedTokens", "value": {"checked": true, "value": 7}' in text


@pytest.mark.parametrize("option", ["--temperature=-1", "--temperature=hot", "--max-tokens=0"])
def test_an_option_without_a_meaning_is_refused(option):
    done = pipe("", option, "Hi.")
    assert (done.returncode, done.stdout) == (2, "")
    assert option.partition("=")[2] in done.stderr


def test_images_are_sent_with_the_question(server, tmp_path):
    server.load("test-vlm")
    for name in ("a.png", "b.png"):
        (tmp_path / name).write_bytes(png())
    images = ["--image", tmp_path / "a.png", "--image", tmp_path / "b.png"]
    done = pipe("", "--host", server.host, "--model", "test-vlm", *images, "What is this?")
    assert (done.returncode, done.stderr) == (0, "")
    assert files(server.predictions[0].messages[0]) == ["a.png", "b.png"]


def test_an_image_may_be_the_input(server):
    server.load("test-vlm")
    done = pipe(png(), "--host", server.host, "--model", "test-vlm", "What is this?")
    assert (done.returncode, done.stderr) == (0, b"")
    assert files(server.predictions[0].messages[0]) == ["input.png"]
    assert asked(server.predictions[0]) == "What is this?"


def test_an_input_that_is_no_text_is_refused(server):
    done = pipe(b"\x7fELF\0\0", "--host", server.host, "What is this?")
    assert (done.returncode, done.stdout) == (2, b"")
    assert done.stderr.startswith(b"lmstudio: The input is no text, and no image.")
    assert server.predictions == []


def test_an_image_that_is_not_there_is_told(server, tmp_path):
    done = pipe("", "--host", server.host, "--image", tmp_path / "a.png", "What is this?")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(f"lmstudio: {tmp_path / 'a.png'}: ")
    assert server.predictions == []


def test_a_reply_that_follows_a_schema(server, tmp_path):
    (tmp_path / "person.json").write_text(json.dumps(SCHEMA))
    server.reply('{"name": "Ada"}', repeat=2)
    options = ["--host", server.host, "--schema", tmp_path / "person.json"]
    done = pipe("", *options, "Who?")
    assert (done.returncode, done.stdout, done.stderr) == (0, '{"name": "Ada"}\n', "")
    done = pipe("", *options, "--json", "Who?")
    assert done.returncode == 0
    told = json.loads(done.stdout)
    assert told["parsed"] == {"name": "Ada"}
    assert told["stop_reason"] == "eosFound"


def test_a_reply_that_breaks_off_before_it_follows_its_schema_has_failed(server, tmp_path):
    (tmp_path / "person.json").write_text(json.dumps(SCHEMA))
    server.reply('{"name": ', stop_reason="maxPredictedTokensReached")
    done = pipe("", "--host", server.host, "--schema", tmp_path / "person.json", "Who?")
    assert done.returncode == 1
    assert "cut off at the greatest number of tokens" in done.stderr


@pytest.mark.parametrize(
    "text", ["no JSON", "[]", None, "[" * 200_000, '{"type": "strin"}', '{"properties": 1}']
)
def test_a_schema_that_is_none_is_refused(server, tmp_path, text):
    path = tmp_path / "schema.json"
    if text is not None:
        path.write_text(text)
    done = pipe("", "--host", server.host, "--schema", path, "Who?")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"lmstudio: --schema {path}")
    assert "Traceback" not in done.stderr
    assert server.predictions == []


def test_json_has_the_answer_and_the_numbers_in_one_line(server):
    server.reply("One \x1b[31m.", reasoning="Hm.", tokens_per_second=7)
    done = pipe("", "--host", server.host, "--json", "Hi.")
    assert (done.returncode, done.stderr, done.stdout.count("\n")) == (0, "", 1)
    assert "\x1b" not in done.stdout
    told = json.loads(done.stdout)
    assert told["answer"] == "One \x1b[31m."
    assert told["reasoning"] == "Hm."
    assert told["model"] == "test-llm"
    assert told["tokens_per_second"] == 7
    assert told["prompt_tokens"] > 0


def test_json_without_a_question_is_refused(server):
    done = pipe("Hi.\n", "--host", server.host, "--json")
    assert (done.returncode, done.stdout) == (2, "")
    assert "--json needs a question" in done.stderr


def test_stats_are_on_standard_error(server):
    server.reply("One.", tokens_per_second=7)
    done = pipe("", "--host", server.host, "--stats", "Hi.")
    assert (done.returncode, done.stdout) == (0, "One.\n")
    assert done.stderr.startswith("7.0 tokens/s, ")


def test_a_reply_that_fails_is_told_by_the_exit_code(server):
    server.reply("one two", error_after=1, error="Out of memory")
    done = pipe("", "--host", server.host, "Hi.")
    assert (done.returncode, done.stderr) == (1, "lmstudio: Out of memory\n")


def test_a_server_that_is_not_there_has_an_exit_code_of_its_own():
    done = pipe("", "--host", "127.0.0.1:9", "Hi.")
    assert (done.returncode, done.stdout) == (3, "")


@pytest.mark.parametrize("options", [["Hi."], ["--json", "Hi."], []])
def test_a_server_that_goes_away_has_it_too(server, options):
    server.reply("one two", drop_after=1)
    done = pipe("" if options else "Hi.\n", "--host", server.host, *options)
    assert done.returncode == 3
    assert done.stderr.endswith(
        f"\n  Is it still running? python -m lmstudio --host {server.host} doctor\n"
    )


def test_an_input_that_is_not_utf_8_is_told(server):
    for arguments, data in ((["Hi."], b"sk\xffy"), ([], b"sk\xffy\nsk\xffy\n")):
        process = start(server, "chat", *arguments, stdin=subprocess.PIPE, text=False)
        _, errors = process.communicate(data, timeout=LIMIT)
        assert process.returncode == 0
        assert errors.count(b"lmstudio: The input is no text in UTF-8: ") == 1


def test_an_input_of_utf_16_is_read(server):
    process = start(server, "chat", "Hi.", stdin=subprocess.PIPE, text=False)
    _, errors = process.communicate("gr\u00fcn".encode("utf-16"), timeout=LIMIT)
    assert (process.returncode, errors) == (0, b"")
    assert "gr\u00fcn" in str(server.received(endpoint="predict"))


def test_ctrl_c_in_a_terminal_leaves_what_came_there_once(held):
    with chat(held, "Count.") as terminal:
        call = held.expect("predict", timeout=LIMIT)
        call.fragment("one two three")
        terminal.wait_for("one two three")
        stop(terminal, call)
        call.success("userStopped")
        assert terminal.wait_end() == 130
    assert terminal.text() == "one two three\n(stopped)"


@needs_signals
def test_ctrl_c_ends_with_its_exit_code_and_what_came_was_printed(server):
    server.reply("word " * 100_000, delay=0.001)
    process = subprocess.Popen(
        [sys.executable, "-m", "lmstudio", "chat", "--host", server.host, "Count."],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout.read(4) == b"word"
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=LIMIT)
    assert (process.returncode, errors) == (130, b"(stopped)\n")


def test_a_single_question_is_kept_only_where_that_is_asked_for(server, tmp_path, data_home):
    server.reply("One.")
    server.reply("Two.")
    server.reply("Three.")
    path = tmp_path / "talk.json"
    assert pipe("", "--host", server.host, "First.").returncode == 0
    assert not data_home.exists()
    assert pipe("", "--host", server.host, "--save", path, "Second.").returncode == 0
    done = pipe("", "--host", server.host, "--resume", path, "--", "Third.")
    assert (done.returncode, done.stdout) == (0, "Three.\n")
    said = ["Second.", "Two.", "Third.", "Three."]
    assert contents(json.loads(path.read_text())) == said
    assert contents_of(server.predictions[2]) == said[:-1]
    assert saved(data_home) == []
