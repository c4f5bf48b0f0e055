"""`lmstudio embed`, `tokens` and `logs`: what they read, and what they print."""

import json
import re
import struct
import subprocess
import sys

import pytest
from cli.commands import LIMIT, command, start, terminal, typed
from helpers import NO_FILE, WINDOWS, eventually, needs_full_disk


def vectors(server, texts):
    """What the server says of these texts, as float32 holds it."""
    import lmstudio as lms

    with lms.Client(server.host) as client:
        return [list(vector) for vector in client.embedding.model().embed(texts)]


def records(text):
    return [json.loads(line) for line in text.splitlines()]


def test_embed_prints_a_line_of_json_for_each_text(server):
    done = command(server, "embed", "The sky is blue.", "Gras ist gr\u00fcn.")
    found = records(done.stdout)
    assert [one["text"] for one in found] == ["The sky is blue.", "Gras ist gr\u00fcn."]
    assert [one["embedding"] for one in found] == vectors(server, [one["text"] for one in found])
    assert done.stderr == ""


def test_embed_reads_the_lines_of_a_file_or_of_the_input(server, tmp_path):
    data = "\ufefffirst\r\n\r\n  second \nthird".encode()
    (tmp_path / "texts.txt").write_bytes(data)
    texts = ["first", "", "  second ", "third"]  # a vector for each line
    done = command(server, "embed", "--file", tmp_path / "texts.txt")
    assert [one["text"] for one in records(done.stdout)] == texts
    done = command(server, "embed", input="first\n\n  second \nthird")
    assert [one["text"] for one in records(done.stdout)] == texts
    done = command(server, "embed", "--file", "-", input="first")
    assert [one["text"] for one in records(done.stdout)] == ["first"]


def test_embed_takes_texts_of_several_lines_from_a_jsonl_file(server, tmp_path):
    file = tmp_path / "texts.jsonl"
    file.write_text('"one\\ntwo"\n{"text": "three", "id": 7}\n')
    found = records(command(server, "embed", "--file", file).stdout)
    assert [one["text"] for one in found] == ["one\ntwo", "three"]
    file.write_text('"one"\n[1]\n')
    done = command(server, "embed", "--file", file, code=1)
    assert f'{file}: line 2 is no JSON string, nor {{"text": "..."}}.' in done.stderr


def test_embed_writes_a_file_of_numpy_that_has_the_same_numbers(server, tmp_path):
    texts = [f"text {number}" for number in range(40)]
    file = tmp_path / "vectors.npy"
    command(server, "embed", *texts, "--output", file)
    expected = vectors(server, texts)
    data = file.read_bytes()
    assert data[:8] == b"\x93NUMPY\x01\x00"
    (length,) = struct.unpack("<H", data[8:10])
    head = data[10 : 10 + length]
    assert (10 + length) % 64 == 0
    assert head.endswith(b"\n")
    shape = (40, len(expected[0]))
    assert eval(head) == {"descr": "<f4", "fortran_order": False, "shape": shape}
    numbers = struct.unpack(f"<{shape[0] * shape[1]}f", data[10 + length :])
    flat = [number for vector in expected for number in vector]
    assert numbers == pytest.approx(flat, rel=1e-6)
    assert list(tmp_path.iterdir()) == [file]


def test_numpy_loads_the_file(server, tmp_path):
    numpy = pytest.importorskip("numpy")
    command(server, "embed", "a", "b", "--output", tmp_path / "vectors.npy")
    found = numpy.load(tmp_path / "vectors.npy")
    assert found.dtype == numpy.float32
    assert numpy.array_equal(found, numpy.float32(vectors(server, ["a", "b"])))


def test_an_embedding_that_fails_leaves_no_half_file(server, tmp_path):
    server.hold("embedString")
    process = start(server, "embed", "a", "--output", tmp_path / "vectors.npy")
    server.expect("embedString", LIMIT).error("Out of memory")
    _, errors = process.communicate(timeout=LIMIT)
    assert (process.returncode, errors) == (1, "lmstudio: Out of memory\n")
    assert list(tmp_path.iterdir()) == []


def test_a_bar_tells_how_many_texts_are_done(server, tmp_path):
    server.hold("embedString")
    with (
        open(tmp_path / "vectors.jsonl", "wb") as out,
        terminal(server, "embed", "a", "b", stdout=out) as screen,
    ):
        calls = [server.expect("embedString", LIMIT) for _ in range(2)]
        calls[0].result({"embedding": [1.0, 2.0]})
        screen.wait_for("texts [############------------] 50% 1 of 2")
        calls[1].result({"embedding": [3.0, 4.0]})
        assert screen.wait_end() == 0
        assert screen.text() == ""
    found = records((tmp_path / "vectors.jsonl").read_text())
    assert [one["embedding"] for one in found] == [[1.0, 2.0], [3.0, 4.0]]


