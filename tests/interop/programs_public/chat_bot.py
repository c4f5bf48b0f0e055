"""A bot in several channels: a chat for each, a queue for each, threads that answer (Discord)."""

import queue
import sys
import threading

import lmstudio as lms
from lmstudio.history import Chat

PERSONA = "You are a bot that answers in one sentence."


class Channel(threading.Thread):
    def __init__(self, name, client):
        super().__init__(name=name)
        self.client = client
        self.chat = Chat(PERSONA)
        self.inbox = queue.Queue()
        self.outbox = queue.Queue()

    def run(self):
        model = self.client.llm.model("test-llm")
        while (message := self.inbox.get()) is not None:
            if message == "$clear":
                self.chat = Chat(PERSONA)
                self.outbox.put("cleared")
                continue
            if message == "$again":
                history = self.chat._get_history()["messages"][:-1]
                self.chat = Chat.from_history({"messages": history})
            else:
                self.chat.add_user_message(message)
            reply = model.respond(
                self.chat,
                config={"maxTokens": 60, "temperature": 0.7, "topP": 0.9},
                on_message=self.chat.append,
            )
            assert self.chat._get_last_message("user") is None
            last = self.chat._get_last_message("assistant")
            assert "".join(part.text for part in last.content) == reply.content
            self.outbox.put(reply.content)


SAID = {
    "general": ["hello", "how are you", "$again"],
    "random": ["a joke", "$clear", "another joke"],
    "help": ["what is a thread", "and a lock", "$again"],
}

with lms.Client(sys.argv[1]) as client:
    channels = {name: Channel(name, client) for name in SAID}
    for channel in channels.values():
        channel.start()
    for name, messages in SAID.items():
        for message in [*messages, None]:
            channels[name].inbox.put(message)
    for channel in channels.values():
        channel.join(30)
    for name, channel in channels.items():
        answers = [channel.outbox.get(timeout=10) for _ in SAID[name]]
        print(name, answers)
        print(channel.chat)
        print(
            len(channel.chat._get_history()["messages"]), channel.chat._get_last_message("system")
        )
