"""What there is to know about an embedding model."""

import sys

import lmstudio as lms

lms.configure_default_client(sys.argv[1])
model = lms.embedding_model("test-embedding")
print(model)
print(model.get_context_length(), model.count_tokens("one two three"))
print(len(model.tokenize("one two three")), len(model.tokenize(["one", "two three"])))
info = model.get_info()
print(info.type, info.model_key, info.identifier, info.path)
