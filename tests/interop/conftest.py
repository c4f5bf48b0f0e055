"""The published schemas of the protocol."""

import pytest
from interop import schemas


@pytest.fixture
def published():
    return schemas.Schemas()
