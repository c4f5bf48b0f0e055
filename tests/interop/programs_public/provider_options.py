"""A provider among others in a framework: whatever options a user gives go into the config."""

import sys
from typing import Any

import lmstudio as lms

host = sys.argv[1]


class Provider:
    def __init__(self, model: str, **load_options: Any):
        self.client = lms.Client(host)
        self.model = self.client.llm.load_new_instance(model, "provided", config=load_options)
        self.default = {"temperature": 0.7, "maxTokens": 30}

    def predict(self, content: str, **kwargs: Any):
        config = {**self.default, **kwargs}
        response = self.model.respond(content, config=config)
        text = response.text if hasattr(response, "text") else str(response)
        return text, response.stats.prompt_tokens_count

    def complete(self, prompt: str, **kwargs: Any):
        return "".join(
            fragment.content for fragment in self.model.complete_stream(prompt, config=kwargs)
        )


provider = Provider(
    "test-vlm",
    contextLength=1024,
    flash_attention=True,
    gpu={"ratio": 0.5, "layers": 12},
    temperature=0,
    maxTokens=120,
    messages=[""],
    stream=True,
    ttl=900,
)
print(provider.model.get_context_length())
print(provider.predict("plain"))
print(provider.predict("camel", topP=0.9, topK=40, repetitionPenalty=1.1, timeout=30))
print(provider.predict("snake", top_p=0.9, top_k=40, repetition_penalty=1.1, seed_value=1))
print(provider.predict("mixed", topPSampling=0.8, top_k_sampling=20, min_p=0.1, stop=["END"]))
print(provider.predict("tools", toolSchemas=[{"name": "add"}], stopStrings=["END"], stream=False))
print(
    provider.predict(
        "nested",
        structured={"type": "json", "jsonSchema": {"type": "object"}, "strict": True},
        promptTemplate={
            "type": "manual",
            "stopStrings": ["END"],
            "manualPromptTemplate": {
                "beforeSystem": "a",
                "afterSystem": "b",
                "beforeUser": "c",
                "afterUser": "d",
                "beforeAssistant": "e",
                "afterAssistant": "f",
            },
        },
    )
)
print(provider.complete("Once", maxTokens=5, presencePenalty=0.2, num_predict=5))
provider.model.unload()
embedder = provider.client.embedding.load_new_instance(
    "test-embedding", "small", config={"contextLength": 512, "temperature": 0, "dimensions": 64}
)
print(embedder.get_context_length())
provider.client.close()
