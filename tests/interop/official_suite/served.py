"""The embedded server as the official suite wants it: its models, and replies to its prompts."""

import re

from lmstudio.testing import Model, ScriptedEngine, Server, ToolCall

MODELS = (
    Model(
        key="llama-3.2-1b-instruct",
        publisher="hugging-quants",
        path="hugging-quants/Llama-3.2-1B-Instruct-Q8_0-GGUF/llama-3.2-1b-instruct-q8_0.gguf",
        architecture="llama",
    ),
    Model(key="mobilevlm_v2-1.7b", publisher="ZiangWu", vision=True),
    Model(key="qwen2.5-7b-instruct-1m", publisher="lmstudio-community", trained_for_tool_use=True),
    Model(
        key="text-embedding-nomic-embed-text-v1.5",
        type="embedding",
        publisher="nomic-ai",
        path="nomic-ai/nomic-embed-text-v1.5-GGUF/nomic-embed-text-v1.5.Q4_K_M.gguf",
        max_context_length=2048,
    ),
    Model(key="smollm2-135m-instruct", publisher="lmstudio-community"),
)
NOT_LOADED = "smollm2-135m-instruct"
EMBEDDING_SIZE = 768
STRUCTURED = '{"response": "Hi", "first_word_in_response": "Hi", "lastWordInResponse": "Hi"}'


class SuiteEngine(ScriptedEngine):
    """Says what a model would say to the suite's prompts."""

    def embed(self, model, text):
        short = super().embed(model, text)
        return (short * (EMBEDDING_SIZE // len(short) + 1))[:EMBEDDING_SIZE]

    def generate(self, request):
        request.report_progress(0, 10, 0)
        request.report_progress(10, 10, 0)
        last = request.messages[-1] if request.messages else {"role": "user"}
        asked = request.last_user_text
        numbers = [int(one) for one in re.findall(r"\d+", asked)]
        structured = request.config.get("llm.prediction.structured") or {}
        if structured.get("type") in ("json", "gbnf"):
            yield STRUCTURED
        elif last["role"] == "tool":
            said = last["content"][0]["content"]
            failed = "ZeroDivisionError" in said
            yield "One cannot divide by zero." if failed else f"The tool says: {said}"
        elif "sum of" in asked or "calculate" in asked:
            yield "Hi."
            yield ToolCall("add", dict(zip("ab", numbers, strict=True)))
        elif "divide" in asked:
            yield "I try."
            yield ToolCall("divide", {"numerator": numbers[0], "denominator": numbers[1]})
        elif "exactly what you just said" in asked:
            yield "Hello, world!"
        elif "color" in asked:
            yield from ("The image", " is purple.")
        elif repeated := re.match(r"Repeat the phrase '(.*)'", asked):
            yield repeated[1]
        elif "test prompt" in asked:  # it will be stopped
            while not request.stop.wait(0.01) and not request.abandoned.is_set():
                yield "word "
        else:
            yield from ("Hello!", " How can", " I help you", "?")


def serve():
    """A server with the suite's models, those loaded that it expects."""
    loaded = [model.key for model in MODELS if model.key != NOT_LOADED]
    return Server(models=MODELS, hub=MODELS, loaded=loaded, engine=SuiteEngine(), jit_evict=True)
