"""The configuration as an object, as a dict, and what came back."""

import sys

import lmstudio as lms

with lms.Client(sys.argv[1]) as client:
    model = client.llm.model()
    for config in (
        lms.LlmPredictionConfig(max_tokens=4, stop_strings=["x"]),
        {"maxTokens": 4, "stopStrings": ["x"]},
        {"max_tokens": 4, "stop_strings": ["x"]},
    ):
        result = model.respond("Tell me a story.", config=config)
        used = result.prediction_config
        print(result.content, result.stats.stop_reason, used.max_tokens, used.stop_strings)
