"""Keys and identifiers that LM Studio's schema refuses are refused before anything is sent."""

import pytest

import lmstudio as lms
from lmstudio._api.checks import check_key

GOOD = [
    "a",
    "a" * 1024,
    "\U0001f600" * 512,
    "qwen/qwen3-4b@q4_k_m",
    "C:\\models\\m.gguf",
    "mod\u00e8le 7",
]
BAD = {
    "": "is empty",
    "a" * 1025: "more than 1,024 characters",
    "\U0001f600" * 513: "more than 1,024 characters",  # each is two units of UTF-16
    "__proto__": "must not be '__proto__'",
    "a\n": r"'\\n' at index 1",
    "\x00": r"'\\x00' at index 0",
    "a\x7fb": r"'\\x7f' at index 1",
    "a\u200bb": r"'\\u200b' at index 1",
    "\ufeffa": r"'\\ufeff' at index 0",
    "a\ud83d": r"'\\ud83d' at index 1",
    "a\ue000": r"'\\ue000' at index 1",
}
CALLS = {
    "model": lambda client, key: client.llm.model(key),
    "load": lambda client, key: client.embedding.load_new_instance(key),
    "instance": lambda client, key: client.llm.load_new_instance("test-llm", key),
    "unload": lambda client, key: client.llm.unload(key),
    "info": lambda client, key: client.llm.get_model_info(key),
    "query": lambda client, key: client.llm.get_model_info(lms.ModelQuery(identifier=key)),
    "path": lambda client, key: client.llm.get_model_info({"path": key}),
    "specifier": lambda client, key: client.llm.get_model_info(
        {"type": "query", "query": {"path": key}}
    ),
    "respond": lambda client, key: handle(client.llm, key).respond("Hi"),
    "many": lambda client, key: handle(client.llm, key).respond_many(["Hi"]),
    "vectors": lambda client, key: handle(client.embedding, key).embed_many(["Hi"]),
    "act": lambda client, key: handle(client.llm, key).act("Hi", [ping]),
    "template": lambda client, key: handle(client.llm, key).apply_prompt_template("Hi"),
    "embed": lambda client, key: handle(client.embedding, key).embed("Hi"),
    "tokenize": lambda client, key: handle(client.llm, key).tokenize("Hi"),
    "context": lambda client, key: handle(client.llm, key).get_context_length(),
}


def ping() -> str:
    """Answer."""
    return "pong"


def handle(namespace, key):
    """Return a handle with an identifier that a server may have reported."""
    return namespace._handle(key)


@pytest.mark.parametrize("key", GOOD)
def test_a_key_that_lm_studio_takes_is_left_as_it_is(key):
    assert check_key(key, "A key") is key


@pytest.mark.parametrize("key", BAD)
def test_a_key_that_lm_studio_refuses_is_told_with_the_reason(key):
    with pytest.raises(lms.LMStudioValueError, match=f"^A key .*{BAD[key]}"):
        check_key(key, "A key")


def test_a_key_of_another_type_is_no_string():
    with pytest.raises(lms.LMStudioValueError, match="A key must be a string; 5 was given"):
        check_key(5, "A key")


@pytest.mark.parametrize("call", CALLS)
def test_nothing_is_sent_for_such_a_key(client, server, call):
    for key in ("", "a\n", "__proto__", "a" * 1025):
        with pytest.raises(lms.LMStudioValueError):
            CALLS[call](client, key)
    assert server.connections == []
