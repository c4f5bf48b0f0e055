"""A language model for a chain framework, whose asynchronous call is the blocking one in a thread.

After the manner of SheshankJoshi/model_context_framework,
src/model_context_framework/llms/lmstudio_llm.py.
"""

import asyncio
import re
import sys
from typing import Any

import lmstudio as lms

HOST = sys.argv[1]
default_client = lms.get_default_client(HOST)  # when the module is imported, before all else


class ChainModel:
    lm_model: lms.LLM

    def __init__(self, lm_model: lms.LLM | None = None, prefix: str = "You answer at once."):
        if not lm_model:
            loaded = lms.get_default_client().list_loaded_models()
            if not loaded:
                raise ValueError("no model is loaded")
            lm_model = loaded[0]
            if not isinstance(lm_model, lms.LLM):
                raise ValueError("no language model")
        self.name = lm_model.identifier
        self.lm_model = lm_model
        self.prefix = prefix
        self.last_metadata: dict[str, Any] = {}

    def call(self, prompt: str) -> str:
        chat = lms.Chat(self.prefix)
        chat.add_user_message(prompt)
        response = self.lm_model.respond(chat)
        try:
            text = response.content
            metadata = getattr(response, "metadata", {})
        except AttributeError:
            text, metadata = str(response), {}
        if "tokens_used" not in metadata:
            metadata["words"] = len(text.split())
        self.last_metadata = metadata
        if "</think>" in text and "<think>" not in text:
            text = "<think>" + text
        return re.sub(r"<think>.*?</think>", "", text, flags=re.DOTALL).strip()

    async def acall(self, prompt: str) -> str:
        return await asyncio.to_thread(self.call, prompt)

    def invoke(self, value: Any) -> str:
        return self.call(value if isinstance(value, str) else str(value))


async def several(model, count):
    """Many calls at once, and one that is given up by its awaiter alone."""
    texts = await asyncio.gather(*(model.acall(f"prompt {number}") for number in range(count)))
    late = asyncio.ensure_future(model.acall("one more"))
    return [*texts, await asyncio.wait_for(late, 30)]


llms = [one for one in default_client.list_loaded_models() if isinstance(one, lms.LLM)]
model = ChainModel(llms[0])
print(model.name, model.invoke("What is a capital?"), model.last_metadata)
print(model.invoke(42), model.invoke("hmm</think> yes"))
print(asyncio.run(several(model, 8)))
print(ChainModel().name == model.name)
