"""The watching of events of other types, which may hang or raise, without any server."""

import gc
import multiprocessing
import queue
import threading
import weakref
from types import SimpleNamespace

import pytest
from concurrency.targets import Target, call_at, ctrl_c
from helpers import eventually

import lmstudio as lms
from lmstudio._concurrency import object_watcher
from lmstudio._concurrency.cancel_token import attach
from lmstudio._concurrency.threads import start_daemon

pytestmark = pytest.mark.races

ERRORS = [RuntimeError, KeyboardInterrupt, SystemExit, GeneratorExit, StopIteration]


class CountedEvent:
    """An event of another type, which says when it is looked at, and by which thread."""

    def __init__(self, value=False):
        self.looks = queue.SimpleQueue()
        self.value = value

    def is_set(self):
        self.looks.put(threading.current_thread().name)
        return self.value


class HangingEvent:
    """An event whose looks hang until it is let go."""

    def __init__(self, value=False):
        self.asked, self.go_on, self.value = queue.SimpleQueue(), threading.Event(), value

    def is_set(self):
        self.asked.put(None)
        assert self.go_on.wait(20)
        return self.value


class BrokenEvent:
    """An event that raises, after some looks."""

    def __init__(self, error, looks=0):
        self.error, self.looks = error, looks

    def is_set(self):
        self.looks -= 1
        if self.looks < 0:
            raise self.error
        return False


class UnspeakableError(Exception):
    """An exception whose words are another one."""

    def __repr__(self):
        raise RuntimeError("no words")

    __str__ = __repr__


@pytest.fixture
def hanging():
    event = HangingEvent()
    yield event
    event.go_on.set()


@pytest.fixture
def own_state(monkeypatch):
    """What is watched; nothing yet."""
    state = object_watcher._State()
    monkeypatch.setattr(object_watcher, "_state", SimpleNamespace(value=state))
    return state


def watchers():
    return [t for t in threading.enumerate() if t.name == "lmstudio-watch-other"]


def end_of_watching():
    for thread in watchers():
        thread.join(5)
        assert not thread.is_alive()


# -- events that behave -----------------------------------------------------------------------


def test_an_event_of_another_type_is_asked_by_a_thread_of_its_own():
    event, target = CountedEvent(), Target()
    attach(target, [event])
    assert event.looks.get(timeout=5) == "lmstudio-watch-other"  # the first look, too
    assert event.looks.get(timeout=5) == "lmstudio-watch-other"

    event.value = True

    assert target.reasons.get(timeout=5) == "cancel_event was set"


@pytest.mark.usefixtures("patient_first_look")
def test_one_that_is_set_already_cancels_at_once_and_is_not_watched():
    for _ in range(20):
        target = Target()

        attach(target, [CountedEvent(True)])

        assert target.reasons.get_nowait() == "cancel_event was set"
        assert target.reasons.empty()
    end_of_watching()


@pytest.mark.usefixtures("patient_first_look")
def test_a_token_that_follows_one_that_is_set_is_set_at_once_and_its_callbacks_run_here():
    token = lms.CancelToken.any(CountedEvent(True))
    assert token.is_set()

    other, ran = lms.CancelToken(), []
    other.on_cancel(lambda: ran.append(threading.current_thread()))
    attach(other, [CountedEvent(True)])
    assert ran == [threading.current_thread()]


def test_one_thread_asks_one_object_for_all_its_targets():
    event, targets = CountedEvent(), [Target() for _ in range(20)]
    for target in targets:
        attach(target, [event])
        assert len(watchers()) == 1

    event.value = True

    for target in targets:
        assert target.reasons.get(timeout=5) == "cancel_event was set"
        assert target.reasons.empty()


@pytest.mark.usefixtures("patient_first_look")
def test_a_new_target_does_not_wait_for_the_end_of_a_rest(monkeypatch):
    monkeypatch.setattr(object_watcher, "_PERIOD", 60.0)
    event, first, second = CountedEvent(), Target(), Target()
    attach(first, [event])
    event.value = True

    attach(second, [event])

    assert second.reasons.get_nowait() == "cancel_event was set"
    assert first.reasons.get(timeout=5) == "cancel_event was set"


def test_a_multiprocessing_event_works():
    event, target = multiprocessing.get_context("spawn").Event(), Target()
    attach(target, [event])

    event.set()

    assert target.reasons.get(timeout=5) == "cancel_event was set"


@pytest.mark.usefixtures("patient_first_look")
def test_an_event_of_threading_with_an_is_set_of_its_own_is_one_of_these():
    class Subclass(threading.Event):
        def is_set(self):
            raise RuntimeError("gone")

    patched = threading.Event()
    patched.is_set = lambda: 1 / 0

    for event in (Subclass(), patched):
        with pytest.raises(lms.LMStudioRuntimeError, match="cannot be watched"):
            attach(Target(), [event])


