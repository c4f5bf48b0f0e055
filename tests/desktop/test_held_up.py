"""Code of the user's that does not return: it holds up its own stream, and nothing else."""

import asyncio
import queue
import threading

import pytest
from child_process import run
from desktop.background import LIMIT, Window, start_held
from helpers import Worker, eventually, needs_fork

import lmstudio as lms
from lmstudio._background import callback_queue, lane, seat
from lmstudio._background import thread as _background
from lmstudio._background.callback_queue import CallbackQueue
from lmstudio._concurrency.callback_gate import CallbackGate

pytestmark = pytest.mark.races


class Gate:
    """Holds up whoever comes, until it is opened; knows who is inside."""

    def __init__(self):
        self.entered = queue.SimpleQueue()
        self.open = threading.Event()
        self.inside, self.most, self.threads = 0, 0, set()

    def pass_through(self, *_):
        self.inside += 1  # with at most one inside, which is what is tested
        self.most = max(self.most, self.inside)
        self.threads.add(threading.get_ident())
        self.entered.put(threading.current_thread().name)
        assert self.open.wait(LIMIT)
        self.inside -= 1


@pytest.fixture
def gate():
    gate = Gate()
    yield gate
    gate.open.set()


@pytest.fixture
def stuck(gate):
    """A dispatcher that hangs until the gate is opened, and then is a window."""
    window = Window()
    window.gate = gate

    def dispatch(function):
        gate.pass_through()
        window(function)

    window.dispatch = dispatch
    return window


def named(name):
    return [thread for thread in threading.enumerate() if thread.name == name]


def prove_that_others_go_on(server, model):
    """Another stream is read, its callbacks are called, and it ends."""
    log, ended = [], threading.Event()
    future, call = start_held(
        server, model.respond_stream("other"), on_text=log.append, on_done=lambda _: ended.set()
    )
    call.fragment("other")
    eventually(lambda: log == ["other"])
    call.success()
    assert ended.wait(LIMIT)
    assert future.result(LIMIT).content == "other"


# -- a dispatch that hangs ----------------------------------------------------------------------


def test_a_dispatch_that_hangs_holds_up_no_other_stream_and_not_the_future_of_its_own(
    server, model, stuck, gate
):
    options = {**stuck.callbacks(), "dispatch": stuck.dispatch}
    future, call = start_held(server, model.respond_stream("hi"), **options)
    call.fragment("one ")
    gate.entered.get(timeout=LIMIT)
    prove_that_others_go_on(server, model)
    call.fragment("two")
    call.success()
    assert future.result(LIMIT).content == "one two"
    assert stuck.log == []

    gate.open.set()
    stuck.run_until(stuck.has_ended)
    assert stuck.text() == "one two"
    assert [kind for kind, _ in stuck.log].count("done") == 1


def test_many_streams_with_a_dispatch_that_hangs_have_one_thread_in_it(server, model, stuck, gate):
    ended = []
    calls = [
        start_held(
            server,
            model.respond_stream(str(number)),
            on_done=ended.append,
            on_text=lambda text: None,
            dispatch=stuck.dispatch,
        )
        for number in range(10)
    ]
    for _, call in calls:
        call.fragment("x")
        call.success()
    for future, _ in calls:
        assert future.result(LIMIT).content == "x"
    prove_that_others_go_on(server, model)
    assert (gate.inside, gate.most) == (1, 1)

    gate.open.set()
    stuck.run_until(lambda: len(ended) == 10)
    assert gate.most == 1
    assert len(gate.threads) == 1  # who was held up once has what follows


def test_two_dispatchers_that_hang_do_not_wait_for_each_other(server, model, gate):
    other_gate = Gate()
    try:
        for held in (gate, other_gate):
            _, call = start_held(
                server,
                model.respond_stream("hi"),
                on_text=lambda _: None,
                dispatch=held.pass_through,
            )
            call.fragment("x")
            call.success()
        gate.entered.get(timeout=LIMIT)
        other_gate.entered.get(timeout=LIMIT)
        prove_that_others_go_on(server, model)
    finally:
        other_gate.open.set()


def test_a_method_that_is_looked_up_twice_is_the_same_dispatcher():
    window = Window()
    window.called = window.__call__
    assert lane.lane_of(window.run_until) is lane.lane_of(window.run_until)
    assert lane.lane_of(window.log.append) is lane.lane_of(window.log.append)
    held = lane.lane_of(window.run_until)
    assert held is not lane.lane_of(Window().run_until)
    assert held is not lane.lane_of(window.run_one)


