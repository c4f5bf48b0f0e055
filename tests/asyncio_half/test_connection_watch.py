"""The light of an event loop: told on the loop when the client is connected, and when not."""

import asyncio
import queue
import threading

import pytest
from asyncio_half.loops import run, turns
from helpers import eventually

import lmstudio as lms
from lmstudio._connection import connection_state

pytestmark = pytest.mark.races


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch):
    monkeypatch.setattr(connection_state, "_FIRST_PAUSE", 0.02)


class Light:
    """Takes what is told, and in which thread."""

    def __init__(self):
        self.states = []
        self.threads = set()

    def show(self, is_connected):
        self.threads.add(threading.current_thread())
        self.states.append(is_connected)


def test_the_states_are_told_on_the_loop(server):
    def opened():
        return server.received(type="channelCreate", endpoint="alive")

    async def main():
        light = Light()
        async with lms.AsyncClient(server.host) as client:
            assert not client.is_connected
            with client.on_connection_change(light.show):
                await turns(lambda: light.states == [True] and len(opened()) == 1)
                assert client.is_connected
                server.drop_all()
                await turns(lambda: light.states == [True, False, True] and len(opened()) == 2)
        assert not client.is_connected
        assert light.threads == {threading.current_thread()}
        return light

    light = run(main)
    assert light.states == [True, False, True]
    first, _ = opened()
    assert set(first) == {"type", "endpoint", "channelId"}


def test_the_states_may_go_to_a_queue_of_the_loop(server):
    async def main():
        states = asyncio.Queue()
        async with lms.AsyncClient(server.host) as client:
            with client.on_connection_change(states.put_nowait):
                return await states.get()

    assert run(main) is True


def test_a_dispatch_leads_elsewhere(server):
    waiting = queue.SimpleQueue()

    async def main():
        light = Light()
        async with lms.AsyncClient(server.host) as client:
            client.on_connection_change(light.show, dispatch=waiting.put)
            function = await asyncio.to_thread(waiting.get, True, 10)
            await asyncio.to_thread(function)
            assert light.states == [True]
            assert light.threads != {threading.current_thread()}

    run(main)


def test_an_exception_ends_it_and_goes_to_the_handler_of_the_loop(server):
    async def main():
        loop, raised = asyncio.get_running_loop(), []
        loop.set_exception_handler(lambda _, what: raised.append(type(what["exception"])))
        async with lms.AsyncClient(server.host) as client:
            watch = client.on_connection_change(lambda _: 1 / 0)
            await turns(lambda: raised)
            assert "closed" in repr(watch)
        return raised

    assert run(main) == [ZeroDivisionError]


def test_a_coroutine_function_is_refused_and_so_is_a_call_without_a_loop(server):
    async def show(_):
        pass

    async def main():
        async with lms.AsyncClient(server.host) as client:
            with pytest.raises(lms.LMStudioValueError, match="coroutine"):
                client.on_connection_change(show)

    run(main)
    with pytest.raises(lms.LMStudioRuntimeError, match="No event loop of asyncio runs here"):
        lms.AsyncClient(server.host).on_connection_change(print)


def test_a_light_that_a_closed_loop_has_left_behind_goes_out_in_silence(server):
    async def main():
        client, light = lms.AsyncClient(server.host), Light()
        client.on_connection_change(light.show)
        await turns(lambda: light.states)
        return client, light

    client, light = run(main)
    server.drop_all()

    eventually(lambda: not client._session.listeners)
    assert light.states == [True]
    client._session.close(5)
