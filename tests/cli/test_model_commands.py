"""`lmstudio ls`, `ps`, `load`, `unload`, `download`: what they print, do and refuse."""

import contextlib
import json
import signal

import pytest
from cli.commands import LIMIT, command, start, terminal, typed
from helpers import eventually, needs_signals

from lmstudio.testing import Model, Server


@pytest.fixture
def models():
    """A server with models of all kinds, of which none is loaded."""
    big = Model(
        key="qwen/qwen3-4b",
        params="4B",
        quantization=("Q4_K_M", 4),
        size_bytes=2_497_280_256,
        max_context_length=40_960,
        trained_for_tool_use=True,
        variants=("qwen/qwen3-4b@q4_k_m", "qwen/qwen3-4b@q8_0"),
    )
    eye = Model(key="eye", vision=True, size_bytes=999)
    embedding = Model(key="nomic-embed", type="embedding", size_bytes=84_106_624)
    tiny = Model(key="tiny", variants=("tiny@q4_k_m", "tiny@q8_0"), size_bytes=60_000_000)
    hub = [tiny, Model(key="tiny-eye"), Model(key="tiny-ear")]
    with Server(models=[big, eye, embedding], loaded=[], hub=hub) as server:
        yield server


def lines(text):
    """The lines of a table, each as a list of its columns."""
    return [
        [cell.strip() for cell in line.split("  ") if cell.strip()] for line in text.splitlines()
    ]


def test_ls_shows_what_is_downloaded_and_what_of_it_is_loaded(models):
    models.load("eye", "second")
    models.load("eye")
    heads, *rows = lines(command(models, "ls").stdout)
    assert heads == ["KEY", "TYPE", "PARAMS", "QUANT", "SIZE", "CONTEXT", "TAKES", "LOADED"]
    assert rows == [
        ["qwen/qwen3-4b", "llm", "4B", "Q4_K_M", "2.50 GB", "40960", "tools", "-"],
        ["eye", "llm", "-", "-", "999 B", "131072", "images", "second, eye"],
        ["nomic-embed", "embedding", "-", "-", "84.11 MB", "131072", "-", "-"],
    ]


def test_ls_shows_variants_if_asked(models):
    _, *rows = lines(command(models, "ls", "--variants").stdout)
    keys = ["qwen/qwen3-4b@q4_k_m", "qwen/qwen3-4b@q8_0", "eye", "nomic-embed"]
    assert [row[0] for row in rows] == keys


def test_ls_as_json_has_the_fields_of_lm_studio(models):
    found = json.loads(command(models, "ls", "--json").stdout)
    assert [one["modelKey"] for one in found] == ["qwen/qwen3-4b", "eye", "nomic-embed"]
    assert found[0]["sizeBytes"] == 2_497_280_256


def test_where_no_model_is_there_the_command_that_gets_one_is_told():
    with Server(models=[]) as server:
        done = command(server, "ls")
        assert (done.stdout, done.stderr) == (
            "",
            f"No model is there. Get one: {typed(server)} download NAME\n",
        )
        assert command(server, "ls", "--json").stdout == "[]\n"


def test_nothing_that_a_server_says_steers_the_terminal():
    evil = Model(key="evil", display_name="\x1b[2J", params="\x9b31m4B\x1b]0;title\x07")
    with Server(models=[evil]) as server:
        assert "31m4B]0;title" in command(server, "ls").stdout
        for arguments in (["ls"], ["ls", "--json"], ["ps"], ["ps", "--json"]):
            text = command(server, *arguments).stdout
            assert text.replace("\n", "").isprintable(), text


def test_ps_shows_state_and_queue(models):
    models.load("eye")
    heads, row = lines(command(models, "ps").stdout)
    assert heads == ["IDENTIFIER", "KEY", "STATE", "QUEUED", "CONTEXT", "SIZE", "UNLOADS"]
    assert row == ["eye", "eye", "idle", "0", "4096", "999 B", "never"]


def test_ps_says_what_a_model_does_and_who_waits(models):
    models.load("eye")
    models.hold("getInstanceProcessingState")
    process = start(models, "ps", "--json")
    models.expect("getInstanceProcessingState", LIMIT).result(
        {"status": "processingPrompt", "queued": 3}
    )
    (found,) = json.loads(process.communicate(timeout=LIMIT)[0])
    assert (found["identifier"], found["status"], found["queued"]) == ("eye", "processingPrompt", 3)
    process = start(models, "ps")
    models.expect("getInstanceProcessingState", LIMIT).result({"status": "generating", "queued": 0})
    assert "writing  0" in process.communicate(timeout=LIMIT)[0]


