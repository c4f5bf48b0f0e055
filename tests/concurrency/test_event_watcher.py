"""The watching of plain events, without any server."""

import queue
import re
import threading
from collections import deque
from pathlib import Path
from types import SimpleNamespace

import pytest
from concurrency.targets import Target, call_at
from helpers import eventually

import lmstudio as lms
from lmstudio._concurrency import cancel_token, event_watcher, object_watcher, targets, watched
from lmstudio._concurrency.cancel_token import attach, check_events, resume_interrupted
from lmstudio._concurrency.event_watcher import watch
from lmstudio._concurrency.targets import Targets
from lmstudio._concurrency.threads import start_daemon

pytestmark = pytest.mark.races


@pytest.mark.parametrize("wrong", [1, "text", object(), [threading.Event(), 1], threading.Event])
def test_what_is_no_event_is_refused(wrong):
    with pytest.raises(lms.LMStudioValueError, match="cancel_event must be"):
        check_events(wrong)


def test_events_come_alone_or_as_any_iterable():
    event, token = threading.Event(), lms.CancelToken()

    assert check_events(None) == []
    assert check_events(event) == [event]
    assert check_events(iter((event, token))) == [event, token]


def test_an_event_that_is_set_already_cancels_at_once_and_is_not_watched():
    event, target = threading.Event(), Target()
    event.set()
    threads = threading.active_count()

    attach(target, [event])

    assert target.reasons.get_nowait() == "cancel_event was set"
    assert threading.active_count() == threads


def test_a_lone_event_is_waited_for():
    event, target = threading.Event(), Target()
    attach(target, [event])

    event.set()

    assert target.reasons.get(timeout=5) == "cancel_event was set"


def test_each_of_many_events_cancels_its_own_target():
    events = [threading.Event() for _ in range(100)]
    targets = [Target() for _ in events]
    for event, target in zip(events, targets, strict=True):
        attach(target, [event])

    for number in range(0, 100, 2):
        events[number].set()

    for number in range(0, 100, 2):
        targets[number].reasons.get(timeout=5)
    assert all(targets[number].reasons.empty() for number in range(1, 100, 2))
    for event in events:
        event.set()


def test_one_event_cancels_all_that_were_started_with_it():
    event, targets = threading.Event(), [Target() for _ in range(20)]
    for target in targets:
        attach(target, [event])

    event.set()

    for target in targets:
        target.reasons.get(timeout=5)


def test_the_watching_ends_when_the_target_is_over_or_gone():
    over, gone = Target(), Target()
    attach(over, [threading.Event()])
    attach(gone, [threading.Event()])
    watchers = [t for t in threading.enumerate() if t.name == "lmstudio-watch"]
    assert watchers

    over._is_over = True
    del gone
    eventually(lambda: not set(watchers) & set(threading.enumerate()))
    state = event_watcher._state.value
    assert (state.watcher, len(state.arrivals)) == (None, 0)


def test_a_new_event_is_seen_while_the_watcher_waits_for_another():
    lone, target, later = threading.Event(), Target(), Target()
    attach(target, [lone])
    second = threading.Event()
    attach(later, [second])

    second.set()
    later.reasons.get(timeout=5)
    lone.set()
    target.reasons.get(timeout=5)


def test_a_callback_that_raises_in_the_watcher_does_not_end_the_watching(capfd):
    button, ran = threading.Event(), threading.Event()
    token = lms.CancelToken.any(button)
    token.on_cancel(ran.set)
    token.on_cancel(lambda: 1 / 0)
    button.set()
    assert ran.wait(5)
    event, target = threading.Event(), Target()
    attach(target, [event])

    event.set()

    assert target.reasons.get(timeout=5) == "cancel_event was set"
    assert capfd.readouterr() == ("", "")


def test_a_callback_that_hangs_does_not_delay_other_events():
    go_on, hangs = threading.Event(), threading.Event()
    timer = lms.CancelToken.after(0.01)
    timer.on_cancel(lambda: (hangs.set(), go_on.wait(10)))
    assert hangs.wait(5)
    event, target = threading.Event(), Target()
    attach(target, [event])

    event.set()

    assert target.reasons.get(timeout=5) == "cancel_event was set"
    go_on.set()


