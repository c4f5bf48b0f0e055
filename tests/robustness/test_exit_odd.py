"""Odd ways to end a program: hooks, cycles, finalisers, signals, forks, each with streams open."""

import pytest
from child_process import PRELUDE, assert_stopped, execute, run
from helpers import needs_fork

from lmstudio.testing import Server

# -- exit hooks ---------------------------------------------------------------------------------


def test_an_exit_hook_that_runs_before_ours_works(talking_server):
    output = run(
        talking_server,
        """
        stream = model.respond_stream("hi")
        stream.start()
        wait_until(lambda: stream._call.is_sent)

        def first():  # registered after the import: it runs before the package's own hook
            iterator = iter(model.respond_stream("hi"))
            print(next(iterator).content)
            try:
                print(lms.Client(sys.argv[1]).llm.list_loaded()[0].identifier)
            except lms.LMStudioRuntimeError as error:
                assert "No connection" in str(error)  # this Python starts no threads any more

        atexit.register(first)
        """,
    )

    assert output in (["word", "test-llm"], ["word"])
    assert_stopped(talking_server, 2)


@pytest.mark.parametrize("place", ["before the import", "after the import"])
@pytest.mark.parametrize("way", ["the loop", "the event", "a load"])
def test_an_exit_hook_may_stop_a_daemon_worker_and_wait_for_it(talking_server, place, way):
    """Names of the package are imported when they are used first, often later than such a hook."""
    talking_server.hold("loadModel")
    done = execute(
        talking_server,
        f"""
        import atexit, sys, threading
        stop, ended, seen = threading.Event(), [], threading.Event()

        def shut_down():
            stop.set()
            worker.join(10)
            print(worker.is_alive(), ended)

        def work():
            try:
                if {way!r} == "the loop":
                    for fragment in model.respond_stream("hi"):
                        seen.set()
                        if stop.is_set():
                            break
                elif {way!r} == "the event":
                    model.respond("hi", cancel_event=stop, on_first_token=seen.set)
                else:
                    client.llm.load_new_instance("test-llm", cancel_event=stop)
            except lms.LMStudioCancelledError:
                pass
            finally:
                ended.append("worker")

        if {place!r} == "before the import":
            atexit.register(shut_down)
        import lmstudio as lms
        if {place!r} != "before the import":
            atexit.register(shut_down)
        client = lms.Client(sys.argv[1])
        model = lms.LLM("test-llm", client.llm)
        worker = threading.Thread(target=work, daemon=True)
        worker.start()
        while not seen.wait(0.001):
            calls = list(client._session.dispatcher.open.values())
            if {way!r} == "a load" and any(call.is_sent for call in calls):
                break  # its model is held
        """,
    )

    assert (done.stderr, done.stdout) == ("", "False ['worker']\n")


def test_a_finaliser_that_calls_while_python_takes_itself_apart_gets_an_error(talking_server):
    output = run(
        talking_server,
        """
        class Assistant:
            def __del__(self):  # a global is dropped at the very end, when no thread runs any more
                try:
                    model.count_tokens("bye")
                except RuntimeError as error:
                    os.write(1, str(error).split()[-1].encode())
                client.close(timeout=None)

        assistant = Assistant()
        model.count_tokens("hi")
        """,
    )

    assert output == ["exiting."]


@pytest.mark.parametrize("is_connected", [True, False])
def test_an_exit_hook_that_runs_after_ours_works_or_gets_a_clear_error(
    talking_server, is_connected
):
    done = execute(
        talking_server,
        f"""
        import atexit
        import sys

        def last():  # registered before the import: it runs after the package's own hook
            try:
                stream = model.respond_stream("hi")
                print(next(iter(stream)).content)
                stream.cancel()
                print(stream.result().acknowledged)
            except lms.LMStudioRuntimeError as error:
                print("connection" in str(error))  # this Python starts no threads any more
            client.close()

        atexit.register(last)
        import lmstudio as lms
        client = lms.Client(sys.argv[1])
        model = lms.LLM("test-llm", client.llm)
        if {is_connected}:
            model.count_tokens("a")
        """,
    )

    assert (done.returncode, done.stderr) == (0, "")
    if is_connected or done.stdout.startswith("word"):
        assert done.stdout.split() == ["word", "True"]
        assert_stopped(talking_server)
    else:
        assert done.stdout.split() == ["True"]


