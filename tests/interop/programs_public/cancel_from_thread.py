"""Stops a reply in its loop once another thread has set an event.

After the manner of lmstudio-ai/docs, 1_python/1_llm-prediction/cancelling-predictions.md.
"""

import sys
import threading

import lmstudio as lms

lms.configure_default_client(sys.argv[1])
model = lms.llm()


class User(threading.Thread):
    """Waits until enough was shown, and presses the button."""

    def __init__(self):
        super().__init__(daemon=True)
        self.shown_enough = threading.Event()
        self.pressed = threading.Event()

    def run(self):
        self.shown_enough.wait(30)
        self.pressed.set()


def show(prompt, enough):
    user = User()
    user.start()
    stream = model.respond_stream(prompt)
    cancelled = False
    words = []
    for fragment in stream:
        words.append(fragment.content.strip())
        if len(words) == enough:
            user.shown_enough.set()
            user.pressed.wait(30)
        if not cancelled and user.pressed.is_set():
            cancelled = True
            stream.cancel()
    # The loop ran to its end, so that the partial result is there.
    result = stream.result()
    print(cancelled, words[:enough], result.stats.stop_reason, result.content.split()[:enough])
    user.shown_enough.set()
    user.join(30)
    return cancelled


print(show("something endless", 4), show("a short one", 100), show("endless again", 2))

# One reader cancels, the others read on: each thread has a stream of its own.
outcomes = {}


def read(number):
    with lms.Client(sys.argv[1]) as client:
        stream = client.llm.model().respond_stream(
            "something endless" if number == 1 else f"number {number}"
        )
        for count, _fragment in enumerate(stream):
            if number == 1 and count == 5:
                stream.cancel()
        outcomes[number] = stream.result().stats.stop_reason


readers = [threading.Thread(target=read, args=(number,)) for number in range(4)]
for reader in readers:
    reader.start()
for reader in readers:
    reader.join(30)
print(sorted(outcomes.items()))