def test_a_quick_dispatch_is_called_by_the_thread_that_reads(server, model):
    threads, done = set(), threading.Event()

    def dispatch(function):
        threads.add(threading.current_thread())
        function()

    stream = model.respond_stream("hi")
    future, call = start_held(server, stream, on_done=lambda _: done.set(), dispatch=dispatch)
    (reader,) = named("lmstudio-background")
    call.success()
    assert done.wait(LIMIT)
    assert future.result(LIMIT).content == ""
    assert threads == {reader}


def test_a_windows_own_thread_never_dispatches(server, model):
    """It would wait for itself, or be refused, as by Textual's `call_from_thread`."""
    window, dispatched_by = Window(), set()

    def dispatch(function):
        dispatched_by.add(threading.get_ident())
        window(function)

    options = {**window.callbacks(), "dispatch": dispatch}
    stream = model.respond_stream("hi", on_first_token=lambda: (call.success(), future.result()))
    future, call = start_held(server, stream, **options)
    call.fragment("one")
    window.run_until(window.has_ended)  # the first callback lets everything else come meanwhile

    assert window.text() == "one"
    assert dispatched_by
    assert threading.get_ident() not in dispatched_by


def test_a_dispatch_that_waits_for_its_function_may_outlive_its_loop(server, model):
    """As Textual's `call_from_thread`: it waits for ever once the app has ended."""
    loop = asyncio.new_event_loop()
    texts, done, waiting = [], asyncio.Queue(), queue.SimpleQueue()

    def call_from_thread(function):
        assert threading.current_thread() is not threading.main_thread()

        async def run():
            function()

        called = asyncio.run_coroutine_threadsafe(run(), loop)
        waiting.put(called)
        called.result()

    def begin():
        stream = model.respond_stream("hi")
        options = {"on_text": texts.append, "on_done": done.put_nowait}
        return start_held(server, stream, **options, dispatch=call_from_thread)

    def wait_for(awaitable):
        return loop.run_until_complete(asyncio.wait_for(awaitable, LIMIT))

    _, call = begin()
    for number in range(100):
        call.fragment(f"{number} ")
    call.success()
    result = wait_for(done.get())
    assert "".join(texts) == result.content == "".join(f"{number} " for number in range(100))

    future, call = begin()  # the loop does not run any more
    call.fragment("too late")
    call.success()
    assert future.result(LIMIT).content == "too late"
    prove_that_others_go_on(server, model)
    assert done.empty()

    wait_for(done.get())
    while not waiting.empty():
        wait_for(asyncio.wrap_future(waiting.get(), loop=loop))
    loop.close()


def test_dispatchers_of_the_package_need_no_spare_thread(server, model, monkeypatch):
    class Dispatcher(lms.QtDispatcher):
        def __init__(self):
            self.closed, self.calls = lms.CancelToken(), queue.SimpleQueue()

    monkeypatch.setattr(lms.QtDispatcher, "__call__", lambda self, call: self.calls.put(call))
    dispatch, done = Dispatcher(), []
    _, call = start_held(server, model.respond_stream("hi"), on_done=done.append, dispatch=dispatch)
    call.success()
    dispatch.calls.get(timeout=LIMIT)()
    assert len(done) == 1
    assert not named("lmstudio-spare")


def test_text_for_a_window_that_hangs_is_joined():
    log, visits = [], queue.SimpleQueue()
    box = CallbackQueue(
        CallbackGate(), visits.put, log.append, on_text=log.append, on_done=None, on_error=None
    )
    box.text("begin ")
    box.bring_text()
    for number in range(5_000):
        box.text(f"{number} ")
        box.bring_text()
    (waiting,) = box._waiting
    assert len(waiting._pieces[0]) <= callback_queue._MANY
    assert visits.qsize() == 1
    visits.get()()
    assert log == ["begin " + "".join(f"{number} " for number in range(5_000))]


def test_a_text_that_comes_while_the_others_are_taken_is_not_lost():
    text = callback_queue._Text(["one "])
    assert text.add("two ") == []
    assert text.take() == ["one ", "two "]
    assert text.add("three ") == ["three "]  # they are gone already

    text = callback_queue._Text(["one "])
    pieces = text._pieces.pop(0)  # as `add` does, when the other thread comes
    assert text.take() == []
    text._pieces[0] = pieces
    assert text.add("two ") == ["one ", "two "]
    assert text.take() == []


def test_closing_the_client_does_not_wait_for_a_dispatch_that_hangs(server, gate):
    client = lms.Client(server.host)
    stream = client.llm.model().respond_stream("hi")
    future, call = start_held(server, stream, on_text=lambda _: None, dispatch=gate.pass_through)
    call.fragment("one")
    gate.entered.get(timeout=LIMIT)
    client.close()
    assert not gate.open.is_set()
    assert future.result(LIMIT).cancel_reason == "client closed"