def test_ctrl_c_in_our_exit_hook_is_silent(talking_server):
    run(
        talking_server,
        """
        stream = model.respond_stream("hi")
        next(iter(stream))
        # The hook waits for this to call `done`, and gets Ctrl-C instead.
        client._session.dispatcher.send_cancels = lambda done: send(signal.SIGINT)
        """,
    )


def test_a_signal_handler_that_exits_in_our_exit_hook_is_silent(talking_server):
    run(
        talking_server,
        """
        signal.signal(signal.SIGINT, lambda *_: sys.exit(3))
        stream = model.respond_stream("hi")
        next(iter(stream))
        client._session.dispatcher.send_cancels = lambda done: send(signal.SIGINT)
        """,
    )


def test_ctrl_c_between_two_steps_of_our_exit_hook_is_silent_and_skips_none(talking_server):
    done = run(
        talking_server,
        """
        import _thread
        from lmstudio._api.program_end import at_program_end

        at_program_end(lambda: print("went on"))
        at_program_end(_thread.interrupt_main)  # Ctrl-C comes after its end, in the loop over them
        """,
    )
    assert done == ["went", "on"]


# -- what is left to the interpreter --------------------------------------------------------------


def test_daemon_threads_in_calls_of_all_kinds_are_left_in_silence(talking_server):
    talking_server.hold("embedString")
    talking_server.hold("loadModel")
    run(
        talking_server,
        """
        def iterate():
            for fragment in model.respond_stream("hi"):
                pass

        works = [
            iterate,
            lambda: model.respond("hi"),
            lambda: client.embedding.model().embed("a"),
            lambda: client.llm.load_new_instance("test-llm"),
        ]
        for work in works:
            threading.Thread(target=work, daemon=True).start()
        names = {"predict", "embedString", "loadModel"}
        calls = client._session.dispatcher.open
        def sent():
            return {call.endpoint.name for call in list(calls.values()) if call.is_sent}
        wait_until(lambda: not names - sent())
        wait_until(lambda: len(calls) >= 4)
        """,
    )

    load = talking_server.expect("loadModel")
    load.expect_cancel()
    for prediction in talking_server.predictions:
        assert prediction.wait_finished().cancelled_after is not None
    packets = talking_server.received(type="channelSend")
    assert len(packets) == 1 + len(talking_server.predictions)


CYCLES = {
    "a client in a cycle": "app.client = client",
    "an open stream in a cycle": "app.stream = stream",
    "an iterator in a cycle": "app.iterator = iter(stream); next(app.iterator)",
    "a finaliser that uses them": """
App.__del__ = lambda self: (self.stream.cancel("bye"), self.stream.close(), self.client.close())
app.stream, app.client = stream, client
""",
    "a result that nobody took": "threading.Thread(target=stream.result, daemon=True).start()",
}


@pytest.mark.parametrize("kind", CYCLES)
@pytest.mark.parametrize("place", ["a module", "builtins"])  # these are cleared at the very end
def test_what_the_interpreter_clears_at_its_end_is_silent(talking_server, kind, place):
    keep = "import builtins; builtins.kept = app, stream, client" if place == "builtins" else ""
    done = execute(
        talking_server,
        f"""
{PRELUDE}
class App:
    pass

gc.disable()
app = App()
app.me = app
stream = model.respond_stream("hi")
stream.start()
wait_until(lambda: stream._call.is_sent)
{CYCLES[kind]}
{keep}
""",
    )

    assert (done.returncode, done.stderr, done.stdout) == (0, "", "")
    assert_stopped(talking_server)


def test_an_exception_that_ends_the_program_is_all_that_is_printed(talking_server):
    done = execute(
        talking_server,
        PRELUDE
        + """
for fragment in model.respond_stream("hi"):
    raise ValueError("of the user")
""",
    )

    assert done.returncode == 1
    assert done.stderr.startswith('Traceback (most recent call last):\n  File "<string>"')
    assert done.stderr.endswith("\nValueError: of the user\n")
    assert done.stderr.count("File ") == 1
    assert_stopped(talking_server)


