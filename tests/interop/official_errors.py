"""What the server refuses, and a reply that fails half-way."""

from official_shared import HOST, lms, show, title_of

with lms.Client(HOST) as client:
    model = client.llm.model()

    def attempt(label, function, *arguments, **options):
        try:
            function(*arguments, **options)
        except lms.LMStudioServerError as error:
            show(label, title_of(error))

    attempt("unknown model", client.llm.model, "no-such-model")
    attempt("unknown model, loaded anew", client.llm.load_new_instance, "no-such-model")
    attempt("not an LLM", client.llm.model, "test-embedding")
    attempt("identifier in use", client.llm.load_new_instance, "test-llm", "test-llm")
    attempt("unknown identifier", client.llm.unload, "nobody")
    attempt("unknown preset", model.respond, "Hi.", preset="nonsense")

    contents = []
    stream = model.respond_stream("Fail.")
    try:
        for fragment in stream:
            contents.append(fragment.content)
    except lms.LMStudioServerError as error:
        show("half-way", contents, title_of(error))

    other = client.llm.load_new_instance("test-llm", "other")
    other.unload()
    attempt("unloaded", other.respond, "Hi.")
    show("afterwards", model.respond("Are you there?").content)
