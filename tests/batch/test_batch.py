"""respond_many and its kin: lazily, bounded, in order or not, and nothing finished is lost."""

import errno
import gc
import io
import random
import subprocess
import sys
import threading
import tracemalloc
from contextlib import contextmanager

import pytest
from child_process import run
from helpers import Worker, eventually

import lmstudio as lms
from lmstudio._batch import batch as _batch
from lmstudio._batch import progress as _progress

LIMIT = 10.0  # seconds
SCHEMA = {
    "type": "object",
    "properties": {"name": {"type": "string"}},
    "required": ["name"],
}


class Source:
    """Numbered questions; it knows how many were read."""

    def __init__(self, count):
        self.count = count
        self.read = 0

    def __iter__(self):
        for number in range(self.count):
            self.read += 1
            yield f"Question {number}"


def start_held(server, model, inputs, **options):
    """A batch whose first calls are parked at the server, and a worker that iterates it."""
    server.hold("predict")
    batch = model.respond_many(inputs, **options)
    taken = []

    def take_all():
        for pair in batch:
            taken.append(pair)
        return taken

    return batch, taken, Worker(take_all)


def number_of(call):
    """Which question a parked call asks."""
    text = call.parameter["history"]["messages"][-1]["content"][0]["text"]
    return int(text.split()[-1])


def test_results_come_as_they_finish_with_the_index_of_their_input(server, model):
    _, taken, worker = start_held(server, model, Source(3), max_parallel=3)
    calls = {number_of(call): call for call in (server.expect("predict") for _ in range(3))}
    for number in (2, 0, 1):
        calls[number].fragment(f"answer {number}")
        calls[number].success()
        eventually(lambda: taken and taken[-1][0] == number)  # noqa: B023
    assert [(index, result.content) for index, result in worker.result()] == [
        (2, "answer 2"),
        (0, "answer 0"),
        (1, "answer 1"),
    ]


def test_ordered_results_come_in_the_order_of_the_inputs(server, model):
    _, taken, worker = start_held(server, model, Source(3), max_parallel=3, ordered=True)
    calls = {number_of(call): call for call in (server.expect("predict") for _ in range(3))}
    for number in (2, 1):
        calls[number].success()
    assert not taken
    calls[0].success()
    assert [index for index, _ in worker.result()] == [0, 1, 2]


def test_no_more_run_at_once_than_max_parallel_and_inputs_are_read_lazily(server, model):
    source = Source(100)
    _, taken, worker = start_held(server, model, source, max_parallel=2)
    for done in range(100):
        call = server.expect("predict")
        assert source.read <= done + 2
        call.success()
    assert len(worker.result()) == 100
    assert max(len(taken), source.read) == 100


def test_nothing_is_read_before_the_first_next(server, model):
    source = Source(10)
    model.respond_many(source)
    assert source.read == 0
    assert not server.predictions


def test_in_order_a_slow_first_reply_does_not_let_the_others_run_far_ahead(server, model):
    source = Source(1000)
    batch, taken, worker = start_held(server, model, source, max_parallel=2, ordered=True, ahead=6)
    first = server.expect("predict")
    for _ in range(7):  # 2 + 6 are started and not given at most
        server.expect("predict").success()
    eventually(lambda: batch._hosts.running == 1)
    assert source.read == 8
    assert not taken
    first.success()
    server.release("predict")
    assert [index for index, _ in worker.result(30)] == list(range(1000))