@needs_fork
def test_a_forked_child_may_use_a_dispatcher_that_hangs_in_the_parent(server):
    program = """
    entered, release = threading.Event(), threading.Event()
    parent = os.getpid()

    def dispatch(function):
        if os.getpid() == parent:
            entered.set()
            release.wait(30)
        function()

    future = model.respond_stream("hi").run_in_background(on_text=print, dispatch=dispatch)
    assert entered.wait(10)
    pid = os.fork()
    if pid == 0:
        done = threading.Event()
        with lms.Client(sys.argv[1]) as own:
            stream = own.llm.model().respond_stream("hi")
            stream.run_in_background(on_done=lambda _: done.set(), dispatch=dispatch)
            assert done.wait(10)
        os._exit(0)
    assert os.waitpid(pid, 0)[1] == 0
    """
    run(server, program)


def test_a_program_may_end_while_a_dispatch_and_a_callback_hang(server):
    program = """
    entered = threading.Semaphore(0)

    def hang(*_):
        entered.release()
        threading.Event().wait()

    futures = [
        model.respond_stream("hi").run_in_background(on_text=print, dispatch=hang),
        model.respond_stream("hi").run_in_background(on_text=hang),
    ]
    assert entered.acquire(timeout=10) and entered.acquire(timeout=10)
    futures[0].result(10)
    """
    run(server, program)


# -- a callback that hangs ------------------------------------------------------------------------


@pytest.mark.parametrize("is_alone", [True, False])
def test_a_callback_that_hangs_holds_up_its_own_stream_only(server, model, gate, is_alone):
    log, ended = [], threading.Event()

    def on_text(text):
        gate.pass_through()
        log.append((text, threading.current_thread().name))

    def on_done(result):
        log.append(("done", threading.current_thread().name))
        ended.set()

    future, call = start_held(
        server, model.respond_stream("hi"), on_text=on_text, on_done=on_done, interval=0.001
    )
    call.fragment("one")
    assert gate.entered.get(timeout=LIMIT) == "lmstudio-background"
    if is_alone:  # nothing else is to be read: the thread that took over has left
        eventually(lambda: not _background._state.value.running)
    else:
        prove_that_others_go_on(server, model)
    call.fragment("two")
    call.success()
    assert not future.done()

    gate.open.set()
    assert ended.wait(LIMIT)
    assert future.result(LIMIT).content == "onetwo"
    assert gate.most == 1
    assert log[0] == ("one", "lmstudio-background")
    assert "".join(text for text, _ in log[:-1]) == "onetwo"
    assert log[-1] == ("done", "lmstudio-background")


def test_a_stream_that_is_held_up_can_be_stopped(server, model, gate):
    future, call = start_held(server, model.respond_stream("hi"), on_text=gate.pass_through)
    call.fragment("one")
    gate.entered.get(timeout=LIMIT)
    assert future.cancel("stop button")
    call.expect_cancel()
    call.success("userStopped")
    gate.open.set()
    assert future.result(LIMIT).cancel_reason == "stop button"


def test_a_done_callback_that_hangs_holds_up_no_other_stream(server, model, gate):
    done = []
    future, call = start_held(server, model.respond_stream("hi"), on_done=done.append)
    future.add_done_callback(gate.pass_through)
    call.success()
    gate.entered.get(timeout=LIMIT)
    prove_that_others_go_on(server, model)
    assert not done
    gate.open.set()
    eventually(lambda: len(done) == 1)


def test_a_callback_that_is_held_up_may_not_wait_for_its_own_end(server, model, gate):
    errors = queue.SimpleQueue()

    def on_text(_):
        gate.pass_through()
        try:
            future.result()
        except lms.LMStudioRuntimeError as error:
            errors.put(str(error))

    stream = model.respond_stream("hi")
    future, call = start_held(server, stream, on_text=on_text)
    call.fragment("one")
    gate.entered.get(timeout=LIMIT)
    prove_that_others_go_on(server, model)
    gate.open.set()
    assert "Use on_done" in errors.get(timeout=LIMIT)
    call.success()
    assert future.result(LIMIT).content == "one"


# -- who has the seat ---------------------------------------------------------------------------


def test_a_thread_that_returns_first_keeps_its_seat(monkeypatch):
    monkeypatch.setattr(seat, "_PATIENCE", LIMIT)
    taken = threading.Event()
    with seat.Seat(taken.set) as place:
        place.enter()
        turn = place._turn
        assert place.leave()
        assert not turn.set(seat._LOST)  # the spare thread, a moment later
        assert not place.is_lost
    eventually(lambda: not named("lmstudio-spare"))
    assert not taken.is_set()


