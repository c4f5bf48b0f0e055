"""Translates one text: sets the default client up, and then uses a client of its own after all.

After the manner of tougaj/codeExamples, translators/LMStudio/translate.py.
"""

import sys

import lmstudio as lms

HOST = sys.argv[1]
TEXT = """Translate what follows into Ukrainian. Give the translation alone.
Der Zug nach Lwiw hat heute keine Verspätung, „sagt man“."""

lms.configure_default_client(HOST)

with lms.Client(HOST) as client:
    model = client.llm.model("test-llm")
    result = model.respond(TEXT, config={"temperature": 0.1})
    print(result)
    # The statistics, as one looks at them afterwards.
    stats = result.stats
    print(stats.stop_reason, stats.predicted_tokens_count, stats.prompt_tokens_count)

with lms.Client(HOST) as client:
    model = client.llm.model("test-llm")
    for fragment in model.respond_stream(TEXT):
        print(fragment.content, end="", flush=True)
    print()
print(lms.llm().respond(TEXT, config={"temperature": 0.1}).content == result.content)
