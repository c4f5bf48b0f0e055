"""Cancelling: before the first token of a reply, and in the middle of one."""

from official_shared import HOST, lms, show

with lms.Client(HOST) as client:
    model = client.llm.model()

    # The test answers this one: it reports progress, and waits for the cancel.
    progress = []

    def stop(value):
        progress.append(value)
        if value > 0:
            stream.cancel()

    stream = model.respond_stream("A very long prompt.", on_prompt_processing_progress=stop)
    show("fragments", [fragment.content for fragment in stream])
    result = stream.result()
    show("in the prompt", progress, result.content, result.stats.stop_reason)

    # This reply lasts for minutes: only a cancel ends the loop in time.
    content = ""
    stream = model.respond_stream("Tell me a story.")
    for count, fragment in enumerate(stream, start=1):
        if count <= 3:
            content += fragment.content
        if count == 3:
            stream.cancel()
    show("in the middle", content, stream.result().stats.stop_reason)

    show("afterwards", model.respond("Are you there?").content)
