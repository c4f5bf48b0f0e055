"""Cancelling: in the middle of a reply, and before its first token."""

from official_shared import HOST, lms, show

with lms.Client(HOST) as client:
    model = client.llm.model()

    # The reply has no end: only a cancel ends this loop.
    stream = model.respond_stream("Tell me a story.")
    for count, fragment in enumerate(stream, start=1):
        if count == 3:
            stream.cancel()
    result = stream.result()
    show("in the middle", result.content, result.stats.stop_reason)

    # Nor does the processing of this prompt.
    progress = []

    def stop(value):
        progress.append(value)
        if value > 0:
            stream.cancel()

    stream = model.respond_stream("A very long prompt.", on_prompt_processing_progress=stop)
    show("fragments", [fragment.content for fragment in stream])
    result = stream.result()
    show("in the prompt", progress, result.content, result.stats.stop_reason)

    show("afterwards", model.respond("Are you there?").content)