def test_the_watching_ends_when_the_target_is_over_or_gone():
    over, gone = Target(), Target()
    attach(over, [CountedEvent()])
    attach(gone, [CountedEvent()])
    assert len(watchers()) == 2

    over._is_over = True
    del gone
    end_of_watching()

    assert not object_watcher._state.value.watched


# -- events that hang -------------------------------------------------------------------------


def test_who_starts_something_does_not_wait_for_an_event_that_hangs(hanging):
    target, button = Target(), threading.Event()

    attach(target, [hanging, button])
    button.set()

    assert target.reasons.get(timeout=5) == "cancel_event was set"


def test_whatever_shares_an_event_that_hangs_is_not_held_up_by_it(hanging, monkeypatch):
    attach(first := Target(), [hanging])
    watched = object_watcher._state.value.watched[id(hanging)]
    eventually(watched.hangs)
    monkeypatch.setattr(object_watcher, "receiver", None)  # nobody waits any more

    targets = [Target() for _ in range(100)]
    for target in targets:
        attach(target, [hanging])

    assert len(watchers()) == 1
    hanging.value = True
    monkeypatch.undo()
    hanging.go_on.set()  # it comes back after all
    for target in (first, *targets):
        assert target.reasons.get(timeout=5) == "cancel_event was set"


def test_what_an_event_that_hangs_holds_does_not_grow_with_each_call(hanging):
    attach(first := Target(), [hanging])
    watched = object_watcher._state.value.watched[id(hanging)]
    for _ in range(2000):
        attach(target := Target(), [hanging])
    reference = weakref.ref(target)
    del target
    gc.collect()

    assert reference() is None
    assert not watched._looks
    assert watched._bell.qsize() <= 1
    assert len(watched.targets) < 250
    assert first.reasons.empty()


def test_ctrl_c_while_somebody_waits_for_the_first_look_comes_through(hanging, monkeypatch):
    def interrupted(*_):
        hanging.asked.get(timeout=5)
        return ctrl_c

    monkeypatch.setattr(object_watcher, "receiver", interrupted)
    with pytest.raises(KeyboardInterrupt):
        attach(Target(), [hanging])
    monkeypatch.undo()

    hanging.go_on.set()
    end_of_watching()


def test_an_event_that_hangs_does_not_delay_the_others(hanging):
    other, event, counted = Target(), threading.Event(), CountedEvent()
    attach(stuck := Target(), [hanging])
    attach(other, [event])
    attach(third := Target(), [counted])
    hanging.asked.get(timeout=5)

    event.set()
    counted.value = True

    assert other.reasons.get(timeout=5) == "cancel_event was set"
    assert third.reasons.get(timeout=5) == "cancel_event was set"
    assert stuck.reasons.empty()


# -- events that raise ------------------------------------------------------------------------


@pytest.mark.usefixtures("patient_first_look")
@pytest.mark.parametrize("error", ERRORS)
def test_an_is_set_that_raises_at_once_fails_what_is_started(error, capfd):
    with pytest.raises(lms.LMStudioRuntimeError, match=rf"is_set\(\) raised {error.__name__}"):
        attach(Target(), [BrokenEvent(error("gone"))])

    end_of_watching()
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("error", ERRORS)
def test_an_is_set_that_raises_later_fails_its_target_only(error, capfd):
    broken, other, event = Target(), Target(), threading.Event()
    attach(broken, [BrokenEvent(error("gone"), looks=1)])
    attach(other, [event])

    assert isinstance(broken.errors.get(timeout=5), error)
    event.set()
    assert other.reasons.get(timeout=5) == "cancel_event was set"
    assert capfd.readouterr() == ("", "")


@pytest.mark.usefixtures("patient_first_look")
def test_an_answer_that_is_neither_true_nor_false_fails_what_is_started():
    class Undecided:
        def __bool__(self):
            raise ValueError("the truth value is ambiguous")

    with pytest.raises(lms.LMStudioRuntimeError, match="ambiguous"):
        attach(Target(), [CountedEvent(Undecided())])


@pytest.mark.usefixtures("patient_first_look")
def test_an_error_without_words_does_not_replace_the_one_that_is_told():
    with pytest.raises(lms.LMStudioRuntimeError, match="<UnspeakableError, whose repr"):
        attach(Target(), [BrokenEvent(UnspeakableError())])


class OwnedEvent(CountedEvent):
    """An event that works in all threads once its own thread has asked it."""

    def __init__(self):
        super().__init__()
        self.owner, self.is_ready = threading.current_thread(), False

    def is_set(self):
        self.is_ready = self.is_ready or threading.current_thread() is self.owner
        if not self.is_ready:
            raise RuntimeError("not properly initialized")
        return super().is_set()


