"""Driving `lmstudio chat`: in a terminal, and as a script would."""

import json
import os
import subprocess
import sys

import pytest
from cli.commands import LIMIT
from helpers import WINDOWS, needs_terminal


def chat(server, *options, **settings):
    """A chat in a terminal."""
    if WINDOWS:
        pytest.skip(needs_terminal.kwargs["reason"])
    pytest.importorskip("pyte")
    from cli.terminal import Terminal

    return Terminal("-m", "lmstudio", "--host", server.host, "chat", *options, **settings)


def without(folder, *modules):
    """The environment of a program for which modules are not installed."""
    lines = [f"sys.modules[{name!r}] = None\n" for name in modules]
    (folder / "sitecustomize.py").write_text("import sys\n" + "".join(lines))
    paths = [str(folder), *filter(None, [os.environ.get("PYTHONPATH")])]
    return {"PYTHONPATH": os.pathsep.join(paths)}


def ask(server, terminal, question):
    """Type a question at the prompt; the server's side of the reply."""
    terminal.type(question + "\r")
    call = server.expect("predict", timeout=LIMIT)
    terminal.wait_for(f"> {question}")  # the prompt before it is no empty one any more
    return call


def say(terminal, text, *words):
    """Type a line at the prompt, and wait for words on the screen and the next prompt."""
    terminal.wait_prompt()
    terminal.type(text + "\r")
    terminal.wait_for(*words)
    terminal.wait_prompt()


def stop(terminal, call):
    """Press Ctrl-C until the server is told."""
    terminal.ctrl_c_until(lambda: call.cancelled)


def loading(server, identifier):
    """The server begins to load a model that a chat wants, and is half done; its side of that."""
    call = server.expect("getOrLoad", timeout=LIMIT)
    call.packet({"type": "startLoading", "identifier": identifier, "info": {}})
    call.progress(0.5)
    return call


def leave(terminal):
    """Press Ctrl-D at the prompt; nothing went wrong."""
    terminal.wait_prompt()
    terminal.ctrl_d()
    assert terminal.wait_end() == 0
    assert "Traceback" not in terminal.text()


def roles(prediction):
    return [message["role"] for message in prediction.messages]


def asked(prediction):
    """The text of the last message of a prediction."""
    return prediction.messages[-1]["content"][0]["text"]


def contents_of(prediction):
    """The texts of the messages of a prediction."""
    return [message["content"][0]["text"] for message in prediction.messages]


def saved(folder):
    """What is saved, the oldest first."""
    paths = sorted((folder / "conversations").glob("*.json"), key=lambda path: path.stat().st_mtime)
    return [json.loads(path.read_text(encoding="utf-8")) for path in paths]


def contents(conversation):
    """What was said in a saved conversation."""
    return [message["content"] for message in conversation["messages"]]


def pipe(text, *options, **environment):
    """Run a chat without a terminal."""
    is_text = isinstance(text, str)
    return subprocess.run(
        [sys.executable, "-m", "lmstudio", "chat", *map(str, options)],
        input=text,
        capture_output=True,
        env={**os.environ, "PYTHONUTF8": "1", **environment},
        encoding="utf-8" if is_text else None,
        errors="surrogateescape" if is_text else None,
        timeout=LIMIT,
    )
