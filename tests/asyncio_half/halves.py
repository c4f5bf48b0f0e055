"""Both halves behind one face, so that one test can say what holds in both."""

import asyncio
import gc
import inspect
import sys
import threading
import traceback

import lmstudio as lms


class Threads:
    """The half of threads: everything is called where the test calls it."""

    name = "threads"
    event = threading.Event

    def __init__(self, server, **options):
        self.client = lms.Client(server.host, **options)
        self.model = self.client.llm.model()

    def do(self, function):
        return function()

    def stream(self, *arguments, **options):
        return self.do(lambda: self.model.respond_stream(*(arguments or ("hi",)), **options))

    def started(self, **options):
        stream = self.stream(**options)
        self.do(stream.start)
        return stream

    def iterate(self, stream):
        return iter(stream)

    def next(self, iterator):
        """The text of the next fragment; None at the end."""
        fragment = next(iterator, None)
        return None if fragment is None else fragment.content

    def next_text(self, texts):
        """The next of `texts()`; None at the end."""
        return next(texts, None)

    def read(self, stream):
        """All texts, read by one thread or task."""
        return [fragment.content for fragment in stream]

    def result(self, stream, timeout=None):
        return self.do(lambda: stream.wait_for_result(timeout))

    def set(self, event):
        event.set()

    def close(self):
        self.client.close()

    def end(self):
        self.close()
        assert not self.client._session.dispatcher.open


class Loop(Threads):
    """The half of asyncio: everything is done in an event loop of its own."""

    name = "asyncio"
    event = asyncio.Event

    def __init__(self, server, **options):
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, name="event-loop", daemon=True)
        self._thread.start()
        assert self._ready.wait(10)
        self.client = lms.AsyncClient(server.host, **options)
        self.model = self.do(self.client.llm.model)
        self.complaints = []
        self.loop.set_exception_handler(lambda _, context: self.complaints.append(context))

    def _run(self):
        async def main():
            self.loop, self._done = asyncio.get_running_loop(), asyncio.Event()
            self._ready.set()
            await self._done.wait()

        asyncio.run(main())

    def do(self, function):
        async def work():
            done = function()
            return await done if inspect.isawaitable(done) else done

        future = asyncio.run_coroutine_threadsafe(work(), self.loop)
        try:
            return future.result(10)
        finally:
            del future, work

    def iterate(self, stream):
        return self.do(stream.__aiter__)

    def next(self, iterator):
        async def step():
            try:
                return (await iterator.__anext__()).content
            except StopAsyncIteration:
                return None

        return self.do(step)

    def next_text(self, texts):
        async def step():
            return await anext(texts, None)

        return self.do(step)

    def read(self, stream):
        async def work():
            return [fragment.content async for fragment in stream]

        return self.do(work)

    def set(self, event):
        self.loop.call_soon_threadsafe(event.set)

    def where(self):
        """Return what the loop's thread is doing, and what its loop has still to do."""
        frame = sys._current_frames()[self._thread.ident]
        stack = "".join(traceback.format_stack(frame))
        return f"{self.loop!r}, {list(self.loop._ready)}, {asyncio.all_tasks(self.loop)}\n{stack}"

    def close(self):
        self.do(self.client.aclose)

    def end(self):
        super().end()
        self.loop.call_soon_threadsafe(self._done.set)
        self._thread.join(10)
        assert not self._thread.is_alive(), self.where()
        gc.collect()
        assert not self.complaints


def in_the_middle(held, half, **options):
    """A stream of which "a" was read, its iterator, and the server's call."""
    stream = half.started(**options)
    call = held.expect("predict")
    call.fragment("a")
    iterator = half.iterate(stream)
    assert half.next(iterator) == "a"
    return stream, iterator, call
