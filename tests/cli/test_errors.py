"""Errors in a terminal's words: what is wrong, the command that mends it, and no Python."""

import io
import re

import pytest

import lmstudio as lms
from lmstudio.cli._errors import CommandError, complain, in_words, list_some, nearest
from lmstudio.cli._model import get_embedding_model, get_model
from lmstudio.cli._screen import Screen
from lmstudio.testing import Server

TOKEN = "sk-lm-abcdefgh:ABCDEFGHIJKLMNOPQRST"
PYTHON = re.compile(r"client\.|api_host|api_token|LMStudio|Error\b|\w+\(|ws://|timeout=|None")


@pytest.fixture
def screen(capsys):
    return Screen(io.StringIO())


@pytest.fixture(autouse=True)
def name(monkeypatch):
    monkeypatch.setattr("sys.argv", ["/usr/bin/lmstudio"])


def told(capsys, call, *arguments):
    """What is said of the error that a call raises: its first line, the others, the exit code."""
    with pytest.raises(lms.LMStudioError) as caught:
        call(*arguments)
    code = complain(caught.value)
    output, text = capsys.readouterr()
    assert (output, PYTHON.search(text)) == ("", None), text
    first, *hints = text.splitlines()
    assert all(hint.startswith("  ") for hint in hints)
    assert first.startswith("lmstudio: ")
    return first[len("lmstudio: ") :], [hint[2:] for hint in hints], code


def test_a_misspelt_key_is_told_with_the_nearest_and_those_that_there_are(client, screen, capsys):
    assert told(capsys, get_model, client, "tset-llm", screen) == (
        "There is no language model 'tset-llm'.",
        ["Did you mean: --model test-llm", "Downloaded: test-llm, test-vlm"],
        1,
    )


def test_without_a_loaded_model_a_key_is_told_that_loads_one(server, client, screen, capsys):
    server.unload("test-llm")
    assert told(capsys, get_model, client, None, screen) == (
        "No language model is loaded.",
        ["Name one, and it is loaded: --model test-llm", "Downloaded: test-llm, test-vlm"],
        1,
    )
    server.unload("test-embedding")
    what, hints, _ = told(capsys, get_embedding_model, client, None, screen)
    assert what == "No embedding model is loaded."
    assert hints[0] == "Name one, and it is loaded: --model test-embedding"


def test_where_nothing_is_downloaded_the_command_that_gets_a_model_is_told(screen, capsys):
    with Server(models=[]) as server, lms.Client(server.host) as client:
        what, hints, _ = told(capsys, get_model, client, None, screen)
        assert what == "No language model is loaded, and none is downloaded."
        assert hints == ["Get one: lmstudio download NAME"]
        _, hints, _ = told(capsys, get_model, client, "qwen", screen)
        assert hints == ["Get one: lmstudio download qwen"]


def test_a_model_of_the_other_kind_is_told_with_the_command_for_it(client, screen, capsys):
    _, hints, _ = told(capsys, get_model, client, "test-embedding", screen)
    assert hints == ["It turns texts into vectors: lmstudio embed --model test-embedding TEXT"]
    _, hints, _ = told(capsys, get_embedding_model, client, "test-llm", screen)
    assert hints == ["It is a language model: lmstudio chat --model test-llm"]


def test_a_server_that_is_not_there(capsys):
    what, hints, code = told(capsys, lms.Client("127.0.0.1:9").llm.model)
    assert what.startswith("LM Studio is not reachable at 127.0.0.1:9: ")
    assert "refused" in what
    assert hints[-1] == "What is wrong: lmstudio doctor"
    assert any("--host host:port" in hint for hint in hints)
    assert code == 3


def test_a_token_that_is_wanted_or_wrong(capsys, monkeypatch):
    with Server(token=TOKEN) as server:
        what, hints, code = told(capsys, lms.Client(server.host).llm.model)
        assert what.startswith("LM Studio does not let us in: ")
        assert "LM_API_TOKEN=sk-lm-..." in hints[0]
        assert code == 3
        monkeypatch.setenv("LM_API_TOKEN", TOKEN.replace("a", "b"))
        _, hints, _ = told(capsys, lms.Client(server.host).llm.model)
        assert "the API token in LM_API_TOKEN" in hints[0]
    monkeypatch.setenv("LM_API_TOKEN", "bla")
    what, hints, _ = told(capsys, lms.Client, server.host)
    assert what == "The environment variable LM_API_TOKEN is not an LM Studio API token."
    assert "sk-lm-" in hints[0]


@pytest.mark.parametrize("key", ["", "a\x1bb"])
def test_a_key_that_is_none(client, screen, capsys, key):
    what, hints, _ = told(capsys, get_model, client, key, screen)
    assert what.startswith("A model key ")
    assert hints == ["Which there are: lmstudio ls"]


