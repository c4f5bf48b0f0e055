"""``lmstudio doctor``: looks at everything that a prediction needs, and says what to do.

It imports nothing at its top that could be what is broken, and goes on where it cannot look.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import importlib.metadata
import importlib.util
import os
import re
import shutil
import stat
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from .. import _other_package as other_package
from ._addresses import look_up_and_try
from ._name import program_name
from ._screen import one_line
from ._show import as_json

if TYPE_CHECKING:
    Mark = Literal["ok", "note", "problem"]
    Finding = tuple[Mark, str]

__all__ = ["run"]

_TOKEN_NAMES = ("LM_API_TOKEN", "LMSTUDIO_API_TOKEN")  # in the order in which they are used
_TOKEN = re.compile(r"sk-lm-[a-zA-Z0-9]{8}:[a-zA-Z0-9]{20}")
_PROXY_NAMES = ("http_proxy", "https_proxy", "all_proxy")
# By the name that is imported: the package, and the oldest version that will do.
NEEDED = {
    "attrs": ("attrs", "23.1"),
    "cattrs": ("cattrs", "23.2.1"),
    "websocket": ("websocket-client", "1.8"),
}
# And what the commands do better with.
WANTED = {
    "rich": "chat and batch show no bars and colours",
    "prompt_toolkit": "chat has a plain line editor",
}
_OLDEST_PYTHON = (3, 10)
_REST_HOST = "127.0.0.1:1234"  # the usual place of the REST API, where no program looks by itself
_LIMIT = 5.0  # seconds for each question to a server
_TRY = 3.0  # seconds to try all addresses of a host; Windows needs 2 to hear of a refusal


def run(options: argparse.Namespace) -> int:
    """Print what was found; return 0 if a prediction could be made, 1 otherwise."""
    show = _show_json if options.json else _show
    has_problem = _look(show, "Python", _python())
    has_problem |= _look(show, "this package", _ourselves())
    has_problem |= _look(show, "the packages", _packages())
    if has_problem:
        end = "Mend this first: no server was looked for."
    else:
        _look(show, "the proxies", _proxies())
        has_problem = _look(show, "the tokens", _tokens())
        findings = _server(options.host, with_token=not has_problem)
        has_problem |= _look(show, "the server", findings, "problem")
        end = "There is something to do." if has_problem else "All is well."
    if not options.json:
        print(f"\n{end}")
    return int(has_problem)


def _look(
    show: Callable[[str, str], None],
    what: str,
    findings: Iterator[Finding],
    if_broken: Mark = "note",
) -> bool:
    """Show findings, also that they could not be looked for; return whether one is a problem."""
    has_problem = False
    for mark, words in _guarded(what, findings, if_broken):
        show(mark, one_line(words))
        has_problem |= mark == "problem"
    return has_problem


def _guarded(what: str, findings: Iterator[Finding], if_broken: Mark) -> Iterator[Finding]:
    while True:
        try:
            finding = next(findings)
        except StopIteration:
            return
        except Exception as error:  # anything may be broken, and the rest is to be seen as well
            yield if_broken, f"{what} could not be looked at: {_reason(error)}"
            return
        yield finding  # (what printing it raises is no finding)


def _show(mark: str, words: str) -> None:
    text = f"{mark:8} {words}"
    if sys.stdout.isatty():
        room = max(40, shutil.get_terminal_size().columns)
        text = textwrap.fill(
            text, room, subsequent_indent=" " * 9, break_long_words=False, break_on_hyphens=False
        )
    print(text, flush=True)


def _show_json(mark: str, words: str) -> None:
    print(as_json({"finding": mark, "text": words}), flush=True)


def _reason(error: BaseException) -> str:
    if isinstance(error, OSError) and error.strerror:
        return f"{error.strerror}{f': {error.filename}' if error.filename else ''}"
    return f"{type(error).__name__}: {error}".rstrip(": ")


def _python() -> Iterator[Finding]:
    version = ".".join(map(str, sys.version_info[:3]))
    if sys.version_info < _OLDEST_PYTHON:
        yield "problem", f"Python {version} is too old: this package needs 3.10 or newer."
    else:
        yield "ok", f"Python {version}"


def _packages() -> Iterator[Finding]:
    for module, (package, oldest) in NEEDED.items():
        try:
            found = importlib.import_module(module)
        except (Exception, SystemExit) as error:  # it may be any file of that name
            yield (
                "problem",
                f"{module!r} cannot be imported ({error!r}): pip install {package}. If a file of "
                "yours has this name, give it another one.",
            )
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
        yield _version(package, oldest)
    for module, words in WANTED.items():
        if importlib.util.find_spec(module) is None:
            yield "note", f"without {module}, {words}: pip install {module}"


def _ourselves() -> Iterator[Finding]:
    """Look whether this package is what is imported, alone in its folder, and installed once."""
    lms, here = importlib.import_module("lmstudio"), Path(__file__).parents[1]
    is_imported, instead = other_package.is_imported()
    if not is_imported:
        yield "problem", instead
        return
    yield "ok", f"lmstudio {lms.__version__}, in {here}"
    if foreign := other_package.files_in(str(here)):
        yield (
            "problem",
            f"Files of the official package, which has the same name, lie among them: "
            f"{', '.join(foreign)}. {other_package.how_to_mend(str(here))}",
        )
        return
    versions: dict[Path, set[str]] = {}
    for found in importlib.metadata.distributions(name="lmstudio"):
        folder = Path(str(found.locate_file(""))).resolve()
        if "Version" in found.metadata:  # else nothing but an empty folder is left of it
            versions.setdefault(folder, set()).add(found.metadata["Version"])
    for folder, these in versions.items():
        if len(these) > 1:
            yield (
                "problem",
                f"Several packages called lmstudio are installed in {folder}, and overwrite each "
                f"other: {' and '.join(sorted(these))}. "
                f"{other_package.how_to_mend(str(folder / 'lmstudio'))}",
            )
        elif these != {lms.__version__}:
            yield (
                "note",
                f"lmstudio {these.pop()} is installed in {folder}: a program that has this folder "
                "first in sys.path gets that one.",
            )


def _version(package: str, oldest: str) -> Finding:
    try:
        version = importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "note", f"{package}, of an unknown version; {oldest} is the oldest that will do"
    if _numbers(version) < _numbers(oldest):
        return "problem", f'{package} {version} is too old: pip install "{package}>={oldest}"'
    return "ok", f"{package} {version}"


def _numbers(version: str) -> list[int]:
    return [int(digits) for digits in re.findall(r"\d+", version)[:3]]


def _proxies() -> Iterator[Finding]:
    names = sorted(name for name in os.environ if name.lower() in _PROXY_NAMES)
    if names:
        yield (
            "note",
            f"{' and '.join(names)} set: this package does not use proxy variables, other programs "
            "do. If LM Studio is behind a proxy, pass Client(proxy=...).",
        )


def _tokens() -> Iterator[Finding]:
    given = {name: os.environ.get(name, "").strip() for name in _TOKEN_NAMES}
    tokens = {name: token for name, token in given.items() if token}
    if not tokens:
        yield "ok", "no API token: you connect as a guest"
        return
    used = next(iter(tokens))
    if len(set(tokens.values())) > 1:
        yield "note", f"{' and '.join(tokens)} differ: {used} is used. Unset one of them."
    if _TOKEN.fullmatch(tokens[used]):
        yield "ok", f"{used} has the form of an API token"
    else:
        yield (
            "problem",
            f"{used} holds no API token of LM Studio: those look like sk-lm-XXXXXXXX:YYYY... "
            "Copy it anew from LM Studio, or unset the variable.",
        )


def _server(host: str | None, *, with_token: bool) -> Iterator[Finding]:
    """Look for a server, and whether it lets us in."""
    lms: Any = importlib.import_module("lmstudio")
    address: Any = importlib.import_module("lmstudio._connection.address")
    discovery: Any = importlib.import_module("lmstudio._connection.discovery")
    route: Any = importlib.import_module("lmstudio._connection.route")
    deadlines: Any = importlib.import_module("lmstudio._concurrency.deadline")
    try:
        if host is None:
            yield from _home(discovery)
        found = host or lms.Client.find_default_local_api_host()
        if found is None:
            yield "problem", _nobody(lms, address.DEFAULT_PORTS)
            return
        place = discovery.Discovery(address.parse_api_host(found), route.Route())
        if host is not None:
            yield from _addresses(place.given)
        place.check(deadlines.Deadline(_LIMIT))
        version = discovery.server_version(place.found, deadlines.Deadline(_LIMIT))
        words = f"LM Studio {version}" if version else "LM Studio, of an unknown version,"
        yield "ok", f"{words} answers at {place.found.api_host}"
        if with_token:
            with lms.Client(found, timeout=_LIMIT) as client:
                yield from _models(client)
    except lms.LMStudioServerError as error:
        yield "problem", f"{error} (Tokens are made in LM Studio's server settings.)"
    except lms.LMStudioError as error:
        yield "problem", f"{error} {_advice(error, host)}".rstrip()


def _home(discovery: Any) -> Iterator[Finding]:
    """Look whether LM Studio's note of its port can be read, if there is one."""
    path = os.environ.get("LMS_API_SERVER_INFO_PATH")
    try:
        if not path:
            path = os.fspath(discovery.lm_studio_home() / ".internal" / "http-server.json")
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            if stat.S_ISREG(os.stat(path).st_mode):
                with open(path, "rb"):
                    pass
    except (OSError, RuntimeError) as error:
        yield (
            "note",
            f"LM Studio's folder cannot be read ({_reason(error)}), where it notes its port: so "
            "only its usual ports are asked.",
        )


