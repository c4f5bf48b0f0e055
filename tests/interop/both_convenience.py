"""The documentation's program for cancelling, the convenience API; for both Python packages."""

import sys

import lmstudio as lms

lms.configure_default_client(sys.argv[1])
model = lms.llm()
prediction_stream = model.respond_stream("What is the meaning of life?")
cancelled = False
for fragment in prediction_stream:
    if fragment.content.startswith("7"):
        cancelled = True
        prediction_stream.cancel()
if not cancelled:
    print(prediction_stream.result())
print(cancelled, prediction_stream.result().content)
print(prediction_stream.result().stats.stop_reason, prediction_stream.model_info.model_key)
