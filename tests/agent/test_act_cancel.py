"""Cancelling `act()`, clause C9: what the server saw, what the tools saw, the chat afterwards."""

import functools
import threading
import time

import pytest
from helpers import Worker, cancels, creates, eventually, valid_chat

import lmstudio as lms
from lmstudio._agent import act as _act

pytestmark = pytest.mark.races


class Tools:
    """Tools that wait, each telling when it started and what it saw."""

    def __init__(self):
        self.started = threading.Semaphore(0)
        self.release = threading.Event()
        self.log = []

    def polite(self, context: lms.ToolCallContext) -> str:
        """Wait until cancelled."""
        self.started.release()
        context.cancel_token.wait(20)
        self.log.append(("polite", context.cancel_token.reason))
        context.cancel_token.raise_if_cancelled()
        return "released"

    def stuck(self) -> str:
        """Wait for the test, whatever happens."""
        self.started.release()
        self.release.wait(20)
        self.log.append(("stuck", None))
        return "late"

    def quick(self) -> str:
        """Return at once."""
        self.log.append(("quick", None))
        return "quick"

    def wait_started(self):
        assert self.started.acquire(timeout=10)


@pytest.fixture
def tools():
    tools = Tools()
    yield tools
    tools.release.set()


@pytest.fixture
def chat():
    return lms.Chat.from_history("Go.")


def start(model, chat, tools, *names, **options):
    functions = [getattr(tools, name) for name in names or ("polite", "stuck", "quick")]
    return Worker(lambda: model.act(chat, functions, on_message=chat.append, **options))


def in_a_tool(held, model, chat, tools, *names, **options):
    """Start an act(); come back when its prediction has ended and the first waiting tool runs."""
    completed = threading.Event()
    options["on_prediction_completed"] = lambda result: completed.set()
    worker = start(model, chat, tools, **options)
    call = held.expect("predict")
    call.fragment("Let me.")
    for name in names:
        call.tool_call(name)
    call.success("toolCalls")
    assert completed.wait(10)
    tools.wait_started()
    return worker


def results(chat):
    return [part.content for message in chat if message.role == "tool" for part in message.content]


def assert_usable(held, model, tools):
    """The same model acts again, at once."""
    worker = Worker(model.act, "Again.", [tools.quick])
    call = held.expect("predict")
    call.fragment("fine")
    call.success()
    assert worker.result().rounds == 1


def assert_cancelled(result, reason, rounds=1):
    assert (result.cancelled, result.cancel_reason, result.rounds) == (True, reason, rounds)


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
    server, model, tools, chat, kind
):
    event, fire, reason = hook(kind)
    fire()

    result = model.act(chat, [tools.quick], cancel_event=event, on_round_start=tools.log.append)

    assert_cancelled(result, reason, rounds=0)
    assert tools.log == []
    model.count_tokens("a round trip")
    assert not creates(server)


@pytest.mark.parametrize("kind", KINDS)
def test_cancel_during_prompt_processing(held, model, tools, chat, kind):
    event, fire, reason = hook(kind)
    worker = start(model, chat, tools, cancel_event=event)
    call = held.expect("predict")
    call.progress(0.3)

    fire()

    call.expect_cancel()
    call.success("userStopped")
    assert_cancelled(worker.result(), reason)
    assert [message.role for message in chat] == ["user"]  # nothing was said
    assert_usable(held, model, tools)


