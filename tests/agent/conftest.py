"""A chat, and tools for it."""

import pytest
from agent.act_cancelling import WaitingTools
from agent.acting import Tools
from asyncio_half.halves import Loop, Threads

import lmstudio as lms


@pytest.fixture
def tools():
    return Tools()


@pytest.fixture(params=[Threads, Loop], ids=lambda half: half.name)
def half(request, server):
    """One half, connected to `server`, and then the other."""
    half = request.param(server)
    yield half
    half.end()


@pytest.fixture
def chat():
    return lms.Chat.from_history("How much is it?")


@pytest.fixture
def waiting_tools():
    tools = WaitingTools()
    yield tools
    tools.release.set()
