"""A console whose answers a model makes up, line by line, with a limit on what it may say.

After the manner of lmstudio-ai/lmstudio-python, examples/terminal-sim.py.
"""

import sys

import lmstudio as lms
from lmstudio.json_api import AnyPrediction

lms.set_sync_api_timeout(30)
lms.configure_default_client(sys.argv[1])
model: lms.llm = lms.llm()
history = []


def show(prediction: "AnyPrediction"):
    if isinstance(prediction, lms.PredictionStream):
        for fragment in prediction:
            print(fragment.content, end="")
        print()
        prediction = prediction.result()
    print(prediction.stats.stop_reason, prediction.stats.predicted_tokens_count)
    return prediction.content


for command in ("ls", "cat notes.txt", "exit"):
    if command == "exit":
        break
    history.append(f"$ {command}")
    stream = model.complete_stream("\n".join(history), config={"stopStrings": ["$"]})
    history.append(show(stream))

config = lms.LlmPredictionConfigDict(temperature=0.1, maxTokens=4)
print(show(model.complete("My name is", config=config)))
seen = []
result = model.complete(
    "My name is",
    config=lms.LlmPredictionConfig(max_tokens=3, stop_strings=["$"]),
    on_prompt_processing_progress=seen.append,
    on_message=lambda message: print(message.role, len(message.content)),
)
print(f"{seen[0]:.0%} {seen[-1]:.0%}", seen == sorted(seen), show(result))

# Enough of it after a word: the loop is left, the program goes on.
stream = model.complete_stream("endless", config={"temperature": 1.5, "repeat_penalty": 1.2})
for fragment in stream:
    print(fragment.content.strip())
    break
stream.cancel()
print(show(model.respond("Is it over?")))
print(history)
