"""Small parts of the terminal programs: what they say where something is missing or odd."""

import json
from types import SimpleNamespace

import pytest

from lmstudio.cli._chat.replies import speed
from lmstudio.cli._errors import CommandError
from lmstudio.cli._npy import NpyFile
from lmstudio.cli.download import _choose_form, _list_models
from lmstudio.cli.logs import _speed as speed_in_logs

STATS = dict.fromkeys(
    (
        *("tokens_per_second", "predicted_tokens_count"),
        *("prompt_tokens_count", "time_to_first_token_sec"),
    )
)


def reply(**known):
    return SimpleNamespace(stats=SimpleNamespace(**{**STATS, **known}))


def test_how_quick_a_reply_was_is_told_as_far_as_the_server_said():
    assert speed(reply()) is None
    assert speed(reply(tokens_per_second=9.96)) == "10.0 tokens/s"
    assert speed(reply(predicted_tokens_count=7)) == "7 tokens"
    assert speed(reply(prompt_tokens_count=5)) == "prompt 5 tokens"
    assert speed(reply(time_to_first_token_sec=0.5)) == "first after 0.50 s"


def test_a_log_of_a_reply_without_statistics_tells_no_speed():
    assert speed_in_logs(None) == speed_in_logs(reply().stats) == ""


def test_vectors_of_another_length_are_refused(tmp_path):
    with (
        pytest.raises(CommandError, match=r"Vector 2 has 3 numbers, the others 2\."),
        NpyFile(str(tmp_path / "vectors.npy")) as file,
    ):
        file.append([1.0, 2.0])
        file.append([1.0, 2.0, 3.0])


def form(quantization, recommended=False):
    info = SimpleNamespace(quantization=quantization, recommended=recommended)
    return SimpleNamespace(info=info)


def test_the_form_to_download_is_the_one_that_is_asked_for_or_recommended():
    forms = [form("Q4"), form("Q8", recommended=True)]
    assert _choose_form("name", forms, "") is forms[1]
    assert _choose_form("name", forms[:1], "") is forms[0]
    assert _choose_form("name", forms, "q4") is forms[0]
    with pytest.raises(CommandError, match="name is not offered as 'Q2'"):
        _choose_form("name", forms, "Q2")
    with pytest.raises(CommandError, match="offered in no form that LM Studio can use"):
        _choose_form("name", [], "")


def test_what_a_search_finds_is_listed_as_json_too(client, capsys):
    _list_models(client.repository.search_models("test"), True)
    found = json.loads(capsys.readouterr().out)
    assert all(entry["name"] for entry in found)
    assert found
