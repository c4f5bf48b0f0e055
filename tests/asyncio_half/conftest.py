"""What the tests of the asyncio half share."""

import pytest
from asyncio_half.halves import Loop, Threads

from lmstudio.testing import Server


@pytest.fixture
def slow_server():
    """A server whose loads and downloads have several steps, and whose replies take a moment."""
    with Server(load_time=0.02, download_time=0.02) as server:
        yield server


@pytest.fixture(params=[Threads, Loop], ids=lambda half: half.name)
def half(request, server):
    """One half, connected to `server`, and then the other."""
    half = request.param(server)
    yield half
    half.end()


@pytest.fixture
def loop_half(server):
    """The half of asyncio."""
    half = Loop(server)
    yield half
    half.end()