def test_ps_of_a_server_that_cannot_say_the_state_shows_the_rest(models):
    models.load("eye")
    models.hold("getInstanceProcessingState")
    process = start(models, "ps")
    models.expect("getInstanceProcessingState", LIMIT).error("No such thing")
    _, row = lines(process.communicate(timeout=LIMIT)[0])
    assert row[:4] == ["eye", "eye", "-", "-"]


def test_ps_with_nothing_loaded_says_how_to_load(models):
    done = command(models, "ps")
    assert (done.stdout, done.stderr) == (
        "",
        f"No model is loaded. Load one: {typed(models)} load qwen/qwen3-4b\n",
    )
    assert command(models, "ps", "--json").stdout == "[]\n"


def test_load_takes_its_options_and_a_second_time_does_nothing(models):
    options = ["--ttl", "3600", "--context-length", "3000", "--gpu", "0.5"]
    done = command(models, "load", "eye", *options)
    assert done.stdout == "Loaded: eye (context 3000, unloads after 1h unused)\n"
    assert done.stderr == ""
    done = command(models, "load", "eye", *options)
    assert done.stdout.startswith("Loaded already: eye ")
    assert models.identifiers == ["eye"]
    (found,) = json.loads(command(models, "ps", "--json").stdout)
    assert (found["contextLength"], found["ttlMs"]) == (3000, 3_600_000)


def test_load_by_itself_stays(models):
    assert (
        command(models, "load", "qwen/qwen3-4b").stdout == "Loaded: qwen/qwen3-4b (context 4096)\n"
    )
    assert "ttlMs" not in json.loads(command(models, "ps", "--json").stdout)[0]


def test_load_as_json_and_of_an_embedding_model(models):
    found = json.loads(command(models, "load", "nomic-embed", "--json").stdout)
    assert (found["identifier"], found["type"]) == ("nomic-embed", "embedding")


def test_load_with_an_identifier_loads_once_more(models):
    command(models, "load", "eye")
    assert (
        command(models, "load", "eye", "--identifier", "b").stdout == "Loaded: b (context 4096)\n"
    )
    assert sorted(models.identifiers) == ["b", "eye"]
    done = command(models, "load", "eye", "--identifier", "b", code=1)
    assert '"b" already exists' in done.stderr


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--context-length", "99"], "with context 4096."),
        (["--ttl", "9"], "with no --ttl."),
        (["--gpu", "max"], "with --gpu"),
    ],
)
def test_load_refuses_what_is_loaded_otherwise(models, options, words):
    command(models, "load", "eye", "--gpu", "off")
    done = command(models, "load", "eye", *options, code=1)
    first, *hints = done.stderr.splitlines()
    assert first.startswith("lmstudio: eye is loaded already, ")
    assert words in first
    assert hints[0] == f"  Unload it first: {typed(models)} unload eye"
    assert models.identifiers == ["eye"]


def test_load_of_a_misspelt_key_tells_the_nearest(models):
    done = command(models, "load", "quen/qwen3-4b", code=1)
    assert done.stderr == (
        "lmstudio: There is no model 'quen/qwen3-4b'.\n"
        f"  Did you mean: {typed(models)} load qwen/qwen3-4b\n"
        "  Downloaded: qwen/qwen3-4b, nomic-embed, eye\n"
    )


@pytest.mark.parametrize(
    "name", ["EYE", "testing/Eye", "testing/eye/EYE.gguf", "testing/e", "testing/eye", "Second"]
)
def test_load_finds_what_is_loaded_by_each_of_its_names(models, name):
    models.load("eye", "second")
    done = command(models, "load", name)
    assert done.stdout == "Loaded already: second (context 4096)\n"
    assert models.identifiers == ["second"]


