"""Answers questions about documents: embeds their pieces, finds the nearest, asks with them.

After the manner of hariprasathys22/Docs-AI, app/services/embedder.py.
"""

import math
import sys

import lmstudio as lms
from lmstudio.sync_api import DownloadedLlm, EmbeddingModel

EMBED_MODEL_NAME = "test-embedding"
PIECES = [
    "The lighthouse is green.",
    "The keeper of the lighthouse is called Ann.",
    "Bread is baked at four in the morning.",
    "Trains to the coast leave every hour.",
]


def cosine(a, b):
    dot = sum(x * y for x, y in zip(a, b))
    return dot / (math.hypot(*a) * math.hypot(*b))


def fits(model: lms.LLM, chat: lms.Chat) -> bool:
    formatted = model.apply_prompt_template(chat)
    return len(model.tokenize(formatted)) < model.get_context_length()


lms.configure_default_client(sys.argv[1])
client = lms.get_default_client()
available = lms.list_downloaded_models("embedding")
meta = next(one for one in available if one.model_key == EMBED_MODEL_NAME)
embed_model = meta.load_new_instance()
print(isinstance(embed_model, EmbeddingModel), embed_model.identifier)
vectors = embed_model.embed(PIECES)
print(len(vectors), {len(vector) for vector in vectors})

llms = {
    one.model_key: one for one in lms.list_downloaded_models() if isinstance(one, DownloadedLlm)
}
same = client.list_downloaded_models(namespace="llm")
print(sorted(llms), sorted(one.model_key for one in same))
print(llms["test-vlm"].info.vision, llms["test-vlm"].path, llms["test-vlm"].type)
model = llms["test-llm"].model()
assert "test-llm" in str(model)

for question in ("Who keeps the lighthouse?", "When is bread baked?"):
    asked = embed_model.embed(question)
    ranked = sorted(range(len(PIECES)), key=lambda at: cosine(asked, vectors[at]), reverse=True)
    context = "\n".join(PIECES[at] for at in ranked[:2])
    chat = lms.Chat(f"Answer from this:\n{context}")
    chat.add_user_message(question)
    print(fits(model, chat), model.count_tokens(context))
    print(model.respond(chat, config={"temperature": 0, "maxTokens": 100, "top_p": 1}).content)
print([one.identifier for one in lms.list_loaded_models("embedding")])
embed_model.unload()
found = client.repository.search_models(search_term="tiny", limit=3, compatibility_types=None)
print([option.info.quantization for option in found[0].get_download_options()])
