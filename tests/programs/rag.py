"""Finds the best of some passages by their embeddings, and asks with it."""

import math
import sys

import lmstudio as lms

PASSAGES = ["The lamp is lit at dusk.", "The keeper sleeps at noon.", "Boats avoid the reef."]


def similarity(a, b):
    dot = sum(x * y for x, y in zip(a, b))
    return dot / (math.hypot(*a) * math.hypot(*b))


with lms.Client(sys.argv[1]) as client:
    embedder = client.embedding.model("test-embedding")
    vectors = embedder.embed(PASSAGES)
    question = embedder.embed("The lamp is lit at dusk.")
    print(len(vectors), len(question), len(vectors[0]))
    ranked = sorted(PASSAGES, key=lambda p: -similarity(vectors[PASSAGES.index(p)], question))
    print(ranked[0])
    chat = lms.Chat(f"Use this: {ranked[0]}")
    chat.add_user_message("When is the lamp lit?")
    print(client.llm.model().respond(chat))