@pytest.mark.usefixtures("patient_first_look")
def test_an_event_may_have_to_be_asked_by_its_own_thread_first():
    event, target, already = OwnedEvent(), Target(), OwnedEvent()
    attach(target, [event])
    already.value = True
    attach(second := Target(), [already])

    event.value = True

    assert target.reasons.get(timeout=5) == "cancel_event was set"
    assert second.reasons.get_nowait() == "cancel_event was set"


@pytest.mark.usefixtures("patient_first_look")
@pytest.mark.parametrize("error", [ConnectionResetError, EOFError, KeyboardInterrupt])
def test_one_whose_connection_has_failed_is_not_asked_again_by_who_starts_something(error):
    event = BrokenEvent(error("gone"))
    with pytest.raises(lms.LMStudioRuntimeError):
        attach(Target(), [event])
    end_of_watching()

    assert event.looks == -1


# -- the thread -------------------------------------------------------------------------------


@pytest.mark.parametrize("error", [MemoryError, RecursionError, SystemExit])
@pytest.mark.parametrize("where", ["look", "living", "act"])
def test_the_thread_outlives_whatever_one_turn_of_it_raises(monkeypatch, where, error, capfd):
    event, target = CountedEvent(), Target()
    attach(target, [event])
    function, raised = getattr(object_watcher.Watched, where), threading.Event()

    def raises_once(*arguments):
        if not raised.is_set():
            raised.set()
            raise error
        return function(*arguments)

    with monkeypatch.context() as patched:
        patched.setattr(object_watcher.Watched, where, raises_once)
        assert raised.wait(5)
    event.value = True

    assert target.reasons.get(timeout=5) == "cancel_event was set"
    end_of_watching()
    assert capfd.readouterr() == ("", "")


def test_all_who_count_on_a_thread_that_cannot_be_started_are_told(monkeypatch, own_state):
    event, others = CountedEvent(), []

    def refuse(*_, refusal):
        others.append(object_watcher.watch_object(event, Target(), "set"))
        raise lms.LMStudioRuntimeError(f"{refusal} any more: can't start new thread")

    monkeypatch.setattr(object_watcher, "start_daemon", refuse)
    with pytest.raises(lms.LMStudioRuntimeError, match="No event can be watched any more"):
        attach(Target(), [event])
    monkeypatch.undo()

    assert isinstance(others[0]._answered.value, lms.LMStudioRuntimeError)
    attach(target := Target(), [event])
    event.value = True
    assert target.reasons.get(timeout=5) == "cancel_event was set"


def test_ctrl_c_at_the_start_of_the_thread_ends_no_watching(monkeypatch):
    event = CountedEvent()

    def interrupted(*arguments, **options):
        start_daemon(*arguments, **options)
        raise KeyboardInterrupt

    monkeypatch.setattr(object_watcher, "start_daemon", interrupted)
    with pytest.raises(KeyboardInterrupt):
        attach(Target(), [event])
    monkeypatch.undo()

    attach(target := Target(), [event])
    event.value = True
    assert target.reasons.get(timeout=5) == "cancel_event was set"


def test_a_target_that_comes_while_the_thread_ends_is_watched(own_state):
    event, target, came = CountedEvent(), Target(), []
    watched = object_watcher._WatchedObject(own_state, event, "set")
    own_state.watched[id(event)] = watched

    class Looks:
        """A target comes when the thread has said that it ends, and looks for the last time."""

        def __bool__(self):
            if not came and watched.has_ended:
                came.append(object_watcher.watch_object(event, target, "set"))
            return False

        def __len__(self):
            return 0

    watched._looks, looks = Looks(), watched._looks
    assert not watched._goes_on()
    watched._looks = looks

    assert came[0].wait(object_watcher.Deadline(5)) is False
    event.value = True
    assert target.reasons.get(timeout=5) == "set"


def test_a_target_that_came_before_the_thread_ended_is_served_by_it(own_state):
    event, target = CountedEvent(), Target()
    watched = object_watcher._WatchedObject(own_state, event, "set")
    watched.add(target, False)  # its turn had seen nothing yet

    assert watched._goes_on()

    assert not watched.has_ended
    assert own_state.watched == {id(event): watched}


def test_a_finaliser_may_watch_something_at_any_line_of_the_watching():
    """The garbage collector may run one anywhere: here it comes one line later in each trial."""
    for line in range(1000):
        event, target, other = CountedEvent(), Target(), Target()

        def finaliser(other=other, event=event):
            attach(other, [event])

        came = call_at(line, finaliser, lambda t=target, e=event: attach(t, [e]))
        event.value = True
        assert target.reasons.get(timeout=5) == "cancel_event was set"
        if not came:
            break
        assert other.reasons.get(timeout=5) == "cancel_event was set"
    assert line > 30
    end_of_watching()