def test_a_signal_handler_that_exits_stops_the_model(talking_server):
    run(
        talking_server,
        """
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(3))
        seen = []
        def end():
            wait_until(lambda: len(seen) >= 5)
            send(signal.SIGTERM)
        threading.Thread(target=end, daemon=True).start()
        model.respond("hi", on_prediction_fragment=seen.append)
        """,
        code=3,
    )

    assert_stopped(talking_server)


# -- fork -----------------------------------------------------------------------------------------

FORK = """
import warnings
warnings.simplefilter("ignore", DeprecationWarning)  # fork with threads, on purpose
warnings.simplefilter("ignore", ResourceWarning)  # inherited sockets
"""


@needs_fork
def test_children_that_exit_with_the_parents_streams_leave_these_going(talking_server):
    output = run(
        talking_server,
        FORK
        + """
event = threading.Event()
streams = [model.respond_stream("hi", cancel_event=event) for _ in range(3)]
iterators = [iter(stream) for stream in streams]
for iterator in iterators:
    next(iterator)
children = []
for number in range(4):
    child = os.fork()
    if child == 0:
        event.set()  # the child's own copy
        if number == 1:
            client.close()
        if number == 2:
            streams[0].cancel()
            lms.Client(sys.argv[1]).llm.list_loaded()  # never closed
        sys.exit(number)  # with all exit hooks
    children.append(child)
print(*[os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children])
for iterator in iterators:
    for _ in range(50):
        next(iterator)
print(*[stream.cancelled() for stream in streams])
for stream in streams:
    stream.cancel()
    assert stream.result().acknowledged
client.close()
""",
    )

    assert output == ["0", "1", "2", "3", "False", "False", "False"]
    assert_stopped(talking_server, 3)


@needs_fork
def test_a_child_forked_while_a_thread_streams_streams_with_a_client_of_its_own(talking_server):
    output = run(
        talking_server,
        FORK
        + """
taken = []
def work():
    stream = model.respond_stream("hi")
    for fragment in stream:
        taken.append(fragment)
        if len(taken) == 300:
            stream.cancel()
    print(stream.result().acknowledged)
thread = threading.Thread(target=work)
thread.start()
wait_until(lambda: len(taken) >= 5)
child = os.fork()
if child == 0:
    with lms.Client(sys.argv[1]) as mine:
        own = mine.llm.model().respond_stream("hi")
        for number, fragment in enumerate(own):
            if number == 5:
                own.cancel()
        assert own.result().acknowledged
    sys.exit(0)
assert os.waitpid(child, 0)[1] == 0
thread.join(20)
client.close()
""",
    )

    assert output == ["True"]
    assert_stopped(talking_server, 2)


# -- a whole program ------------------------------------------------------------------------------


def test_a_typical_program_draws_no_warning_from_python():
    with Server() as server:
        server.reply("one two three")
        server.reply('{"title": "The Hobbit"}')
        server.reply("word " * 20_000, delay=0.001)
        done = execute(
            server,
            """
            import sys
            import threading
            import lmstudio as lms

            lms.configure_default_client(sys.argv[1])
            with lms.Client(sys.argv[1]) as client:
                print([model.model_key for model in client.list_downloaded_models("llm")])
                model = client.llm.load_new_instance("test-llm", "second", ttl=60)
                chat = lms.Chat("Be brief.")
                chat.add_user_message("Count.")
                model.respond(chat, on_message=chat.append, config={"temperature": 0.5})
                print(chat)
                schema = {"type": "object", "properties": {"title": {"type": "string"}}}
                print(model.respond("A book?", response_format=schema).parsed)
                stop = threading.Event()
                stream = model.respond_stream("A story.", cancel_event=stop)
                for fragment in stream:
                    stop.set()
                print(stream.result().stats.stop_reason)
                model.unload()
            print(len(lms.embedding_model().embed(["a", "b"])), lms.llm().count_tokens("a b c"))
            """,
        )

    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[-1] == "2 3"
