"""Batches that were interrupted, and ends that are told late: nothing is lost, nothing hangs."""

import signal
from collections import deque

import pytest
from helpers import Worker, eventually

from lmstudio._batch.calls import PredictionRun
from lmstudio._connection.endpoints import rpc

pytestmark = pytest.mark.races


def rest(batch):
    """The indices that are left, each once."""
    indices = Worker(lambda: [index for index, _ in batch]).result()
    assert len(set(indices)) == len(indices)
    return sorted(indices)


@pytest.mark.parametrize("ordered", [True, False])
def test_ctrl_c_while_an_input_is_started_leaves_the_others(server, model, ordered):
    server.hold("predict")
    batch = model.respond_many(["a", "b", "c", "d"], max_parallel=3, ordered=ordered)
    (host,) = batch._hosts
    begin, begun = host.begin, []

    def interrupted(prompt, scope):
        begun.append(prompt)
        if len(begun) == 3:
            signal.raise_signal(signal.SIGINT)
        return begin(prompt, scope)

    host.begin = interrupted
    with pytest.raises(KeyboardInterrupt):
        next(batch)

    assert rest(batch) == [0, 1]
    assert list(batch.unfinished()) == ["a", "b", "c", "d"]


@pytest.mark.parametrize("ordered", [True, False])
def test_an_input_that_raises_something_odd_leaves_the_others(server, model, ordered):
    class Odd(dict):
        def get(self, *_):
            raise RuntimeError("odd")

    server.hold("predict")
    inputs = ["a", "b", Odd(messages=[])]
    batch = model.respond_many(inputs, max_parallel=3, ordered=ordered)
    with pytest.raises(RuntimeError, match="odd"):
        next(batch)

    assert rest(batch) == [0, 1]


@pytest.mark.parametrize("ordered", [True, False])
def test_ctrl_c_before_the_end_could_be_told_is_made_up_for(server, model, monkeypatch, ordered):
    monkeypatch.setattr("lmstudio._batch.batch._LOOK_AGAIN", 0.01)
    tell, runs = PredictionRun.tell, []

    def interrupted(run, told):
        runs.append(run)
        if len(runs) == 2:
            tell(run, lambda _: None)
            raise KeyboardInterrupt
        tell(run, told)

    monkeypatch.setattr(PredictionRun, "tell", interrupted)
    batch = model.respond_many(["a", "b", "c"], max_parallel=2, ordered=ordered)
    with pytest.raises(KeyboardInterrupt):
        next(batch)

    assert rest(batch) == [0, 1]


@pytest.mark.parametrize("ordered", [True, False])
def test_an_outcome_that_is_there_and_not_told_yet_is_given_once(server, model, ordered):
    """A call has its outcome before it tells of it."""
    batch = model.respond_many(["a"], ordered=ordered)
    late = []

    class Forged:  # what tells is still to run
        call = model._session.new_call(rpc("llm", "countTokens"))
        tell = staticmethod(late.append)
        done = staticmethod(lambda: True)
        outcome = staticmethod(lambda: "there")

    (host,) = batch._hosts
    host.begin = lambda prompt, scope: Forged()
    worker = Worker(next, batch)
    eventually(lambda: late)
    late[0](None)

    assert worker.result() == (0, "there")
    assert rest(batch) == []


def test_ctrl_c_while_an_input_is_noted_leaves_it_to_be_done_once(server, model):
    class Interrupted(deque):
        def popleft(self):
            if len(batch._open) == 2:
                raise KeyboardInterrupt
            return super().popleft()

    batch = model.respond_many(iter("abc"), max_parallel=3)
    batch._fresh = Interrupted()
    with pytest.raises(KeyboardInterrupt):
        next(batch)
    finished = [outcome.input for outcome in batch if not outcome.cancelled]
    assert sorted([*finished, *batch.unfinished()]) == ["a", "b", "c"]
