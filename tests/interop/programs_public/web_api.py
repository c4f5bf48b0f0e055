"""A web service that hands replies on as they come, with the usage as their last line (Flask)."""

import json
import sys
import threading

import lmstudio as lms

HOST = sys.argv[1]
SESSIONS = {}


class Request:
    def __init__(self, session, message, model="test-llm", temperature=None, max_tokens=None):
        self.session = session
        self.message = message
        self.model = model
        self.temperature = temperature
        self.max_tokens = max_tokens


def chat_stream(request):
    messages = SESSIONS.setdefault(request.session, [])
    messages.append({"role": "user", "content": request.message})
    chat = lms.Chat.from_history({"messages": messages})
    config = {"temperature": 0.8 if request.temperature is None else request.temperature}
    if request.max_tokens is not None:
        config["maxTokens"] = request.max_tokens
    with lms.Client(HOST) as client:
        model = client.llm.model(request.model)
        stream = model.respond_stream(chat, config=config)
        pieces = []
        for fragment in stream:
            pieces.append(fragment.content)
            yield fragment.content
        yield "\n"
        messages.append({"role": "assistant", "content": "".join(pieces)})
        usage = {
            "model_name": stream.model_info.display_name,
            "predicted_tokens": stream.stats.predicted_tokens_count,
            "timed": stream.stats.time_to_first_token_sec is not None,
            "stop_reason": stream.stats.stop_reason,
        }
        yield json.dumps({"usage": usage}) + "\n"


def serve(request, out):
    out[request.session] = "".join(chat_stream(request))


# Requests come in threads of the server, several at once.
out = {}
requests = [Request(f"user-{number}", f"question {number}", max_tokens=20) for number in range(4)]
threads = [threading.Thread(target=serve, args=(request, out)) for request in requests]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join(30)
for session in sorted(out):
    print(session, out[session], end="")
# The same session goes on.
print("".join(chat_stream(Request("user-0", "and then?", temperature=0))), end="")
print([message["role"] for message in SESSIONS["user-0"]])
# A browser that goes away in the middle: the generator is closed.
response = chat_stream(Request("user-1", "something endless"))
print([next(response).strip() for _ in range(3)])
response.close()
print("".join(chat_stream(Request("user-2", "one more"))), end="")
