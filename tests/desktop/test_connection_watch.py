"""The light in a window: told when the client is connected, and when it is not any more."""

import contextlib
import gc
import itertools
import pickle
import queue
import threading
import weakref

import pytest
from child_process import run
from desktop.background import LIMIT, Window
from helpers import Worker, eventually, free_port, needs_fork, server_again

import lmstudio as lms
from lmstudio._connection import connection_state, discovery

pytestmark = pytest.mark.races


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch):
    monkeypatch.setattr(connection_state, "_FIRST_PAUSE", 0.02)


class Light:
    """Takes what is told, and in which thread."""

    def __init__(self):
        self.states = queue.SimpleQueue()
        self.threads = set()

    def show(self, is_connected):
        self.threads.add(threading.current_thread().name)
        self.states.put(is_connected)

    def next(self):
        return self.states.get(timeout=LIMIT)

    def is_told_nothing_more(self):
        return self.states.empty()


def opened(server):
    return server.received(type="channelCreate", endpoint="system/alive")


def test_a_light_goes_on_and_off_with_the_server(server, client):
    light = Light()
    assert not client.is_connected

    with client.on_connection_change(light.show):
        assert light.next() is True
        assert client.is_connected
        assert server.wait_for(endpoint="alive") == {
            "type": "channelCreate",
            "endpoint": "alive",
            "channelId": opened(server)[0]["channelId"],
        }
        server.drop_all()
        assert [light.next(), light.next()] == [False, True]
        server.wait_for(endpoint="alive", count=2)

    assert light.threads == {"lmstudio-background"}
    assert len(opened(server)) == 2


def test_a_light_finds_a_server_that_starts_later_and_one_that_starts_again():
    port, light = free_port(), Light()
    with contextlib.closing(lms.Client(f"127.0.0.1:{port}")) as client:
        client.on_connection_change(light.show)
        assert light.next() is False
        for _ in range(2):
            with server_again(port):
                assert light.next() is True
                assert client.is_connected
            assert light.next() is False
            assert not client.is_connected


def test_to_ask_whether_a_client_is_connected_does_not_connect(server, client):
    assert client.is_connected is False
    assert not server.connections
    client.llm.list_loaded()
    assert client.is_connected is True
    server.drop_all()
    eventually(lambda: not client.is_connected)
    client.llm.list_loaded()
    assert client.is_connected
    client.close()
    assert client.is_connected is False


def test_a_call_that_fails_with_the_connection_finds_the_client_disconnected(server, client):
    server.hold("countTokens")
    model = client.llm.model()

    def lose():
        with pytest.raises(lms.LMStudioConnectionLostError):
            model.count_tokens("a")
        return client.is_connected

    worker = Worker(lose)
    server.expect("countTokens")
    server.drop_all()
    assert worker.result() is False


def test_a_light_is_told_in_the_windows_thread_and_in_order(server, client):
    window, light = Window(), Light()
    watch = client.on_connection_change(light.show, dispatch=window)
    window.run_one()
    assert light.next() is True

    server.drop_all()
    window.run_until(lambda: light.states.qsize() == 2)

    assert [light.next(), light.next()] == [False, True]
    assert light.threads == {threading.current_thread().name}
    watch.close()


def test_what_waits_for_a_busy_window_is_not_told_after_the_close(server, client):
    window, light = Window(), Light()
    watch = client.on_connection_change(light.show, dispatch=window)
    eventually(lambda: not window.waiting.empty())

    watch.close()
    window.run_one()

    assert light.is_told_nothing_more()
    assert "closed" in repr(watch)
    watch.close()


def test_a_light_ends_with_the_window_to_which_it_is_dispatched(server, client):
    window, light = Window(), Light()
    watch = client.on_connection_change(light.show, dispatch=window)
    window.run_one()
    assert light.next() is True

    window.closed.cancel("the window was closed")

    eventually(lambda: not client._session.listeners)
    assert "closed" in repr(watch)
    late = client.on_connection_change(light.show, dispatch=window)
    eventually(lambda: not client._session.listeners)
    assert "closed" in repr(late)
    assert light.is_told_nothing_more()


def test_what_the_function_raises_ends_it_and_is_raised_in_the_windows_thread(server, client):
    window = Window()
    watch = client.on_connection_change(lambda _: 1 / 0, dispatch=window)
    window.run_one()

    with pytest.raises(ZeroDivisionError):
        window.run_one()

    assert "closed" in repr(watch)
    eventually(lambda: not client._session.listeners)
    assert window.waiting.empty()


def test_what_the_function_raises_without_a_window_goes_to_the_hook_of_threads(
    server, client, monkeypatch
):
    raised = queue.SimpleQueue()
    monkeypatch.setattr(threading, "excepthook", lambda details: raised.put(details.exc_type))
    light = Light()
    client.on_connection_change(lambda _: 1 / 0)
    client.on_connection_change(light.show)

    assert raised.get(timeout=LIMIT) is ZeroDivisionError
    assert light.next() is True  # the others go on
    server.drop_all()
    assert light.next() is False


def test_a_dispatch_that_fails_ends_it(server, client):
    def dispatch(_):
        raise RuntimeError("there is no such window any more")

    watch = client.on_connection_change(Light().show, dispatch=dispatch)

    eventually(lambda: not client._session.listeners)
    assert "closed" in repr(watch)


