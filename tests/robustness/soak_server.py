"""The server of `soak.py`, in a process of its own: it misbehaves on command and tells what it saw.

A line on stdin is a command, a line on stdout its answer in JSON. It ends when stdin ends.
"""

import errno
import json
import random
import sys
import time
from collections import Counter

from lmstudio.testing import Engine, Server

LONGEST = 20.0  # seconds that a prediction may take to end once its client has settled


class NumberedEngine(Engine):
    """Writes "7.0 7.1 7.2 ..." for prediction 7, as many and as fast as its prompt says."""

    def __init__(self):
        self.silences = {}  # number of a prediction: the longest time in which nothing was said

    def generate(self, request):
        plan = json.loads(request.last_user_text)
        said = time.monotonic()

        def speak():
            nonlocal said
            now = time.monotonic()
            self.silences[plan["n"]] = max(self.silences.get(plan["n"], 0.0), now - said)
            said = now

        request.report_progress(0, 1, 0)
        if request.stop.wait(plan["prefill"]):
            return
        speak()
        request.report_progress(1, 1, 0)
        for number in range(plan["tokens"]):
            if request.stop.wait(plan["delay"]):
                return
            speak()
            yield f"{plan['n']}.{number} "
        speak()


def _server_at(port, engine):
    """A server at a port that was free just now; another program may have it for a moment."""
    deadline = time.monotonic() + LONGEST
    while True:
        try:
            return Server(port=port, engine=engine)
        except OSError as problem:
            if problem.errno != errno.EADDRINUSE or time.monotonic() > deadline:
                raise
            time.sleep(0.01)


class Host:
    """A server that can be replaced by a new one, and what was not yet reported of the old ones."""

    def __init__(self, seed):
        self._random = random.Random(seed)
        self._rows = []
        self._start(0)

    def _start(self, port):
        self._engine = NumberedEngine()
        self.server = _server_at(port, self._engine)
        self._reported = 0  # predictions
        self._read = {}  # connection: number of its messages that were looked at
        self._channels = {}  # (connection, channel): number of the prediction

    # -- commands: what each returns is the answer ------------------------------------------------

    def host(self):
        return self.server.host

    def drop(self):
        for connection in self._some():
            connection.drop()

    def drop_all(self):
        self.server.drop_all()

    def close(self):
        for connection in self._some():
            connection.close(self._random.choice([1000, 1001, 1011]))

    def garbage(self):
        for connection in self._some():
            connection.send_text("nonsense")

    def half_frame(self):
        for connection in self._some():
            connection.send_raw(b"\x81\x7e\x01")
            connection.drop()

    def restart(self):
        self.server.close()
        self._collect()
        self._start(self.server.port)

    def report(self):
        """What was seen of each prediction since the last report, all of them settled."""
        server = self.server
        for prediction in server.predictions[self._reported :]:
            try:
                prediction.wait_finished(LONGEST)
            except AssertionError:
                pass  # the row will say so
        # What a connection that the client has left still holds is read before it ends.
        server.wait_for(lambda: len(self._open("/llm")) <= 1, timeout=LONGEST)
        self._collect()
        rows, self._rows = self._rows, []
        return rows

    # -- helpers ----------------------------------------------------------------------------------

    def _open(self, path=None):
        every = self.server.connections
        return [one for one in every if one.open and path in (None, one.path)]

    def _some(self):
        connections = self._open()
        return [self._random.choice(connections)] if connections else []

    def _collect(self):
        """Add a row for each prediction and message that came since the last time."""
        creates, cancels = Counter(), Counter()
        for connection in self.server.connections:
            messages = connection.messages
            for message in messages[self._read.get(connection, 0) :]:
                if message.get("endpoint") == "predict":
                    plan = message["creationParameter"]["history"]["messages"][0]["content"][0]
                    number = json.loads(plan["text"])["n"]
                    self._channels[connection, message["channelId"]] = number
                    creates[number] += 1
                elif message["type"] == "channelSend":
                    cancels[self._channels[connection, message["channelId"]]] += 1
            self._read[connection] = len(messages)
        predictions = self.server.predictions
        rows = {}
        for prediction in predictions[self._reported :]:
            number = json.loads(prediction.messages[0]["content"][0]["text"])["n"]
            rows[number] = {
                "ended": prediction.finished,
                "stop_reason": prediction.stop_reason,
                "error": prediction.error,
                "tokens": prediction.tokens_sent,
                "silence": self._engine.silences.pop(number, 0.0),
            }
        self._reported = len(predictions)
        for number in creates.keys() | cancels.keys() | rows.keys():
            counts = {"n": number, "creates": creates[number], "cancels": cancels[number]}
            self._rows.append(counts | rows.get(number, {"ended": None}))


def main():
    host = Host(sys.argv[1])
    for line in sys.stdin:
        answer = None
        try:
            answer = getattr(host, line.strip())()
        except ConnectionError:  # the connection to misbehave on has just ended
            pass
        print(json.dumps(answer), flush=True)
    host.server.close()


if __name__ == "__main__":
    main()
