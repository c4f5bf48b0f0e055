"""A page with a form, run from its top in a new thread at every submit, as Streamlit does.

After the manner of sudoerninja/hackaRoch, llm.py.
"""

import sys
import threading

import lmstudio as lms

HOST = sys.argv[1]
lms.configure_default_client(HOST)


class Page:
    """What a script of such a page calls."""

    def __init__(self, submitted):
        self.submitted = submitted
        self.shown = []

    def text_area(self, label, default):
        return self.submitted or default

    def write(self, thing):
        self.shown.append(thing if isinstance(thing, str) else str(thing))

    def info(self, thing):
        self.shown.append(f"info: {thing}")


def script(page):
    """The whole page: it asks for its model anew each time, and takes the result for a function."""

    def generate(text):
        result = model.respond(text)
        try:
            page.info(result(text))
        except TypeError as error:
            page.info(error)
        return result

    text = page.text_area("Enter text:", "What helps when one learns to write code?")
    model = lms.llm("test-llm")
    page.write(generate(text))


pages = [Page(text) for text in ("", "One?", "Two?", "Three?")]
for page in pages:  # one session: its runs follow one another, each in a thread of its own
    thread = threading.Thread(target=script, args=(page,), name="ScriptRunner")
    thread.start()
    thread.join(30)
    print(page.shown)

# Several sessions at once, all with the default client.
pages = [Page(f"session {number}") for number in range(4)]
threads = [threading.Thread(target=script, args=(page,)) for page in pages]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join(30)
print([page.shown[-1] for page in pages])
