"""A chat, and tools for it."""

import pytest
from agent.act_cancelling import WaitingTools
from agent.acting import Tools

import lmstudio as lms


@pytest.fixture
def tools():
    return Tools()


@pytest.fixture
def chat():
    return lms.Chat.from_history("How much is it?")


@pytest.fixture
def waiting_tools():
    tools = WaitingTools()
    yield tools
    tools.release.set()