def test_ctrl_c_ends_an_embedding_and_leaves_no_half_file(server, tmp_path):
    server.hold("embedString")
    with terminal(server, "embed", "a", "--output", tmp_path / "vectors.npy") as screen:
        server.expect("embedString", LIMIT)
        screen.ctrl_c_until(screen.has_ended)
        assert screen.wait_end() == 130
        assert "Traceback" not in screen.text()
    assert list(tmp_path.iterdir()) == []


def test_embed_loads_a_model_by_its_key_and_says_which_there_are(server):
    server.unload("test-embedding")
    done = command(server, "embed", "a", code=1)
    assert done.stderr == (
        "lmstudio: No embedding model is loaded.\n"
        "  Name one, and it is loaded: --model test-embedding\n"
        "  Downloaded: test-embedding\n"
    )
    assert records(command(server, "embed", "a", "--model", "test-embedding").stdout)
    done = command(server, "embed", "a", "--model", "test-llm", code=1)
    assert f"It is a language model: {typed(server)} chat --model test-llm" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["a", "--file", "b"], 2, "There is a TEXT and a --file: give one of them."),
        (["--file", "nowhere"], 1, "nowhere: "),
        (["a", "--output", "a.csv"], 2, "a.csv is neither a .npy nor a .jsonl file."),
        (["a", "--output", "nowhere/a.npy"], 1, "nowhere/a.npy: "),
    ],
)
def test_embed_refuses_what_it_cannot_do(server, arguments, code, words):
    done = command(server, "embed", *arguments, code=code)
    assert done.stdout == ""
    assert words in done.stderr


def test_a_text_that_is_not_utf_8_is_told_by_its_line(server, tmp_path):
    file = tmp_path / "texts.txt"
    file.write_bytes(b"first\nsec\xffond\n")
    done = command(server, "embed", "--file", file, code=1)
    assert done.stderr == f"lmstudio: {file} is no text in UTF-8: line 2.\n  Save it as UTF-8.\n"
    assert (
        "is no text in UTF-8: byte 10." in command(server, "tokens", "--file", file, code=1).stderr
    )


def test_embed_does_not_write_into_the_file_of_the_texts(server, tmp_path):
    file = tmp_path / "io.jsonl"
    file.write_text('"one"\n')
    (tmp_path / "same.jsonl").hardlink_to(file)
    for output in (file, f"{tmp_path}/./io.jsonl", tmp_path / "same.jsonl"):
        done = command(server, "embed", "--file", file, "--output", output, code=2)
        assert done.stderr == (
            f"lmstudio: {output} is the file of the texts.\n"
            "  Name another file: --output vectors.jsonl\n"
        )
    assert file.read_text() == '"one"\n'
    command(server, "embed", "one", "--output", file)
    assert records(file.read_text())[0]["text"] == "one"


def test_empty_lines_have_a_row_each_but_not_in_jsonl(server, tmp_path):
    done = command(server, "embed", input="one\n\ntwo\n\n")
    assert [one["text"] for one in records(done.stdout)] == ["one", "", "two", ""]
    assert command(server, "embed", input="").stdout == ""
    (tmp_path / "a.jsonl").write_text('"one"\n\n"two"\n')
    done = command(server, "embed", "--file", tmp_path / "a.jsonl")
    assert [one["text"] for one in records(done.stdout)] == ["one", "two"]


@pytest.mark.parametrize("encoding", ["utf-16", "utf-32", "utf-8-sig"])
def test_texts_with_a_mark_of_their_encoding_are_read(server, tmp_path, encoding):
    file = tmp_path / "texts.txt"
    file.write_bytes("The sky\r\nist gr\u00fcn.\n".encode(encoding))
    done = command(server, "embed", "--file", file)
    assert [one["text"] for one in records(done.stdout)] == ["The sky", "ist gr\u00fcn."]
    count = command(server, "tokens", "The sky\r\nist gr\u00fcn.\n").stdout
    assert command(server, "tokens", "--file", file).stdout == count


@needs_full_disk
def test_a_full_disk_is_told_with_the_name_of_the_file(server, tmp_path):
    file = tmp_path / "full.jsonl"
    file.symlink_to("/dev/full")
    done = command(server, "embed", "a", "--output", file, code=1)
    assert done.stderr == (
        f"lmstudio: {file}: No space left on device\n"
        "  Make room there, then the same command again.\n"
    )


def test_without_a_text_a_person_is_told_how_to_give_one(server):
    for name in ("embed", "tokens"):
        with terminal(server, name) as screen:
            assert screen.wait_end() == 2
            assert screen.text().startswith("lmstudio: There is no text.\n  ")


