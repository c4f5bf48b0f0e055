"""The events of LM Studio's log, and every way to have enough of them."""

import asyncio
import pickle
import threading

import pytest
from helpers import Worker, eventually

import lmstudio as lms
from lmstudio.testing import Server


@pytest.fixture
def held_logs(server):
    """The server, whose log the test writes."""
    server.hold("streamLogs")
    return server


def log_packet(content, level="info"):
    data = {"type": "server.log", "level": level, "content": content}
    return {"type": "log", "log": {"timestamp": 1_700_000_000_000, "data": data}}


def into_the_channel(server):
    """What was sent into channels, by its type."""
    return [message["message"]["type"] for message in server.received(type="channelSend")]


def stopped(server):
    eventually(lambda: into_the_channel(server))
    assert into_the_channel(server) == ["stop"]
    return True


def test_the_stream_is_opened_without_a_parameter(held_logs, client):
    with client.diagnostics.stream_logs():
        call = held_logs.expect("streamLogs")

    assert call.message == {"type": "channelCreate", "endpoint": "streamLogs", "channelId": call.id}
    assert call.connection.path == "/diagnostics"


def test_what_a_model_is_given_and_answers_comes_as_events(server, client, model):
    server.reply("Hello.")
    with client.diagnostics.stream_logs() as logs:
        events = iter(logs)
        eventually(lambda: server.received(endpoint="streamLogs"))
        model.respond("Hi.")
        given, answered = next(events), next(events)

    assert isinstance(given, lms.DiagnosticsLogEvent)
    assert isinstance(given.data, lms.DiagnosticsLogEventData)
    assert (given.data.type, given.data.model_identifier) == ("llm.prediction.input", "test-llm")
    assert "Hi." in given.data.input
    assert given.data.output is None
    assert given.timestamp > 1_700_000_000_000
    assert (answered.data.type, answered.data.output) == ("llm.prediction.output", "Hello.")
    assert answered.data.stats.stop_reason == "eosFound"


def test_a_log_has_a_level_and_a_text(held_logs, client):
    logs = client.diagnostics.stream_logs()
    with logs:
        held_logs.expect("streamLogs").packet(log_packet("it is late", "warn"))
        event = next(iter(logs))

    assert event.timestamp == 1_700_000_000_000
    assert event.data == lms.DiagnosticsLogEventData(
        type="server.log", level="warn", content="it is late"
    )


def test_events_and_packets_of_a_newer_server_are_borne(held_logs, client):
    with client.diagnostics.stream_logs() as logs:
        call = held_logs.expect("streamLogs")
        call.packet({"type": "somethingNew"})
        call.packet({"type": "log", "log": {"data": {"type": "new", "pid": "odd", "more": 1}}})
        event = next(iter(logs))

    assert (event.timestamp, event.data.type, event.data.pid) == (0.0, "new", None)
    assert event.data.extra == {"pid": "odd", "more": 1}


def test_an_event_that_is_none_is_left_out(held_logs, client):
    with client.diagnostics.stream_logs() as logs:
        call = held_logs.expect("streamLogs")
        for odd in (5, None, {"data": "odd"}):
            call.packet({"type": "log", "log": odd})
        call.packet(log_packet("half of a character: \ud83d"))
        event = next(iter(logs))

    assert event.data.content == "half of a character: \ufffd"
    assert stopped(held_logs)


def test_break_closes_it(held_logs, client):
    logs = client.diagnostics.stream_logs()
    worker = Worker(lambda: held_logs.expect("streamLogs").packet(log_packet("one")))
    for event in logs:
        assert event.data.content == "one"
        break
    del event

    worker.result()
    assert stopped(held_logs)
    assert logs.cancelled()
    assert list(logs) == []


def test_an_iterator_that_was_not_advanced_owns_nothing(held_logs, client):
    logs = client.diagnostics.stream_logs()
    iter(logs)

    assert not held_logs.received(endpoint="streamLogs")
    assert not logs.cancelled()


def stop_by_cancel(logs, event):
    assert logs.cancel("enough")
    assert not logs.cancel("again")


def stop_by_event(logs, event):
    event.set()


def stop_by_close(logs, event):
    logs.close()


def stop_by_client(logs, event):
    logs._session.cancel_all("all")


@pytest.mark.parametrize("stop", [stop_by_cancel, stop_by_event, stop_by_close, stop_by_client])
def test_every_stop_ends_a_loop_that_waits(held_logs, client, stop):
    event = threading.Event()
    logs = client.diagnostics.stream_logs(cancel_event=event)
    seen = []
    worker = Worker(lambda: seen.extend(entry.data.content for entry in logs))
    held_logs.expect("streamLogs").packet(log_packet("one"))
    eventually(lambda: seen)

    stop(logs, event)

    worker.result()
    assert seen == ["one"]
    assert stopped(held_logs)


def test_an_event_that_is_set_already_sends_nothing(held_logs, client):
    event = threading.Event()
    event.set()

    assert list(client.diagnostics.stream_logs(cancel_event=event)) == []

    assert not held_logs.received(endpoint="streamLogs")


def test_what_was_not_read_is_dropped_after_a_cancel(held_logs, client):
    with client.diagnostics.stream_logs() as logs:
        call = held_logs.expect("streamLogs")
        for number in range(3):
            call.packet(log_packet(str(number)))
        reader = iter(logs)
        next(reader)
        logs.cancel()

        assert list(reader) == []


def test_dropping_it_closes_it(held_logs, client):
    logs = client.diagnostics.stream_logs()
    logs.__enter__()
    held_logs.expect("streamLogs")

    del logs

    assert stopped(held_logs)


