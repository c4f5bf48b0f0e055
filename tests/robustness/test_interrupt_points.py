"""Ctrl-C at each point where Python looks for signals: nothing is lost, and all goes on."""

import copy
import itertools
import json
from pathlib import Path

import pytest
from helpers import Worker, cancels, creates, eventually, valid_chat
from robustness.signal_points import OURS, PACKAGE, each_point

import lmstudio as lms
from lmstudio._batch.batch import _has_ended

pytestmark = pytest.mark.races
LIMIT = 10.0  # seconds


# -- batches ----------------------------------------------------------------------------------


@pytest.mark.parametrize("ordered", [True, False])
@pytest.mark.parametrize("wrapped", [iter, enumerate])
def test_a_batch_gives_each_finished_outcome_once(server, model, ordered, wrapped):
    def scenario(interrupted):
        batch = model.respond_many(list("abc"), max_parallel=3, ordered=ordered)
        iterator = iter(batch)
        given = [next(iterator)[0]]
        eventually(lambda: all(map(_has_ended, batch._open.values())))
        loop = wrapped(iterator)
        try:
            with interrupted():
                for item in loop:
                    given.append(item[0] if wrapped is iter else item[1][0])
        except KeyboardInterrupt:
            pass
        given += [index for index, _ in batch]
        assert sorted(given) == [0, 1, 2]

    assert each_point(scenario) > 50
    assert not cancels(server)


def test_a_batch_that_is_interrupted_at_any_time_gives_nothing_twice_and_stops_what_runs(
    server, client, model
):
    def scenario(interrupted):
        batch = model.respond_many(list("ab"), max_parallel=1)
        given = []
        try:
            with interrupted():
                for index, _ in batch:
                    given.append(index)
        except KeyboardInterrupt:
            pass
        given += Worker(lambda: [index for index, _ in batch]).result()
        assert len(set(given)) == len(given)
        assert len(given) >= batch._count - 1  # but the one that was being started
        eventually(lambda: not client._session.dispatcher.open)

    assert each_point(scenario, stride=5) > 100
    cancelled = [message["channelId"] for message in cancels(server)]
    assert len(set(cancelled)) == len(cancelled)


def test_vectors_that_are_interrupted_at_any_time_are_given_once_or_are_unfinished(server, client):
    model = client.embedding.model()

    def scenario(interrupted):
        batch = model.embed_many(list("ab"), max_parallel=1, chunk=2)
        given = []
        try:
            with interrupted():
                for index, _ in batch:
                    given.append(index)
        except KeyboardInterrupt:
            pass
        rest = Worker(lambda: list(batch)).result()
        given += [outcome.index for outcome in rest if not outcome.cancelled]
        assert len(set(given)) == len(given)
        left = list(batch.unfinished())
        assert sorted(["ab"[index] for index in given] + left) == ["a", "b"]
        eventually(lambda: not client._session.dispatcher.open)

    assert each_point(scenario, stride=3) > 100


def test_a_journal_that_is_interrupted_at_any_time_has_each_line_once(server, model, tmp_path):
    path = tmp_path / "out.jsonl"
    steps = itertools.count()

    def scenario(interrupted):
        path.unlink(missing_ok=True)
        run = next(steps)
        inputs = [f"{run} a", f"{run} b"]
        batch = model.respond_many(inputs, max_parallel=2, journal=path)
        given = []
        try:
            with interrupted():
                for index, _ in batch:
                    given.append(index)
        except KeyboardInterrupt:
            pass
        given += [outcome.index for outcome in batch if not outcome.cancelled]
        lines = [json.loads(line) for line in path.read_bytes().splitlines()]
        assert sorted(line["index"] for line in lines) == sorted(given)
        again = list(model.respond_many(inputs, journal=path))
        assert sorted(outcome.index for outcome in again) == [0, 1]
        assert sum(outcome.recorded for outcome in again) == len(lines)

    assert each_point(scenario, (str(Path(PACKAGE, "_batch")),), stride=2) > 100


# -- one prediction ---------------------------------------------------------------------------


def used_after(server, client, stream, started):
    """An interrupted stream is over for everybody, and one cancel was sent for it."""
    result = Worker(stream.result, LIMIT).result()
    assert result.cancelled
    assert Worker(lambda: list(stream)).result() == []
    told = []
    stream.add_done_callback(told.append)
    assert told == [stream]
    if len(creates(server)) > started:
        server.predictions[-1].wait_finished(LIMIT)
    eventually(lambda: not client._session.dispatcher.open)
    assert len(cancels(server)) == len(creates(server))


def cancel_unless_interrupted(stream, where, entrance):
    """Cancel a stream that the Ctrl-C did not: there was none, or before the first step of ours."""
    if not stream.cancelled():
        assert not where or where[0].split()[-1] in entrance, where
        stream.cancel()


@pytest.fixture
def endless(server):
    """Predictions that do not end by themselves."""
    server.reply("word " * 10_000, delay=0.005, repeat=10_000)
    return server


