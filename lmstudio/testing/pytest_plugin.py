"""The pytest plugin: a server for each test that asks for one, and a client connected to it."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    import lmstudio

    from .server import Server

_WHILE_COLLECTING = "lmstudio_server_while_collecting"
_LOOPBACK = "127.0.0.1"
_collecting = pytest.StashKey[ExitStack]()
_MARKER = (
    "lmstudio_server(**arguments): arguments of the Server that the lmstudio_server fixture starts"
)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Tell pytest about the setting."""
    words = (
        "while tests are collected, and conftest.py is imported, a server is the LM Studio of this "
        "machine: for applications that make a handle of a model when they are imported"
    )
    parser.addini(_WHILE_COLLECTING, words, type="bool", default=False)


@pytest.hookimpl(tryfirst=True)
def pytest_load_initial_conftests(early_config: pytest.Config) -> None:
    """Start the server for what is imported, if that is wanted, before the first conftest.py is."""
    if early_config.getini(_WHILE_COLLECTING):
        stack = early_config.stash[_collecting] = ExitStack()
        stack.enter_context(_as_local_server(stack.enter_context(_start(None))))


def pytest_configure(config: pytest.Config) -> None:
    """Tell pytest about the marker."""
    config.addinivalue_line("markers", _MARKER)


def pytest_collection_finish(session: pytest.Session) -> None:
    """End the server for what is imported: each test has one of its own."""
    _end_collecting(session.config)


def pytest_unconfigure(config: pytest.Config) -> None:
    """End it, if nothing was collected."""
    _end_collecting(config)


def _end_collecting(config: pytest.Config) -> None:
    stack = config.stash.get(_collecting, None)
    if stack is not None:
        stack.close()


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Where pytest-socket allows no sockets, allow those to the server of a test, and no others."""
    option = item.config.getoption
    marker = item.get_closest_marker("allow_hosts")
    hosts = marker.args[0] if marker is not None and marker.args else option("allow_hosts", None)
    is_limited = hosts is not None or option("disable_socket", False)
    if is_limited and "lmstudio_server" in getattr(item, "fixturenames", ()):
        allowed = hosts.split(",") if isinstance(hosts, str) else list(hosts or ())
        item.add_marker(pytest.mark.allow_hosts([*allowed, _LOOPBACK]), append=False)


@pytest.fixture
def lmstudio_server(request: pytest.FixtureRequest) -> Iterator[Server]:
    """A `lmstudio.testing.Server`, closed when the test ends.

    While the test runs, it is the LM Studio of this machine: a client that is given no host, such
    as that of `lmstudio.llm()`, finds this server, also in processes that the test starts.

    Mark the test with `@pytest.mark.lmstudio_server(load_time=1.0)` to give it arguments.
    """
    marker = request.node.get_closest_marker("lmstudio_server")
    with _start(marker) as server, _as_local_server(server):
        yield server


@pytest.fixture
def lmstudio_client(lmstudio_server: Server) -> Iterator[lmstudio.Client]:
    """The default client of `lmstudio`, connected to the server of the test.

    It is so even if the application has configured another host for the default client.
    """
    import lmstudio
    from lmstudio._client import default_client

    setting = default_client._setting()
    before = setting.host.reveal(), setting.token.reveal()
    if before == (None, None):  # it finds the server by itself, as handles of it will the next one
        yield lmstudio.get_default_client()
        return
    token = lmstudio_server.tokens[0] if lmstudio_server.tokens else None
    lmstudio.configure_default_client(lmstudio_server.host, token)
    try:
        yield lmstudio.get_default_client()
    finally:
        lmstudio.configure_default_client(*before)


def _start(marker: pytest.Mark | None) -> Server:
    """Start a server with the arguments of the marker; a mistake in them fails the test."""
    # Outside of `except`: within it, pytest shows the same words twice.
    try:
        from . import Server  # says how to install what is missing
    except ImportError as error:
        problem = str(error)
    else:
        arguments: dict[str, Any] = {}
        if marker is not None:
            _check_marker(marker, Server)
            arguments = dict(marker.kwargs)
        try:
            return Server(**arguments)
        except (TypeError, ValueError) as error:
            problem = f"@pytest.mark.lmstudio_server: {error}"
    pytest.fail(problem, pytrace=False)


def _check_marker(marker: pytest.Mark, server: type[Server]) -> None:
    import inspect

    from ._protocol.argument_checks import choice

    known = list(inspect.signature(server).parameters)
    problem = None
    if marker.args:
        given = ", ".join(repr(one) for one in marker.args)
        problem = f"expected arguments with names, got {given}; there is {', '.join(known)}"
    for name in marker.kwargs:
        if name not in known:
            problem = f"there is no argument {name!r}; {choice(name, known)}"
    if problem is not None:
        pytest.fail(f"@pytest.mark.lmstudio_server: {problem}", pytrace=False)


@contextmanager
def _as_local_server(server: Server) -> Iterator[None]:
    """Let clients that are given no host find the server, here and in child processes."""
    from lmstudio._client import default_client

    try:
        with (
            tempfile.TemporaryDirectory(prefix="lmstudio-server-") as folder,
            pytest.MonkeyPatch.context() as patch,
        ):
            file = Path(folder) / "http-server.json"
            file.write_text(json.dumps({"port": server.port}), encoding="utf-8")
            patch.setenv("LMS_API_SERVER_INFO_PATH", str(file))
            if server.tokens:
                patch.setenv("LM_API_TOKEN", server.tokens[0])
            # It may know another server. It is not closed: an application may keep a handle that
            # was made with it. What the application has configured is not touched.
            default_client.start_over()
            yield
    finally:
        default_client.start_over()
