"""A chat page whose framework looks whether a reply can be iterated before it does (Streamlit).

After the manner of streamlit/streamlit, lib/streamlit/elements/write.py.
"""

import sys
import types

import lmstudio as lms


class Page:
    """As much of such a framework as matters here."""

    def __init__(self):
        self.written = []

    def write(self, *things):
        for thing in things:
            if isinstance(thing, str):
                self.written.append(thing)
            elif self.is_table(thing) or self.is_stream(thing):
                self.write_stream(thing)
            else:
                self.written.append(str(thing))

    def write_stream(self, stream):
        if isinstance(stream, str) or not (callable(stream) or self.is_iterable(stream)):
            raise TypeError(f"{type(stream).__name__} is no stream")
        if callable(stream):
            stream = stream()
        pieces = []
        for chunk in iter(stream):
            text = chunk if isinstance(chunk, str) else getattr(chunk, "content", None)
            if text is None:
                raise TypeError(f"no text: {chunk!r}")
            pieces.append(text)
        self.written.append("".join(pieces))
        return self.written[-1]

    @staticmethod
    def is_iterable(thing):
        try:
            iter(thing)
        except TypeError:
            return False
        return True

    @classmethod
    def is_table(cls, thing):
        """As pandas and rich tell tables from other things: with an iterator that is dropped."""
        return cls.is_iterable(thing) and not isinstance(thing, str) and hasattr(thing, "shape")

    @staticmethod
    def is_stream(thing):
        return isinstance(thing, (types.GeneratorType, lms.PredictionStream))


lms.configure_default_client(sys.argv[1])
page = Page()
model = lms.llm()
chat = lms.Chat("You answer on a page.")
for question in ("First?", "Second?"):
    chat.add_user_message(question)
    stream = model.respond_stream(chat, on_message=chat.append)
    print(Page.is_iterable(stream), Page.is_iterable(stream))
    print(page.write_stream(stream))
    print(stream.result().content == page.written[-1], stream.stats.stop_reason)

# The fragments' texts, from a generator of one's own.
stream = model.respond_stream("Third?")
print(page.write_stream(lambda: (fragment.content for fragment in stream)))
# Handed to what takes anything.
page.write("# Title", model.respond_stream("Fourth?"), model.complete_stream("Once"))
print(page.written[-3:])
# Looked at and never read: nothing of it is shown, and the next one works.
unread = model.respond_stream("Fifth?")
iter(unread)
print(page.write_stream(model.respond_stream("Sixth?")))
try:
    page.write_stream(7)
except TypeError as error:
    print(error)
