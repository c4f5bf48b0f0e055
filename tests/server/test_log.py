"""What the embedded server logs: the words of an engine that fails can forge no line."""

import logging

import pytest

import lmstudio as lms
from lmstudio.testing import Engine, Server

EVIL = "\x1b[2Jgone\nroot: all is well\r\x07\u202e"


class Failing(Engine):
    def __init__(self, error):
        self.error = error

    def generate(self, request):
        raise self.error
        yield


class Unreadable(Exception):
    def __str__(self):
        raise RuntimeError


@pytest.mark.parametrize("error", [ValueError(EVIL), Unreadable()])
def test_what_an_engine_raises_is_escaped_in_the_log(caplog, error):
    caplog.set_level("DEBUG", "lmstudio")
    with (
        Server(engine=Failing(error)) as server,
        lms.Client(server.host) as client,
        pytest.raises(lms.LMStudioError),
    ):
        client.llm.model().respond("hi")

    formatted = [logging.Formatter().format(record) for record in caplog.records]
    (told,) = [text for text in formatted if "the engine failed" in text]
    assert type(error).__name__ in told
    assert "in generate" in told  # the traceback
    for text in formatted:
        assert "\x1b" not in text
        assert "\nroot: all is well" not in text
        assert all(line.isprintable() for line in text.split("\n"))


@pytest.mark.parametrize(("level", "lines"), [("WARNING", False), ("INFO", True), ("DEBUG", True)])
def test_connections_are_logged_for_who_asks_and_their_frames_never(caplog, level, lines):
    caplog.set_level(level)
    with Server() as server, lms.Client(server.host) as client:
        client.llm.model().respond("a secret")
    told = [one for one in caplog.records if one.name == "lmstudio.testing.websockets"]
    assert bool(told) == lines
    assert not any("secret" in one.getMessage() for one in told)