def _addresses(address: Any) -> Iterator[Finding]:
    """Tell of each address of a host, if it has several, whether something answers there."""
    try:
        answers = look_up_and_try(address.host, address.port, _TRY)
    except OSError:
        return  # the reason is told by what needs the address
    if len(answers) < 2:
        return
    works = [shown for shown, problem in answers if not problem]
    hint = ""
    if works and not address.secure and not address.prefix:
        hint = f" Some programs try it first and wait for it: --host {works[0]} spares that."
    for shown, problem in answers:
        which = f"{address.host} has the address {shown}, which"
        if problem:
            yield "note", f"{which} does not answer: {problem}.{hint}"
        else:
            yield "ok", f"{which} answers"


def _nobody(lms: Any, ports: tuple[int, ...]) -> str:
    if lms.Client.is_valid_api_host(_REST_HOST):
        return (
            "No LM Studio is found by itself, but one answers at the port of its REST API. "
            f"Pass --host {_REST_HOST} here, and Client('{_REST_HOST}') in programs."
        )
    asked = f"127.0.0.1 at {', '.join(map(str, ports))} and {_REST_HOST.partition(':')[2]}"
    return (
        f"No LM Studio answers on this machine (asked: {asked}). Start it, and switch on its "
        "local server (or: lms server start; in a program: lmstudio.start_local()). Is it "
        "elsewhere? Pass --host host:port."
    )


