"""A server for the programs that are ended in the middle of a reply."""

import pytest

from lmstudio.testing import Server


@pytest.fixture
def talking_server():
    """An embedded LM Studio whose replies are long; its predictions may be left open."""
    with Server() as server:
        server.reply("word " * 20_000, delay=0.001, repeat=100)
        yield server
