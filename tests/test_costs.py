"""What may be counted of the costs that the project promises (times are for benchmarks/)."""

import gc
import json
import os
import subprocess
import sys
import threading

import pytest
from helpers import eventually

import lmstudio as lms


class Counter:
    """Counts calls of Python and C functions in this thread; no garbage is collected meanwhile."""

    def __enter__(self):
        self.calls = []
        gc.disable()
        sys.setprofile(self._note)
        return self

    def _note(self, frame, event, argument):
        if event == "call":
            self.calls.append(frame.f_code.co_name)
        elif event == "c_call":
            self.calls.append(argument.__name__)

    def __exit__(self, *_):
        sys.setprofile(None)
        gc.enable()
        self.calls = [name for name in self.calls if name not in ("__exit__", "setprofile")]


def test_cancel_makes_at_most_ten_calls(server, model):
    server.hold("predict")
    stream = model.respond_stream("hi")
    stream.start()
    server.expect("predict")

    with Counter() as counter:
        stream.cancel()

    assert len(counter.calls) <= 10, counter.calls


def test_the_reading_thread_makes_few_calls_per_fragment(server, model):
    server.reply(["x"] * 300)
    stream = model.respond_stream("hi")
    iterator = iter(stream)
    next(iterator)
    eventually(stream.done)

    with Counter() as counter:
        for _ in range(200):
            next(iterator)

    python_calls = [name for name in counter.calls if name in PYTHON_CALLS_OF_A_FRAGMENT]
    assert len(python_calls) == 200 * len(PYTHON_CALLS_OF_A_FRAGMENT)
    assert len(counter.calls) <= 200 * 25


PYTHON_CALLS_OF_A_FRAGMENT = ("__next__", "advance", "fragment", "__init__")


def test_the_io_thread_makes_few_python_calls_per_fragment(server, client, model):
    server.hold("predict")
    stream = model.respond_stream("hi")
    stream.start()
    call = server.expect("predict")
    names = []

    def note(frame, event, argument):
        if event == "call" and frame.f_code.co_name in ("_dispatch", "receive", "raw_decode"):
            names.append((frame.f_code.co_name, frame.f_code.co_filename))

    client._session.dispatcher.reactor.post(sys.setprofile, note)
    packet = {"type": "fragment", "fragment": {"content": "x"}}
    text = json.dumps({"type": "channelSend", "channelId": call.id, "message": packet})
    call.connection.send_text(text)
    for _ in range(100):
        call.connection.send_text(text)
    call.success()
    stream.result()
    client._session.dispatcher.reactor.post(sys.setprofile, None)
    model.count_tokens("a round trip")

    per_message = [name for name, file in names if not file.endswith("transport.py")]
    assert 3 * 100 <= len(per_message) <= 3 * 106


@pytest.mark.parametrize("ordered", [True, False])
def test_an_outcome_of_a_batch_makes_as_many_calls_whatever_max_parallel_is(model, ordered):
    def calls(max_parallel):
        batch = model.respond_many(["a"] * 400, max_parallel=max_parallel, ordered=ordered)
        with Counter() as counter:
            assert len(list(batch)) == 400
        return len(counter.calls) / 400

    calls(4)  # what it imports
    few, many = calls(8), calls(256)
    assert many < 1.3 * few, (few, many)


def test_importing_takes_no_slow_modules_and_starts_no_thread():
    code = """
import json, sys, threading
import lmstudio
print(json.dumps([sorted(sys.modules), threading.active_count()]))
"""
    # What measures coverage imports some of them itself.
    environment = {name: os.environ[name] for name in os.environ if "COVERAGE" not in name}
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=environment,
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )
    modules, threads = json.loads(done.stdout)

    assert threads == 1
    slow = {
        "cattrs",
        "asyncio",
        "http.client",
        "concurrent.futures",
        "multiprocessing",
        "websockets",
    }
    assert not slow & set(modules)


def test_a_program_without_tools_imports_nothing_of_them(server):
    code = f"""
import json, sys
import lmstudio
with lmstudio.Client("{server.host}") as client:
    client.llm.model().respond("hi", response_format={{"type": "object"}})
print(json.dumps(sorted(sys.modules)))
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=True
    )

    parts = ("_agent", "schema_check", "pattern")
    assert not [
        name
        for name in json.loads(done.stdout)
        if name.startswith("lmstudio.") and name.endswith(parts)
    ]


def test_a_client_of_many_streams_has_one_thread(server):
    server.hold("predict")
    before = threading.active_count()
    with lms.Client(server.host) as client:
        model = client.llm.model()
        streams = [model.respond_stream(str(number)) for number in range(200)]
        for stream in streams:
            stream.start()
        for _ in streams:
            server.expect("predict")

        assert threading.active_count() == before + 1
