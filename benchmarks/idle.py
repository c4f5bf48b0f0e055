"""What waits and costs nothing: open streams while nothing comes, and lights in windows."""

import threading
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


def share(seconds):
    """CPU of the whole process in percent of the time, and its threads beside this one."""
    sleep(REST)
    cpu, wall = process_time(), perf_counter()
    sleep(seconds)
    cpu, wall = process_time() - cpu, perf_counter() - wall
    return {"percent": cpu / wall * 100, "threads": threading.active_count() - 1}


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
    return section


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
