"""A server that loads its application before it forks its workers (gunicorn --preload)."""

import json
import os
import sys

import lmstudio as lms

HOST = sys.argv[1]
lms.configure_default_client(HOST)
model = lms.llm()  # of the module, as such applications have it
NAME = model.identifier
print("preloaded", NAME, model.count_tokens("a b c"), flush=True)


def application(request):
    with lms.Client(HOST) as client:  # official workers must not use the parent's
        worker_model = client.llm.model(NAME)
        stream = worker_model.respond_stream(request, config={"maxTokens": 30, "top_p": 0.9})
        text = "".join(fragment.content for fragment in stream)
        return {"text": text, "stop": stream.stats.stop_reason, "model": worker_model.identifier}


def fork_worker(request):
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        status = 1
        try:
            os.close(reader)
            with os.fdopen(writer, "w") as pipe:
                json.dump(application(request), pipe)
            status = 0
        finally:
            os._exit(status)
    os.close(writer)
    return child, reader


workers = [fork_worker(f"request {number}") for number in range(3)]
for child, reader in workers:
    with os.fdopen(reader) as pipe:
        answer = json.load(pipe)
    _, status = os.waitpid(child, 0)
    print(os.WEXITSTATUS(status), answer["stop"], answer["model"], answer["text"])
# The parent's own handle and connections were not touched by its children.
print("parent", model.respond("still here", config={"maxTokens": 30}).content)
print(model.get_info().identifier, [one.identifier for one in lms.list_loaded_models("llm")])
