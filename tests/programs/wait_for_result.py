"""Starts a stream by `with`, and waits for its result."""

import sys

import lmstudio as lms

lms.configure_default_client(sys.argv[1])
model = lms.llm()
with model.respond_stream("hi") as stream:
    print(stream.stats, stream.model_info)
    result = stream.wait_for_result()
print(result, stream.stats.stop_reason, stream.model_info.model_key)
print(stream.result() is result)