def test_load_finds_an_embedding_model_and_tells_variants_apart(models):
    command(models, "load", "nomic-embed")
    for name in ("testing/NOMIC-embed", "testing/nomic"):
        assert command(models, "load", name).stdout.startswith("Loaded already: nomic-embed ")
    models.load("qwen/qwen3-4b")  # its first variant
    done = command(models, "load", "qwen/qwen3-4b@Q4_K_M")
    assert done.stdout.startswith("Loaded already: ")
    assert command(models, "load", "qwen/qwen3-4b@q8_0").stdout.startswith("Loaded: ")
    assert command(models, "load", "testing", code=1).stdout == ""  # a publisher is no model


def test_unload_takes_any_whole_name_of_a_model(models):
    for name in ("EYE", "testing/eye", "testing/eye/Eye.gguf", "Second"):
        models.load("eye", "second")
        assert command(models, "unload", name).stdout == "Unloaded: second\n"
    models.load("eye", "second")
    command(models, "unload", "testing/e", code=1)  # the beginning of a name is too little
    assert models.identifiers == ["second"]


def test_unload_does_not_suggest_what_is_named_already(models):
    models.load("eye", "model-a")
    models.load("eye", "model-bb")
    done = command(models, "unload", "model-a", "model-b", code=1)
    assert f"Did you mean: {typed(models)} unload model-bb" in done.stderr
    done = command(models, "unload", "model-bb", "model-b", code=1)
    assert f"Did you mean: {typed(models)} unload model-a" in done.stderr


def test_unload_by_identifier_by_key_and_all(models):
    for name in ("a", "b", "c"):
        models.load("eye", name)
    models.load("nomic-embed", "n")
    done = command(models, "unload", "eye", code=1)
    assert done.stderr.startswith("lmstudio: eye is loaded 3 times. Which one?\n")
    assert command(models, "unload", "a", "nomic-embed").stdout == "Unloaded: a\nUnloaded: n\n"
    found = json.loads(command(models, "unload", "--all", "--json").stdout)
    assert found == {"unloaded": ["b", "c"]}
    assert models.identifiers == []
    done = command(models, "unload", "--all")
    assert (done.stdout, done.stderr) == ("", "No model is loaded.\n")
    assert "no model is." in command(models, "unload", "eye", code=1).stderr


def test_unload_of_one_that_is_not_loaded_unloads_nothing(models):
    models.load("eye", "first")
    done = command(models, "unload", "first", "firts", code=1)
    assert done.stderr == "lmstudio: 'firts' is not loaded.\n  Loaded: first\n"
    done = command(models, "unload", "firts", code=1)
    assert f"Did you mean: {typed(models)} unload first" in done.stderr
    assert models.identifiers == ["first"]
    assert "--all" in command(models, "unload", code=2).stderr
    assert "--all" in command(models, "unload", "a", "--all", code=2).stderr


def test_download_by_name_by_words_and_by_quantization(models):
    done = command(models, "download", "testing/tiny")
    assert done.stdout == "Downloaded: tiny\n"
    assert done.stderr == (
        f"Downloading tiny, Q4_K_M, 60.00 MB\nTalk with it: {typed(models)} chat --model tiny\n"
    )
    assert "tiny" in command(models, "ls").stdout
    assert command(models, "download", "EAR").stdout == "Downloaded: tiny-ear\n"
    done = command(models, "download", "tiny@q8_0", "--json")
    found = json.loads(done.stdout)
    assert (found["modelKey"], found["quantization"]) == ("tiny", "Q8_0")


def test_download_of_what_is_not_clear_lists_what_there_is(models):
    done = command(models, "download", "tiny-", code=1)
    assert done.stderr == (
        "lmstudio: 2 models are found for 'tiny-'. Which one?\n"
        f"  {typed(models)} download testing/tiny-eye\n"
        f"  {typed(models)} download testing/tiny-ear\n"
    )
    assert "Offered: Q4_K_M, Q8_0" in command(models, "download", "tiny@q9", code=1).stderr
    assert "No model is found" in command(models, "download", "nothing", code=1).stderr


def test_download_lists_models_and_their_forms_without_downloading(models):
    _, *rows = lines(command(models, "download", "tiny-", "--list").stdout)
    assert [row[0] for row in rows] == ["testing/tiny-eye", "testing/tiny-ear"]
    _, *rows = lines(command(models, "download", "tiny", "--list").stdout)
    assert [row[0] for row in rows] == ["testing/tiny@Q4_K_M", "testing/tiny@Q8_0"]
    found = json.loads(command(models, "download", "tiny", "--list", "--json").stdout)
    assert [one["quantization"] for one in found] == ["Q4_K_M", "Q8_0"]
    assert not models.received(endpoint="downloadModel")