def _models(client: Any) -> Iterator[Finding]:
    downloaded = client.list_downloaded_models("llm")
    yield "ok", "the connection is accepted"
    loaded = client.llm.list_loaded()
    keys = [model.model_key for model in downloaded]
    if loaded:
        yield "ok", f"loaded: {', '.join(model.identifier for model in loaded)}"
    elif keys:
        yield "note", f"No model is loaded. Name one, and it is loaded: --model {keys[0]}"
    if keys:
        more = f" and {len(keys) - 5} more" if len(keys) > 5 else ""
        yield "ok", f"downloaded: {', '.join(keys[:5])}{more}"
    elif not loaded:
        get = f"{program_name()} download NAME"
        yield "problem", f"There is no language model. Download one in LM Studio (or: {get})."


def _advice(error: Exception, host: str | None) -> str:
    """What to do where the error itself cannot know it."""
    words = str(error).lower()
    is_secure = (host or "").lower().startswith(("https:", "wss:"))
    if is_secure and ("certificate" in words or "self-signed" in words or "self signed" in words):
        return (
            "If the certificate is your own: set SSL_CERT_FILE to the file of its authority, or "
            "pass Client(ssl_context=...)."
        )
    if host and not is_secure and "not reachable" in words:
        return "Is it behind TLS? Then write https:// before the host."
    return ""