def test_cancel_all_leaves_the_light_alone_and_close_tells_nothing(server, client):
    light = Light()
    watch = client.on_connection_change(light.show)
    assert light.next() is True

    client.cancel_all("all that runs")
    server.drop_all()
    assert [light.next(), light.next()] == [False, True]
    client.close()

    eventually(lambda: watch._subscription.outcome is not None)
    assert light.is_told_nothing_more()
    with pytest.raises(lms.LMStudioClientError, match="closed"):
        client.on_connection_change(light.show)


def test_a_function_may_close_the_light_and_the_client(server):
    client, light = lms.Client(server.host), Light()

    def show(is_connected):
        watch.close()
        client.close()
        light.show(is_connected)

    watch = client.on_connection_change(show, dispatch=(window := Window()))
    window.run_one()

    assert light.next() is True
    assert not client.is_connected


def test_the_light_of_the_default_client_ends_with_it(server, monkeypatch):
    monkeypatch.setattr(discovery, "DEFAULT_PORTS", (server.port,))
    light = Light()
    watch = lms.get_default_client().on_connection_change(light.show)
    assert light.next() is True

    lms.close_default_client()

    eventually(lambda: watch._subscription.outcome is not None)
    assert light.is_told_nothing_more()


@pytest.mark.parametrize("callback", [None, "print", lambda: None, lambda a, b: None, Light])
def test_what_cannot_be_told_a_state_is_refused(server, client, callback):
    with pytest.raises(lms.LMStudioValueError, match="callback"):
        client.on_connection_change(callback)

    async def show(_):
        pass

    with pytest.raises(lms.LMStudioValueError, match="coroutine"):
        client.on_connection_change(show)
    with pytest.raises(lms.LMStudioValueError, match="dispatch"):
        client.on_connection_change(print, dispatch=3)
    assert not client._session.listeners
    assert not server.connections


def test_a_light_cannot_be_pickled(client):
    with client.on_connection_change(Light().show) as watch, pytest.raises(TypeError, match="host"):
        pickle.dumps(watch)


def test_many_threads_light_and_put_out_while_connections_break(server, client):
    told = []
    watch = client.on_connection_change(told.append)

    def light_and_put_out():
        for _ in range(30):
            seen = []
            with client.on_connection_change(seen.append):
                if seen:
                    assert isinstance(seen[0], bool)

    workers = [Worker(light_and_put_out) for _ in range(6)]
    for _ in range(5):
        eventually(lambda: client.is_connected)
        server.drop_all()
    for worker in workers:
        worker.result(30)

    eventually(lambda: client.is_connected and told[-1:] == [True])
    assert all(one is not other for one, other in itertools.pairwise(told))  # changes alone
    eventually(lambda: len(client._session.listeners) == 1)
    systems = [c for c in server.connections if c.path == "/system"]
    assert len(opened(server)) <= len(systems)  # one channel for each connection
    watch.close()


# -- what keeps what alive ---------------------------------------------------------------------


def test_a_client_that_is_dropped_takes_its_light_along_without_a_garbage_collector(server):
    gc.collect()
    gc.disable()
    try:
        client, light = lms.Client(server.host), Light()
        client.on_connection_change(light.show)  # what it returns need not be kept
        assert light.next() is True
        gone = weakref.ref(client._session)
        del client
        eventually(lambda: gone() is None)
    finally:
        gc.enable()
    assert light.is_told_nothing_more()


def test_a_window_that_holds_a_client_and_is_its_light_is_collected_with_it(server):
    class Panel(Light):
        def __init__(self):
            super().__init__()
            self.client = lms.Client(server.host)
            self.watch = self.client.on_connection_change(self.show)

    panel = Panel()
    assert panel.next() is True
    gone = [weakref.ref(panel), weakref.ref(panel.client._session)]
    del panel

    eventually(lambda: gc.collect() >= 0 and not any(ref() for ref in gone))


def test_the_light_keeps_the_connections_of_its_client_as_a_handle_does(server):
    light = Light()
    watch = lms.Client(server.host).on_connection_change(light.show)
    assert light.next() is True
    gc.collect()

    server.drop_all()

    assert [light.next(), light.next()] == [False, True]
    watch.close()


def test_a_function_that_is_not_told_any_more_is_let_go(server, client):
    light = Light()
    gone = weakref.ref(light)
    watch = client.on_connection_change(light.show)
    assert light.next() is True
    del light

    watch.close()

    eventually(lambda: gc.collect() >= 0 and gone() is None)


# -- exit and fork -----------------------------------------------------------------------------


def test_a_program_with_a_light_ends_in_silence(server):
    output = run(
        server,
        """
        told = []
        client.on_connection_change(told.append)
        wait_until(lambda: told)
        print(told)
        """,
    )
    assert output == ["[True]"]


@needs_fork
def test_in_a_child_the_light_is_the_parents_and_another_one_can_be_lit(server):
    output = run(
        server,
        """
        import warnings
        warnings.simplefilter("ignore")  # fork with threads, on purpose
        told, told_in_child = [], []
        watch = client.on_connection_change(told.append)
        wait_until(lambda: told)
        sys.stdout.flush()
        child = os.fork()
        if child == 0:
            told.clear()
            states = [client.is_connected]
            watch.close()  # it is not the child's: nothing happens
            with client.on_connection_change(told_in_child.append):
                wait_until(lambda: told_in_child)
                states += [client.is_connected, told_in_child, told]
            print(states)
            sys.exit(0)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
        print(client.is_connected, "open" in repr(watch))
        watch.close()
        client.close()
        """,
    )
    assert " ".join(output) == "[False, True, [True], []] 0 True True"
