"""Ctrl-C, interpreter exit and fork, each in a process of its own: return code and empty stderr."""

from child_process import assert_stopped, execute, run
from helpers import needs_fork

from lmstudio.testing import Server

# -- Ctrl-C -----------------------------------------------------------------------------------


def test_ctrl_c_in_respond_stops_the_model_and_the_client_stays_usable(talking_server):
    output = run(
        talking_server,
        """
        seen = []
        interrupt_soon(lambda: len(seen) > 5)
        try:
            model.respond("hi", on_prediction_fragment=seen.append)
        except KeyboardInterrupt:
            print("interrupted")
        print(model.count_tokens("a b c"))
        client.close()
        """,
    )

    assert output == ["interrupted", "3"]
    assert_stopped(talking_server)


def test_ctrl_c_before_the_first_token_stops_the_model():
    with Server() as slow:
        slow.hold("predict")
        output = run(
            slow,
            """
            client = lms.Client(sys.argv[1], cancel_grace=0.5)
            stream = lms.LLM("test-llm", client.llm).respond_stream("hi")
            interrupt_soon(lambda: stream._call.is_sent)
            try:
                stream.result()
            except KeyboardInterrupt:
                result = stream.result()
                print(result.cancelled, result.acknowledged)
            client.close()
            """,
        )
        call = slow.expect("predict")

        call.expect_cancel()
        assert output == ["True", "False"]


def test_ctrl_c_in_a_loop_keeps_the_partial_result(talking_server):
    output = run(
        talking_server,
        """
        stream = model.respond_stream("hi")
        taken = []
        interrupt_soon(lambda: len(taken) > 5)
        try:
            for fragment in stream:
                taken.append(fragment.content)
        except KeyboardInterrupt:
            result = stream.result()
            # The last one may have been taken by the stream and not yet by the loop.
            print(result.content.startswith("".join(taken)), result.stats.stop_reason)
        client.close()
        """,
    )

    assert output == ["True", "userStopped"]
    assert_stopped(talking_server)


def test_a_signal_handler_may_cancel(talking_server):
    output = run(
        talking_server,
        """
        stream = model.respond_stream("hi")
        token = lms.CancelToken()
        signal.signal(signal.SIGINT, lambda *_: (stream.cancel("by hand"), token.cancel()))
        taken = []
        interrupt_soon(lambda: len(taken) > 5)
        for fragment in stream:
            taken.append(fragment.content)
        print(stream.result().cancel_reason, token.wait(5))
        client.close()
        """,
    )

    assert output == ["by", "hand", "True"]
    assert_stopped(talking_server)


def test_ctrl_c_ends_the_wait_for_a_future_and_the_prediction_goes_on(talking_server):
    output = run(
        talking_server,
        """
        seen = []
        future = model.respond_stream("hi").run_in_background(on_text=seen.append)
        interrupt_soon(lambda: seen)
        try:
            future.result()
        except KeyboardInterrupt:
            print(future.done())
        future.cancel()
        print(future.result().cancelled)
        client.close()
        """,
    )

    assert output == ["False", "True"]
    assert_stopped(talking_server)


# -- exit -------------------------------------------------------------------------------------


def test_exit_with_open_streams_cancels_them_in_silence(talking_server):
    run(
        talking_server,
        """
        streams = [model.respond_stream("hi") for _ in range(3)]
        for stream in streams:
            stream.start()
        for stream in streams:
            wait_until(lambda: stream._call.is_sent)
        """,
    )

    assert_stopped(talking_server, 3)


def test_exit_while_daemon_threads_stream_is_silent(talking_server):
    run(
        talking_server,
        """
        def work(taken):
            for fragment in model.respond_stream("hi"):
                taken.append(fragment)
        lists = [[] for _ in range(3)]
        for taken in lists:
            threading.Thread(target=work, args=[taken], daemon=True).start()
        wait_until(lambda: all(len(taken) >= 5 for taken in lists))
        """,
    )

    for prediction in talking_server.predictions:
        prediction.wait_finished()
        assert prediction.cancelled_after is not None


def test_exit_hooks_that_run_after_ours_work_over_the_open_connection(talking_server):
    source = """
    import atexit
    import sys

    def last():
        print(model.count_tokens("a b c"))
        client.close()

    atexit.register(last)  # before the import: it runs after the package's own hook
    import lmstudio as lms
    client = lms.Client(sys.argv[1])
    model = client.llm.model()
    """
    done = execute(talking_server, source)

    assert (done.returncode, done.stderr, done.stdout.split()) == (0, "", ["3"])


def test_exit_with_a_client_that_was_never_closed_is_silent(talking_server):
    assert run(talking_server, "print(model.count_tokens('a b'))") == ["2"]


def test_exit_with_a_watched_event_is_silent(talking_server):
    run(
        talking_server,
        """
        event = threading.Event()
        stream = model.respond_stream("hi", cancel_event=event)
        stream.start()
        wait_until(lambda: stream._call.is_sent)
        """,
    )

    assert_stopped(talking_server)


# -- fork -------------------------------------------------------------------------------------


@needs_fork
def test_a_forked_child_that_drops_its_streams_leaves_the_parents_going(talking_server):
    output = run(
        talking_server,
        """
        import warnings
        warnings.simplefilter("ignore", DeprecationWarning)  # fork with threads, on purpose
        warnings.simplefilter("ignore", ResourceWarning)  # inherited sockets
        stream = model.respond_stream("hi")
        iterator = iter(stream)
        next(iterator)
        child = os.fork()
        if child == 0:
            del iterator, stream
            gc.collect()
            sys.exit(0)
        assert os.waitpid(child, 0)[1] == 0
        print(len([next(iterator) for _ in range(50)]))
        stream.cancel()
        print(stream.result().acknowledged)
        client.close()
        """,
    )

    assert output == ["50", "True"]
    assert_stopped(talking_server)