@pytest.mark.parametrize("host", ["no host", "a:b@c", TOKEN, "ftp://a", "a:99999999"])
def test_a_host_that_is_none_is_told_as_the_option_it_was_given_by(capsys, host):
    what, _, code = told(capsys, lms.Client, host)
    assert what.startswith("--host ")
    assert code == 2


def test_the_servers_words_steer_no_terminal_and_its_suggestion_has_a_line(capsys):
    details = {
        "title": "Out of \x1b[2Jmemory\r\nat once",
        "cause": "\x9b31mtoo long",
        "suggestion": "Take a\x07 smaller model.",
    }

    def fail():
        raise lms.LMStudioServerError("Chat response error", details)

    assert told(capsys, fail) == (
        "Out of [2Jmemory at once",
        ["31mtoo long", "Take a smaller model."],
        1,
    )


def test_words_of_ours_and_of_the_system_are_told_in_the_same_way(tmp_path, capsys):
    assert complain("This is wrong.") == 1
    assert capsys.readouterr().err == "lmstudio: This is wrong.\n"
    with pytest.raises(OSError, match="nothing") as caught:
        (tmp_path / "nothing").read_text()
    complain(caught.value)
    assert capsys.readouterr().err.startswith(f"lmstudio: {tmp_path / 'nothing'}: ")


def test_what_had_arrived_stays_with_the_error(server, model):
    server.reply("one two", error_after=1)
    with pytest.raises(lms.LMStudioError) as caught:
        model.respond("Count.")
    error = in_words(caught.value)
    assert isinstance(error, CommandError)
    assert error.partial is caught.value.partial is not None
    assert in_words(error) is error


def test_names_near_to_one_come_first_and_long_lists_are_cut():
    names = [f"model-{number}" for number in range(20)] + ["qwen3"]
    assert list_some(names, "qwne3").startswith("qwen3, ")
    assert list_some(names).endswith(" and 13 more")
    assert nearest("QWEN3", names) == nearest("wen3", names) == "qwen3"
    assert nearest("something else", names) is None
    assert nearest("o", ["a"]) is None


@pytest.mark.parametrize(
    ("error", "what", "hints"),
    [
        (lms.LMStudioCancelledError("by an event"), "Stopped.", []),
        (
            OSError(28, "No space left on device", "out.jsonl"),
            "out.jsonl: No space left on device",
            ["Make room there, then the same command again."],
        ),
        (
            lms.LMStudioServerError(
                "Model error", {"title": "Unknown error", "cause": "No memory"}
            ),
            "No memory",
            [],
        ),
        (
            lms.LMStudioServerError(
                "Model error", {"title": "It failed", "suggestion": "Use Python"}
            ),
            "It failed",
            ["Use Python"],
        ),
        (
            lms.LMStudioServerError(
                "Authentication failed: a client whose last connection has closed",
                {"title": "Too late"},
            ),
            "LM Studio does not let us in: Too late",
            ["Wait until other programs with this token have ended, or restart LM Studio's server"],
        ),
        (
            lms.LMStudioServerError(
                "Authentication failed. The environment variable LM_API_TOKEN", {"title": "Bad"}
            ),
            "LM Studio does not let us in: Bad",
            ["Check the API token in LM_API_TOKEN: LM Studio's Developer page has them"],
        ),
        (
            lms.LMStudioValueError("api_host must not hold a user name."),
            "--host must not hold a user name.",
            [],
        ),
        (
            lms.LMStudioValueError("preset 'x': LM Studio refuses that. See there."),
            "preset 'x': LM Studio refuses that.",
            ["Which there are: lmstudio ls"],
        ),
    ],
)
def test_errors_in_the_words_of_a_terminal(error, what, hints):
    told = in_words(error)
    assert (told.what, told.hints) == (what, hints)


def test_who_is_not_reached_is_told_where_to_look(monkeypatch):
    look = "What is wrong: lmstudio doctor"
    nowhere = in_words(lms.LMStudioWebsocketError("No LM Studio at any default port."))
    assert nowhere.what == "No LM Studio answers on this machine."
    named = in_words(lms.LMStudioWebsocketError("LMS_API_SERVER_INFO_PATH names a port."))
    assert named.hints == ["Is it elsewhere? --host host:port", look]
    tls = in_words(
        lms.LMStudioWebsocketError("No TLS at wss://there:1/llm. Does that port speak TLS?")
    )
    assert tls.what == "No TLS at there:1."
    assert tls.hints[0].startswith("Does it speak TLS there?")
    unknown = in_words(lms.LMStudioWebsocketError("Nobody knows the name there."))
    assert unknown.hints == ["Is the host right? --host host:port", look]
