"""A backend's helpers that import the package when they are called, and never raise.

After the manner of UndiFineD/PyAgent,
src/infrastructure/backend/llm_backends/lmstudio/utils.py.
"""

import logging
import sys
import threading

logging.basicConfig(level=logging.CRITICAL)
logger = logging.getLogger(__name__)
SYSTEM = "You help."


def configure(host):
    import lmstudio

    lmstudio.configure_default_client(host)


def chat_text(prompt, model="", system_prompt=SYSTEM, **_ignored):
    try:
        import lmstudio

        llm = lmstudio.llm(model) if model else lmstudio.llm()
        chat = lmstudio.Chat(system_prompt)
        chat.add_user_message(prompt)
        return str(llm.respond(chat))
    except Exception as error:
        logger.error("chat failed: %s", error)
        return ""


def stream_text(prompt, model="", system_prompt=SYSTEM):
    try:
        import lmstudio

        llm = lmstudio.llm(model) if model else lmstudio.llm()
        chat = lmstudio.Chat(system_prompt)
        chat.add_user_message(prompt)
        for fragment in llm.respond_stream(chat):
            yield fragment.content
    except Exception as error:
        logger.error("stream failed: %s", error)


# The first import of the package is in threads, several at once.
configure(sys.argv[1])
replies = {}


def ask(number):
    replies[number] = chat_text(f"question {number}", temperature=0.3)


threads = [threading.Thread(target=ask, args=(number,)) for number in range(4)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join(30)
print([replies[number] for number in sorted(replies)])
print(list(stream_text("Go on.", "test-llm")))
print(repr(chat_text("hello", "no-such-model")), list(stream_text("hello", "no-such-model")))
print(repr(chat_text("fail half-way")), list(stream_text("fail half-way")))
print(chat_text("Still there?"))
left = stream_text("something endless")
print([next(left).strip() for _ in range(3)])
left.close()
print(chat_text("And now?"))