@contextmanager
def server_elsewhere():
    """An embedded server in a process of its own: its memory is not ours. Gives its host."""
    command = [sys.executable, "-m", "lmstudio.testing", "--port", "0", "--parallel", "8"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        yield process.stdout.readline().split()[-1]
    finally:
        process.terminate()
        process.communicate(timeout=LIMIT)


def test_five_thousand_inputs_with_random_failures_in_bounded_memory(capsys):
    dice = random.Random(4)
    failing = {number for number in range(5000) if dice.random() < 0.1}

    def inputs():
        for number in range(5000):
            yield number if number in failing else f"Question {number}"  # a number is no chat

    more, seen, errors = [], [], set()
    with server_elsewhere() as host, lms.Client(host) as client:
        for index, outcome in client.llm.model().respond_many(
            inputs(), max_parallel=8, ordered=True
        ):
            seen.append(index)
            if isinstance(outcome, lms.LMStudioError):
                errors.add(index)
            if index == 500:
                tracemalloc.start()
            elif index % 500 == 499 and index > 500:
                gc.collect()
                more.append(tracemalloc.get_traced_memory()[0])
        tracemalloc.stop()
    with capsys.disabled():
        print(f"\nkB in use after 1,000, 1,500, ... inputs: {[size // 1000 for size in more]}")

    assert seen == list(range(5000))
    assert errors == failing
    assert max(more) < 1_000_000


def test_an_error_of_one_input_is_its_outcome_and_the_others_go_on(server, model):
    server.reply("one two", error_after=1, error="Out of memory")
    server.reply("three four")
    outcomes = dict(model.respond_many(["a", "b", 3], max_parallel=1))

    assert isinstance(outcomes[0], lms.LMStudioServerError)
    assert outcomes[0].partial.content == "one"
    assert outcomes[0].__traceback__ is None
    assert outcomes[1].content == "three four"
    assert isinstance(outcomes[2], lms.LMStudioValueError)


def test_a_time_limit_is_for_each_input(server, model):
    server.reply("one", silent_after=0)
    outcomes = dict(model.respond_many(["a", "b"], max_parallel=1, timeout=1.0))
    assert isinstance(outcomes[0], lms.LMStudioTimeoutError)
    assert outcomes[1].content


def test_what_the_inputs_raise_comes_after_what_was_under_way(server, model):
    def inputs():
        yield "a"
        yield "b"
        raise OSError("the disk is gone")

    batch = model.respond_many(inputs())
    taken = [next(batch)[0], next(batch)[0]]
    with pytest.raises(OSError, match="the disk is gone"):
        next(batch)
    assert sorted(taken) == [0, 1]
    assert list(batch) == []


@pytest.mark.parametrize("way", ["cancel", "event", "token", "cancel_all", "close"])
def test_a_cancel_keeps_what_had_finished_and_starts_nothing_more(server, way):
    event, token = threading.Event(), lms.CancelToken()
    client = lms.Client(server.host)
    source = Source(100)
    batch, _, worker = start_held(
        server,
        client.llm.model(),
        source,
        max_parallel=3,
        ordered=True,
        cancel_event=[event, token],
    )
    calls = {number_of(call): call for call in (server.expect("predict") for _ in range(3))}
    calls[1].fragment("whole")
    calls[1].success()
    fourth = server.expect("predict")  # started instead, so that one has finished
    {
        "cancel": lambda: batch.cancel("enough"),
        "event": event.set,
        "token": lambda: token.cancel("enough"),
        "cancel_all": lambda: client.cancel_all("enough"),
        "close": client.close,
    }[way]()
    for call in (calls[0], calls[2], fourth):
        if way != "close":
            call.expect_cancel()
            call.success("userStopped")
    outcomes = dict(worker.result())

    assert {index: result.cancelled for index, result in outcomes.items()} == {
        0: True,
        1: False,
        2: True,
        3: True,
    }
    assert outcomes[1].content == "whole"
    assert source.read == 4
    assert batch.cancelled()
    assert "cancelled" in repr(batch)
    client.close()


def test_a_cancel_before_the_first_input_starts_nothing(server, model):
    token = lms.CancelToken()
    token.cancel()
    source = Source(10)
    assert list(model.respond_many(source, cancel_event=token)) == []
    assert source.read == 0


def test_an_event_that_cannot_be_watched_fails_the_batch(server, model):
    class Broken:
        def is_set(self):
            if threading.current_thread() is threading.main_thread():
                return False
            raise ZeroDivisionError

    server.reply("word " * 1000, delay=0.01, repeat=4)
    batch = model.respond_many(["a", "b"], cancel_event=Broken())
    with pytest.raises(lms.LMStudioRuntimeError, match="ZeroDivisionError"):
        list(batch)


def test_asking_for_an_iterator_and_dropping_it_changes_nothing(server, model):
    batch = model.respond_many(["a", "b"])
    iter(batch)
    assert not server.received(type="channelCreate")
    pairs = [next(iter(batch))]
    assert batch.cancelled()  # that loop was advanced, and left
    assert len(pairs + list(batch)) == 2

    batch = model.respond_many(["a", "b"])
    loop = iter(batch)
    first = next(loop)
    iter(batch)
    assert sorted(index for index, _ in [first, *loop]) == [0, 1]
    assert not batch.cancelled()


def test_a_second_loop_is_refused_while_the_first_goes_on_and_stops_nothing(server, model):
    batch = model.respond_many(["a", "b", "c"], max_parallel=1)
    first, second = iter(batch), iter(batch)
    pairs = [next(first)]
    with pytest.raises(lms.LMStudioRuntimeError, match="Another loop over this batch goes on"):
        next(second)
    del second
    pairs += first
    assert [index for index, _ in pairs] == [0, 1, 2]
    assert not any(result.cancelled for _, result in pairs)
    assert list(batch) == []  # at the end there is nothing to take


def test_a_second_loop_takes_what_is_there_when_nothing_runs_any_more(server, model):
    batch = model.respond_many(["a", "b", "c"], max_parallel=3)
    interrupted = iter(batch)  # by Ctrl-C in the body of its loop, and somebody holds it
    pairs = [next(interrupted)]
    eventually(lambda: all(map(_batch._has_ended, batch._open.values())))
    with pytest.raises(lms.LMStudioRuntimeError, match="Another loop"):
        Worker(lambda: next(iter(batch))).result()  # in another thread it is refused all the same
    pairs += batch
    assert sorted(index for index, _ in pairs) == [0, 1, 2]


def test_no_progress_is_told_after_close(server, client, model):
    told = []
    batch = model.respond_many(["a", "b"], progress=lambda done, total: told.append(done))
    next(batch)
    client.close()
    told.clear()
    assert len(list(batch)) == 1
    assert told == []


def test_leaving_the_loop_stops_what_runs(server, model):
    server.reply("quick")
    server.reply("word " * 10_000, delay=0.001, repeat=5)
    for index, _ in model.respond_many(Source(100), max_parallel=4):
        assert index == 0
        eventually(lambda: len(server.predictions) >= 4)  # these cannot be withdrawn any more
        break
    for prediction in server.predictions[1:]:
        prediction.wait_finished()
        assert prediction.cancelled_after is not None
    assert len(server.predictions) <= 5


def test_ctrl_c_is_raised_and_going_on_gives_what_had_finished(server, model, monkeypatch):
    server.hold("predict")
    batch = model.respond_many(Source(100), max_parallel=2, ordered=True)

    def interrupt(*_):
        # Where it waits for the first, with the second finished.
        calls = {number_of(call): call for call in (server.expect("predict") for _ in range(2))}
        calls[1].fragment("whole")
        calls[1].success()
        eventually(lambda: batch._take_news() or batch._hosts.running == 1)
        server.release("predict")
        calls[0].proceed()
        monkeypatch.undo()
        raise KeyboardInterrupt

    monkeypatch.setattr(_batch, "receiver", interrupt)
    server.reply("word " * 10_000, delay=0.001)
    with pytest.raises(KeyboardInterrupt):
        next(batch)

    outcomes = dict(batch)
    assert batch.cancelled()
    assert outcomes[0].cancelled
    assert (outcomes[1].cancelled, outcomes[1].content) == (False, "whole")
    assert len(outcomes) == 2


def test_ctrl_c_in_a_program_leaves_what_is_finished_and_stops_the_rest(server):
    server.reply("quick", repeat=2)
    server.reply("word " * 10_000, delay=0.001, repeat=2)
    program = """
    finished = []
    batch = model.respond_many((f"Question {n}" for n in range(1000)), max_parallel=2)
    # Both long replies are under way.
    interrupt_soon(lambda: len(finished) == 2 and batch._count == 4)
    try:
        for index, result in batch:
            finished.append(index)
    except KeyboardInterrupt:
        rest = [result.cancelled for _, result in batch]
        print(len(finished), rest.count(True), rest.count(False))
    client.close()
    """
    assert run(server, program) == ["2", "2", "0"]
    for prediction in server.predictions[2:]:
        prediction.wait_finished()
        assert prediction.cancelled_after is not None


def test_a_program_may_end_in_the_middle_of_a_batch(server):
    server.reply("quick")
    server.reply("word " * 10_000, delay=0.001, repeat=2)
    run(
        server,
        """
        batch = model.respond_many(["a", "b"], max_parallel=2)
        print(next(batch)[0])
        """,
    )
    server.wait_prediction(1)  # it may read the last words only now
    assert len(server.predictions) == 2
    for prediction in server.predictions:
        prediction.wait_finished()


def test_a_completion_and_a_structured_reply_for_each_input(server, model):
    outcomes = dict(model.complete_many(["Once upon", 7]))
    assert outcomes[0].content
    assert isinstance(outcomes[1], lms.LMStudioValueError)

    server.reply('{"name": "Ada"}', repeat=2)
    for _, result in model.respond_many(["a", "b"], response_format=SCHEMA):
        assert result.parsed == {"name": "Ada"}


def test_embeddings_of_many_texts(server, client):
    model = client.embedding.model()
    outcomes = dict(model.embed_many(["a", 2, "c"], max_parallel=2))
    assert outcomes[0] == model.embed("a")
    assert isinstance(outcomes[1], lms.LMStudioValueError)
    assert outcomes[2] == model.embed("c")

    server.hold("embedString")
    batch = model.embed_many(iter("abc"), max_parallel=2, ordered=True)
    worker = Worker(list, batch)
    server.expect("embedString").result({"embedding": [1.0]})
    for _ in "bc":
        server.expect("embedString")
    eventually(lambda: batch.numbers.done == 1)
    batch.cancel("enough")
    (first, second, third) = worker.result()
    assert first == (0, [1.0])
    assert second[1].reason == third[1].reason == "enough"
    assert isinstance(second[1], lms.LMStudioCancelledError)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"inputs": "one text"}, "must be a list or another iterable"),
        ({"inputs": {"messages": []}}, "must be a list or another iterable"),
        ({"inputs": 3}, "must be a list or another iterable"),
        ({"max_parallel": 0}, "max_parallel must be at least 1, or None; 0 was given"),
        ({"retries": -1}, "retries must be at least 0; -1 was given"),
        ({"retries": None}, "retries must be at least 0"),
        ({"retry_if": 3}, "retry_if must be a function"),
        ({"retry_if": lambda: True}, "retry_if is called with 1 argument"),
        ({"patience": -1}, "patience must be a number of seconds"),
        ({"patience": "long"}, "patience must be a number of seconds"),
        ({"ahead": 0}, "ahead must be at least 1"),
        ({"to_prompt": "x"}, "to_prompt must be a function"),
        ({"journal": 3}, "journal must be a path or a BatchJournal"),
        ({"max_parallel": 1.5}, "max_parallel must be a whole number of at least 1, or None; 1.5"),
        ({"max_parallel": "4"}, "max_parallel must be a whole number of at least 1, or None; '4'"),
        ({"ordered": "x"}, "ordered must be True or False; 'x' was given"),
        ({"ordered": None}, "ordered must be True or False"),
        ({"timeout": "1"}, "timeout must be a number of seconds"),
        ({"idle_timeout": -1}, "idle_timeout must be a number of seconds"),
        ({"config": {"maxTokens": "3"}}, "max_tokens"),
        ({"cancel_event": 3}, "cancel_event must be"),
        ({"progress": "bar"}, "progress must be 'rich', 'tqdm', a function or None"),
    ],
)
def test_bad_arguments_are_errors_at_the_call(model, arguments, words):
    with pytest.raises(lms.LMStudioValueError, match=words):
        model.respond_many(**{"inputs": ["a"], **arguments})


