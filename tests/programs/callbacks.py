"""All the callbacks of a prediction."""

import sys

import lmstudio as lms

seen = []
with lms.Client(sys.argv[1]) as client:
    result = client.llm.model().respond(
        "hi",
        on_message=lambda message: seen.append(("message", message.content[0].text)),
        on_first_token=lambda: seen.append(("first",)),
        on_prediction_fragment=lambda fragment: seen.append(("fragment", fragment.content)),
        on_prompt_processing_progress=lambda p: seen.append(("progress", float(p))),
    )
print([entry for entry in seen if entry[0] != "progress"])
progress = [entry[1] for entry in seen if entry[0] == "progress"]
print(progress[0], progress == sorted(progress), progress[-1])
print(result)
