"""A server that is lost or absent is no outcome: a batch waits and asks again, or gives it back."""

import contextlib
import socket
import threading

import pytest
from batch.storms import Host
from helpers import Worker, eventually, free_port

import lmstudio as lms
from lmstudio._batch import hosts as _hosts

# asyncio loses sight of what connects while its server is closed.
pytestmark = pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch):
    monkeypatch.setattr(_hosts, "FIRST_PAUSE", 0.005)
    monkeypatch.setattr(_hosts, "LONGEST_PAUSE", 0.02)


def test_what_ran_on_a_lost_connection_is_asked_again(server, model):
    server.reply("one two", drop_after=1)
    outcomes = list(model.respond_many(["a", "b", "c"], max_parallel=1, ordered=True))
    assert [outcome.result.content for outcome in outcomes if outcome.result] == [
        "This is a reply of the test server."
    ] * 3
    assert [outcome.attempts for outcome in outcomes] == [2, 1, 1]


def test_a_server_that_comes_back_goes_on_with_the_batch(client):
    with Host() as host, lms.Client(host.host) as own:
        source = iter([f"Question {number}" for number in range(60)])
        batch = own.llm.model().respond_many(source, max_parallel=2, ahead=20, ordered=True)
        taken = [next(batch) for _ in range(5)]
        host.kill()
        begun = batch._count
        worker = Worker(list, batch)
        eventually(lambda: all(one.epoch for one in batch._hosts))  # it was noticed
        assert worker.is_alive()
        assert batch._count <= begun + 2  # what is away is given no more inputs
        host.start()
        taken += worker.result(30)
        assert [index for index, _ in taken] == list(range(60))
        assert all(outcome.error is None for outcome in taken)
        assert all(outcome.attempts <= 2 for outcome in taken)


def test_a_handle_that_was_made_without_asking_waits_for_a_server_that_is_down():
    with Host() as host, lms.Client(host.host) as own:
        host.kill()
        batch = lms.LLM("test-llm", own.llm).respond_many(["a", "b"], ordered=True)
        worker = Worker(list, batch)
        eventually(lambda: all(one.is_down for one in batch._hosts))
        assert worker.is_alive()
        host.start()
        assert [outcome.error for outcome in worker.result(30)] == [None, None]


def test_a_batch_that_was_stopped_has_no_time_left(model):
    batch = model.respond_many(["a", "b", "c"], max_parallel=1)
    for _ in batch:
        assert not batch.numbers.ended
        break
    assert batch.numbers.ended
    assert batch.numbers.seconds_left is None
    assert " left" not in str(batch.numbers)


def test_a_server_that_comes_back_without_its_model_is_waited_for():
    with Host() as host, lms.Client(host.host) as own:
        host.server.hold("predict")
        batch = own.llm.model().respond_many(["a", "b"])
        worker = Worker(list, batch)
        host.server.expect("predict")
        host.kill()
        host.start(loaded=[])
        (one,) = batch._hosts
        eventually(lambda: isinstance(one._last_error, lms.LMStudioModelNotFoundError))
        assert worker.is_alive()
        host.server.load("test-llm")
        outcomes = worker.result()
        assert [outcome.error for outcome in outcomes] == [None, None]
        assert all(outcome.attempts <= 2 for outcome in outcomes)


@pytest.mark.parametrize("ordered", [True, False])
def test_without_patience_the_batch_ends_at_once_and_says_what_is_left(ordered):
    with Host() as host, lms.Client(host.host) as client:
        host.server.hold("predict")
        inputs = [f"Question {number}" for number in range(10)]
        batch = client.llm.model().respond_many(inputs, max_parallel=3, ordered=ordered, patience=0)
        taken, raised = [], []

        def take():
            try:
                for outcome in batch:
                    taken.append(outcome)
            except lms.LMStudioWebsocketError as error:
                raised.append(error)

        worker = Worker(take)
        calls = [host.server.expect("predict") for _ in range(3)]
        calls[1].fragment("there")
        calls[1].success()
        host.server.expect("predict")
        if not ordered:
            eventually(lambda: taken)
        host.kill()
        worker.result()
        assert [(outcome.index, outcome.result.content) for outcome in taken] == [(1, "there")]
        assert isinstance(raised[0], lms.LMStudioConnectionLostError)
        assert list(batch) == []
        assert list(batch.unfinished()) == [inputs[0], *inputs[2:]]
        assert not batch.cancelled()
        assert batch.numbers.done == 1


def test_a_server_that_was_never_there_ends_the_batch_when_the_patience_is_over():
    client = lms.Client(f"127.0.0.1:{free_port()}")
    batch = lms.LLM("test-llm", client.llm).respond_many(iter("abc"), patience=0.05)
    with pytest.raises(lms.LMStudioWebsocketError, match="not reachable"):
        list(batch)
    assert list(batch.unfinished()) == ["a", "b", "c"]
    client.close()


def test_the_pauses_grow_and_end(monkeypatch):
    monkeypatch.setattr(_hosts, "FIRST_PAUSE", 1.0)
    monkeypatch.setattr(_hosts, "LONGEST_PAUSE", 5.0)
    now = [100.0]
    monkeypatch.setattr(_hosts, "monotonic", lambda: now[0])
    host = _hosts.Host(None, "there", 1, None)
    task = _hosts.Task(0, "a")
    error = lms.LMStudioWebsocketError("gone")
    pauses = []
    for _ in range(5):
        host.note_begin(task)
        host.note_end(task, _hosts.Verdict.ABSENT, error)
        host.note_end(task, _hosts.Verdict.ABSENT, error)  # the same loss, told again
        pauses.append(host.rests(now[0]))
        now[0] += pauses[-1]
    assert pauses == [1.0, 2.0, 4.0, 5.0, 5.0]
    assert host.given_up(now[0], 18.0) is None
    assert host.given_up(now[0], 17.0) is error
    host.note_begin(task)
    host.note_end(task, _hosts.Verdict.ANSWERED, "an answer")
    assert host.given_up(now[0], 0.0) is None


