"""Many threads, streams and ways to leave them on one client, for as long as you like: `make soak`.

The server is a process of its own that drops connections and restarts now and then; another process
stops this one at times, and lets it go on. The time is cut into rounds. After each, client and
server must agree on every prediction, and nothing may be left behind. At the end the memory of the
rounds is compared. Exit code 1 if something disagrees.
"""

import argparse
import faulthandler
import gc
import itertools
import json
import os
import random
import resource
import signal
import statistics
import subprocess
import sys
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from soak_ways import LIMIT, RPCS, SILENCE, WAYS, Refused

import lmstudio as lms
from lmstudio._connection.call import Call

THREADS = 32
HELPERS = 8
ENDLESS = 10**9
BLOCKS_PER_STREAM = 0.2  # growth that is no leak: a leak is at least one object for each stream
NOISE_BLOCKS = 3_000
RSS_GROWTH, NOISE_RSS = 1.25, 16.0  # times, and MB
MISDEEDS = (
    "drop",
    "drop",
    "drop",
    "drop_all",
    "close",
    "close",
    "garbage",
    "half_frame",
    "restart",
)


class Server:
    """The other process."""

    def __init__(self, seed):
        command = [sys.executable, Path(__file__).with_name("soak_server.py"), str(seed)]
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True)

    def __call__(self, command):
        self._process.stdin.write(command + "\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline())

    def close(self):
        self._process.stdin.close()
        self._process.stdout.close()
        return self._process.wait(LIMIT)


class Stops:
    """A third process, which stops this one and lets it go on."""

    def __init__(self, seed):
        command = [sys.executable, Path(__file__).with_name("soak_stops.py"), str(seed)]
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True)

    def close(self):
        """End it; return in words what it did."""
        count, seconds = self._process.communicate()[0].split()
        return f"{count} times for {seconds} s"


