"""A server and a client of raw frames, instead of the fixtures that the other folders use."""

import pytest
from server.raw_client import RawClient

from lmstudio.testing import Server


@pytest.fixture
def server():
    """An embedded LM Studio; its predictions may be left open."""
    with Server() as server:
        yield server


@pytest.fixture
def client(server):
    """A client of the namespace `llm` that speaks in raw frames."""
    with RawClient(server) as client:
        yield client
