"""Cancelling as soon as the server shows that it works on the prompt."""

from official_shared import HOST, lms, show

with lms.Client(HOST) as client:
    stream = client.llm.model().respond_stream(
        "A prompt that takes minutes.",
        on_prompt_processing_progress=lambda progress: stream.cancel(),
    )
    result = stream.wait_for_result()
    show("at once", result.content, result.stats.stop_reason)