class Soak:
    """What the threads share."""

    def __init__(self, seed):
        self.seed = seed
        self.server = Server(seed)
        self.client = lms.Client(self.server("host"), idle_timeout=LIMIT)
        self.model = lms.LLM("test-llm", self.client.llm)
        self.embedding = lms.EmbeddingModel("test-embedding", self.client.embedding)
        self.helpers = ThreadPoolExecutor(HELPERS, thread_name_prefix="helper")
        self.numbers = itertools.count(1)
        self.ledger = {}  # number of a prediction: (way, outcome, tokens received)
        self.problems = []
        self.counts = Counter()  # what was done
        self.endings = Counter()  # (way, outcome)
        self.most = self.most_threads = 0  # calls that were open at once, and threads
        self.ended = threading.Event()  # the round is

    def later(self, function, *arguments):
        """Have another thread call a function."""
        self.helpers.submit(function, *arguments)

    # -- one round --------------------------------------------------------------------------------

    def run_round(self, number, seconds):
        """Let all threads work for a while, then compare, and measure."""
        self.ended.clear()
        tallies = [Counter() for _ in range(THREADS)]
        work = [(self._work, tally) for tally in tallies] + [(self._misbehave, self.counts)]
        threads = []
        for index, (target, tally) in enumerate(work):
            rng = random.Random(f"{self.seed}.{number}.{index}")
            threads.append(threading.Thread(target=self._guard, args=(target, rng, tally)))
        for thread in threads:
            thread.start()
        self.ended.wait(seconds)
        self.ended.set()
        deadline = time.monotonic() + 2 * LIMIT
        for thread in threads:
            thread.join(max(0.0, deadline - time.monotonic()))
            if thread.is_alive():
                faulthandler.dump_traceback(all_threads=True)
                raise SystemExit("A thread hangs: see above.")
        for tally in tallies:
            self.counts.update(tally)
        self._settle()
        if not self.problems:  # a thread that failed has left its streams alone
            self._compare(self.server("report"))
        return self._measure()

    def _guard(self, target, rng, tally):
        try:
            target(rng, tally)
        except BaseException as error:
            self.problem(f"{target.__name__}: {type(error).__name__}: {error}")

    def problem(self, text):
        self.problems.append(text)
        self.ended.set()

    def _work(self, rng, tally):
        while not self.ended.is_set():
            try:
                if rng.random() < 0.2:
                    rng.choice(RPCS)(self, rng)
                    tally["calls"] += 1
                else:
                    self._stream_some(rng, tally)
            except Refused:
                tally["refused calls"] += 1
                self.ended.wait(0.02)  # the server restarts

    def _stream_some(self, rng, tally):
        """Start several predictions, and only then treat one after the other."""
        token = lms.CancelToken()
        streams = [self._start(rng, token) for _ in range(rng.randint(4, 16))]
        self.most = max(self.most, len(self.client._session.dispatcher.open))
        self.most_threads = max(self.most_threads, threading.active_count())
        while streams:
            way, number, stream, options = streams.pop()
            holder = [stream]
            del stream  # a way may drop the last reference
            tokens, outcome = way(self, rng, number, holder, options)
            self.ledger[number] = (way.__name__, outcome, tokens, options["tokens"])
            tally["streams"] += 1
            tally["fragments"] += tokens

    def _start(self, rng, token):
        way = rng.choice(WAYS)
        number = next(self.numbers)
        is_endless = way.leaves and rng.random() < 0.6
        plan = {
            "n": number,
            "tokens": ENDLESS if is_endless else rng.randint(0, 40),
            "delay": rng.choice([0.02, 0.05] if is_endless else [0, 0, 0.001, 0.01]),
            "prefill": rng.choice([0, 0, 0.01, 0.1]),
        }
        options = {"tokens": plan["tokens"], "token": token, **way.options(rng, token)}
        given = {name: options[name] for name in way.passes}
        stream = self.model.respond_stream(json.dumps(plan), **given)
        if way.starts and rng.random() < 0.8:
            stream.start()
        return way, number, stream, options

    def _misbehave(self, rng, tally):
        while not self.ended.wait(rng.uniform(0.1, 1.5)):
            if rng.random() < 0.4:
                self.client.cancel_all("all")
                tally["cancel_all"] += 1
            else:
                misdeed = rng.choice(MISDEEDS)
                self.server(misdeed)
                tally[f"misdeed {misdeed}"] += 1

    # -- after a round ----------------------------------------------------------------------------

    def _settle(self):
        """Wait until no call is open, and the server has read all that was written."""
        open_calls = self.client._session.dispatcher.open
        deadline = time.monotonic() + LIMIT
        while open_calls:
            if time.monotonic() > deadline:
                self.problem(f"calls were left open: {list(open_calls.values())}")
                return
            time.sleep(0.01)
        for _attempt in range(5):  # a connection that was broken last is noticed here
            try:
                self.model.count_tokens("a")
                return
            except lms.LMStudioError as error:
                last = error
        self.problem(f"the client is not usable any more: {last!r}")

    def _compare(self, rows):
        """Hold what the client says of each prediction against what the server says."""
        seen = {}
        for row in rows:
            if row["n"] in seen or row["creates"] != 1 or row["n"] not in self.ledger:
                self.problem(f"the server was asked twice, or by nobody: {row}")
            seen[row["n"]] = row
            self.counts["cancels on the wire"] += row["cancels"]
        for number, (way, outcome, tokens, planned) in self.ledger.items():
            self.endings[way, outcome] += 1
            row = seen.get(number)
            wrong = disagreement(outcome, tokens, planned, row)
            if wrong:
                self.problem(f"prediction {number} ({way}, {outcome}, {tokens}): {wrong}: {row}")
        self.ledger.clear()

    def _measure(self):
        gc.collect()
        kinds = (Call, lms.PredictionStream)
        left = Counter(type(one).__name__ for one in gc.get_objects() if type(one) in kinds)
        if left:
            self.problem(f"objects were left behind: {dict(left)}")
        return sys.getallocatedblocks(), rss(), self.counts["streams"]

    def close(self):
        self.helpers.shutdown()
        self.client.close()
        if self.server.close() != 0:
            self.problem("the server ended with an error")

    def tell(self, seconds, measures):
        """Print the figures; return what is wrong about the memory."""
        counts, endings = self.counts, self.endings
        for way in sorted({way for way, _ in endings}):
            outcomes = sorted(
                (outcome, n) for (which, outcome), n in endings.items() if which == way
            )
            print(f"  {way:32}", ", ".join(f"{outcome} {n}" for outcome, n in outcomes))
        for name in sorted(counts):
            print(f"{name:32} {counts[name]:8}")
        rates = [counts["streams"] + counts["calls"], counts["fragments"]]
        calls, fragments = (count / seconds for count in rates)
        print(f"{calls:.0f} calls, {fragments:.0f} fragments per second")
        print(f"at most {self.most} calls were open, and {self.most_threads} threads ran")
        return growth(measures) if len(measures) > 3 else []


