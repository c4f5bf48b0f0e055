"""What the tests of the asyncio half share."""

import pytest

from lmstudio.testing import Server


@pytest.fixture
def slow_server():
    """A server whose loads and downloads have several steps, and whose replies take a moment."""
    with Server(load_time=0.02, download_time=0.02) as server:
        yield server
