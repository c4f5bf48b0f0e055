"""The messages in docs/errors.md are those that the package raises, and each class is there."""

import contextlib
import re
import warnings
from pathlib import Path

import pytest
from helpers import WINDOWS

import lmstudio as lms
from lmstudio import errors
from lmstudio.testing import Server

PAGE = (Path(__file__).parent.parent / "docs" / "errors.md").read_text(encoding="utf-8")
TOKEN = "sk-lm-abcdefgh:abcdefghij0123456789"


def normalized(text):
    """A message without what differs between runs and systems."""
    text = re.sub(r"127\.0\.0\.1:\d+", "127.0.0.1:9", text)
    text = re.sub(r"timeout=[0-9.]+ s", "timeout=1 s", text)
    return re.sub(r"\[(Errno|WinError) \d+\] [^:.]*", "[system]", text)


def messages():
    """The messages on the page, each with the class under whose heading it stands."""
    parts = re.split(r"^##+ (\w+)$", PAGE, flags=re.MULTILINE)
    for name, text in zip(parts[1::2], parts[2::2], strict=True):
        for message in re.findall(r"^```text\n(.*?)\n```", text, re.MULTILINE | re.DOTALL):
            yield name, normalized(message)


def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


def give_up(error, request):
    raise error


class P(lms.BaseModel):
    name: str


def stopped_load(server, client):
    stop = lms.CancelToken()
    client.llm.load_new_instance(
        "test-vlm",
        cancel_event=stop,
        on_load_progress=lambda share: stop.cancel("Stop was pressed"),
    )


def reply(*, prompt="Count.", respond=None, **script):
    """A call whose reply has a script."""

    def call(server, client):
        server.reply("one two three", **script)
        client.llm.model().respond(prompt, **(respond or {}))

    return call


def closed_client(server, client):
    client.close()
    client.llm.model()


def use(client):
    with contextlib.closing(client):  # not `with client`, which asks first whether it can connect
        client.llm.model()


def nobody(server, client):
    use(lms.Client("127.0.0.1:9"))


def token(server, client):
    with Server(token=TOKEN) as other:
        use(lms.Client(other.api_host))


def silent(server, client):
    with Server(auth="silent") as other:
        use(lms.Client(other.api_host, connect_timeout=2))


def unloaded(server, client):
    model = client.llm.model()
    server.load("test-vlm")
    server.unload("test-llm")
    model.respond("Hi.")


def none_loaded(server, client):
    server.unload("test-llm")
    client.llm.model()


def missing_tool(server, client):
    server.reply("Let me.", tool_calls=[{"name": "sub", "arguments": {}}])
    client.llm.model().act("Hi.", [add], handle_invalid_tool_request=give_up)


def odd_reply(server, client):
    server.reply("hello")
    assert client.llm.model().respond("Who?", response_format=P).typed


def strict(server, client):
    with lms.Client(server.api_host, strict_options=True) as other:
        other.llm.model("test-llm", config={"contxtLength": 5})


def two_iterators(server, client):
    stream = client.llm.model().respond_stream("Tell me a long story.")
    iterator = iter(stream)
    next(iterator)
    with stream:
        next(iter(stream))


def misspelt_option(server, client):
    with warnings.catch_warnings():
        warnings.simplefilter("error", lms.LMStudioOptionWarning)
        client.llm.model().respond("Hi.", config={"temprature": 1})


SILENT = {"silent_after": 1}
CAUSES = [
    reply(error_after=1, error="Out of memory"),
    token,
    lambda server, client: client.llm.model("quen/qwen3"),
    none_loaded,
    unloaded,
    reply(respond={"preset": "breif"}),
    reply(close_after=1),
    missing_tool,
    closed_client,
    stopped_load,
    reply(garbage_after=1),
    nobody,
    silent,
    reply(drop_after=1),
    reply(respond={"timeout": 0.2}, **SILENT),
    reply(respond={"idle_timeout": 0.2}, **SILENT),
    lambda server, client: client.llm.model(timeout=-1),
    lambda server, client: client.llm.model().respond("Hi.", config={"maxTokens": "50"}),
    strict,
    odd_reply,
    two_iterators,
    lambda server, client: client.files.prepare_image("nowhere.jpg"),
    misspelt_option,
]


@pytest.mark.parametrize(
    ("name", "message", "cause"),
    [
        pytest.param(*entry, cause, id=f"{entry[0]}-{number}")
        for number, (entry, cause) in enumerate(zip(messages(), CAUSES, strict=True))
    ],
)
def test_the_message_on_the_page_is_real(server, client, name, message, cause):
    with pytest.raises((lms.LMStudioError, lms.LMStudioOptionWarning)) as caught:
        cause(server, client)
    assert type(caught.value).__name__ == name
    said = normalized(str(caught.value))
    if WINDOWS and name == "LMStudioConnectionLostError":  # there it may look like an orderly end
        assert said.startswith((message, "LM Studio closed the connection."))
    else:
        assert said.startswith(message)


def test_each_class_has_its_place_on_the_page():
    headings = set(re.findall(r"^##+ (\w+)$", PAGE, re.MULTILINE))
    classes = {getattr(errors, name) for name in errors.__all__} | {lms.ValidationError}
    exceptions = {each.__name__ for each in classes if issubclass(each, Exception)}
    assert headings == exceptions - {"LMStudioError"}
