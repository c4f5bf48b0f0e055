"""A benchmark of models: streams, stops some early, and reads stats and model info afterwards.

After the manner of NicoSun/lmspeedometer, lm_studio_interface.py.
"""

import csv
import io
import sys

import lmstudio as lms

lms.configure_default_client(sys.argv[1])
CONFIG = {"temperature": 0, "maxTokens": 40, "topP": 0.95, "contextOverflowPolicy": "stopAtLimit"}


def measure(model, prompt):
    stream = model.respond_stream(prompt, config=CONFIG)
    text = ""
    for fragment in stream:
        text += fragment.content
    return text, stream.stats, stream.model_info


def measure_first_tokens(model, prompt, count):
    """Enough tokens for a first impression: the loop goes on to its end after the cancel."""
    stream = model.respond_stream(prompt)
    seen = 0
    for _fragment in stream:
        seen += 1
        if seen == count:
            stream.cancel()
    return seen, stream.stats, stream.model_info


rows = io.StringIO()
table = csv.writer(rows)
table.writerow(["model", "quant", "tokens", "stop", "timed"])
for handle in lms.list_loaded_models("llm"):
    info = handle.get_info()
    text, stats, model_info = measure(handle, "Say a sentence.")
    timed = stats.time_to_first_token_sec is not None and stats.tokens_per_second is not None
    table.writerow(
        [
            model_info.display_name,
            info.params_string,
            stats.predicted_tokens_count,
            stats.stop_reason,
            timed,
        ]
    )
    print(text)
    seen, stats, model_info = measure_first_tokens(handle, "Tell me something endless.", 5)
    print(seen, stats.stop_reason, model_info.model_key, handle.identifier == info.identifier)
print(rows.getvalue())

result = lms.llm().respond("Say a sentence.", config=CONFIG)
stats = result.stats
print("Accepted", stats.accepted_draft_tokens_count, "of", stats.predicted_tokens_count)
print("Model used:", result.model_info.display_name)
print("Stop reason:", stats.stop_reason)
print(
    result.model_info.trained_for_tool_use, result.model_info.vision, str(result) == result.content
)