@pytest.mark.parametrize("limit", ["timeout", "idle_timeout"])
def test_a_wrong_time_limit_is_one_error_at_the_call_for_vectors_too(client, limit):
    model = client.embedding.model("test-embedding")
    with pytest.raises(lms.LMStudioValueError, match=f"{limit} must be a number of seconds"):
        model.embed_many(["a", "b"], **{limit: "soon"})


def test_a_closed_client_is_an_error_at_the_call(server):
    client = lms.Client(server.host)
    model = client.llm.model()
    client.close()
    with pytest.raises(lms.LMStudioClientError, match="closed"):
        model.respond_many(["a"])


# -- progress ---------------------------------------------------------------------------------


def test_a_function_is_told_how_many_are_done_and_of_how_many(model):
    def tell(done, total):
        seen.append((done, total))

    seen = []
    assert len(list(model.respond_many(["a"] * 5, progress=tell))) == 5
    assert seen[-1] == (5, 5)
    assert [done for done, _ in seen] == sorted({done for done, _ in seen})

    seen.clear()
    list(model.respond_many(iter("ab"), progress=lambda done, total: seen.append((done, total))))
    assert seen[-1] == (2, None)


class OutOfTurn:
    """An input whose parts raise StopIteration."""

    def __iter__(self):
        raise StopIteration("of the input")


