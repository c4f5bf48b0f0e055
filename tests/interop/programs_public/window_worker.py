"""A window with a stop button: a worker thread streams, the window polls a queue and cancels."""

import queue
import sys
import threading

import lmstudio as lms

FIRST, SECOND = 3, 5


class Worker(threading.Thread):
    def __init__(self, model, prompt, events):
        super().__init__(daemon=True)
        self.model = model
        self.prompt = prompt
        self.events = events
        self.stream = None
        self.problem = None

    def run(self):
        try:
            self.stream = self.model.respond_stream(
                self.prompt,
                on_first_token=lambda: self.events.put(("first token", None)),
                on_message=lambda message: self.events.put(("message", message.role)),
            )
            for fragment in self.stream:
                self.events.put(("chunk", fragment.content))
        except Exception as problem:
            self.problem = problem
        finally:
            self.events.put(("done", None))

    def stop(self):
        if self.stream is not None:
            self.stream.cancel()


def show(model, prompt, stop_after=None):
    """What the window's timer does, until the worker says that it is done."""
    events = queue.Queue()
    worker = Worker(model, prompt, events)
    worker.start()
    shown, seen = "", set()
    while True:
        kind, value = events.get(timeout=30)
        seen.add(kind)
        if kind == "done":
            break
        if kind == "chunk":
            shown += value
            if stop_after is not None and len(shown.split()) == stop_after:
                worker.stop()
    worker.join(30)
    return worker, shown, seen


client = lms.Client(sys.argv[1])
model = client.llm.model()
worker, shown, seen = show(model, "A short one.")
print(shown, sorted(seen), worker.problem)
print(worker.stream.stats.stop_reason, worker.stream.model_info.display_name)

for count in (FIRST, SECOND):
    worker, shown, seen = show(model, "Something endless.", stop_after=count)
    words = shown.split()
    print(words[:count], "first token" in seen, worker.problem)
    print(worker.stream.stats.stop_reason)

# The window goes on with the same model, one reply after the other.
worker, shown, seen = show(model, "Still there?")
print(shown, worker.stream.result().content == shown)
client.close()