def test_a_watcher_that_could_not_be_started_is_started_for_the_next_event(monkeypatch):
    first, second, target = threading.Event(), threading.Event(), Target()
    with monkeypatch.context() as patched:
        patched.setattr(event_watcher, "start_daemon", refuse)
        with pytest.raises(lms.LMStudioRuntimeError, match="No event can be watched any more"):
            attach(Target(), [first])

    attach(target, [second])
    second.set()

    assert target.reasons.get(timeout=5) == "cancel_event was set"


@pytest.mark.parametrize("is_started", [False, True], ids=["before", "after"])
def test_ctrl_c_at_the_start_of_the_watcher_ends_no_watching(monkeypatch, is_started):
    event, target = threading.Event(), Target()

    def interrupted(*arguments, **options):
        attach(target, [event])  # another thread counts on the one that is started here
        if is_started:
            start_daemon(*arguments, **options)
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(event_watcher, "start_daemon", interrupted)
        with pytest.raises(KeyboardInterrupt):
            attach(Target(), [threading.Event()])

    resume_interrupted()
    event.set()

    assert target.reasons.get(timeout=5) == "cancel_event was set"


def refuse(*_, refusal, may_wait=True):
    raise lms.LMStudioRuntimeError(f"{refusal} any more: can't start new thread")


@pytest.fixture
def own_state(monkeypatch):
    """What is watched, without a thread."""
    state = event_watcher._State()
    monkeypatch.setattr(event_watcher, "_state", SimpleNamespace(value=state))
    return state


def test_an_event_that_comes_while_the_watcher_ends_is_watched(own_state):
    event, target = threading.Event(), Target()

    class Arrivals(deque):
        """One comes when the watcher has said that it ends, and looks for the last time."""

        def __bool__(self):
            if not came and own_state.watcher is None:
                came.append(1)
                attach(target, [event])
            return len(self) > 0

    came = []
    own_state.arrivals = Arrivals()
    own_state.watcher = watcher = event_watcher._Watcher(own_state)
    while watcher.turn():  # as the thread does
        pass

    assert came
    event.set()
    assert target.reasons.get(timeout=5) == "cancel_event was set"


def test_a_newer_watcher_gets_what_an_older_one_has(own_state):
    old, event, target = event_watcher._Watcher(own_state), threading.Event(), Target()
    own_state.watcher = old
    watch(event, target, "set")
    old._take_arrivals()
    own_state.watcher = new = event_watcher._Watcher(own_state)

    assert not old.turn()
    event.set()
    while new.turn():
        pass

    assert target.reasons.get_nowait() == "set"


def test_an_older_watcher_goes_on_if_the_newer_one_could_not_be_started(own_state, monkeypatch):
    monkeypatch.setattr(event_watcher, "start_daemon", refuse)
    own_state.watcher = old = event_watcher._Watcher(own_state)
    event, target = threading.Event(), Target()
    old.waits_for = threading.Event()
    with pytest.raises(lms.LMStudioRuntimeError):
        watch(event, target, "set")

    event.set()
    while old.turn():
        pass

    assert target.reasons.get_nowait() == "set"


@pytest.mark.parametrize("error", [MemoryError, RecursionError, SystemExit, KeyboardInterrupt])
@pytest.mark.parametrize("where", ["_take_arrivals", "_rest", "_look", "_goes_on"])
def test_the_watcher_outlives_whatever_one_turn_of_it_raises(monkeypatch, where, error, capfd):
    function, raised = getattr(event_watcher._Watcher, where), threading.Event()

    def raises_once(self):
        if not raised.is_set():
            raised.set()
            raise error
        return function(self)

    monkeypatch.setattr(event_watcher._Watcher, where, raises_once)
    events, targets = [threading.Event() for _ in range(2)], [Target() for _ in range(2)]
    for event, target in zip(events, targets, strict=True):
        attach(target, [event])
    for event, target in zip(events, targets, strict=True):
        event.set()
        assert target.reasons.get(timeout=5) == "cancel_event was set"
    assert raised.wait(5)
    end_of_watching()
    assert capfd.readouterr() == ("", "")


