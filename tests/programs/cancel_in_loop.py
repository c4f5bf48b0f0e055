"""Stops a reply in the loop, and lets the iteration complete."""

import sys

import lmstudio as lms

with lms.Client(sys.argv[1]) as client:
    stream = client.llm.model().respond_stream("Tell me a long story.")
    count = 0
    for fragment in stream:
        count += 1
        if count == 5:
            stream.cancel()
    result = stream.result()
    print(count, result.content)
    print(result.stats.stop_reason)
