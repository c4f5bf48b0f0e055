"""How the threads of this package are started, and which of them refuse to wait."""

import threading

import pytest
from helpers import eventually

import lmstudio as lms
from lmstudio._concurrency import threads
from lmstudio._concurrency.once import Once
from lmstudio._concurrency.threads import check_may_wait, may_wait, start_daemon

REFUSAL = "Nothing can be done"


def test_a_thread_is_a_daemon_with_a_name_and_gets_its_arguments():
    seen, done = [], threading.Event()

    def work(*arguments):
        thread = threading.current_thread()
        seen.append((thread.name, thread.daemon, arguments))
        done.set()

    start_daemon(work, "lmstudio-test", 1, "two", refusal=REFUSAL)

    assert done.wait(5)
    assert seen == [("lmstudio-test", True, (1, "two"))]


@pytest.fixture
def may_begin(monkeypatch):
    """Threads that are started run once this is set."""
    is_set, begin = threading.Event(), threading.Thread._bootstrap

    def late(self):
        is_set.wait(5)
        begin(self)

    monkeypatch.setattr(threads._Daemon, "_bootstrap", late, raising=False)
    return is_set


def test_nobody_waits_until_a_thread_runs(may_begin):
    """Python may collect garbage as the thread begins: a finaliser there must hold up nobody."""
    done = threading.Event()

    thread = start_daemon(done.set, "lmstudio-test", refusal=REFUSAL)

    assert not done.is_set()
    assert thread in threading.enumerate()
    may_begin.set()
    assert done.wait(5)


def test_a_thread_that_is_listed_may_be_joined_before_it_runs(may_begin):
    may_end = threading.Event()
    start_daemon(may_end.wait, "lmstudio-test", refusal=REFUSAL)
    (thread,) = [thread for thread in threading.enumerate() if thread.name == "lmstudio-test"]

    thread.join(0.01)  # it does not run yet, and this does not fail
    may_begin.set()
    thread.join(0.01)  # it does, or will
    may_end.set()
    thread.join(5)

    assert not thread.is_alive()


def test_in_a_forked_child_a_thread_that_did_not_come_along_is_over(monkeypatch):
    monkeypatch.setattr(threading.Thread, "start", lambda self: None)  # it is never begun
    gone = start_daemon(print, "lmstudio-test", refusal=REFUSAL)
    threads._beginning.discard(gone)
    monkeypatch.undo()
    may_end = threading.Event()
    here = start_daemon(may_end.wait, "lmstudio-test", 5, refusal=REFUSAL)
    eventually(here.is_alive)
    monkeypatch.setattr(threads.fork, "current", object())

    gone.join()  # returns
    may_end.set()
    here.join(5)

    assert not here.is_alive()


def test_where_python_starts_no_thread_any_more_the_error_says_what_cannot_be_done(monkeypatch):
    def no_thread(self):
        raise RuntimeError("can't create new thread at interpreter shutdown")

    monkeypatch.setattr(threading.Thread, "start", no_thread)

    with pytest.raises(lms.LMStudioRuntimeError, match="Nothing can be done any more: can't"):
        start_daemon(print, "lmstudio-test", refusal=REFUSAL)


def test_a_thread_that_others_rely_on_refuses_to_wait_and_is_named():
    seen, done = [], threading.Event()

    def work():
        seen.append(may_wait())
        try:
            check_may_wait()
        except lms.LMStudioRuntimeError as error:
            seen.append(str(error))
        done.set()

    start_daemon(work, "lmstudio-test", refusal=REFUSAL, may_wait=False)

    assert done.wait(5)
    assert not seen[0]
    assert "'lmstudio-test'" in seen[1]
    assert "__del__" in seen[1]
    assert may_wait()  # here
    eventually(lambda: not threads._waitless)  # another thread may get its number


def test_other_threads_of_the_package_may_wait():
    seen, done = [], threading.Event()
    start_daemon(lambda: (seen.append(may_wait()), done.set()), "lmstudio-test", refusal=REFUSAL)

    assert done.wait(5)
    assert seen == [True]


def test_the_exit_waits_for_a_thread_that_is_just_beginning(monkeypatch):
    """Otherwise Python frees what the new thread is about to use: a segmentation fault."""
    looks, may_begin, begun = [], threading.Event(), threading.Event()
    begin = threading.Thread._bootstrap

    def late(self):
        may_begin.wait(5)
        begin(self)

    def look_again(seconds):
        looks.append(begun.is_set())
        may_begin.set()
        begun.wait(5)

    monkeypatch.setattr(threads._Daemon, "_bootstrap", late, raising=False)
    monkeypatch.setattr(threads, "sleep", look_again)
    monkeypatch.setattr(threads, "_is_ending", Once())

    start_daemon(begun.set, "lmstudio-test", refusal=REFUSAL)
    threads._wait_for_beginners()

    assert looks == [False]  # it came to a thread that had not begun, and stayed until it had


def test_the_exit_waits_a_second_at_most_for_a_thread_that_never_begins(monkeypatch):
    now = iter([0.0, 0.5, 0.99, 1.0])
    monkeypatch.setattr(threads, "monotonic", lambda: next(now))
    monkeypatch.setattr(threads, "_beginning", {"a thread that never begins"})
    monkeypatch.setattr(threads, "sleep", lambda seconds: None)
    monkeypatch.setattr(threads, "_is_ending", Once())

    threads._wait_for_beginners()

    assert next(now, None) is None  # it looked until the second was over, and no longer


def test_a_thread_that_could_not_be_started_is_not_waited_for(monkeypatch):
    def no_thread(self):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", no_thread)
    with pytest.raises(lms.LMStudioRuntimeError):
        start_daemon(print, "lmstudio-test", refusal=REFUSAL)

    assert not [thread for thread in threads._beginning if thread.name == "lmstudio-test"]


def test_no_thread_is_started_once_the_exit_has_looked(monkeypatch):
    monkeypatch.setattr(threads, "_is_ending", Once())
    threads._wait_for_beginners()

    with pytest.raises(lms.LMStudioRuntimeError, match="Nothing can be done any more: Python is"):
        start_daemon(print, "lmstudio-test", refusal=REFUSAL)

    assert not [thread for thread in threads._beginning if thread.name == "lmstudio-test"]


def test_ctrl_c_at_a_start_leaves_no_thread_for_which_the_exit_waits(monkeypatch):
    def interrupted(self):
        raise KeyboardInterrupt

    monkeypatch.setattr(threading.Thread, "start", interrupted)
    with pytest.raises(KeyboardInterrupt):
        start_daemon(print, "lmstudio-test", refusal=REFUSAL)

    assert not [thread for thread in threads._beginning if thread.name == "lmstudio-test"]


def test_nobody_waits_while_python_takes_itself_apart(monkeypatch):
    monkeypatch.setattr(threads, "is_finalizing", lambda: True)

    assert not may_wait()
    with pytest.raises(lms.LMStudioRuntimeError, match="Python is exiting"):
        check_may_wait()
