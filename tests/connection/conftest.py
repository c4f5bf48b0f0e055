"""A port that is silent."""

import socket

import pytest


@pytest.fixture
def listener():
    """A port that takes connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as sock:
        yield f"127.0.0.1:{sock.getsockname()[1]}"
