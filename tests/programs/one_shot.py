"""The shortest program of the documentation, and what its result holds."""

import sys

import lmstudio as lms

with lms.Client(sys.argv[1]) as client:
    result = client.llm.model("test-llm").respond("What is the meaning of life?")
    print(result)
    print(repr(result))
    print(result.content == result.parsed, result.structured)
    print(result.stats.stop_reason, result.stats.predicted_tokens_count)
    print(result.model_info.display_name, result.model_info.format, result.model_info.vision)
