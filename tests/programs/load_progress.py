"""Shows the progress of a load."""

import sys

import lmstudio as lms

with lms.Client(sys.argv[1]) as client:
    steps = []
    model = client.llm.model("test-vlm", on_load_progress=lambda p: steps.append(float(p)))
    print(model.identifier, steps[0] >= 0, steps == sorted(steps), steps[-1])