@pytest.mark.parametrize("kind", KINDS)
def test_cancel_while_generating_keeps_the_partial_reply(held, model, tools, chat, kind):
    event, fire, reason = hook(kind)
    arrived = threading.Event()
    completed = []
    worker = start(
        model,
        chat,
        tools,
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
    assert_usable(held, model, tools)


def test_cancel_between_two_rounds_sends_no_further_request(held, model, tools, chat):
    token = lms.CancelToken()
    worker = start(
        model, chat, tools, cancel_event=token, on_round_end=lambda i: token.cancel("no")
    )
    call = held.expect("predict")
    call.tool_call("quick")
    call.success("toolCalls")

    assert_cancelled(worker.result(), "no")

    assert results(chat) == ['"quick"']
    assert len(creates(held)) == 1
    assert not cancels(held)
    assert valid_chat(chat)
    assert_usable(held, model, tools)


def test_a_cancel_after_the_last_round_changes_nothing(held, model, tools, chat):
    token = lms.CancelToken()
    worker = start(model, chat, tools, cancel_event=token, on_round_end=lambda i: token.cancel())
    call = held.expect("predict")
    call.fragment("Done.")
    call.success()

    result = worker.result()

    assert (result.cancelled, result.cancel_reason, result.rounds) == (False, None, 1)
    assert not cancels(held)


@pytest.mark.parametrize("kind", KINDS)
def test_a_tool_that_looks_at_its_token_ends_with_act(held, model, tools, chat, kind):
    event, fire, reason = hook(kind)
    worker = in_a_tool(held, model, chat, tools, "polite", cancel_event=event)

    fire()

    assert_cancelled(worker.result(), reason)
    assert tools.log == [("polite", reason)]
    assert results(chat) == ["cancelled"]
    assert chat[1].content[0].text == "Let me."
    assert valid_chat(chat)
    assert not cancels(held)  # the prediction had ended
    assert_usable(held, model, tools)


def test_tools_that_have_not_started_are_not_started(held, model, tools, chat):
    token = lms.CancelToken()
    worker = in_a_tool(held, model, chat, tools, "polite", "quick", "quick", cancel_event=token)

    token.cancel("enough")

    assert_cancelled(worker.result(), "enough")
    assert tools.log == [("polite", "enough")]
    assert results(chat) == ["cancelled"] * 3
    assert valid_chat(chat)


def test_a_result_that_comes_within_the_grace_is_kept(held, model, tools, chat):
    token = lms.CancelToken()
    token.on_cancel(tools.release.set)
    worker = in_a_tool(held, model, chat, tools, "stuck", "quick", cancel_event=token)

    token.cancel("enough")

    assert_cancelled(worker.result(), "enough")
    assert results(chat) == ['"late"', "cancelled"]
    assert valid_chat(chat)


def test_a_tool_that_is_stuck_is_abandoned_after_the_grace(server, tools, chat):
    server.hold("predict")
    with lms.Client(server.host, cancel_grace=0.05) as client:
        model = client.llm.model()
        token = lms.CancelToken()
        worker = in_a_tool(server, model, chat, tools, "quick", "stuck", cancel_event=token)

        token.cancel("enough")

        assert_cancelled(worker.result(), "enough")
        assert results(chat) == ['"quick"', "cancelled"]
        assert valid_chat(chat)
        assert_usable(server, model, tools)  # though the tool is stuck still
        assert ("stuck", None) not in tools.log
        tools.release.set()  # it may go on; nobody listens
        eventually(lambda: ("stuck", None) in tools.log)
        assert len(chat) == 3


def test_the_grace_counts_from_the_cancel_though_the_server_used_it_up(server, tools, chat):
    """The server's last word and the tools share one grace."""
    server.hold("predict")
    with lms.Client(server.host, cancel_grace=0.2) as client:
        token = lms.CancelToken()
        worker = start(client.llm.model(), chat, tools, cancel_event=token)
        call = server.expect("predict")
        call.tool_call("stuck")
        tools.wait_started()

        token.cancel("enough")

        assert_cancelled(worker.result(), "enough")  # the server never answers the cancel
        call.expect_cancel()
        assert results(chat) == ["cancelled"]
        call.success("userStopped")


def test_cancel_while_generating_after_a_tool_was_asked_for_answers_the_request(
    held, model, tools, chat
):
    token = lms.CancelToken()
    worker = start(model, chat, tools, cancel_event=token)
    call = held.expect("predict")
    call.fragment("Let me.")
    call.tool_call("polite")
    tools.wait_started()

    token.cancel("enough")

    call.expect_cancel()
    call.success("userStopped")
    assert_cancelled(worker.result(), "enough")
    assert results(chat) == ["cancelled"]
    assert tools.log == [("polite", "enough")]
    assert valid_chat(chat)
    assert_usable(held, model, tools)


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
def test_a_callback_may_cancel_it(held, model, tools, chat, name):
    token = lms.CancelToken()
    worker = start(
        model, chat, tools, cancel_event=token, **{name: lambda *arguments: token.cancel("no")}
    )
    if name != "on_round_start":
        call = held.expect("predict")
        call.fragment("Hm")
        if name == "guard_tool_call":
            call.tool_call("quick")
        call.expect_cancel()
        call.success("userStopped")

    assert_cancelled(worker.result(), "no")

    assert tools.log == []
    assert valid_chat(chat)
    assert_usable(held, model, tools)


def test_the_loser_of_a_race_with_the_last_word_is_not_cancelled(held, model, tools, chat):
    """Forged: the mark of a cancel is there before the reader took the end, or after it."""
    for wins in (True, False):
        token = lms.CancelToken()
        options = {"on_prediction_fragment": lambda f, i, t=token: t.cancel("no")} if wins else {}
        if not wins:
            options = {"on_prediction_completed": lambda result, t=token: t.cancel("no")}
        worker = start(model, chat.copy(), tools, cancel_event=token, **options)
        call = held.expect("predict")
        call.fragment("Done.")
        call.success()

        assert worker.result().cancelled is wins


# -- everything at once -----------------------------------------------------------------------


def test_cancel_all_ends_it_while_a_tool_runs(held, client, model, tools, chat):
    worker = in_a_tool(held, model, chat, tools, "polite", "quick")

    client.cancel_all("stop it all")

    assert_cancelled(worker.result(), "stop it all")
    assert tools.log == [("polite", "stop it all")]
    assert valid_chat(chat)
    assert_usable(held, model, tools)


def test_cancel_all_ends_it_while_generating(held, client, model, tools, chat):
    worker = start(model, chat, tools)
    call = held.expect("predict")
    call.fragment("So far")

    client.cancel_all("stop it all")

    call.expect_cancel()
    call.success("userStopped")
    assert_cancelled(worker.result(), "stop it all")


def test_closing_the_client_ends_it_while_a_tool_runs(held, client, model, tools, chat):
    worker = in_a_tool(held, model, chat, tools, "polite", "quick")

    client.close()

    assert_cancelled(worker.result(), "client closed")
    assert tools.log == [("polite", "client closed")]
    with pytest.raises(lms.LMStudioClientError, match="closed"):
        model.act("Again.", [tools.quick])


def test_closing_the_client_between_two_rounds_ends_it_normally(held, client, model, tools):
    """Forged: close() has set its flag, and has not looked round for what runs."""

    def close_half(index):
        client._line.is_closed = True

    worker = start(model, lms.Chat.from_history("Go."), tools, on_round_end=close_half)
    call = held.expect("predict")
    call.tool_call("quick")
    call.success("toolCalls")

    assert_cancelled(worker.result(), "client closed")
    assert len(creates(held)) == 1


def test_an_act_that_has_ended_is_not_known_to_the_client_any_more(held, client, model, tools):
    worker = start(model, lms.Chat.from_history("Go."), tools)
    call = held.expect("predict")
    assert len(client._line.scopes) == 1
    call.success()
    worker.result()

    assert not client._line.scopes


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


# -- other ways out ---------------------------------------------------------------------------


def test_an_exception_in_a_callback_stops_the_prediction_and_the_tools(held, model, tools, chat):
    def fail(fragment, index):
        raise KeyError("stop")

    worker = start(model, chat, tools, on_prediction_fragment=fail)
    call = held.expect("predict")
    call.tool_call("polite")
    tools.wait_started()
    call.fragment("So far")

    assert isinstance(worker.error(), KeyError)
    call.expect_cancel()
    call.success("userStopped")
    eventually(lambda: tools.log)  # the tool saw its token
    assert len(chat) == 1
    assert_usable(held, model, tools)


def test_ctrl_c_while_a_tool_is_stuck_leaves_at_once(held, model, tools, chat, monkeypatch):
    """Forged: the wait for tools is interrupted."""

    def interrupt(calls, deadline):
        tools.wait_started()
        raise KeyboardInterrupt

    monkeypatch.setattr(_act.ToolCalls, "wait", interrupt)
    worker = start(model, chat, tools)
    call = held.expect("predict")
    call.tool_call("stuck")
    call.success("toolCalls")

    assert isinstance(worker.error(), KeyboardInterrupt)
    monkeypatch.undo()
    assert len(chat) == 1
    assert_usable(held, model, tools)


def test_ctrl_c_while_generating_sends_one_cancel(held, model, tools, chat):
    def interrupt(fragment, index):
        raise KeyboardInterrupt

    worker = start(model, chat, tools, on_prediction_fragment=interrupt)
    call = held.expect("predict")
    call.fragment("So far")

    assert isinstance(worker.error(), KeyboardInterrupt)
    call.expect_cancel()
    call.success("userStopped")
    assert len(cancels(held)) == 1
    assert_usable(held, model, tools)


def test_the_time_limit_of_all_ends_a_generation_with_its_partial_text(held, model, tools, chat):
    worker = start(model, chat, tools, timeout=0.2)
    call = held.expect("predict")
    call.fragment("So far")

    error = worker.error()

    assert isinstance(error, lms.LMStudioTimeoutError)
    assert error.partial.content == "So far"
    assert "timeout=0.2 s" in str(error)
    call.expect_cancel()
    call.success("userStopped")
    assert len(chat) == 1


def test_the_time_limit_of_all_ends_the_wait_for_a_tool(held, model, tools, chat):
    worker = in_a_tool(held, model, chat, tools, "polite", timeout=0.3)

    error = worker.error()

    assert isinstance(error, lms.LMStudioTimeoutError)
    assert str(error) == "act() did not end within timeout=0.3 s: a tool was running."
    assert error.partial.content == "Let me."
    eventually(lambda: tools.log)
    assert len(chat) == 1
    assert_usable(held, model, tools)


def test_the_time_limit_counts_from_the_first_round(held, model, tools, chat, monkeypatch):
    begin = time.monotonic()
    monkeypatch.setattr(_act, "monotonic", lambda: begin - 100)  # act() began long ago
    worker = start(model, chat, tools, timeout=50)

    assert isinstance(worker.error(), lms.LMStudioTimeoutError)
    call = held.expect("predict")
    call.expect_cancel()
    call.success("userStopped")


def test_silence_of_the_server_ends_a_round(held, model, tools, chat):
    worker = start(model, chat, tools, idle_timeout=0.1)
    call = held.expect("predict")

    assert "idle_timeout=0.1 s" in str(worker.error())
    call.expect_cancel()
    call.success("userStopped")


def test_a_tool_that_takes_too_long_is_told_to_stop_and_the_model_is_told_so(
    held, model, tools, chat
):
    worker = in_a_tool(held, model, chat, tools, "polite", "stuck", "quick", tool_timeout=0.05)
    tools.wait_started()  # "stuck" runs after "polite" was given up
    second = held.expect("predict")
    second.fragment("I see.")
    second.success()

    assert worker.result().rounds == 2
    words = (
        "\"Unhandled Python exception: LMStudioTimeoutError('The tool did not end within "
        "tool_timeout=0.05 s.')\""
    )
    assert results(chat) == [words, words, '"quick"']
    assert ("polite", "0.05 s have passed") in tools.log
    assert valid_chat(chat)


def test_a_tool_may_run_longer_than_the_server_may_be_silent(held, model, tools, chat):
    """The server's silence is none while nothing is asked of it."""
    worker = in_a_tool(held, model, chat, tools, "stuck", idle_timeout=0.05)
    model.count_tokens("a round trip")
    tools.release.set()
    call = held.expect("predict")
    call.success()
    assert worker.result().rounds == 2


def test_an_event_that_cannot_be_asked_fails_act(held, model, tools, chat):
    class Broken:
        is_broken = False

        def is_set(self):
            if self.is_broken:
                raise OSError("the peer is gone")
            return False

    event = Broken()
    worker = start(model, chat, tools, cancel_event=event)
    call = held.expect("predict")
    event.is_broken = True
    call.expect_cancel()
    call.success("userStopped")

    error = worker.error()
    assert isinstance(error, lms.LMStudioRuntimeError)
    assert "the peer is gone" in str(error)


def test_an_event_that_cannot_be_asked_at_all_fails_act_before_anything_is_sent(server, model):
    class Broken:
        def is_set(self):
            raise OSError("the peer is gone")

    with pytest.raises(lms.LMStudioRuntimeError, match="the peer is gone"):
        model.act("?", [len_of], cancel_event=Broken())
    assert not creates(server)


def len_of(text: str) -> int:
    """Count."""
    return len(text)


# -- tools that misbehave ---------------------------------------------------------------------


@pytest.mark.parametrize("how", ["cancel", "timeout"])
def test_a_tool_that_never_stops_talking_does_not_hold_act_up(server, how):
    started, stop = threading.Event(), threading.Event()

    def chatty(context: lms.ToolCallContext) -> None:
        """Talk."""
        while not stop.is_set():
            context.status("still here")
            started.set()

    token = lms.CancelToken()
    options = {"cancel_event": token} if how == "cancel" else {"timeout": 0.3}
    server.reply("", tool_calls=[{"name": "chatty", "arguments": {}}])
    with lms.Client(server.host, cancel_grace=0.05) as client:
        worker = Worker(lambda: client.llm.model().act("Go.", [chatty], **options))
        assert started.wait(10)
        if how == "cancel":
            token.cancel("enough")
        worker.join(10)
        is_over = not worker.is_alive()
        stop.set()

    assert is_over


def test_a_tool_that_cancels_its_own_token_fails_like_any_other(server, model, chat):
    def give_up(context: lms.ToolCallContext) -> None:
        """Give up."""
        context.cancel_token.cancel("too hard")
        context.cancel_token.raise_if_cancelled()

    server.reply("", tool_calls=[{"name": "give_up", "arguments": {}}])
    server.reply("I see.")

    assert not model.act(chat, [give_up], on_message=chat.append).cancelled
    assert "too hard" in results(chat)[0]


@pytest.mark.parametrize("options", [{}, {"tool_timeout": 0.05}])
def test_nothing_happens_with_a_tools_token_once_the_tool_has_ended(server, model, options):
    fired, tokens = [], []

    def work(context: lms.ToolCallContext) -> None:
        """Work."""
        tokens.append(context.cancel_token)
        context.cancel_token.on_cancel(lambda: fired.append("late"))

    token = lms.CancelToken()
    server.reply("", tool_calls=[{"name": "work", "arguments": {}}])
    server.reply("Done.")
    model.act("Go.", [work], cancel_event=token, **options)

    token.cancel("much later")
    assert not tokens[0].wait(0.1)  # the time of the tool passes meanwhile
    assert not fired


@pytest.mark.parametrize("how", ["token", "event", "close"])
def test_a_slow_callback_of_a_tool_does_not_hold_act_up(server, tools, how):
    server.hold("predict")
    client = lms.Client(server.host, cancel_grace=0.05)
    token, event, registered = lms.CancelToken(), threading.Event(), threading.Event()

    def work(context: lms.ToolCallContext) -> None:
        """Work."""
        context.cancel_token.on_cancel(lambda: tools.release.wait(20))
        registered.set()
        tools.release.wait(20)

    worker = Worker(lambda: client.llm.model().act("Go.", [work], cancel_event=[token, event]))
    call = server.expect("predict")
    call.tool_call("work")
    call.success("toolCalls")
    assert registered.wait(10)
    closing = functools.partial(client.close, 0.3)
    stop = {"token": token.cancel, "event": event.set, "close": closing}[how]
    stopping = Worker(stop)

    assert worker.result().cancelled
    if how != "token":  # that one runs the callback
        stopping.result()
    tools.release.set()
    stopping.result()
    client.close()


def test_a_cancel_that_ctrl_c_interrupted_is_noticed_all_the_same(held, model, tools, chat):
    """Forged: the token has its mark, and nothing else of its cancel() has happened."""
    token = lms.CancelToken()
    worker = in_a_tool(held, model, chat, tools, "polite", cancel_event=token)

    token._mark.setdefault(0, (object(), "half done"))

    assert_cancelled(worker.result(), "half done")
    assert results(chat) == ["cancelled"]
