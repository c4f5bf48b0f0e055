"""Cancelling `act()`, clause C9: what the server saw, what the tools saw, the chat afterwards."""

import threading

import pytest
from agent.act_cancelling import assert_acts_again, assert_cancelled, in_a_tool, start
from agent.acting import results
from helpers import Worker, cancels, creates, eventually, valid_chat

import lmstudio as lms
from lmstudio._connection.reactor import Reactor

pytestmark = pytest.mark.races


def hook(kind):
    """A hook of each kind, what sets it, and the reason that is then reported."""
    if kind == "event":
        event = threading.Event()
        return event, event.set, "cancel_event was set"
    token = lms.CancelToken()
    if kind == "token":
        return token, lambda: token.cancel("enough"), "enough"
    return [threading.Event(), token], lambda: token.cancel("enough"), "enough"


KINDS = ["event", "token", "several"]


# -- phases -----------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_an_event_that_is_set_already_sends_nothing_and_runs_nothing(
    server, model, waiting_tools, chat, kind
):
    event, fire, reason = hook(kind)
    fire()

    result = model.act(
        chat, [waiting_tools.quick], cancel_event=event, on_round_start=waiting_tools.log.append
    )

    assert_cancelled(result, reason, rounds=0)
    assert waiting_tools.log == []
    model.count_tokens("a round trip")
    assert not creates(server)


@pytest.mark.parametrize("kind", KINDS)
def test_cancel_during_prompt_processing(held, model, waiting_tools, chat, kind):
    event, fire, reason = hook(kind)
    worker = start(model, chat, waiting_tools, cancel_event=event)
    call = held.expect("predict")
    call.progress(0.3)

    fire()

    call.expect_cancel()
    call.success("userStopped")
    assert_cancelled(worker.result(), reason)
    assert [message.role for message in chat] == ["user"]  # nothing was said
    assert_acts_again(held, model, waiting_tools)


@pytest.mark.parametrize("kind", KINDS)
def test_cancel_while_generating_keeps_the_partial_reply(held, model, waiting_tools, chat, kind):
    event, fire, reason = hook(kind)
    arrived = threading.Event()
    completed = []
    worker = start(
        model,
        chat,
        waiting_tools,
        cancel_event=event,
        on_prediction_fragment=lambda fragment, index: arrived.set(),
        on_prediction_completed=completed.append,
        on_round_end=completed.append,
    )
    call = held.expect("predict")
    call.fragment("So far")
    assert arrived.wait(10)

    fire()

    call.expect_cancel()
    call.fragment(" and too late")
    call.success("userStopped")
    assert_cancelled(worker.result(), reason)
    assert chat[-1].content[0].text == "So far"
    round_result, round_index = completed
    assert (round_result.cancelled, round_result.content, round_index) == (True, "So far", 0)
    assert valid_chat(chat)
    assert_acts_again(held, model, waiting_tools)


def test_cancel_between_two_rounds_sends_no_further_request(held, model, waiting_tools, chat):
    token = lms.CancelToken()
    worker = start(
        model, chat, waiting_tools, cancel_event=token, on_round_end=lambda i: token.cancel("no")
    )
    call = held.expect("predict")
    call.tool_call("quick")
    call.success("toolCalls")

    assert_cancelled(worker.result(), "no")

    assert results(chat) == ['"quick"']
    assert len(creates(held)) == 1
    assert not cancels(held)
    assert valid_chat(chat)
    assert_acts_again(held, model, waiting_tools)


def test_a_cancel_after_the_last_round_changes_nothing(held, model, waiting_tools, chat):
    token = lms.CancelToken()
    worker = start(
        model, chat, waiting_tools, cancel_event=token, on_round_end=lambda i: token.cancel()
    )
    call = held.expect("predict")
    call.fragment("Done.")
    call.success()

    result = worker.result()

    assert (result.cancelled, result.cancel_reason, result.rounds) == (False, None, 1)
    assert not cancels(held)


@pytest.mark.parametrize("kind", KINDS)
def test_a_tool_that_looks_at_its_token_ends_with_act(held, model, waiting_tools, chat, kind):
    event, fire, reason = hook(kind)
    worker = in_a_tool(held, model, chat, waiting_tools, "polite", cancel_event=event)

    fire()

    assert_cancelled(worker.result(), reason)
    assert waiting_tools.log == [("polite", reason)]
    assert results(chat) == ["cancelled"]
    assert chat[1].content[0].text == "Let me."
    assert valid_chat(chat)
    assert not cancels(held)  # the prediction had ended
    assert_acts_again(held, model, waiting_tools)


