"""What a server says wrongly of one input of a batch: all others go on, a cancel stays one."""

import pytest
from helpers import Worker, eventually

import lmstudio as lms

ERROR = {"type": "error", "error": {"title": "Out of memory"}}
ODD = [
    {"type": "fragment", "fragment": None},
    {"type": "fragment", "fragment": {"content": 3}},
    {"type": "toolCallGenerationEnd", "toolCallRequest": {"arguments": 3}},
    ERROR,
]


@pytest.mark.parametrize("packet", ODD)
def test_a_packet_that_cannot_be_read_ends_its_input_at_once(server, client, packet):
    client._session.cancel_grace = 60.0  # what waits for the server's last word waits long
    model = client.llm.model()
    server.hold("predict")
    worker = Worker(lambda: list(model.respond_many(["a", "b"], max_parallel=1)))
    first = server.expect("predict")
    first.fragment("one")
    first.packet(packet)
    second = server.expect("predict")
    first.expect_cancel()
    second.fragment("two")
    second.success()
    outcomes = dict(worker.result())
    assert isinstance(outcomes[0], lms.LMStudioError)
    assert outcomes[0].partial.content == "one"
    assert outcomes[1].content == "two"


@pytest.mark.parametrize("packet", ODD)
def test_what_comes_after_a_cancel_changes_no_outcome(server, model, tmp_path, packet):
    server.hold("predict")
    journal = tmp_path / "out.jsonl"
    batch = model.respond_many(["a", "b"], max_parallel=1, journal=journal)
    worker = Worker(lambda: list(batch))
    call = server.expect("predict")
    call.fragment("one")
    eventually(lambda: batch._open[0].running._reader._accumulator.content == "one")
    batch.cancel("enough")
    call.expect_cancel()
    call.packet(packet)
    call.fragment("late")
    call.success("userStopped")
    ((index, result),) = worker.result()
    assert (index, result.cancelled, result.content) == (0, True, "one")
    assert list(batch.unfinished()) == ["a", "b"]
    assert journal.read_text() == ""


@pytest.mark.parametrize("code", [{}, [], 3, None])
def test_an_error_with_an_odd_code_costs_no_other_call_of_the_connection(server, model, code):
    server.hold("predict")
    batch = model.respond_many(["a", "b"], max_parallel=2)
    worker = Worker(lambda: dict(batch))
    calls = [server.expect("predict") for _ in "ab"]
    calls[0].packet({"type": "error", "error": {"title": "t", "displayData": {"code": code}}})
    calls[0].expect_cancel()
    calls[1].fragment("two")
    calls[1].success()
    outcomes = worker.result()
    assert isinstance(outcomes[0], lms.LMStudioPredictionError)
    assert outcomes[1].content == "two"


def test_a_fault_of_our_own_in_one_prediction_costs_no_other_one(server, model, monkeypatch):
    from lmstudio._prediction.accumulator import Accumulator

    fragment = Accumulator.fragment

    def broken(self, packet):
        if packet["content"] == "odd":
            raise ZeroDivisionError
        return fragment(self, packet)

    monkeypatch.setattr(Accumulator, "fragment", broken)
    server.hold("predict")
    worker = Worker(lambda: dict(model.respond_many(["a", "b"], max_parallel=2)))
    calls = [server.expect("predict") for _ in "ab"]
    calls[0].fragment("odd")
    calls[0].expect_cancel()
    calls[1].fragment("two")
    calls[1].success()
    outcomes = worker.result()
    assert isinstance(outcomes[0], lms.LMStudioProtocolError)
    assert outcomes[1].content == "two"


def test_a_vector_that_has_come_is_not_cancelled_while_it_waits_to_be_given(server, client):
    model = client.embedding.model()
    server.hold("embedString")
    batch = model.embed_many(["a", "b"], chunk=1, max_parallel=2)
    worker = Worker(next, batch)
    first, second = (server.expect("embedString") for _ in "ab")
    first.result({"embedding": [1.0]})
    assert worker.result() == (0, [1.0])
    second.result({"embedding": [2.0]})
    eventually(lambda: batch._open[1].running.call.outcome is not None)
    batch.cancel()
    assert list(batch) == [(1, [2.0])]
