"""What a session does with a call: its limits, its start, its answer, many at once."""

import pytest
from helpers import Worker, eventually

import lmstudio as lms
from lmstudio._connection.endpoints import rpc
from lmstudio._connection.request import Request
from lmstudio._connection.wire import Attempt

COUNT = rpc("llm", "countTokens", "Counting tokens")
SPECIFIER = {"type": "query", "query": {"identifier": "test-llm"}}


def question(text):
    """A request of which the server knows the answer."""
    parameter = {"specifier": SPECIFIER, "inputString": text}
    return Request(COUNT, parameter, lambda answer: int(answer["tokenCount"]))


@pytest.fixture
def session(client):
    client.llm.model()  # loads it
    return client._session


@pytest.fixture
def default_silence():
    before = lms.get_sync_api_timeout()
    yield
    lms.set_sync_api_timeout(before)


def test_limits_come_from_the_call_then_the_client_then_the_package(server, default_silence):
    lms.set_sync_api_timeout(7)
    with (
        lms.Client(server.host, timeout=3, idle_timeout=4) as client,
        lms.Client(server.host) as plain,
    ):
        call = client._session.new_call(COUNT, timeout=1, idle_timeout=2)
        assert (call.timeout, call.idle_timeout) == (1, 2)
        call = client._session.new_call(COUNT)
        assert (call.timeout, call.idle_timeout) == (3, 4)
        call = client._session.new_call(COUNT, timeout=None, idle_timeout=None)
        assert (call.timeout, call.idle_timeout) == (None, None)
        call = plain._session.new_call(COUNT)
        assert (call.timeout, call.idle_timeout) == (None, 7)


def test_only_predictions_wait_for_the_servers_last_word(session):
    assert session.new_call(COUNT).grace == 0
    assert session.new_call(COUNT, is_prediction=True).grace == session.cancel_grace == 2.0


def test_a_request_is_answered_by_what_its_answer_means(session):
    assert session.call(question("a b c")) == 3


@pytest.mark.parametrize("answer", [None, {}, {"tokenCount": "many"}, []])
def test_an_answer_that_means_nothing_is_a_protocol_error(server, session, answer):
    server.hold("countTokens")
    worker = Worker(session.call, question("a"))
    server.expect("countTokens").result(answer)

    error = worker.error()

    assert isinstance(error, lms.LMStudioProtocolError)
    assert "answer to countTokens is malformed" in str(error)


def test_packets_before_the_outcome_are_handed_on_in_the_waiting_thread(server, client):
    seen = []
    client.llm.load_new_instance("test-llm", on_load_progress=seen.append)

    assert seen[-1] == 1.0
    assert seen == sorted(seen)


def test_many_requests_are_under_way_at_once_and_answered_in_their_order(server, session):
    counts = [1 + number % 7 for number in range(300)]

    assert session.call_each(question(" ".join("a" * count)) for count in counts) == counts


def test_a_list_keeps_at_most_64_calls_under_way(server, session):
    server.hold("countTokens")
    worker = Worker(session.call_each, [question("a")] * 100)
    for _ in range(64):
        server.expect("countTokens")

    assert len(session.dispatcher.open) == 64
    session.cancel_all("enough")
    assert isinstance(worker.error(), lms.LMStudioCancelledError)
    eventually(lambda: not session.dispatcher.open)


def test_an_error_of_one_cancels_the_others(server, session):
    server.hold("countTokens")
    worker = Worker(session.call_each, [question("a")] * 3)
    server.expect("countTokens").error("no")

    assert isinstance(worker.error(), lms.LMStudioServerError)
    eventually(lambda: not session.dispatcher.open)


def test_a_closed_session_takes_no_calls(client):
    session = client._session
    client.close()

    with pytest.raises(lms.LMStudioClientError, match="closed"):
        session.call(question("a"))
    assert not session.dispatcher.open


def test_who_waits_for_a_connection_learns_that_the_thread_failed(listener):
    def fail(now):
        raise ZeroDivisionError

    client = lms.Client(listener)
    dispatcher = client._session.dispatcher
    worker = Worker(client.llm.list_loaded)
    eventually(lambda: dispatcher._ports)

    dispatcher.sweep = fail
    dispatcher.reactor.wake()

    assert "I/O thread failed: ZeroDivisionError" in str(worker.error())


def test_an_attempt_that_ends_while_it_is_given_up_is_not_the_reason(listener, monkeypatch):
    client = lms.Client(listener)
    ports = client._session.dispatcher._ports
    worker = Worker(client.llm.list_loaded)
    eventually(lambda: ports and next(iter(ports.values()))._attempt)
    abort = Attempt.abort

    def abort_and_tell(attempt):
        abort(attempt)
        [port] = ports.values()  # as the connector thread does once the I/O thread has ended
        port._connected(attempt, lms.LMStudioWebsocketError("The attempt was given up."))

    monkeypatch.setattr(Attempt, "abort", abort_and_tell)
    client.close()

    assert "closed" in str(worker.error())


# -- another server in the place of the one that was there -------------------------------------


def test_what_starts_over_ends_what_runs_and_connects_anew(server, session):
    server.hold("countTokens")
    running = Worker(session.call, question("a"))
    server.expect("countTokens")
    before = len(server.connections)

    session.start_over(timeout=10)

    assert isinstance(running.error(), lms.LMStudioCancelledError)
    server.release("countTokens")
    assert session.call(question("a b c")) == 3
    assert len(server.connections) > before


def test_starting_over_leaves_nothing_of_what_was(session):
    session.call(question("a"))
    thread, gate = session.dispatcher.reactor.thread, session.callback_gate
    for _ in range(5):
        session.start_over(timeout=10)

    thread.join(10)
    assert not thread.is_alive()
    assert len(session._finalizers) == len(session._shares) == 1
    called = []
    gate.run(called.append, "too late")
    session.callback_gate.run(called.append, "in time")
    assert called == ["in time"]