def test_a_stop_iteration_of_user_code_does_not_look_like_the_end_of_a_batch(server, model):
    def progress(done, total):
        raise StopIteration("of the progress")

    for batch in (
        model.respond_many(["a", "b"], progress=progress),
        model.respond_many([{"messages": OutOfTurn()}, "b"]),
    ):
        with pytest.raises(RuntimeError, match="raised StopIteration"):
            list(batch)
        assert batch.cancelled()


def test_a_progress_function_that_takes_no_argument_is_told_what_it_would_get(model):
    with pytest.raises(lms.LMStudioValueError, match=r"2 arguments \(done and total\)"):
        model.respond_many(["a"], progress=lambda: None)


def test_a_progress_function_of_one_argument_gets_the_numbers(server, model):
    server.reply("one two", repeat=2)
    server.hold("predict")
    seen = []
    batch = model.respond_many([3, "a", "b"], max_parallel=1, progress=seen.append)
    worker = Worker(list, batch)
    held = server.expect("predict")
    eventually(lambda: seen)
    assert (seen[0].done, seen[0].failed) == (1, 1)
    eventually(lambda: batch.numbers.seconds_left)  # unknown until the clock has moved
    server.release("predict")
    held.fragment("one two", tokens_count=2)
    held.success(predicted_tokens_count=2)
    worker.result()
    last = seen[-1]
    assert (last.done, last.failed, last.total, last.seconds_left) == (3, 1, 3, 0.0)
    assert last.predicted_tokens == 4
    assert last.items_per_second > 0 < last.tokens_per_second
    assert str(last).startswith("3 of 3, 1 failed, 4 tokens, ")
    assert (batch.numbers.done, batch.numbers.failed) == (3, 1)


