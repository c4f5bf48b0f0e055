"""An assistant on the command line that saves its history, message by message, and takes it up."""

import json
import sys
import tempfile
from pathlib import Path
from typing import Union

import lmstudio as lms
from lmstudio.history import AssistantResponse, UserMessage

MessageType = Union[lms.AssistantResponse, lms.ToolResultMessage, lms.UserMessage]  # noqa: UP007
INFER_CONFIG: lms.LlmPredictionConfigDict = {"temperature": 0.4, "maxTokens": 80, "top_k": 30}
LOAD_CONFIG: lms.LlmLoadModelConfigDict = {"contextLength": 4096, "temperature": 0.4}
LIMIT = 6
path = Path(tempfile.mkdtemp()) / "history.json"


def read_history():
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, json.JSONDecodeError):
        return {"messages": []}


def save(message: MessageType):
    history = read_history()
    history["messages"].append(message.to_dict())
    history["messages"] = history["messages"][-LIMIT:]
    while history["messages"] and history["messages"][0]["role"] != "user":
        history["messages"].pop(0)
    path.write_text(json.dumps(history, indent=2, ensure_ascii=False), encoding="utf-8")


def load_chat():
    chat = lms.Chat()
    for message in read_history()["messages"]:
        chat.add_entry(message["role"], message["content"])
    return chat


def note(text: str) -> str:
    """Write a note down."""
    return f"noted: {text}"


def print_fragment(fragment: lms.LlmPredictionFragment, _):
    print(fragment.content, end="")


def turn(model, chat, text):
    def handle(message):
        first = message.to_dict()["content"][0]
        if message.to_dict()["role"] != "tool" and first.get("text") != "":
            print()
        chat.append(message=message)
        save(message)

    chat.add_user_message(text)
    if isinstance(last := chat._get_last_message("user"), lms.UserMessage):
        save(last)
    model.act(
        chat=chat,
        tools=[note],
        on_prediction_fragment=print_fragment,
        on_message=handle,
        config=INFER_CONFIG,
    )
    print(type(chat._get_last_message("assistant")).__name__, chat._get_last_message("user"))


with lms.Client(sys.argv[1]) as client:
    model = client.llm.model("test-vlm", config=LOAD_CONFIG)
    chat = load_chat()
    turn(model, chat, "Note that it rains.")
    turn(model, chat, "And now?")
    # The next day.
    chat = load_chat()
    print(chat)
    turn(model, chat, "What did I say?")
    print([message["role"] for message in read_history()["messages"]])
print(AssistantResponse is lms.AssistantResponse, UserMessage is lms.UserMessage)
