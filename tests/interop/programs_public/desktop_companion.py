"""A figure on the desktop: a click starts a thread that listens, asks the model and speaks.

After the manner of DedFishy/MichaelZorp, main.py: its first version recognised speech in a pool of
processes, which were forked when the window was made; its second one has threads.
"""

import multiprocessing
import queue
import sys
import threading

import lmstudio as lms

HEARD = ["hello there", "what do you eat", "", "go home"]


def recognize(number):
    """What a process of the pool makes of the sound; it has nothing to do with the model."""
    return HEARD[number].title()


class Figure:
    def __init__(self):
        self.model = lms.llm()
        self.chat = lms.Chat("You are from far away, and not glad to be here.")
        print("before the fork:", self.model.respond("Are you there?"))
        # Forked while the client has its connection and its thread.
        self.pool = multiprocessing.get_context("fork").Pool(2)
        self.events = queue.Queue()
        self.pictures = ["Idle"]
        self.spoken = []

    def set_picture(self, name):
        self.pictures.append(name)

    def click(self, number):
        """The window's thread: goes on at once."""
        self.set_picture("Listening")
        threading.Thread(target=self.listen, args=(number,)).start()

    def listen(self, number):
        text = self.pool.apply(recognize, (number,))
        self.set_picture("Think")
        self.prompt(text)

    def prompt(self, text):
        # What it said itself is not put into the chat: only the visitor's words add up.
        self.chat.add_user_message(text)
        response = self.model.respond(self.chat)
        self.set_picture("Speaking")
        self.spoken.append(response.content)
        self.set_picture("Idle")
        self.events.put("idle")

    def run(self):
        for number in range(len(HEARD)):
            self.click(number)
            self.events.get(timeout=30)
        # By the pool's own callback, which comes in a thread of the pool.
        self.pool.apply_async(recognize, (1,), callback=self.prompt)
        self.events.get(timeout=30)
        self.pool.close()
        self.pool.join()


if __name__ == "__main__":
    lms.configure_default_client(sys.argv[1])
    figure = Figure()
    figure.run()
    print(figure.spoken)
    print(figure.pictures)
    print(figure.chat)
    print([one.identifier for one in lms.list_loaded_models("llm")])