def test_a_model_that_is_not_there_ends_the_batch_at_once(server, client):
    batch = lms.LLM("nothing", client.llm).respond_many(iter("abcdef"), max_parallel=2)
    with pytest.raises(lms.LMStudioModelNotFoundError):
        list(batch)
    assert list(batch.unfinished()) == list("abcdef")


def test_a_wrong_token_ends_the_batch_at_once():
    from lmstudio.testing import Server

    with Server(auth="refuse") as server, lms.Client(server.host) as client:
        batch = lms.LLM("test-llm", client.llm).respond_many(["a", "b", "c"])
        with pytest.raises(lms.LMStudioServerError, match="Authentication failed"):
            list(batch)
        assert list(batch.unfinished()) == ["a", "b", "c"]


def test_a_model_that_is_unloaded_in_the_middle_leaves_its_inputs_to_be_done(server, model):
    server.reply("word " * 10_000, delay=0.001, repeat=2)
    batch = model.respond_many(["a", "b", "c"], max_parallel=2)
    worker = Worker(list, batch)
    eventually(lambda: len(server.predictions) == 2)
    for prediction in server.predictions:
        prediction.wait_tokens(2)
    server.unload("test-llm")
    assert isinstance(worker.error(), lms.LMStudioModelNotFoundError)
    assert list(batch.unfinished()) == ["a", "b", "c"]


@pytest.mark.parametrize("way", ["event", "cancel", "close"])
def test_a_cancel_ends_the_wait_for_a_server(way):
    stop = threading.Event()
    client = lms.Client(f"127.0.0.1:{free_port()}")
    model = lms.LLM("test-llm", client.llm)
    batch = model.respond_many(["a", "b"], cancel_event=stop, patience=None)
    worker = Worker(list, batch)
    eventually(lambda: all(host.epoch for host in batch._hosts))
    {"event": stop.set, "cancel": batch.cancel, "close": client.close}[way]()
    assert all(outcome.cancelled for outcome in worker.result())  # that was begun just then
    assert batch.cancelled()
    assert list(batch.unfinished()) == ["a", "b"]
    client.close()


def test_an_input_that_breaks_the_connection_each_time_is_found_and_the_others_are_answered(
    server, model
):
    class Poison(threading.Thread):
        def run(self):
            while True:
                call = server.expect("predict", 20)
                text = call.parameter["history"]["messages"][-1]["content"][0]["text"]
                if text == "end":
                    call.success()
                    return
                with contextlib.suppress(ConnectionError):  # it was dropped with another one
                    if text == "poison":
                        call.connection.drop()
                    else:
                        call.fragment(text)
                        call.success()

    server.hold("predict")
    poison = Poison(daemon=True)
    poison.start()
    outcomes = list(model.respond_many(["a", "b", "poison", "c", "d"], max_parallel=3))
    assert len(list(model.respond_many(["end"]))) == 1
    poison.join(10)
    errors = {outcome.input: outcome.error for outcome in outcomes if outcome.error}
    assert list(errors) == ["poison"]
    assert isinstance(errors["poison"], lms.LMStudioConnectionLostError)
    assert sorted(outcome.index for outcome in outcomes) == list(range(5))


def test_unfinished_inputs_can_be_given_to_another_batch(server, model):
    server.reply("quick")
    inputs = (f"Question {number}" for number in range(6))
    batch = model.respond_many(inputs, max_parallel=1)
    with pytest.raises(lms.LMStudioRuntimeError, match="The batch goes on"):
        batch.unfinished()
    for _ in batch:
        break
    rest = batch.unfinished()
    texts = {outcome.input for outcome in model.respond_many(rest)}
    assert texts | {"Question 0"} == {f"Question {number}" for number in range(6)}


def test_a_time_limit_that_passes_while_connecting_is_no_outcome_either():
    with socket.create_server(("127.0.0.1", 0)) as silent:  # it takes connections, and no more
        host = f"127.0.0.1:{silent.getsockname()[1]}"
        client = lms.Client(host, connect_timeout=5)
        model = lms.LLM("test-llm", client.llm)
        batch = model.respond_many(["a"], max_parallel=1, timeout=0.05, patience=0)
        with pytest.raises(lms.LMStudioTimeoutError):
            list(batch)
        assert list(batch.unfinished()) == ["a"]
        client.close()


def test_a_server_that_is_just_being_closed_is_lost_whatever_it_says():
    """It may close a connection that it has accepted, before it answers the authentication."""
    from websockets.sync.server import serve

    def close_at_once(connection):
        connection.recv(timeout=5)

    with serve(close_at_once, "127.0.0.1", 0) as closing:
        thread = threading.Thread(target=closing.serve_forever)
        thread.start()
        client = lms.Client(f"127.0.0.1:{closing.socket.getsockname()[1]}")
        batch = lms.LLM("test-llm", client.llm).respond_many(["a"], max_parallel=1, patience=0)
        with pytest.raises(lms.LMStudioWebsocketError, match="closed the connection"):
            list(batch)
        assert list(batch.unfinished()) == ["a"]
        client.close()
        closing.shutdown()
        thread.join(5)