def test_tokens_are_counted_or_listed(server):
    assert command(server, "tokens", "The sky is blue.").stdout == "5\n"
    assert command(server, "tokens", input="The sky is blue.").stdout == "5\n"
    ids = command(server, "tokens", "The sky is blue.", "--ids").stdout.split()
    assert len(ids) == 5
    found = json.loads(command(server, "tokens", "The sky is blue.", "--ids", "--json").stdout)
    assert found == {"model": "test-llm", "count": 5, "tokens": [int(one) for one in ids]}
    found = json.loads(command(server, "tokens", "The sky", "--json").stdout)
    assert found == {"model": "test-llm", "count": 2}


def test_tokens_of_an_embedding_model_and_of_a_file(server, tmp_path):
    (tmp_path / "text.txt").write_text("The sky is blue.\n" * 100)
    arguments = ["--file", tmp_path / "text.txt", "--model", "test-embedding"]
    assert int(command(server, "tokens", *arguments).stdout) > 400
    done = command(server, "tokens", "--file", tmp_path / "nothing", code=1)
    assert done.stderr.startswith(f"lmstudio: {tmp_path / 'nothing'}: ")
    assert any(words in done.stderr for words in NO_FILE.split("|"))


def talk(server):
    """Ask something, once the log is being read."""
    eventually(lambda: server.received(endpoint="streamLogs"), LIMIT)
    command(server, "chat", input="Hello.\n")


def test_logs_show_what_is_asked_and_answered_and_steer_no_terminal(server):
    server.reply("one \x1b[2J\ntwo")
    process = start(server, "logs")
    talk(server)
    shown = [process.stdout.readline().rstrip("\n") for _ in range(6)]
    process.kill()
    process.communicate()
    assert shown[0].endswith(" test-llm is asked:")
    assert shown[1].startswith("    ")
    assert "Hello." in "".join(shown)
    assert any(line == "    one [2J" for line in shown)
    assert any(" test-llm answers (" in line for line in shown)


def test_logs_as_json_are_a_line_for_each_event(server):
    process = start(server, "logs", "--json")
    talk(server)
    events = [json.loads(process.stdout.readline()) for _ in range(2)]
    process.kill()
    process.communicate()
    types = ["llm.prediction.input", "llm.prediction.output"]
    assert [event["data"]["type"] for event in events] == types
    assert "Hello." in events[0]["data"]["input"]


def test_ctrl_c_ends_the_logs(server):
    with terminal(server, "logs") as screen:
        screen.wait_for("Ctrl-C ends.")
        talk(server)
        screen.wait_for("Hello.", "This is a reply")
        screen.ctrl_c_until(screen.has_ended)
        assert screen.wait_end() == 130
        assert "Traceback" not in screen.text()


def test_logs_end_with_their_server(server):
    process = start(server, "logs")
    eventually(lambda: server.received(endpoint="streamLogs"), LIMIT)
    server.drop_all()
    _, errors = process.communicate(timeout=LIMIT)
    assert process.returncode == 3
    assert re.match("lmstudio: (The connection to LM Studio|LM Studio closed)", errors)
    assert "call" not in errors


def test_a_reader_who_leaves_ends_them_quietly(server):
    process = start(server, "embed", *map(str, range(50)))
    assert process.stdout.readline()
    process.stdout.close()
    assert process.wait(LIMIT) in (0, 1)
    with process.stderr:
        assert process.stderr.read() == ""


@pytest.mark.skipif(WINDOWS, reason="its shell has no head")
def test_the_first_lines_are_enough(server):
    done = subprocess.run(
        f'"{sys.executable}" -m lmstudio --host {server.host} ls | head -n 1',
        shell=True,
        capture_output=True,
        timeout=LIMIT,
    )
    assert done.stderr == b""


def test_a_bar_is_shown_for_an_output_that_is_a_file(server, tmp_path):
    server.hold("embedString")
    path = tmp_path / "vectors.jsonl"
    with terminal(server, "embed", "a", "b", "--output", path) as screen:
        calls = [server.expect("embedString", LIMIT) for _ in range(2)]
        calls[0].result({"embedding": [1.0, 2.0]})
        screen.wait_for("texts [############------------] 50% 1 of 2")
        calls[1].result({"embedding": [3.0, 4.0]})
        assert screen.wait_end() == 0
        assert screen.text() == ""


@pytest.mark.parametrize("end", ["csv", "TSV"])
def test_a_table_is_no_file_of_texts(tmp_path, server, end):
    table = tmp_path / f"texts.{end}"
    table.write_text("id,text\n1,a\n")
    done = subprocess.run(
        [sys.executable, "-m", "lmstudio", "embed", "--file", table, "--host", server.host],
        capture_output=True,
        text=True,
        timeout=LIMIT,
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert f"{table} is a table, and each line of a file is a text." in done.stderr
