"""Decides by the texts of errors what to do: retry, load another model, mend the chat."""

import sys

import lmstudio as lms
from lmstudio.json_api import LMStudioWebsocketError
from lmstudio.sdk_api import LMStudioError

HOST = sys.argv[1]


def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


async def add_later(a: int, b: int) -> int:
    """Add two numbers, later."""
    return a + b


def advice(error):
    text = str(error)
    lower = text.lower()
    if "is not reachable" in text or "connect" in lower:
        return "start LM Studio"
    if "Model get/load error" in text and "not found" in lower:
        return "choose another model"
    if "Model load error" in text:
        return "unload something"
    if "no loaded model" in lower or "cannot find a model" in lower:
        return "load a model"
    if "Chat response error" in text or "Completion error" in text:
        return "try again"
    if "Multi-part or consecutive" in text:
        return "merge the messages"
    if "Unable to parse" in text:
        return "check the message"
    if "Duplicate tool names are not permitted" in text:
        return "rename a tool"
    if "is not supported in synchronous API" in text:
        return "make it a plain function"
    if "Cannot specify" in text and "response_format" in text and "structured" in text:
        return "give one of them"
    if "RPC error" in text:
        return "look at the log"
    return f"unknown: {text}"


def attempt(name, action):
    try:
        action()
    except LMStudioError as error:
        kinds = [
            kind.__name__
            for kind in (lms.LMStudioServerError, lms.LMStudioClientError, RuntimeError, ValueError)
            if isinstance(error, kind)
        ]
        print(f"{name}: {advice(error)} {kinds}")
    else:
        print(f"{name}: fine")


def twice(chat, method):
    method(chat, "one")
    method(chat, "two")


with lms.Client(HOST) as client:
    model = client.llm.model("test-llm")
    handle = client.files.prepare_image(b"\x89PNG\r\n\x1a\n" + bytes(9), "a.png")
    structured = {"structured": {"type": "json", "jsonSchema": {"type": "object"}}}
    attempt("fine", lambda: model.respond("hi"))
    attempt("unknown model", lambda: client.llm.model("no-such-model"))
    attempt("unknown model anew", lambda: client.llm.load_new_instance("no-such-model"))
    attempt("taken name", lambda: client.llm.load_new_instance("test-llm", "test-llm"))
    attempt("unload nothing", lambda: client.llm.unload("nobody"))
    attempt("no info", lambda: client.llm.get_model_info("nobody"))
    attempt("half-way", lambda: model.respond("fail half-way"))
    attempt("completion half-way", lambda: model.complete("fail half-way"))
    attempt("twice the system", lambda: twice(lms.Chat(), lms.Chat.add_system_prompt))
    attempt("twice the assistant", lambda: twice(lms.Chat(), lms.Chat.add_assistant_response))
    attempt("several parts", lambda: lms.Chat().add_assistant_response(("a", "b")))
    attempt("system file", lambda: lms.Chat().add_entry("system", handle))
    attempt("duplicate tools", lambda: model.act("hi", [add, add]))
    attempt("async tool", lambda: model.act("hi", [add_later]))
    attempt(
        "two formats",
        lambda: model.respond("hi", response_format=dict(type="object"), config=structured),
    )
    attempt("afterwards", lambda: model.respond("hi"))
attempt("nobody there", lambda: lms.Client("127.0.0.1:9").__enter__())
print(LMStudioWebsocketError is lms.LMStudioWebsocketError)
