"""The pytest plugin: a server for each test that asks for one, and a client connected to it."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    import lmstudio

    from .server import Server

_MARKER = (
    "lmstudio_server(**arguments): arguments of the Server that the lmstudio_server fixture starts"
)


def pytest_configure(config: pytest.Config) -> None:
    """Tell pytest about the marker."""
    config.addinivalue_line("markers", _MARKER)


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
    from lmstudio._client import default_client as _default_client

    setting = _default_client._setting()
    before = setting.host.reveal(), setting.token.reveal()
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
    import lmstudio

    with (
        tempfile.TemporaryDirectory(prefix="lmstudio-server-") as folder,
        pytest.MonkeyPatch.context() as patch,
    ):
        file = Path(folder) / "http-server.json"
        file.write_text(json.dumps({"port": server.port}), encoding="utf-8")
        patch.setenv("LMS_API_SERVER_INFO_PATH", str(file))
        if server.tokens:
            patch.setenv("LM_API_TOKEN", server.tokens[0])
        # It may know another server. What the application has configured is not touched.
        lmstudio.close_default_client()
        try:
            yield
        finally:
            lmstudio.close_default_client()