def test_a_thread_that_returns_second_has_lost_it_and_begins_no_turn_any_more():
    taken = threading.Event()
    with seat.Seat(taken.set) as place:
        assert seat.current() is place
        place.enter()
        assert taken.wait(LIMIT)
        place.enter()
        assert not place.leave()
        assert place.is_lost
    assert seat.current() is None


def test_a_spare_thread_rests_while_nothing_is_called_and_wakes_for_the_next_turn(monkeypatch):
    monkeypatch.setattr(seat, "_PATIENCE", 0.001)
    taken = threading.Event()
    with seat.Seat(taken.set) as place:
        while not place._spare_rests:
            place.enter()
            if not place.leave():  # the machine was slow, and the turn long
                break
            eventually(lambda: place._spare_rests or place.is_lost)
        place.enter()
        assert taken.wait(LIMIT)


def test_without_a_spare_thread_code_of_the_users_is_called_all_the_same(
    server, model, monkeypatch
):
    def refuse(*_arguments, **_options):
        raise lms.LMStudioRuntimeError("Python is exiting")

    monkeypatch.setattr(seat, "start_daemon", refuse)
    done = queue.SimpleQueue()
    _, call = start_held(server, model.respond_stream("hi"), on_done=done.put)
    call.success()
    assert done.get(timeout=LIMIT).content == ""


def test_a_visit_that_is_asked_for_while_the_lane_is_left_is_not_forgotten(monkeypatch):
    """Between the last look at what waits and the leaving: the leaving looks again."""
    called = threading.Event()
    served = lane.lane_of(called.set)
    monkeypatch.setattr(lane, "post", lambda _: pytest.fail("a thread serves already"))

    class Leaving(type(served._served)):
        def clear(self):
            if not called.is_set() and not late:
                late.append(True)
                served.ask(called.set)
            super().clear()

    late = []
    served._served = Leaving()
    served._visits.put(lambda: None)
    Worker(served._serve).result(LIMIT)
    assert called.is_set()


# -- where nobody can stand by, and where an error cannot be told ---------------------------------


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_an_error_that_cannot_be_told_leaves_the_other_streams_their_thread(
    server, model, monkeypatch
):
    def broken_hook(_details):
        raise ValueError("nobody reads stderr")

    def dispatch(function):
        function()

    def fail(_result):
        raise ZeroDivisionError

    monkeypatch.setattr(threading, "excepthook", broken_hook)
    log = []
    other, held = start_held(server, model.respond_stream("other"), on_text=log.append)
    future, call = start_held(server, model.respond_stream("hi"), on_done=fail, dispatch=dispatch)
    call.success()
    future.exception(LIMIT)
    held.fragment("other")
    eventually(lambda: log == ["other"])
    held.success()
    assert other.result(LIMIT).content == "other"


def refuse_threads(monkeypatch):
    def refuse(*_, **__):
        raise lms.LMStudioRuntimeError("no more threads")

    monkeypatch.setattr(seat, "start_daemon", refuse)
    monkeypatch.setattr(_background, "start_daemon", refuse)


def test_a_thread_that_was_held_up_reads_on_itself_where_no_other_can_be_started(
    server, model, gate, monkeypatch
):
    future, call = start_held(server, model.respond_stream("hi"), on_text=gate.pass_through)
    call.fragment("one ")
    gate.entered.get(timeout=LIMIT)
    # The seat was lost, and who has taken it over has nothing to read.
    eventually(lambda: not _background._state.value.running)
    refuse_threads(monkeypatch)
    gate.open.set()
    call.fragment("two")
    call.success()
    assert future.result(LIMIT).content == "one two"


def test_who_stands_by_is_started_later_if_it_was_refused_at_first(
    server, model, gate, monkeypatch
):
    log = []
    future, call = start_held(server, model.respond_stream("hi"), on_text=log.append)
    with monkeypatch.context() as refusing:
        refuse_threads(refusing)
        call.fragment("one ")
        eventually(lambda: log == ["one "])
    hung, other = start_held(server, model.respond_stream("held"), on_text=gate.pass_through)
    other.fragment("x")
    gate.entered.get(timeout=LIMIT)
    call.fragment("two")
    eventually(lambda: log == ["one ", "two"])
    gate.open.set()
    for one in (call, other):
        one.success()
    assert (future.result(LIMIT).content, hung.result(LIMIT).content) == ("one two", "x")
