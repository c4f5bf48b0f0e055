"""Replies, whole and bit by bit, as answers in a chat and as continuations of a text."""

from official_shared import HOST, lms, show

with lms.Client(HOST) as client:
    model = client.llm.model()

    result = model.respond("Say hello.")
    show("respond", result.content, result.stats.stop_reason)
    show("counts", result.stats.prompt_tokens_count, result.stats.predicted_tokens_count)
    show("model", result.model_info.model_key)

    events = []
    stream = model.respond_stream(
        "Count.",
        on_first_token=lambda: events.append("first token"),
        on_message=lambda message: events.append(message.content[0].text),
    )
    show("stream", [fragment.content for fragment in stream])
    show("events", events)
    show("result", stream.result().content)

    chat = lms.Chat("You are brief.")
    chat.add_user_message("Hi.")
    chat.add_assistant_response("Hello.")
    chat.add_user_message("How are you?")
    config = {"temperature": 0.5, "maxTokens": 3, "stopStrings": ["END"]}
    result = model.respond(chat, config=config)
    show("limited", result.content, result.stats.stop_reason)

    result = model.complete("Once upon")
    show("complete", result.content, result.stats.stop_reason)

    fragments = list(model.respond_stream("Think."))
    show("reasoning", [[f.reasoning_type, f.content] for f in fragments])

    progress = []
    model.respond("A long prompt.", on_prompt_processing_progress=progress.append)
    show("progress", progress)

    schema = {
        "type": "object",
        "properties": {
            "title": {"type": "string", "minLength": 3},
            "year": {"type": "integer", "minimum": 1900},
            "tags": {"type": "array", "items": {"enum": ["old", "new"]}},
        },
        "required": ["title", "year", "tags"],
    }
    result = model.respond("Describe a book.", response_format=schema)
    show("structured", result.parsed["title"], result.parsed["year"], result.parsed["tags"])
