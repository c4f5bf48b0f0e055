"""What cancels several calls at once, without any server."""

import queue
from types import SimpleNamespace

import pytest
from concurrency.targets import interrupt

import lmstudio as lms
from lmstudio._concurrency import cancel_token
from lmstudio._connection.call import WAKE
from lmstudio._connection.scope import CancelScope, ScopedToken

pytestmark = pytest.mark.races


@pytest.fixture
def session():
    return SimpleNamespace(scopes={})


@pytest.fixture
def scope(session):
    return CancelScope(session, queue.SimpleQueue())


def test_while_it_is_open_its_client_knows_it(session, scope):
    scope.open([])
    assert list(session.scopes.values()) == [scope]

    scope.close()
    scope.close()

    assert session.scopes == {}


def test_a_token_cancels_it_and_wakes_the_thread_that_waits(scope):
    token = lms.CancelToken()
    scope.open([token])

    token.cancel("enough")

    assert scope.is_set()
    assert scope.reason == "enough"
    assert scope.waker.inbox.get_nowait() is WAKE
    assert scope.waker.since


def test_once_closed_nothing_cancels_it_any_more(scope):
    token = lms.CancelToken()
    scope.open([token])
    scope.close()

    token.cancel()

    assert not scope.cancel("late")
    assert not scope.is_set()
    assert scope.waker.inbox.empty()


def test_the_waker_wakes_whoever_waits_now(scope):
    scope.open([])
    first, scope.waker.inbox = scope.waker.inbox, queue.SimpleQueue()

    scope.cancel()

    assert first.empty()
    assert scope.waker.inbox.get_nowait() is WAKE


def test_a_source_whose_cancel_was_interrupted_is_followed(scope, monkeypatch):
    monkeypatch.setattr(cancel_token, "_UNDER_WAY", 0.0)
    token = lms.CancelToken()
    scope.open([token])
    assert interrupt(token, "the first")
    assert not scope.is_set()

    scope.follow_interrupted()

    assert scope.reason == "the first"


def test_an_event_that_breaks_cancels_it_and_is_told_at_the_end(scope):
    scope.open([])

    scope._watch_failed(RuntimeError("the manager is gone"))

    assert scope.is_set()
    with pytest.raises(lms.LMStudioRuntimeError, match="the manager is gone"):
        scope.check_events()


def test_a_retired_token_forgets_what_it_followed_and_its_callbacks():
    source, token, ran = lms.CancelToken(), ScopedToken(), []
    token._follow(source)
    token.on_cancel(lambda: ran.append(1))

    token.retire()
    source.cancel()

    assert not token.is_set()
    assert ran == []
    assert not source._targets
