"""Servers that answer with what they are asked, fail now and then, are killed and come again."""

import gc
import random
import threading
import time
import warnings

from helpers import free_port, server_again

from lmstudio.testing import Engine, Fault


class Echo(Engine):
    """Answers "to <question>"; of some replies the connection breaks, others fail."""

    def __init__(self, seed=0, faults=0.0, delay=0.0):
        self._dice = random.Random(seed)
        self._faults = faults
        self._delay = delay

    def generate(self, request):
        yield "to "
        if self._delay:
            time.sleep(self._delay)
        if self._dice.random() < self._faults:
            yield Fault(self._dice.choice(["error", "drop", "close", "error"]), "Out of luck")
            return
        yield request.last_user_text


class Host:
    """A server at a port of its own, which can be killed and started again."""

    def __init__(self, **options):
        self.port = free_port()
        self.host = f"127.0.0.1:{self.port}"
        self._options = options
        self.server = None

    def start(self, **options):
        self.server = server_again(self.port, **self._options, **options)

    def kill(self):
        if self.server is not None:
            self.server.drop_all()
            self.server.close()
            self.server = None
            # asyncio loses sight of what connects while its server is closed.
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", ResourceWarning)
                gc.collect()

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.kill()


class Storm(threading.Thread):
    """Kills hosts in turn and starts them again, until it is over."""

    def __init__(self, hosts, seed=0, pause=0.15):
        super().__init__(daemon=True)
        self._hosts, self._dice, self._pause = hosts, random.Random(seed), pause
        self._is_over = threading.Event()
        self.kills = 0

    def run(self):
        while not self._is_over.wait(self._dice.uniform(0.5, 1.5) * self._pause):
            host = self._dice.choice(self._hosts)
            host.kill()
            self.kills += 1
            self._is_over.wait(self._dice.uniform(0, self._pause))
            host.start()

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self._is_over.set()
        self.join(10)