def test_closing_the_client_ends_the_loop(held_logs):
    client = lms.Client(held_logs.host)
    worker = Worker(lambda: list(client.diagnostics.stream_logs()))
    held_logs.expect("streamLogs")

    client.close()

    assert worker.result() == []
    assert stopped(held_logs)
    with pytest.raises(lms.LMStudioClientError):
        next(iter(client.diagnostics.stream_logs()))


def test_a_lost_connection_and_a_server_that_closes_are_errors(held_logs, client):
    for end, error in (
        (lambda call: call.connection.drop(), lms.LMStudioConnectionLostError),
        (lambda call: call.close(), lms.LMStudioChannelClosedError),
        (lambda call: call.error("no"), lms.LMStudioServerError),
    ):
        reader = iter(client.diagnostics.stream_logs())
        worker = Worker(next, reader)
        end(held_logs.expect("streamLogs"))
        assert isinstance(worker.error(), error)
        with pytest.raises(error):
            next(reader)
    assert into_the_channel(held_logs) == []


def test_silence_ends_it_only_where_a_limit_is_given(held_logs):
    with lms.Client(held_logs.host, timeout=0.05, idle_timeout=0.05) as client:
        with client.diagnostics.stream_logs() as logs:
            assert (logs._call.timeout, logs._call.idle_timeout) == (None, None)
        with pytest.raises(lms.LMStudioTimeoutError):
            next(iter(client.diagnostics.stream_logs(idle_timeout=0.05)))
        with pytest.raises(lms.LMStudioValueError):
            client.diagnostics.stream_logs(timeout=-1)


def test_one_loop_reads(held_logs, client):
    with client.diagnostics.stream_logs() as logs:
        call = held_logs.expect("streamLogs")
        call.packet(log_packet("one"))
        call.packet(log_packet("two"))
        first, second = iter(logs), iter(logs)
        assert next(first).data.content == "one"

        with pytest.raises(lms.LMStudioRuntimeError, match="Another loop over these logs goes on"):
            next(second)

        assert next(first).data.content == "two"


def test_it_cannot_be_pickled_and_says_how_it_stands(held_logs, client):
    logs = client.diagnostics.stream_logs()
    assert repr(logs) == "<LogStream: not opened>"
    with logs:
        assert repr(logs) == "<LogStream: open>"
        assert repr(iter(logs)) == "<iterator of <LogStream: open>>"
        with pytest.raises(TypeError, match="cannot be pickled"):
            pickle.dumps(logs)
    assert repr(logs) == "<LogStream: closed>"
    assert repr(client.diagnostics).startswith("<DiagnosticsNamespace of ")


# -- the asyncio half ---------------------------------------------------------------------------


def in_a_loop(use, *, hold=("streamLogs",)):
    """Run a coroutine function with a server and a client of the asyncio half."""

    async def run(server):
        async with lms.AsyncClient(server.host) as client:
            await asyncio.wait_for(use(server, client), 20.0)

    with Server(hold=list(hold)) as server:
        asyncio.run(run(server))
        return server


async def expect(server):
    return await asyncio.to_thread(server.expect, "streamLogs")


def test_a_task_reads_and_leaves_by_break():
    async def use(server, client):
        async def answer():
            (await expect(server)).packet(log_packet("one"))

        task = asyncio.create_task(answer())
        async for event in client.diagnostics.stream_logs():
            assert event.data.content == "one"
            break
        await task

    assert stopped(in_a_loop(use))


@pytest.mark.parametrize("how", ["cancel", "event", "token", "task", "aclose"])
def test_a_task_that_waits_is_stopped(how):
    async def use(server, client):
        event, token = asyncio.Event(), lms.CancelToken()
        logs = client.diagnostics.stream_logs(cancel_event=[event, token])

        async def read():
            return [entry async for entry in logs]

        task = asyncio.create_task(read())
        await expect(server)
        stops = {"cancel": logs.cancel, "event": event.set, "token": token.cancel}
        if how == "task":
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            return
        if how == "aclose":
            await logs.aclose()
        else:
            stops[how]()
        assert await task == []

    assert stopped(in_a_loop(use))


def test_async_with_opens_and_closes():
    async def use(server, client):
        async with client.diagnostics.stream_logs() as logs:
            (await expect(server)).packet(log_packet("one"))
            assert (await anext(aiter(logs))).data.content == "one"
        assert logs.cancelled()

    assert stopped(in_a_loop(use))


def test_one_loop_of_a_task_reads_and_the_stream_says_how_it_stands():
    async def use(server, client):
        logs = client.diagnostics.stream_logs()
        assert repr(logs) == "<AsyncLogStream: not opened>"
        async with logs:
            call = await expect(server)
            call.packet(log_packet("one"))
            call.packet(log_packet("two"))
            first, second = aiter(logs), aiter(logs)
            assert (await anext(first)).data.content == "one"
            with pytest.raises(lms.LMStudioRuntimeError, match="Another loop over these logs"):
                await anext(second)
            assert (await anext(first)).data.content == "two"
            assert repr(first) == "<iterator of <AsyncLogStream: open>>"
            with pytest.raises(TypeError, match="cannot be pickled"):
                pickle.dumps(logs)
        assert repr(logs) == "<AsyncLogStream: closed>"

    assert stopped(in_a_loop(use))


def test_a_lost_connection_is_an_error_in_a_task():
    async def use(server, client):
        async def lose():
            (await expect(server)).connection.drop()

        task = asyncio.create_task(lose())
        with pytest.raises(lms.LMStudioConnectionLostError):
            async for _ in client.diagnostics.stream_logs():
                pass
        await task

    assert into_the_channel(in_a_loop(use)) == []
