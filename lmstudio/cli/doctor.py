"""``python -m lmstudio doctor``: looks at everything that a prediction needs, and says what to do.

It imports nothing at its top that could be what is broken.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.metadata
import os
import re
import sys
from collections.abc import Iterator
from typing import Any, Literal, TypeAlias

__all__ = ["run"]

Finding: TypeAlias = "tuple[Literal['ok', 'note', 'problem'], str]"

_TOKEN_NAMES = ("LM_API_TOKEN", "LMSTUDIO_API_TOKEN")
_TOKEN = re.compile(r"sk-lm-[a-zA-Z0-9]{8}:[a-zA-Z0-9]{20}")
_NEEDED = {"attrs": "attrs", "cattrs": "cattrs", "websocket": "websocket-client"}
_LIMIT = 5.0  # seconds for each question to a server


def run(options: argparse.Namespace) -> int:
    """Print what was found; return 0 if a prediction could be made, 1 otherwise."""
    has_problem = False
    for check in (_python, _packages, _proxies, _tokens):
        has_problem |= _show(check())
    if has_problem:
        print("\nMend this first: the server was not asked.")
        return 1
    has_problem = _show(_server(options.host))
    print("\nThere is something to do." if has_problem else "\nAll is well.")
    return int(has_problem)


def _show(findings: Iterator[Finding]) -> bool:
    has_problem = False
    for mark, words in findings:
        print(f"{mark:8} {words}", flush=True)
        has_problem |= mark == "problem"
    return has_problem


def _python() -> Iterator[Finding]:
    yield "ok", f"Python {'.'.join(map(str, sys.version_info[:3]))}"


def _packages() -> Iterator[Finding]:
    for module, package in _NEEDED.items():
        try:
            found = importlib.import_module(module)
        except ImportError as error:
            yield "problem", f"{package} cannot be imported ({error}): pip install {package}"
            continue
        if module == "websocket" and not hasattr(found, "WebSocket"):
            where = getattr(found, "__file__", None) or "an unknown place"
            yield (
                "problem",
                f"`import websocket` finds {where}, which is not websocket-client. If it is the "
                "package 'websocket': pip uninstall websocket, then pip install --force-reinstall "
                "websocket-client. If it is a file of yours, give it another name.",
            )
            continue
        try:
            yield "ok", f"{package} {importlib.metadata.version(package)}"
        except importlib.metadata.PackageNotFoundError:
            yield "ok", f"{package}, of an unknown version"


def _proxies() -> Iterator[Finding]:
    names = [name for name in os.environ if name.lower() in ("http_proxy", "https_proxy")]
    if names:
        yield (
            "note",
            f"{' and '.join(sorted(names))} set: this package does not use them, other programs "
            "do. If LM Studio is behind a proxy, pass Client(proxy=...).",
        )


def _tokens() -> Iterator[Finding]:
    tokens = {name: os.environ[name].strip() for name in _TOKEN_NAMES if os.environ.get(name)}
    if not tokens:
        yield "ok", "no API token: you connect as a guest"
        return
    name = next(iter(tokens))
    if len(set(tokens.values())) > 1:
        yield "note", f"{_TOKEN_NAMES[0]} and {_TOKEN_NAMES[1]} differ: the first one is used."
    if _TOKEN.fullmatch(tokens[name]):
        yield "ok", f"an API token in {name}"
    else:
        yield (
            "problem",
            f"{name} holds no API token of LM Studio: those look like sk-lm-XXXXXXXX:YYYY... "
            "Copy it anew from LM Studio, or unset the variable.",
        )


def _server(host: str | None) -> Iterator[Finding]:
    lms: Any = importlib.import_module("lmstudio")
    discovery: Any = importlib.import_module("lmstudio._discovery")
    deadline: Any = importlib.import_module("lmstudio._deadline")
    try:
        found = host or lms.Client.find_default_local_api_host()
        if found is None:
            yield (
                "problem",
                "No LM Studio answers on this machine. Start it, and switch on its local server "
                "(or: lms server start). Is it elsewhere? Pass --host host:port.",
            )
            return
        with lms.Client(found, timeout=_LIMIT) as client:
            version = discovery.server_version(client._discovery.found, deadline.Deadline(_LIMIT))
            words = f"LM Studio {version}" if version else "LM Studio, of an unknown version,"
            yield "ok", f"{words} answers at {client.api_host}"
            downloaded = client.list_downloaded_models("llm")
            yield (
                "ok",
                "the connection is accepted"
                + (f", {len(downloaded)} language models are there" if downloaded else ""),
            )
            loaded = client.llm.list_loaded()
    except lms.LMStudioError as error:
        yield "problem", f"{error} {_advice(error, host)}".rstrip()
        return
    if loaded:
        yield "ok", f"loaded: {', '.join(model.identifier for model in loaded)}"
    elif downloaded:
        keys = ", ".join(model.model_key for model in downloaded[:3])
        yield "note", f"No model is loaded. Name one, and it is loaded: model({keys!r})"
    else:
        yield "problem", "There is no language model. Download one in LM Studio (or: lms get)."


def _advice(error: Exception, host: str | None) -> str:
    """What to do where the error itself cannot know it."""
    words = str(error).lower()
    if "certificate" in words or "self-signed" in words:
        return (
            "For a certificate of your own, set SSL_CERT_FILE to its file, or pass "
            "Client(ssl_context=...)."
        )
    if ("tls" in words or "ssl" in words) and (host or "").startswith(("https", "wss")):
        return "Does that port speak TLS? LM Studio itself does not: try http://."
    if "token" in words or "authent" in words or "passkey" in words:
        return "Check the API token: LM_API_TOKEN, or Client(api_token=...)."
    return ""