def test_an_arrival_is_not_lost_for_want_of_memory(own_state, monkeypatch):
    event, target = threading.Event(), Target()
    watcher = own_state.watcher = event_watcher._Watcher(own_state)
    watch(event, Target(), "set")
    watch(event, target, "set")
    with monkeypatch.context() as patched:
        patched.setattr(Targets, "living", lambda _: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            watcher._take_arrivals()

    event.set()
    while watcher.turn():
        pass

    assert target.reasons.get_nowait() == "set"


def test_a_token_is_cancelled_though_no_thread_can_be_started_for_its_callbacks(monkeypatch):
    monkeypatch.setattr(cancel_token, "start_daemon", refuse)
    ran = queue.SimpleQueue()
    event = threading.Event()
    token = lms.CancelToken.any(event)
    token.on_cancel(lambda: ran.put(threading.current_thread().name))

    event.set()
    assert token.wait(timeout=5)
    assert ran.get(timeout=5) == "lmstudio-watch"


def test_an_event_of_many_tokens_starts_a_thread_for_callbacks_alone(monkeypatch):
    started = []

    def count(*arguments, **options):
        started.append(arguments[1])
        return start_daemon(*arguments, **options)

    monkeypatch.setattr(cancel_token, "start_daemon", count)
    event, ran = threading.Event(), queue.SimpleQueue()
    chain = [lms.CancelToken()]
    for _ in range(300):  # as a chat that goes on does, turn by turn
        chain.append(lms.CancelToken.any(chain[-1], event))
    chain[-1].on_cancel(lambda: ran.put(threading.current_thread().name))
    apart = [lms.CancelToken.any(event) for _ in range(300)]

    event.set()

    for token in [*chain[1:], *apart]:
        assert token.wait(5)
    assert ran.get(timeout=5) == "lmstudio-cancel"
    assert started == ["lmstudio-cancel"]


def test_a_finaliser_may_watch_something_at_any_line_of_the_watching():
    """The garbage collector may run one anywhere: here it comes one line later in each trial."""
    for line in range(1000):
        outer, inner = threading.Event(), threading.Event()
        target, other = Target(), Target()
        timers = []

        def finaliser(other=other, inner=inner, timers=timers):
            attach(other, [inner])
            timers.append(lms.CancelToken.after(0.001))

        came = call_at(line, finaliser, lambda t=target, e=outer: attach(t, [e]))
        if not came:
            break
        inner.set()
        outer.set()
        assert other.reasons.get(timeout=5) == "cancel_event was set"
        assert target.reasons.get(timeout=5) == "cancel_event was set"
        assert timers[0].wait(timeout=5)
    assert line > 20


def test_nothing_waits_for_a_lock():
    for module in (cancel_token, event_watcher, object_watcher, targets, watched):
        assert not re.search(r"Lock\b|Condition\b|Semaphore\b", Path(module.__file__).read_text())


def end_of_watching():
    """Wait until nothing is watched any more."""
    for thread in threading.enumerate():
        if thread.name.startswith("lmstudio-watch"):
            thread.join(5)
            assert not thread.is_alive()


def test_an_older_watcher_keeps_what_it_has_if_the_newer_one_ends_as_it_hands_over(own_state):
    old, event, target = event_watcher._Watcher(own_state), threading.Event(), Target()
    own_state.watcher = old
    watch(event, target, "set")
    old._take_arrivals()
    own_state.watcher = event_watcher._Watcher(own_state)

    class Arrivals(deque):
        """The newer one has looked for arrivals for the last time when these come."""

        def extend(self, arrivals):
            super().extend(arrivals)
            own_state.watcher = None

    own_state.arrivals = Arrivals()

    assert old.turn()
    event.set()
    while old.turn():
        pass
    assert target.reasons.get_nowait() == "set"


def test_an_older_watcher_hands_over_if_the_newer_one_takes_charge_at_the_same_time(monkeypatch):
    class State(event_watcher._State):
        """As the older one writes itself, the newer one does so, too."""

        @property
        def watcher(self):
            return self._watcher

        @watcher.setter
        def watcher(self, watcher):
            self._watcher = new if watcher is old and is_contended else watcher

    old = new = is_contended = None
    state = State()
    monkeypatch.setattr(event_watcher, "_state", SimpleNamespace(value=state))
    old, new = event_watcher._Watcher(state), event_watcher._Watcher(state)
    event, target = threading.Event(), Target()
    state.watcher = old
    watch(event, target, "set")
    old._take_arrivals()
    state.watcher, is_contended = None, True

    assert not old.turn()
    event.set()
    while new.turn():
        pass
    assert target.reasons.get_nowait() == "set"
