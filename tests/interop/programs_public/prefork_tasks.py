"""Tasks for a pool of forked workers; the module sets the default client up before (Celery)."""

import multiprocessing
import sys

import lmstudio as lms

HOST = sys.argv[1]
lms.configure_default_client(HOST)  # makes no connection: each worker makes its own
TASKS = {}


def task(function):
    TASKS[function.__name__] = function
    return function


@task
def summarize(text):
    chat = lms.Chat("Summarize in one sentence.")
    chat.add_user_message(text)
    return lms.llm("test-llm").respond(chat, config={"maxTokens": 50, "top_p": 0.9}).content


@task
def first_words(text, count):
    stream = lms.llm("test-llm").respond_stream(text)
    words = []
    for fragment in stream:
        words.append(fragment.content.strip())
        if len(words) == count:
            stream.cancel()
    return words, stream.stats.stop_reason


@task
def size(text):
    return len(lms.embedding_model().embed(text)), lms.llm().count_tokens(text)


def work(job):
    name, *arguments = job
    return TASKS[name](*arguments)


JOBS = [
    ("summarize", "a long text"),
    ("first_words", "something endless", 4),
    ("size", "one two three"),
    ("summarize", "another text"),
    ("first_words", "endless again", 2),
    ("size", "four"),
]

if __name__ == "__main__":
    with multiprocessing.get_context("fork").Pool(2) as pool:
        for result in pool.map(work, JOBS, chunksize=1):
            print(result)
    # The parent makes its client last.
    print(work(("summarize", "in the parent")))
    print([one.identifier for one in lms.list_loaded_models("llm")])
