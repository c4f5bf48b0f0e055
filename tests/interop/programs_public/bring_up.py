"""A coding agent's start: probes the server, waits for it, loads a model in a thread meanwhile.

After the manner of VforVitorio/lmcode, src/lmcode/cli/chat.py.
"""

import itertools
import sys
import threading

import lmstudio as lms

HOST = sys.argv[1]


class Server:
    """Not there until a thread has started it."""

    def __init__(self):
        self.host = "127.0.0.1:9"
        self.is_up = threading.Event()

    def start(self):
        self.host = HOST
        self.is_up.set()


def probe(server):
    """Whether it can be reached, and the first model that is loaded; never an error."""
    try:
        with lms.Client(server.host) as client:
            loaded = client.llm.list_loaded()
            return True, loaded[0].identifier if loaded else ""
    except Exception:
        return False, ""


def bring_up(server):
    threading.Thread(target=server.start, daemon=True).start()
    for _round in range(30):
        server.is_up.wait(1)
        connected, _ = probe(server)
        if connected:
            return True
    return False


def load(server, key):
    """Load it in a thread; dots are shown until that has ended."""
    result = []

    def work():
        with lms.Client(server.host) as client:
            try:
                result.append(client.llm.load_new_instance(key, ttl=None).identifier)
            except lms.LMStudioServerError as error:
                result.append(f"not loaded: {'not found' in str(error)}")

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    for dots in itertools.cycle((".", "..", "...")):
        thread.join(0.05)
        if not thread.is_alive():
            return result[0], len(dots) > 0


server = Server()
print(probe(server))
print(bring_up(server), probe(server))
with lms.Client(server.host) as client:
    for one in client.llm.list_loaded():
        one.unload()
print(probe(server))
with lms.Client(server.host) as client:
    keys = [one.model_key for one in client.llm.list_downloaded()]
print(keys)
print(load(server, "no-such-model"), load(server, keys[0]))
connected, identifier = probe(server)
with lms.Client(server.host) as client:
    print(connected, client.llm.model(identifier).respond("Ready?"))
