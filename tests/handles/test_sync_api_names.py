"""The two underscored names of the official package's `sync_api` that programs use."""

from unittest.mock import patch

import pytest

import lmstudio as lms
from lmstudio import sync_api


@pytest.fixture(autouse=True)
def as_before():
    yield
    lms.set_sync_api_timeout(60)


def test_the_default_timeout_can_be_read_set_and_patched():
    assert sync_api._DEFAULT_TIMEOUT == 60.0
    sync_api._DEFAULT_TIMEOUT = None
    assert lms.get_sync_api_timeout() is None
    lms.set_sync_api_timeout(5)
    assert sync_api._DEFAULT_TIMEOUT == 5
    with patch("lmstudio.sync_api._DEFAULT_TIMEOUT", 7):
        assert lms.get_sync_api_timeout() == 7
        with patch("lmstudio.sync_api._DEFAULT_TIMEOUT", None):
            assert lms.get_sync_api_timeout() is None
        assert lms.get_sync_api_timeout() == 7
    assert lms.get_sync_api_timeout() == 5


def test_the_default_client_can_be_reset(server):
    client = lms.get_default_client(server.host)
    sync_api._reset_default_client()
    with pytest.raises(lms.LMStudioClientError, match="closed"):
        client.llm.list_loaded()
