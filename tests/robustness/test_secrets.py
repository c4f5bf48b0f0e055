"""Tokens and passwords are in no log, repr, traceback or pickle; logs hold no control codes."""

import io
import logging
import pickle
import traceback

import pytest
import websocket

import lmstudio as lms
from lmstudio.testing import Server

SECRET = "abcdefghij0123456789"
TOKEN = f"sk-lm-abcdefgh:{SECRET}"
HEADER = "Bearer header-of-the-proxy"


@pytest.fixture
def log():
    """Everything that is logged, by this package and by websocket-client, at every level."""
    text = io.StringIO()
    handler = logging.StreamHandler(text)
    handler.setFormatter(logging.Formatter("%(name)s %(message)s"))
    root = logging.getLogger()
    levels = {name: logging.getLogger(name).level for name in ("", "lmstudio", "websocket")}
    for name in levels:
        logging.getLogger(name).setLevel(1)
    root.addHandler(handler)
    yield text
    root.removeHandler(handler)
    for name, level in levels.items():
        logging.getLogger(name).setLevel(level)


def with_locals(error):
    """A traceback as the most talkative tools print it."""
    shown = traceback.TracebackException.from_exception(error, capture_locals=True)
    return "".join(shown.format())


def use(client):
    """Use a client; return what its failure looks like."""
    try:
        client.llm.model().respond("hi")
    except lms.LMStudioError as error:
        return with_locals(error) + repr(error) + repr(vars(error))
    return ""


@pytest.mark.parametrize("accepted", [True, False])
def test_a_token_is_shown_nowhere(log, accepted):
    with Server(token=TOKEN if accepted else TOKEN[:-1] + "Z") as server:
        client = lms.Client(server.host, TOKEN)
        shown = [use(client), repr(client), repr(vars(client)), repr(vars(client._session))]
        shown += [repr(client._session._connector), repr(client.llm), repr(vars(client.llm))]
        client.close()

    assert bool(shown[0]) is not accepted
    assert not [text for text in [*shown, log.getvalue()] if SECRET in text]


def test_a_token_is_not_shown_where_nobody_answers(log):
    with Server() as server:
        host = server.host
    client = lms.Client(host, TOKEN)

    shown = use(client)
    client.close()

    assert "not reachable" in shown
    assert SECRET not in shown + log.getvalue()


def test_no_token_or_header_passes_through_the_trace_of_websocket_client():
    printed = io.StringIO()
    websocket.enableTrace(True, handler=logging.StreamHandler(printed), level="DEBUG")
    try:
        headers = {"Authorization": HEADER}
        with Server(token=TOKEN) as server, lms.Client(server.host, TOKEN, headers=headers) as it:
            it.llm.model().respond("hi")
    finally:
        websocket.enableTrace(False)

    assert not [secret for secret in (SECRET, HEADER) if secret in printed.getvalue()]


def test_headers_and_the_password_of_a_proxy_are_shown_nowhere(log):
    client = lms.Client(
        "127.0.0.1:1",
        headers={"Authorization": HEADER},
        proxy=f"http://user:{SECRET}@127.0.0.1:1",
        connect_timeout=1.0,
    )
    shown = [use(client), repr(client), repr(vars(client)), repr(client._session._connector)]
    shown.append(repr(client._discovery))
    client.close()

    for secret in (HEADER, SECRET):
        assert not [text for text in [*shown, log.getvalue()] if secret in text]


def test_a_pickled_handle_holds_no_token():
    with Server(token=TOKEN) as server, lms.Client(server.host, TOKEN) as client:
        assert SECRET.encode() not in pickle.dumps(client.llm.model())


def test_a_malformed_token_is_not_repeated():
    with pytest.raises(lms.LMStudioValueError) as caught:
        lms.Client("localhost:1", TOKEN + "!")
    assert SECRET not in str(caught.value)


def test_texts_of_the_server_reach_logs_without_control_characters(log):
    evil = "a\x1b[31m\r\nforged line\x00"
    with Server() as server, lms.Client(server.host) as client:
        server.hold("predict")
        model = client.llm.model()
        stream = model.respond_stream("hi")
        stream.start()
        call = server.expect("predict")
        call.connection.send_text(f'{{"type": "{evil}"')  # no JSON: the connection fails
        with pytest.raises(lms.LMStudioProtocolError):
            stream.result()

        def tool(context: lms.ToolCallContext) -> None:
            """Say something odd."""
            context.status(evil)
            context.warn(evil)

        server.release("predict")
        server.reply("", tool_calls=[{"name": "tool", "arguments": {}}])
        model.act("hi", [tool])

    lines = log.getvalue().split("\n")
    own = [line for line in lines if line.startswith("lmstudio")]
    assert any("forged line" in line for line in own)  # something was logged of it
    assert not [line for line in lines if line.startswith("forged line")]
    assert not [line for line in own if "\x1b" in line or "\x00" in line or "\r" in line]
