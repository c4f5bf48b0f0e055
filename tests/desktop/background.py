"""What the tests of the background share: a window without a screen, and a stream that waits."""

import queue

import lmstudio as lms

LIMIT = 10.0  # seconds


class Window:
    """A GUI without a screen: a thread that runs what is dispatched to it, when it is told to."""

    def __init__(self):
        self.waiting = queue.SimpleQueue()
        self.closed = lms.CancelToken()
        self.log = []

    def __call__(self, function):
        self.waiting.put(function)

    def run_one(self):
        self.waiting.get(timeout=LIMIT)()

    def run_until(self, condition):
        while not condition():
            self.run_one()

    def callbacks(self):
        return {
            "on_text": lambda text: self.log.append(("text", text)),
            "on_done": lambda result: self.log.append(("done", result)),
            "on_error": lambda error: self.log.append(("error", error)),
            "dispatch": self,
        }

    def has_ended(self):
        return bool(self.log) and self.log[-1][0] in ("done", "error")

    def text(self):
        return "".join(text for kind, text in self.log if kind == "text")


def start_held(server, stream, **options):
    """A stream that runs in the background, and the server's side of it."""
    server.hold("predict")
    future = stream.run_in_background(**options)
    return future, server.expect("predict")
