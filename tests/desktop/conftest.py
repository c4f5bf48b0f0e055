"""A window that no GUI toolkit draws."""

import pytest
from desktop.background import Window


@pytest.fixture
def window():
    return Window()
