"""What a finaliser of the user's may call, wherever Python's garbage collector runs it."""

import gc
from collections import deque

import pytest
from helpers import Worker, eventually

import lmstudio as lms
from lmstudio._background import thread as background

pytestmark = pytest.mark.races
LIMIT = 10.0  # seconds


def refused(action):
    with pytest.raises(lms.LMStudioRuntimeError):
        action()


CALLS = {
    "cancel": lambda stream: stream.cancel("by a finaliser"),
    "close": lambda stream: stream.close(),
    "repr": repr,
    "markdown": lambda stream: stream._repr_markdown_(),
    "stats": lambda stream: stream.stats,
    "done": lambda stream: (stream.done(), stream.cancelled()),
    "done callback": lambda stream: stream.add_done_callback(print),
    "iter": lambda stream: refused(lambda: next(iter(stream))),
    "result": lambda stream: refused(stream.result),
    "run_in_background": lambda stream: refused(stream.run_in_background),
}


def call_in_the_fold(stream, action):
    """Have an action called in the thread that reads, while it folds the first fragment."""
    inner, errors = stream._reader._accumulator, []

    class Accumulator:
        is_first = True

        def fragment(self, packet):
            if self.is_first:
                self.is_first = False
                try:
                    action(stream)
                except BaseException as error:
                    errors.append(error)
            return inner.fragment(packet)

        def __getattr__(self, name):
            return getattr(inner, name)

    stream._reader._accumulator = Accumulator()
    return errors


@pytest.mark.parametrize("read", [list, lms.PredictionStream.result], ids=["loop", "result"])
@pytest.mark.parametrize("name", CALLS)
def test_a_finaliser_that_looks_at_the_stream_being_read_hangs_nothing(server, model, name, read):
    server.reply("one two three")
    stream = model.respond_stream("hi")
    errors = call_in_the_fold(stream, CALLS[name])
    Worker(read, stream).result()

    assert not errors
    content = Worker(stream.result).result().content
    assert content == ("one" if name in ("cancel", "close") else "one two three")


@pytest.mark.parametrize("name", CALLS)
def test_a_finaliser_in_the_background_thread_hangs_nothing(server, model, name):
    server.reply("one two three")
    stream = model.respond_stream("hi")
    errors = call_in_the_fold(stream, CALLS[name])
    stream.run_in_background().result(LIMIT)

    assert not errors
    other = model.respond_stream("again").run_in_background()
    assert other.result(LIMIT).content


def test_a_finaliser_may_start_another_stream_while_one_is_read(server, model):
    server.reply("one two three", repeat=2)
    futures = []
    stream = model.respond_stream("hi")
    errors = call_in_the_fold(
        stream, lambda _: futures.append(model.respond_stream("other").run_in_background())
    )
    assert Worker(stream.result).result().content == "one two three"
    assert not errors
    assert futures[0].result(LIMIT).content == "one two three"


@pytest.mark.parametrize("step", ["append", "popleft"])
def test_a_finaliser_may_start_something_while_a_stream_is_handed_to_the_background(
    server, model, step, monkeypatch
):
    futures = []

    class Arriving(deque):
        def _finalise(self):
            if not futures:
                futures.append(None)
                futures[0] = model.respond_stream("other").run_in_background()

        def append(self, item):
            super().append(item)
            if step == "append":
                self._finalise()

        def popleft(self):
            if step == "popleft":
                self._finalise()
            return super().popleft()

    eventually(lambda: not background._state.value.running)
    monkeypatch.setattr(background._state.value, "arriving", Arriving())
    stream = model.respond_stream("hi")
    future = Worker(stream.run_in_background).result()
    assert future.result(LIMIT).content
    assert futures[0].result(LIMIT).content
    eventually(lambda: not background._state.value.running)


def test_finalisers_at_every_allocation_hang_nothing(server, model):
    server.reply("word " * 50, repeat=4)
    stream = model.respond_stream("hi")
    ran = []

    class Garbage:
        def __init__(self):
            self.myself = self

        def __del__(self):
            ran.append((repr(stream), stream.stats, stream.cancelled(), stream.done()))

    def read():
        for _ in stream:
            Garbage()
        return [model.respond_stream("a").run_in_background() for _ in range(3) if Garbage()]

    threshold = gc.get_threshold()
    gc.set_threshold(1)
    try:
        futures = Worker(read).result()
        for future in futures:
            assert future.result(LIMIT).content
    finally:
        gc.set_threshold(*threshold)
    assert stream.result().content == "word " * 50
    gc.collect()
    assert ran


# -- what may block ---------------------------------------------------------------------------


def test_tools_callbacks_and_what_runs_in_the_background_may_make_calls(server, client, model):
    embedding = client.embedding.model()
    vectors, futures, chats = [], [], []

    def embed(*_):
        vectors.append(embedding.embed("a"))

    def look_up(query: str) -> str:
        """Look up something."""
        embed()
        chats.append(model.respond("inside").content)
        return query

    server.reply(tool_calls=[{"name": "look_up", "arguments": {"query": "a"}}])
    assert model.act("hi", [look_up]).rounds == 2
    assert len(vectors) == len(chats) == 1

    # In the thread that reads all that runs by itself, which waits for it meanwhile.
    def ask_again(_):
        embed()
        chats.append(model.respond("inside").content)

    futures.append(model.respond_stream("hi").run_in_background(on_text=embed, on_done=ask_again))
    eventually(lambda: len(chats) == 2)
    assert futures[0].result(LIMIT).content

    lms.run_in_background(model.respond, "hi", on_done=ask_again).result(LIMIT)
    eventually(lambda: len(chats) == 3)

    stream = model.respond_stream("hi")
    stream.add_done_callback(ask_again)
    assert Worker(list, stream).result()
    stream = model.respond_stream("hi", on_message=ask_again)
    assert Worker(stream.result).result().content
    assert len(chats) == 5
    future = model.respond_stream("hi").run_in_background()
    future.add_done_callback(ask_again)
    assert future.result(LIMIT).content
    eventually(lambda: len(chats) == 6)