def test_the_bar_of_a_load_is_on_the_screen_and_ctrl_c_stops_the_load(models):
    models.hold("loadModel")
    with terminal(models, "load", "eye") as screen:
        call = models.expect("loadModel", LIMIT)
        call.progress(0.25)
        screen.wait_for("Loading eye [######------------------] 25%")
        call.progress(0.5)
        screen.wait_for(" 50%")
        assert " 25%" not in screen.text()
        screen.ctrl_c_until(lambda: call.cancelled)
        assert screen.wait_end() == 130
        assert "Loading" not in screen.text()
        assert "Traceback" not in screen.text()
    assert models.identifiers == []


def test_the_bar_of_a_load_goes_when_it_is_loaded(models):
    models.hold("loadModel")
    with terminal(models, "load", "eye") as screen:
        call = models.expect("loadModel", LIMIT)
        call.progress(0.25)
        screen.wait_for(" 25%")
        call.proceed()
        assert screen.wait_end() == 0
        assert screen.text() == "Loaded: eye (context 4096)"


def test_the_bar_of_a_download_tells_size_and_speed_and_ctrl_c_stops_it(models):
    models.hold("downloadModel")
    with terminal(models, "download", "tiny-eye") as screen:
        call = models.expect("downloadModel", LIMIT)
        update = {
            "downloadedBytes": 1_000_000_000,
            "totalBytes": 4_000_000_000,
            "speedBytesPerSecond": 50_000_000.0,
        }
        call.packet({"type": "downloadProgress", "update": update})
        screen.wait_for("25% 1.00 GB of 4.00 GB, 50.00 MB/s, 1m left")
        screen.ctrl_c_until(lambda: call.cancelled)
        assert screen.wait_end() == 130
        assert "GB of" not in screen.text()
        assert "Traceback" not in screen.text()


def test_no_bar_where_no_terminal_is(models):
    models.hold("loadModel")
    process = start(models, "load", "eye")
    call = models.expect("loadModel", LIMIT)
    call.progress(0.25)
    call.proceed()
    assert process.communicate(timeout=LIMIT) == ("Loaded: eye (context 4096)\n", "")


@needs_signals
def test_ctrl_c_stops_a_load_without_a_terminal(models):
    models.hold("loadModel")
    process = start(models, "load", "eye")
    call = models.expect("loadModel", LIMIT)
    for _ in range(3):  # Python overlooks one between its last look and the wait
        process.send_signal(signal.SIGINT)
        with contextlib.suppress(AssertionError):
            call.expect_cancel(2.0)
            break
    assert process.communicate(timeout=LIMIT) == ("", "")
    assert process.returncode == 130


def test_a_narrow_terminal_has_a_bar_of_one_line(models):
    models.hold("loadModel")
    with terminal(models, "load", "qwen/qwen3-4b", size=(6, 20)) as screen:
        call = models.expect("loadModel", LIMIT)
        call.progress(0.25)
        call.progress(0.5)
        screen.wait_for("Loading qwen/qwen3-")
        call.progress(0.75)
        call.error("It is too large.")
        assert screen.wait_end() == 1
        assert screen.text().startswith("lmstudio: It is too")


def test_a_server_that_goes_away_is_told_with_what_to_do(models):
    models.hold("loadModel")
    process = start(models, "load", "eye")
    models.expect("loadModel", LIMIT)
    models.drop_all()
    first, *hints = process.communicate(timeout=LIMIT)[1].splitlines()
    assert process.returncode == 3
    assert first.startswith("lmstudio: ")
    assert "Errno" not in first
    assert hints == [f"  Is it still running? {typed(models)} doctor"]


@pytest.mark.parametrize("arguments", [["ls"], ["ps"], ["unload", "qwen/qwen3-4b"]])
def test_what_is_unloaded_meanwhile_fails_no_command(models, arguments):
    models.load("eye")
    models.load("qwen/qwen3-4b", "second")
    models.hold("getModelInfo")
    process = start(models, *arguments)
    eventually(lambda: models.received(endpoint="getModelInfo"), LIMIT)
    models.unload("eye")
    models.release("getModelInfo")
    output, errors = process.communicate(timeout=LIMIT)
    assert (process.returncode, errors) == (0, "")
    assert "second" in output
