"""The pytest plugin: a server for each test that asks for one, and a client connected to it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

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

    Mark the test with `@pytest.mark.lmstudio_server(load_time=1.0)` to give it arguments.
    """
    from .server import Server

    marker = request.node.get_closest_marker("lmstudio_server")
    with Server(**(marker.kwargs if marker is not None else {})) as server:
        yield server


@pytest.fixture
def lmstudio_client(lmstudio_server: Server) -> Iterator[lmstudio.Client]:
    """The default client of `lmstudio`, connected to the server of the test.

    So an application that calls `lmstudio.llm()` talks to this server, without a change.
    """
    import lmstudio

    token = lmstudio_server.tokens[0] if lmstudio_server.tokens else None
    lmstudio.configure_default_client(lmstudio_server.host, token)
    try:
        yield lmstudio.get_default_client()
    finally:
        lmstudio.configure_default_client()