def test_result_with_a_limit_leaves_a_stream_that_is_over_for_all(endless, client, model):
    def scenario(interrupted):
        started = len(creates(endless))
        stream = model.respond_stream("hi")
        stream.start()
        eventually(lambda: stream._call.inbox.qsize() >= 2)
        try:
            with interrupted() as where, pytest.raises(too_late):
                stream.result(timeout=0)
        except KeyboardInterrupt:
            pass
        cancel_unless_interrupted(stream, where, ("result",))
        used_after(endless, client, stream, started)

    too_late = lms.LMStudioTimeoutError

    assert each_point(scenario, stride=3) > 50


def test_an_iterating_thread_leaves_a_stream_that_is_over_for_all(endless, client, model):
    def scenario(interrupted):
        started = len(creates(endless))
        stream = model.respond_stream("hi")
        iterator = iter(stream)
        next(iterator)
        eventually(lambda: stream._call.inbox.qsize() >= 2)
        try:
            with interrupted() as where:
                next(iterator)
                next(iterator)
        except KeyboardInterrupt:
            pass
        cancel_unless_interrupted(stream, where, ("__next__",))
        used_after(endless, client, stream, started)

    assert each_point(scenario) > 10


def test_run_in_background_leaves_a_stream_that_is_over_or_goes_on(endless, client, model):
    def scenario(interrupted):
        started = len(creates(endless))
        stream, future = model.respond_stream("hi"), None
        try:
            with interrupted() as where:
                future = stream.run_in_background(interval=0.001)
        except KeyboardInterrupt:
            pass
        assert (future is None) == bool(where)
        cancel_unless_interrupted(stream, where, ("run_in_background", "start"))
        result = Worker(stream.result, LIMIT).result()
        assert result.cancelled
        if len(creates(endless)) > started:
            endless.predictions[-1].wait_finished(LIMIT)
        eventually(lambda: not client._session.dispatcher.open)
        assert len(cancels(endless)) == len(creates(endless))

    model.respond_stream("hi").run_in_background().cancel()  # what it imports
    eventually(lambda: not client._session.dispatcher.open)
    assert each_point(scenario) > 50


# -- act --------------------------------------------------------------------------------------

# Where messages are told of, and copied into the user's chat.
TELLING = tuple(
    str(Path(PACKAGE, name)) for name in ("_agent/act.py", "_values/", "_concurrency/callback_gate")
)


def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


@pytest.mark.parametrize(
    ("files", "stride"), [((*TELLING, copy.__file__), 3), (OURS, 11)], ids=["telling", "all"]
)
def test_act_leaves_a_chat_that_can_go_on(server, client, model, files, stride):
    def scenario(interrupted):
        server.reply("Let me see.", tool_calls=[{"name": "add", "arguments": {"a": 1, "b": 2}}])
        server.reply("It is three.")
        chat = lms.Chat()
        chat.add_user_message("How much is 1 + 2?")
        try:
            with interrupted():
                model.act(chat, [add], on_message=chat.append)
        except KeyboardInterrupt:
            pass
        assert valid_chat(chat)
        roles = [message.role for message in chat]
        assert roles == ["user", "assistant", "tool", "assistant"][: len(roles)]
        eventually(lambda: not client._session.dispatcher.open)
        forget_replies(server)

    assert each_point(scenario, files, stride) > 100


def forget_replies(server):
    """Take what was queued for rounds that did not come."""
    server._core.engine._queue.clear()


@pytest.mark.parametrize("failing", ["request", "results"])
@pytest.mark.parametrize("is_told", [True, False])
def test_ctrl_c_in_the_callback_is_followed_by_the_same_message(server, model, failing, is_told):
    server.reply(tool_calls=[{"name": "add", "arguments": {"a": 1, "b": 2}}])
    chat = lms.Chat()
    chat.add_user_message("hi")
    steps = itertools.count()

    def append(message):
        is_first = next(steps) == ["request", "results"].index(failing)
        if is_told or not is_first:
            chat.append(message)
        if is_first:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        model.act(chat, [add], on_message=append)
    assert [message.role for message in chat] == ["user", "assistant", "tool"]
    assert valid_chat(chat)
    assert json.loads(chat.to_json())


def test_a_list_gets_each_message_once(server, model):
    def scenario(interrupted):
        server.reply(tool_calls=[{"name": "add", "arguments": {"a": 1, "b": 2}}])
        server.reply("It is three.")
        messages = []
        try:
            with interrupted():
                model.act("hi", [add], on_message=messages.append)
        except KeyboardInterrupt:
            pass
        assert [message.role for message in messages] in (
            [],
            ["assistant", "tool"],
            ["assistant", "tool", "assistant"],
        )
        forget_replies(server)

    assert each_point(scenario, TELLING, 2) > 50


# -- the light in a window --------------------------------------------------------------------


def test_a_light_that_was_being_lit_leaves_nothing_behind_and_another_one_works(server):
    def scenario(interrupted):
        client, told = lms.Client(server.host), []
        watch = None
        try:
            with interrupted() as where:
                watch = client.on_connection_change(lambda _: None)
        except KeyboardInterrupt:
            # The caller's own last step may be hit, when all is done.
            is_done = where[0].endswith(("on_connection_change", "__exit__"))
            assert is_done or not client._session.listeners
        with client.on_connection_change(told.append):
            eventually(lambda: told == [True])
        if watch is not None:
            watch.close()
        client.close()
        state = client._session.dispatcher.state
        eventually(lambda: not state._subscriptions)
        eventually(lambda: not client._session.listeners)

    assert each_point(scenario) > 50
