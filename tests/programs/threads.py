"""Several threads on one client."""

import sys
from concurrent.futures import ThreadPoolExecutor

import lmstudio as lms

with lms.Client(sys.argv[1]) as client:
    model = client.llm.model()
    with ThreadPoolExecutor(4) as pool:
        counts = list(pool.map(model.count_tokens, ["a", "a b", "a b c", "a b c d"]))
        replies = list(pool.map(model.respond, ["hi"] * 4))
    print(counts, [str(reply) for reply in replies])
