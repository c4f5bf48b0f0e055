"""Texts as numbers and as prompts: embeddings, tokens, the chat template."""

from official_shared import HOST, lms, show

with lms.Client(HOST) as client:
    model = client.llm.model()
    show("tokens", model.tokenize("a b c"))
    show("several", model.tokenize(["a b", "c"]))
    show("count", model.count_tokens("one two three"))
    show("context length", model.get_context_length())
    chat = lms.Chat("You are brief.")
    chat.add_user_message("Hi.")
    show("template", model.apply_prompt_template(chat))

    embedder = client.embedding.model("test-embedding")
    show("embedding", embedder.embed("hello world"))
    show("embeddings", embedder.embed(["hello", "world"]))
    show("embedding tokens", embedder.tokenize("a b c"), embedder.count_tokens("a b c"))
    info = embedder.get_info()
    show("embedding model", info.model_key, embedder.get_context_length(), info.max_context_length)
