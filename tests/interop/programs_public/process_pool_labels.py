"""Labels a table of texts in a pool of processes, each with a model of its own."""

import multiprocessing
import sys
from concurrent.futures import ProcessPoolExecutor

import lmstudio as lms

SCHEMA = {
    "type": "object",
    "properties": {"label": {"enum": ["good", "bad"]}, "score": {"type": "number"}},
    "required": ["label", "score"],
}
TEXTS = ["fine work", "broken again", "as described", "never came"]
model = None


def start(host):
    global model
    lms.configure_default_client(host)
    lms.set_sync_api_timeout(30)
    model = lms.llm("test-llm")


def label(text):
    chat = lms.Chat("Label the text.")
    chat.add_user_message(text)
    result = model.respond(
        chat, response_format=SCHEMA, config={"temperature": 0, "repetitionPenalty": 1.1}
    )
    return text, sorted(result.parsed), result.structured, result.parsed["label"]


def count(text):
    return len(model.tokenize(text)), model.count_tokens(text)


if __name__ == "__main__":
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(2, context, start, (sys.argv[1],)) as pool:
        for row in pool.map(label, TEXTS):
            print(*row)
        print(list(pool.map(count, TEXTS)))
