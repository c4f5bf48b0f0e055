"""Four tools at once: each waits for the others, so that none could go on alone."""

import json
import sys
import threading

import lmstudio as lms

together = threading.Barrier(4, timeout=20)
running = []
lock = threading.Lock()


def fetch(page: int) -> dict[str, int]:
    """Fetch a page."""
    with lock:
        running.append(threading.get_ident())
    together.wait()
    if page == 3:
        raise LookupError(f"no page {page}")
    return {"page": page, "size": 100 * page}


def main_thread() -> bool:
    """Tell whether this runs in the main thread."""
    return threading.current_thread() is threading.main_thread()


messages = []
with lms.Client(sys.argv[1]) as client:
    result = client.llm.model().act(
        "Fetch four pages.",
        [fetch, main_thread],
        max_parallel_tool_calls=4,
        on_message=messages.append,
    )
print(result.rounds, len(set(running)))
requests = [part.tool_call_request for part in messages[0].content[1:]]
print([request.arguments for request in requests])
contents = {part.tool_call_id: part.content for part in messages[1].content}
print(sorted(contents) == sorted(request.id for request in requests))
print(*sorted(contents[request.id] for request in requests), sep="\n")
print(sorted(json.loads(content)["page"] for content in contents.values() if content[0] == "{"))
print([part.content for part in messages[3].content], len(messages))