def test_a_function_that_raises_stops_the_batch(server, model):
    raised = []

    def progress(done, total):
        if not raised:
            raised.append(done)
            raise ZeroDivisionError

    source = Source(100)
    batch = model.respond_many(source, progress=progress)
    with pytest.raises(ZeroDivisionError):
        list(batch)
    assert batch.cancelled()
    list(batch)  # what was under way
    assert source.read < 20


@pytest.mark.parametrize("package", ["rich", "tqdm"])
def test_a_bar_is_shown_on_stderr_and_leaves_no_thread(model, monkeypatch, package):
    pytest.importorskip(package)
    stderr = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stderr)
    before = set(threading.enumerate())
    for _ in model.respond_many(["a"] * 5, progress=package):
        new = {thread.name for thread in set(threading.enumerate()) - before}
        assert all(name.startswith("lmstudio-") for name in new)
    assert "5/5" in stderr.getvalue()


class Broken(io.StringIO):
    """A stderr that nobody reads any more."""

    def __init__(self, error):
        super().__init__()
        self.error = error

    def write(self, text):
        raise self.error

    flush = close = lambda self: None


@pytest.mark.parametrize("package", ["rich", "tqdm"])
@pytest.mark.parametrize(
    "stderr",
    [
        pytest.param(None, id="none, as in pythonw"),
        pytest.param(Broken(BrokenPipeError(errno.EPIPE, "Broken pipe")), id="not read"),
        pytest.param(Broken(OSError(errno.EINVAL, "Invalid argument")), id="not read, Windows"),
        pytest.param(Broken(ValueError("I/O operation on closed file")), id="closed"),
    ],
)
def test_a_batch_goes_on_without_a_stderr_for_its_bar(model, monkeypatch, package, stderr):
    pytest.importorskip(package)
    out = sys.stdout
    monkeypatch.setattr(sys, "stderr", stderr)
    batch = model.respond_many(["a"] * 3, progress=package)

    assert len(list(batch)) == 3
    del batch
    gc.collect()

    assert (sys.stdout, sys.stderr) == (out, stderr)


@pytest.mark.parametrize("package", ["rich", "tqdm"])
def test_a_bar_whose_reader_leaves_in_between_costs_the_batch_nothing(model, monkeypatch, package):
    pytest.importorskip(package)
    stderr = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stderr)
    outcomes = []
    for _, outcome in model.respond_many(["a"] * 5, progress=package):
        outcomes.append(outcome)
        stderr.close()
    assert len(outcomes) == 5


@pytest.mark.parametrize("package", ["rich", "tqdm"])
def test_a_bar_that_cannot_be_shown_names_the_package(model, monkeypatch, package):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(lms.LMStudioValueError, match=f"pip install {package}"):
        model.respond_many(["a"], progress=package)


def test_a_bar_of_a_dropped_batch_is_closed(model, monkeypatch):
    closed = []
    monkeypatch.setattr(
        _progress,
        "_Tqdm",
        lambda total: type(
            "Bar",
            (),
            {
                "close": lambda self: closed.append(total),
                "__call__": lambda self, done, numbers: None,
            },
        )(),
    )
    batch = model.respond_many(["a"], progress="tqdm")
    del batch
    gc.collect()
    assert closed == [1]
