"""A program of several modules, each of which sets up the default client for itself."""

import sys
import threading

import lmstudio as lms

HOST = sys.argv[1]


def configure(host):
    """As each of them begins: the official package refuses all but the first."""
    try:
        lms.configure_default_client(host)
    except lms.LMStudioClientError:
        pass


class Vision:
    def __init__(self, host):
        configure(host)
        self.model = lms.llm("test-vlm")

    def describe(self, image):
        chat = lms.Chat()
        chat.add_user_message("What is it?", images=[lms.prepare_image(image, "view.png")])
        return self.model.respond(chat).content


class Summary:
    def __init__(self, host):
        configure(host)
        self.model = lms.llm("test-llm")

    def summarize(self, text):
        return self.model.respond(f"Summarize: {text}", config={"maxTokens": 50}).content


class Search:
    def __init__(self, host):
        configure(host)
        self.model = lms.embedding_model()

    def size(self, text):
        return len(self.model.embed(text))


class Narrator(threading.Thread):
    """Streams a long reply while the other modules come up."""

    def __init__(self, host):
        super().__init__(daemon=True)
        configure(host)
        self.stream = lms.llm("test-llm").respond_stream("Count for a long time.")
        self.began = threading.Event()
        self.may_end = threading.Event()
        self.text = ""

    def run(self):
        for number, fragment in enumerate(self.stream):
            self.text += fragment.content
            if number == 3:
                self.began.set()
                self.may_end.wait(30)


narrator = Narrator(HOST)
narrator.start()
narrator.began.wait(30)
client = lms.get_default_client()
summary = Summary(f"http://{HOST}/v1/")
vision = Vision(HOST.replace("127.0.0.1", "localhost"))
search = Search(HOST)
print(lms.get_default_client() is client)
print(summary.summarize("a b c"))
print(vision.describe(b"\x89PNG\r\n\x1a\n" + bytes(30)))
print(search.size("hello"))
narrator.may_end.set()
narrator.join(30)
words = narrator.text.split()
print(len(words), words[:2], words[-2:], narrator.stream.stats.stop_reason)
print(lms.get_default_client() is client, client.api_host == HOST)