def test_tools_that_have_not_started_are_not_started(held, model, waiting_tools, chat):
    token = lms.CancelToken()
    worker = in_a_tool(
        held, model, chat, waiting_tools, "polite", "quick", "quick", cancel_event=token
    )

    token.cancel("enough")

    assert_cancelled(worker.result(), "enough")
    assert waiting_tools.log == [("polite", "enough")]
    assert results(chat) == ["cancelled"] * 3
    assert valid_chat(chat)


def test_a_result_that_comes_within_the_grace_is_kept(held, model, waiting_tools, chat):
    token = lms.CancelToken()
    token.on_cancel(waiting_tools.release.set)
    worker = in_a_tool(held, model, chat, waiting_tools, "stuck", "quick", cancel_event=token)

    token.cancel("enough")

    assert_cancelled(worker.result(), "enough")
    assert results(chat) == ['"late"', "cancelled"]
    assert valid_chat(chat)


def test_a_tool_that_is_stuck_is_abandoned_after_the_grace(server, waiting_tools, chat):
    server.hold("predict")
    with lms.Client(server.host, cancel_grace=0.05) as client:
        model = client.llm.model()
        token = lms.CancelToken()
        worker = in_a_tool(server, model, chat, waiting_tools, "quick", "stuck", cancel_event=token)

        token.cancel("enough")

        assert_cancelled(worker.result(), "enough")
        assert results(chat) == ['"quick"', "cancelled"]
        assert valid_chat(chat)
        assert_acts_again(server, model, waiting_tools)  # though the tool is stuck still
        assert ("stuck", None) not in waiting_tools.log
        waiting_tools.release.set()  # it may go on; nobody listens
        eventually(lambda: ("stuck", None) in waiting_tools.log)
        assert len(chat) == 3


def test_the_grace_counts_from_the_cancel_though_the_server_used_it_up(server, waiting_tools, chat):
    """The server's last word and the tools share one grace."""
    server.hold("predict")
    with lms.Client(server.host, cancel_grace=0.2) as client:
        token = lms.CancelToken()
        worker = start(client.llm.model(), chat, waiting_tools, cancel_event=token)
        call = server.expect("predict")
        call.tool_call("stuck")
        waiting_tools.wait_started()

        token.cancel("enough")

        assert_cancelled(worker.result(), "enough")  # the server never answers the cancel
        call.expect_cancel()
        assert results(chat) == ["cancelled"]
        call.success("userStopped")


def test_cancel_while_generating_after_a_tool_was_asked_for_answers_the_request(
    held, model, waiting_tools, chat
):
    token = lms.CancelToken()
    worker = start(model, chat, waiting_tools, cancel_event=token)
    call = held.expect("predict")
    call.fragment("Let me.")
    call.tool_call("polite")
    waiting_tools.wait_started()

    token.cancel("enough")

    call.expect_cancel()
    call.success("userStopped")
    assert_cancelled(worker.result(), "enough")
    assert results(chat) == ["cancelled"]
    assert waiting_tools.log == [("polite", "enough")]
    assert valid_chat(chat)
    assert_acts_again(held, model, waiting_tools)


def test_a_tool_may_cancel_the_act_that_runs_it(held, model, chat):
    token = lms.CancelToken()

    def stop() -> str:
        """Stop it all."""
        token.cancel("the tool said so")
        return "stopped"

    worker = Worker(lambda: model.act(chat, [stop], cancel_event=token, on_message=chat.append))
    call = held.expect("predict")
    call.tool_call("stop")
    call.success("toolCalls")

    assert_cancelled(worker.result(), "the tool said so")
    assert results(chat) == ['"stopped"']


@pytest.mark.parametrize("name", ["on_round_start", "on_first_token", "guard_tool_call"])
def test_a_callback_may_cancel_it(held, model, waiting_tools, chat, name):
    token = lms.CancelToken()
    worker = start(
        model,
        chat,
        waiting_tools,
        cancel_event=token,
        **{name: lambda *arguments: token.cancel("no")},
    )
    if name != "on_round_start":
        call = held.expect("predict")
        call.fragment("Hm")
        if name == "guard_tool_call":
            call.tool_call("quick")
        call.expect_cancel()
        call.success("userStopped")

    assert_cancelled(worker.result(), "no")

    assert waiting_tools.log == []
    assert valid_chat(chat)
    assert_acts_again(held, model, waiting_tools)


