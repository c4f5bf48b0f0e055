"""A task is cancelled at each `await` of the asyncio half: the model stops once, all goes on."""

import asyncio
import itertools
import json

import pytest
from asyncio_half import loops
from asyncio_half.injection import Injector, awaits
from asyncio_half.ways import WAYS

import lmstudio as lms
from lmstudio._asyncio import batch, stream
from lmstudio.testing._engines import scripted

WORDS = 16  # of most replies
PATIENCE = 2.0  # seconds that the server goes on waiting for a cancel that is on its way
MOST = 400  # suspensions of one operation: more, and it never ends by itself

# What is awaited for the shape of the call, and never waits.
NEVER_WAITS = {
    "await AsyncLLM.respond_stream(**locals())",
    "await AsyncLLM.complete_stream(**locals())",
    "await AsyncLLM.complete_raw_text_stream(**locals())",
    "await self.aclose()",  # of a stream; that of a client is reached
}
# What ends the server, and so the test.
ENDS_THE_SERVER = {"await self._session.async_call(system.request_shutdown(), **limits)"}
_reached: set[tuple[str, int, str]] = set()


class Bench:
    """A client, and a server that answers it."""

    def __init__(self, server, client, model):
        self.server, self.client, self.model = server, client, model
        self.first_prediction = self.first_message = 0
        self._loaded = server.identifiers
        self._running = []  # the predictions that ran when a task was cancelled

    def script(self, *reply, **options):
        """Have the next prediction answered so, instead of with many words."""
        queue = self.server._core.engine._queue
        self.server.reply(*reply, **options)
        queue.insert(self._scripted, queue.pop())
        self._scripted += 1

    async def finished(self):
        """Wait until the server has ended the newest prediction, and the client heard all of it."""
        self.injector.is_armed = False
        await asyncio.to_thread(self.server.wait_prediction, self.first_prediction)
        await asyncio.to_thread(self.server.predictions[-1].wait_finished)
        await self.model.count_tokens("on the same connection")
        self.injector.is_armed = True

    def begin(self, injector):
        """Have everything as it was at first."""
        self.injector = injector
        self.server._core.engine._queue.clear()
        for identifier in set(self.server.identifiers) - set(self._loaded):
            self.server.unload(identifier)
        for identifier in set(self._loaded) - set(self.server.identifiers):
            self.server.load(identifier)
        self.server.reply(["word "] * WORDS, delay=0.005, repeat=4)
        self._running, self._scripted = [], 0
        self.first_prediction = len(self.server.predictions)
        self.first_message = len(self.server.received())

    def note_cancel(self):
        """The task of the operation, or another one of it, is cancelled now."""
        predictions = self.server.predictions[self.first_prediction :]
        # Those that still have so much to say that the cancel comes in time.
        self._running = [p for p in predictions if p.tokens_sent < WORDS // 3 and not p.finished]

    def wait_in_a_reply(self, stopper, seconds, *, sleep=scripted._Stopper.sleep):
        """The server waits before a word; and for the cancel of a task, on a busy machine too."""
        is_over = sleep(stopper, seconds)
        if self._running and not is_over:
            stopper._request.stop.wait(PATIENCE)
            return stopper.over()
        return is_over

    def check_at_once(self):
        """Nothing goes on that nobody waits for."""
        going_on = [c for c in list(self.client._session.dispatcher.open.values()) if not c.claim]
        assert not going_on, going_on[0].endpoint.name

    async def check_server(self):
        """Each prediction has ended, and got no cancel or one; which it got if it was stopped."""
        await self.model.count_tokens("on the same connection")
        messages = self.server.received()[self.first_message :]
        created = [m for m in messages if m["type"] == "channelCreate"]
        stops = [
            (m["channelId"], m["message"].get("callId"))  # a number: of a call inside
            for m in messages
            if m["type"] == "channelSend" and m["message"]["type"] != "callTool"
        ]
        assert len(stops) == len(set(stops)), f"two cancels: {json.dumps(messages)}"
        sent = [channel for channel, number in stops if number is None]
        for run in self.server.tool_runs:
            await asyncio.to_thread(self.server.wait_for, lambda run=run: run.state != "running")
        predictions = self.server.predictions[self.first_prediction :]
        for prediction in predictions:
            await asyncio.to_thread(prediction.wait_finished)
            assert prediction.error is None
        stopped = [p for p in predictions if p.stop_reason == "userStopped"]
        assert len(stopped) <= len(sent) <= len(created)
        assert all(prediction in stopped for prediction in self._running), self._running

    async def check_client(self):
        """The client goes on, and nothing is left open."""
        self._running = []
        self.server._core.engine._queue.clear()
        assert (await self.model.respond("again")).stats.stop_reason == "eosFound"
        dispatcher = self.client._session.dispatcher
        await loops.turns(lambda: not dispatcher.open, lambda: f"left open: {dispatcher.open}")


async def _run(bench, way, injector):
    """Run an operation, in which a task may be cancelled, and look at what came of it."""
    loop = asyncio.get_running_loop()
    bench.begin(injector)
    loop.set_task_factory(injector.make_task)
    injector.is_armed = True
    task = loop.create_task(way(bench))
    await asyncio.wait([task], timeout=20)
    injector.is_armed = False
    loop.set_task_factory(None)
    where = f"cancelled at {injector.at}: {sorted(injector.places)}"
    assert task.done(), where
    try:
        bench.check_at_once()
        if injector.task is task:
            assert task.cancelled(), repr(task)
        elif not task.cancelled():
            task.result()
        await bench.check_server()
        await bench.check_client()
    except BaseException as error:
        raise AssertionError(where) from error
    others = asyncio.all_tasks() - {asyncio.current_task()}
    if others:  # tools that were told to stop
        _, pending = await asyncio.wait(others, timeout=5)
        assert not pending, where


async def _inject(bench, way, late):
    """Run an operation until it was cancelled at each of its suspensions; return their awaits."""
    seen, reached, untouched = set(), set(), 0
    for at in itertools.count():
        assert at < MOST
        injector = Injector(at, late=late, on_cancel=bench.note_cancel)
        await _run(bench, way, injector)
        seen |= injector.seen
        reached |= injector.places
        untouched += injector.task is None
        if untouched == 3:  # in one, an answer may have been there before it was awaited
            break
    for _ in range(MOST):
        if seen == reached:
            break
        injector = Injector(wanted=seen - reached, late=late, on_cancel=bench.note_cancel)
        await _run(bench, way, injector)
        reached |= injector.places
    return reached


@pytest.fixture
def kept(monkeypatch):
    """Nothing is stopped by being dropped."""
    objects = []
    for cls in (
        *(stream.AsyncPredictionStream, stream.AsyncFragmentIterator),
        *(batch.AsyncBatch, batch._BatchIterator),
    ):

        def make(self, *arguments, made=cls.__init__, **options):
            made(self, *arguments, **options)
            objects.append(self)

        monkeypatch.setattr(cls, "__init__", make)
    yield objects
    objects.clear()


@pytest.mark.parametrize("late", [False, True], ids=["waiting", "just-come"])
@pytest.mark.parametrize("name", WAYS)
def test_a_task_that_is_cancelled_at_any_await_stops_the_model_once(
    slow_server, kept, monkeypatch, name, late
):
    async def main():
        async with lms.AsyncClient(slow_server.host, timeout=20) as client:
            bench = Bench(slow_server, client, await client.llm.model())
            monkeypatch.setattr(
                scripted._Stopper, "sleep", lambda *waits: bench.wait_in_a_reply(*waits)
            )
            reached = await _inject(bench, WAYS[name], late)
            assert reached
            _reached.update(reached)

    asyncio.run(main())


def test_every_await_of_the_asyncio_half_was_reached(request):
    selected = {item.name for item in request.session.items}
    if not all(any(name in one for one in selected) for name in WAYS):
        pytest.skip("only some of the operations were run")
    there = set().union(*awaits().values())
    missing = {place for place in there - _reached if place[2] not in NEVER_WAITS | ENDS_THE_SERVER}

    assert not missing, "\n".join(map(str, sorted(missing)))
