"""Continues a text, streamed and in one go."""

import sys

import lmstudio as lms

lms.configure_default_client(sys.argv[1])
model = lms.llm()
for fragment in model.complete_stream("My name is", config={"maxTokens": 100}):
    print(fragment.content, end="|")
print()
result = model.complete("My name is", config={"maxTokens": 3})
print(result, result.stats.stop_reason)