def test_the_loser_of_a_race_with_the_last_word_is_not_cancelled(held, model, waiting_tools, chat):
    """Forged: the mark of a cancel is there before the reader took the end, or after it."""
    for wins in (True, False):
        token = lms.CancelToken()
        options = {"on_prediction_fragment": lambda f, i, t=token: t.cancel("no")} if wins else {}
        if not wins:
            options = {"on_prediction_completed": lambda result, t=token: t.cancel("no")}
        worker = start(model, chat.copy(), waiting_tools, cancel_event=token, **options)
        call = held.expect("predict")
        call.fragment("Done.")
        call.success()

        assert worker.result().cancelled is wins


# -- everything at once -----------------------------------------------------------------------


def test_cancel_all_ends_it_while_a_tool_runs(held, client, model, waiting_tools, chat):
    worker = in_a_tool(held, model, chat, waiting_tools, "polite", "quick")

    client.cancel_all("stop it all")

    assert_cancelled(worker.result(), "stop it all")
    assert waiting_tools.log == [("polite", "stop it all")]
    assert valid_chat(chat)
    assert_acts_again(held, model, waiting_tools)


def test_cancel_all_ends_it_while_generating(held, client, model, waiting_tools, chat):
    worker = start(model, chat, waiting_tools)
    call = held.expect("predict")
    call.fragment("So far")

    client.cancel_all("stop it all")

    call.expect_cancel()
    call.success("userStopped")
    assert_cancelled(worker.result(), "stop it all")


def test_closing_the_client_ends_it_while_a_tool_runs(held, client, model, waiting_tools, chat):
    worker = in_a_tool(held, model, chat, waiting_tools, "polite", "quick")

    client.close()

    assert_cancelled(worker.result(), "client closed")
    assert waiting_tools.log == [("polite", "client closed")]
    with pytest.raises(lms.LMStudioClientError, match="closed"):
        model.act("Again.", [waiting_tools.quick])


def test_two_threads_may_close_the_client_while_a_tool_runs(
    held, client, model, waiting_tools, monkeypatch
):
    """The second one has seen the I/O thread, and posts when this has ended."""
    worker = in_a_tool(held, model, lms.Chat.from_history("Go."), waiting_tools, "polite")
    second_looked, first_is_through = threading.Event(), threading.Event()
    reactor, post = client._session.dispatcher.reactor, Reactor.post

    def post_late(self, command, *arguments):
        if threading.current_thread().name == "second":
            second_looked.set()
            assert first_is_through.wait(5)
        post(self, command, *arguments)

    monkeypatch.setattr(Reactor, "post", post_late)
    second = threading.Thread(
        target=client.close, kwargs={"timeout": None}, name="second", daemon=True
    )
    second.start()
    assert second_looked.wait(5)
    client.close()
    eventually(lambda: reactor._has_left)
    first_is_through.set()

    second.join(5)
    assert not second.is_alive()
    assert_cancelled(worker.result(), "client closed")


def test_closing_the_client_between_two_rounds_ends_it_normally(held, client, model, waiting_tools):
    """Forged: close() has set its flag, and has not looked round for what runs."""

    def close_half(index):
        client._session.is_closed = True

    worker = start(model, lms.Chat.from_history("Go."), waiting_tools, on_round_end=close_half)
    call = held.expect("predict")
    call.tool_call("quick")
    call.success("toolCalls")

    assert_cancelled(worker.result(), "client closed")
    assert len(creates(held)) == 1


def test_an_act_that_has_ended_is_not_known_to_the_client_any_more(
    held, client, model, waiting_tools
):
    worker = start(model, lms.Chat.from_history("Go."), waiting_tools)
    call = held.expect("predict")
    assert len(client._session.scopes) == 1
    call.success()
    worker.result()

    assert not client._session.scopes


def test_a_broken_callback_of_a_tool_does_not_keep_cancel_all_from_the_rest(
    held, client, model, chat
):
    started = threading.Semaphore(0)

    def tool(context: lms.ToolCallContext) -> None:
        """Wait."""
        context.cancel_token.on_cancel(lambda: 1 / 0)
        started.release()
        context.cancel_token.wait(20)

    worker = Worker(lambda: model.act(chat, [tool], on_message=chat.append))
    call = held.expect("predict")
    call.tool_call("tool")
    call.success("toolCalls")
    assert started.acquire(timeout=10)
    stream = model.respond_stream("beside it")
    stream.start()
    beside = held.expect("predict")

    client.cancel_all("stop")

    assert_cancelled(worker.result(), "stop")
    beside.expect_cancel()
    beside.success("userStopped")
    assert stream.result().cancelled
