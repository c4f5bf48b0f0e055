"""What waits and costs nothing: open streams while nothing comes, lights and idle windows."""

import asyncio
import os
import queue
import shutil
import subprocess
import threading
from contextlib import contextmanager
from time import perf_counter, process_time, sleep

import clients
import common
from common import OURS, Section, Verdict

STREAMS = 1_000
SECONDS = 5.0
REST = 1.0  # seconds that pass before
MOST = 1.0  # percent of a core
# That the server holds, and that sends a fragment and no more.
SILENT, ONE = "bench:held:1", "bench:open:1"
BACKGROUND = "in the background, nothing has come"
AFTER_ONE = "in the background, a fragment each has come"
STARTED = "only started, a fragment each has come"
CASES = {BACKGROUND: (SILENT, True), AFTER_ONE: (ONE, True), STARTED: (ONE, False)}
CLIENTS = 100
LIGHT_SECONDS = 30.0  # in which each is asked for a sign of life twice
LIT, DARK = "connected", "the server is gone, and looked for"
MESSAGES = 300  # of one window, each with a dispatcher of its own, which is kept
MOST_OF_A_DISPATCHER = 0.1  # percent of a core
DISPATCHERS = {  # with the function in which its loop runs for some seconds
    "Tk": "tk",
    "Qt": "qt",
    "an asyncio loop": "loop",
    "a plain function": "function",
}
NO_JOBS = "none any more: one has ended in the background"


# -- in the child -------------------------------------------------------------------------------


def idle_streams(variant, host, streams, seconds, prompt, in_background):
    """Percent of a core that this process takes while all its streams wait."""
    model = clients.model(host)
    opened = [model.respond_stream(prompt) for _ in range(streams)]
    futures = []
    for stream in opened:
        if in_background:
            futures.append(stream.run_in_background())
        else:
            stream.start()
    clients.wait_until_open(host, streams)
    found = share(seconds)
    assert not any(future.done() for future in futures)
    assert clients.last(host)["open"] == streams
    return found


def no_jobs(variant, host, seconds):
    """The same when the background thread has read a stream to its end."""
    stream = clients.model(host).respond_stream("bench:burst:1")
    stream.run_in_background().result()
    return share(seconds)


def lights(variant, host, clients, seconds, is_there):
    """Percent of a core that so many clients take, each of which has a light in a window."""
    import lmstudio

    told = []
    lit = [lmstudio.Client(host if is_there else "127.0.0.1:9") for _ in range(clients)]
    for client in lit:
        client.on_connection_change(told.append)
    while len(told) < clients:
        sleep(0.005)
    if not is_there:
        sleep(seconds)  # until the pauses between two tries have grown
    found = share(seconds)
    assert told == [is_there] * clients
    assert all(client.is_connected is is_there for client in lit)
    return found


def share(seconds, rest=sleep):
    """CPU of the whole process in percent of the time, and its threads beside this one."""
    rest(REST)
    cpu, wall = process_time(), perf_counter()
    rest(seconds)
    cpu, wall = process_time() - cpu, perf_counter() - wall
    return {"percent": cpu / wall * 100, "threads": threading.active_count() - 1}


def dispatchers(variant, host, kind, messages, seconds):
    """Percent of a core of a window that has shown so many messages, while nothing runs."""
    model = clients.model(host)
    ended = []

    def ask(dispatch):
        stream = model.respond_stream("bench:burst:1")
        stream.run_in_background(on_text=str, on_done=ended.append, dispatch=dispatch)

    return globals()[f"_in_{kind}"](ask, ended, messages, seconds)


def _in_tk(ask, ended, messages, seconds):
    import tkinter

    import lmstudio

    window = tkinter.Tk()

    def rest(seconds):
        window.after(round(seconds * 1000), window.quit)
        window.mainloop()

    kept = []
    for number in range(1, messages + 1):
        kept.append(lmstudio.TkDispatcher(window))
        ask(kept[-1])
        while len(ended) < number:
            window.update()
    found = share(seconds, rest)
    window.destroy()
    return found


def _in_qt(ask, ended, messages, seconds):
    from PySide6.QtCore import QCoreApplication, QEventLoop, QTimer

    import lmstudio

    application = QCoreApplication([])

    def rest(seconds):
        loop = QEventLoop()
        QTimer.singleShot(round(seconds * 1000), loop.quit)
        loop.exec()

    kept = []
    for number in range(1, messages + 1):
        kept.append(lmstudio.QtDispatcher())
        ask(kept[-1])
        while len(ended) < number:
            application.processEvents()
    return share(seconds, rest)


def _in_loop(ask, ended, messages, seconds):
    loop = asyncio.new_event_loop()

    def rest(seconds):
        loop.run_until_complete(asyncio.sleep(seconds))

    for number in range(1, messages + 1):
        ask(loop.call_soon_threadsafe)
        while len(ended) < number:
            loop.run_until_complete(asyncio.sleep(0.001))
    found = share(seconds, rest)
    loop.close()
    return found