def disagreement(outcome, tokens, planned, row):
    """What is wrong about a prediction, or None."""
    if row is None or row["ended"] is None:  # the create did not arrive, or was not served
        return "the server has not seen it" if outcome == "finished" else None
    if not row["ended"]:
        return "it still runs"
    if row["cancels"] > 1:
        return "it was cancelled twice"
    if outcome in ("refused", "withdrawn"):
        return "it was sent all the same"
    if tokens > row["tokens"]:
        return "more was received than sent"
    if outcome == "silent" and row["silence"] < SILENCE / 2:
        return "it timed out, and the server was not silent"
    if outcome == "finished":
        is_whole = row["stop_reason"] == "eosFound" and tokens == row["tokens"] == planned
        return None if is_whole and not row["cancels"] else "it did not end by itself"
    if row["stop_reason"] == "userStopped" and row["cancels"] != 1:
        return "the server stopped it without a cancel"
    return None


def rss():
    """Megabytes that this process has in memory, or had at most where that is not told."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except OSError:
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak / (2**20 if sys.platform == "darwin" else 2**10)
    return pages * resource.getpagesize() / 2**20


def growth(measures):
    """What of the memory grew beyond noise, between the first and the last third of the rounds.

    The first quarter of all rounds does not count: caches fill, pools take their size.
    """
    steady = measures[len(measures) // 4 :]
    third = max(1, len(steady) // 3)
    first, last = steady[:third], steady[-third:]
    blocks = [statistics.median(one[0] for one in part) for part in (first, last)]
    memory = [statistics.median(one[1] for one in part) for part in (first, last)]
    streams = statistics.median(one[2] for one in last) - statistics.median(one[2] for one in first)
    per_stream = (blocks[1] - blocks[0]) / max(1, streams)
    print(f"allocated blocks  {blocks[0]:.0f} -> {blocks[1]:.0f}, {per_stream:+.3f} per stream")
    print(f"resident memory   {memory[0]:.1f} -> {memory[1]:.1f} MB")
    if blocks[1] - blocks[0] > NOISE_BLOCKS + BLOCKS_PER_STREAM * streams:
        return [f"memory grew by {per_stream:.2f} blocks for each stream"]
    if memory[1] > RSS_GROWTH * memory[0] + NOISE_RSS:
        return [f"memory grew from {memory[0]:.0f} to {memory[1]:.0f} MB"]
    return []


def main():
    parser = argparse.ArgumentParser(allow_abbrev=False, description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--seed", type=int, default=None)
    can_stop, how = hasattr(signal, "SIGSTOP"), argparse.BooleanOptionalAction
    parser.add_argument("--stops", action=how, default=can_stop, help="stop this process at times")
    options = parser.parse_args()
    seed = random.randrange(10**6) if options.seed is None else options.seed
    print(f"seed {seed}, {THREADS} threads, {options.seconds:g} s", flush=True)
    faulthandler.dump_traceback_later(2 * options.seconds + 120, exit=True)
    threads, files = threading.active_count(), len(os.listdir("/dev/fd"))

    soak = Soak(seed)
    stops = Stops(seed) if options.stops else None
    rounds = max(8, round(options.seconds / 15))
    start, measures = time.monotonic(), []
    try:
        for number in range(rounds):
            measures.append(soak.run_round(number, options.seconds / rounds))
            if soak.problems:
                break
    finally:
        was_stopped = "never" if stops is None else stops.close()
        soak.close()
    seconds = time.monotonic() - start
    deadline = time.monotonic() + LIMIT
    while True:
        gc.collect()
        left = threading.active_count() - threads, len(os.listdir("/dev/fd")) - files
        if left == (0, 0) or time.monotonic() > deadline:
            break
        time.sleep(0.1)
    problems = soak.problems + soak.tell(seconds, measures)
    print(f"stopped           {was_stopped}")
    print(f"left behind       {left[0]} threads, {left[1]} descriptors")
    if left != (0, 0):
        problems.append(f"threads were left behind: {threading.enumerate()}, or sockets: {left[1]}")
    for problem in problems[:20]:
        print("DISAGREES:", problem)
    print(f"{len(problems)} problems; again with --seed {seed}" if problems else "all agree")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