def _in_function(ask, ended, messages, seconds):
    calls = queue.SimpleQueue()
    for number in range(1, messages + 1):
        ask(calls.put)
        while len(ended) < number:
            calls.get()()
    return share(seconds)


# -- the benchmark ------------------------------------------------------------------------------


def measure(rounds, scale):
    """All of it; `scale` makes the number of streams and the time smaller."""
    section = Section("Idle")
    streams, seconds = scale(STREAMS), scale(SECONDS * 10) / 10

    def case(function, **arguments):
        def run():
            with common.load_server() as host:
                return common.run_child(OURS, function, host=host, seconds=seconds, **arguments)

        return run

    cases = {
        words: case(idle_streams, streams=streams, prompt=prompt, in_background=in_background)
        for words, (prompt, in_background) in CASES.items()
    }
    cases[NO_JOBS] = case(no_jobs)
    found = common.in_turn(min(rounds, 3), cases)
    section.text.append(
        f"The share of a core that a process takes in {seconds:g} s, with {streams:,} streams on "
        "one client (threads beside the main one):"
    )
    rows = [
        [words, common.spread(samples, "percent", 2), common.spread(samples, "threads", 0)]
        for words, samples in found.items()
    ]
    section.table(["streams", "%", "threads"], rows)
    percent = max(common.median(found[words], "percent") for words in (BACKGROUND, AFTER_ONE))
    what = "1,000 idle background streams: a core's share"
    met = percent <= MOST
    section.verdicts.append(Verdict(what, f"{percent:.2f} %", f"at most {MOST:g} %", met))
    measure_lights(section, rounds, scale)
    measure_dispatchers(section, rounds, scale)
    return section


@contextmanager
def screen():
    """A screen for Tk: the machine's, or an Xvfb; says whether there is one."""
    if os.environ.get("DISPLAY") or os.name == "nt":
        yield True
        return
    if shutil.which("Xvfb") is None:
        yield False
        return
    reader, writer = os.pipe()
    command = ["Xvfb", "-displayfd", str(writer), "-nolisten", "tcp"]
    process = subprocess.Popen(command, pass_fds=[writer], stderr=subprocess.DEVNULL)
    try:
        os.close(writer)
        with os.fdopen(reader) as number:
            os.environ["DISPLAY"] = f":{number.readline().strip()}"
        yield True
    finally:
        os.environ.pop("DISPLAY", None)
        process.terminate()
        process.wait()


def measure_dispatchers(section, rounds, scale):
    """Windows in which much was shown, and nothing is any more."""
    messages, seconds = scale(MESSAGES), scale(SECONDS * 10) / 10

    def case(kind):
        def run():
            arguments = {"kind": kind, "messages": messages, "seconds": seconds}
            with common.load_server() as host:
                return common.run_child(OURS, dispatchers, host=host, **arguments)

        return run

    with screen() as has_screen:
        there = {words: kind for words, kind in DISPATCHERS.items() if has_screen or kind != "tk"}
        cases = {words: case(kind) for words, kind in there.items()}
        found = common.in_turn(min(rounds, 3), cases)
    section.text.append(
        f"The same of a window that has shown {messages} messages, by its `dispatch`, in "
        f"{seconds:g} s in which nothing runs:"
        + ("" if has_screen else " (Tk was not measured: there is no screen.)")
    )
    rows = [
        [words, common.spread(samples, "percent", 3), common.spread(samples, "threads", 0)]
        for words, samples in found.items()
    ]
    section.table(["dispatch", "%", "threads"], rows)
    for words, samples in found.items():
        percent = common.median(samples, "percent")
        what = f"an idle window, {words}: a core's share"
        met = percent <= MOST_OF_A_DISPATCHER
        wanted = f"at most {MOST_OF_A_DISPATCHER:g} %"
        section.verdicts.append(Verdict(what, f"{percent:.3f} %", wanted, met))


def measure_lights(section, rounds, scale):
    """Clients that are told whether they are connected."""
    count, seconds = scale(CLIENTS), scale(LIGHT_SECONDS * 10) / 10

    def case(is_there):
        def run():
            with common.load_server() as host:
                arguments = {"clients": count, "seconds": seconds, "is_there": is_there}
                return common.run_child(OURS, lights, host=host, **arguments)

        return run

    found = common.in_turn(min(rounds, 3), {LIT: case(True), DARK: case(False)})
    section.text.append(
        f"The same of {count} idle clients that are told when they are connected "
        f"(`on_connection_change`), in {seconds:g} s:"
    )
    rows = [
        [words, common.spread(samples, "percent", 2), common.spread(samples, "threads", 0)]
        for words, samples in found.items()
    ]
    section.table(["clients", "%", "threads"], rows)
    for words, samples in found.items():
        percent = common.median(samples, "percent")
        what = f"100 idle clients with a light, {words}: a core's share"
        section.verdicts.append(
            Verdict(what, f"{percent:.2f} %", f"at most {MOST:g} %", percent <= MOST)
        )
