"""The embedded server as the JavaScript suite wants it: its models, and what they say in it."""

import re

from lmstudio.testing import Finish, Model, ScriptedEngine, Server, Token, ToolCall

QWEN = {
    "publisher": "lmstudio-community",
    "architecture": "qwen2",
    "quantization": ("Q4_K_M", 4),
    "max_context_length": 32_768,
    "trained_for_tool_use": True,
}
SMALL = Model(
    key="qwen2.5-0.5b-instruct",
    display_name="Qwen2.5 0.5B Instruct",
    params="0.5B",
    path="lmstudio-community/Qwen2.5-0.5B-Instruct-GGUF/Qwen2.5-0.5B-Instruct-Q4_K_M.gguf",
    size_bytes=397_807_936,
    **QWEN,
)
LARGE = Model(
    key="qwen2.5-3b-instruct",
    display_name="Qwen2.5 3B Instruct",
    params="3B",
    path="lmstudio-community/Qwen2.5-3B-Instruct-GGUF/Qwen2.5-3B-Instruct-Q4_K_M.gguf",
    size_bytes=1_929_903_008,
    **QWEN,
)
VISION = Model(
    key="qwen2-vl-2b-instruct",
    display_name="Qwen2 VL 2B Instruct",
    params="2B",
    path="lmstudio-community/Qwen2-VL-2B-Instruct-GGUF/Qwen2-VL-2B-Instruct-Q4_K_M.gguf",
    size_bytes=3_647_162_336,
    vision=True,
    **{**QWEN, "architecture": "qwen2vl", "trained_for_tool_use": False},
)
EMBEDDING = Model(
    key="text-embedding-nomic-embed-text-v1.5",
    type="embedding",
    display_name="Nomic Embed Text v1.5",
    publisher="nomic-ai",
    architecture="nomic-bert",
    quantization=("Q4_K_M", 4),
    path="nomic-ai/nomic-embed-text-v1.5-GGUF/nomic-embed-text-v1.5.Q4_K_M.gguf",
    size_bytes=84_106_624,
    max_context_length=2_048,
)
# What the models of the snapshots made of the suite's texts.
TOKENS = {
    (SMALL.key, "Chaos is a ladder."): [1143, 64866, 374, 264, 35765, 13],
    (SMALL.key, "Cersei understands the consequences of her absence"): [
        *(34, 261, 72768, 30769, 279, 15917, 315, 1059, 19265)
    ],
    (SMALL.key, "and she is absent anyway"): [437, 1340, 374, 27211, 13657],
    (EMBEDDING.key, "Chaos is a ladder."): [8488, 2003, 1037, 10535, 1012],
    (EMBEDDING.key, "Cersei understands the consequences of her absence"): [
        *(8292, 22573, 2072, 19821, 1996, 8465, 1997, 2014, 6438)
    ],
    (EMBEDDING.key, "and she is absent anyway"): [1998, 2016, 2003, 9962, 4312],
}
FIRST_OF_VECTOR = {"Chaos": 0.0375, "Two": 0.0076, "Three": 0.0088}
BOOK = '{"title": "The Hobbit", "author": "J.R.R. Tolkien", "year": 1937}'
# Beginning of what was asked: the reply, and how many tokens the prompt and the reply had.
REPLIES = {
    "User message 2": (["Assistant", " message", " ", "2"], 41, 5),
    "User message 1": (
        ["Hello", "!", " How", " can", " I", " assist", " you", " today", "?"],
        33,
        10,
    ),
    "Tell me about The Hobbit": ([BOOK], 20, 30),
    "Are you possessed?": (["Oh no, I am possessed! And 1 + 1 is 2"], 20, 12),
    "I would say... ": (["Oh no, I am possessed! And 1 + 1 is 2"], 20, 12),
    "1 + 1 = 2; 2 + 2 = ": (["4", ";"], 15, 1),
    "1 + 1 in JSON is": (['{"answer": 2}'], 10, 7),
    "1 through 10: 1,2,3,": (list("4,5,6,7,8,9,"), 10, 10),
    "What do you see?": (["I", " see", " the", " logo", " for", " W", "3", "C", ","], 25, 10),
}
# The same with a draft model, and how many of its tokens were accepted and rejected.
DRAFTED = {
    "User message 2": (["Assistant", " message", " ", "2"], 41, 5, 4, 3),
    "1 + 1 = 2; 2 + 2 = ": (["4", ";", " ", "3"], 15, 5, 2, 1),
}


class SuiteEngine(ScriptedEngine):
    """Says what the models said when the suite's snapshots were taken."""

    bos_token = eos_token = ""

    def tokenize(self, model, text):
        return TOKENS[model.key, text]

    def apply_template(self, model, messages):
        lines = [
            f"<|im_start|>{message['role']}\n{_text(message)}<|im_end|>\n" for message in messages
        ]
        return "".join(lines) + "<|im_start|>assistant\n"

    def embed(self, model, text):
        return [FIRST_OF_VECTOR[text.split()[0]], *[0.0] * 767]

    def generate(self, request):
        request.report_progress(0, 10, 0)
        request.report_progress(10, 10, 0)
        asked = request.last_user_text
        last = request.messages[-1] if request.messages else {"role": "user"}
        if "with the tool" in asked:
            yield from self._act(asked, last, request)
            return
        draft = request.config.get("llm.prediction.speculativeDecoding.draftModel")
        stats = {}
        if not draft:
            tokens, prompt, predicted = REPLIES[asked]
        else:
            tokens, prompt, predicted, accepted, rejected = DRAFTED[asked]
            stats = {
                "usedDraftModelKey": draft,
                "totalDraftTokensCount": accepted + rejected,
                "acceptedDraftTokensCount": accepted,
                "rejectedDraftTokensCount": rejected,
                "ignoredDraftTokensCount": 0,
            }
        stats |= _counts(prompt, predicted)
        request.report_stats(stats)
        if request.max_tokens == 50:  # it will be stopped
            request.stop.wait(10)
        for token in tokens:
            yield Token(token)
        yield Finish(_ending(request, predicted), stats)

    def _act(self, asked, last, request):
        if last["role"] == "tool":
            yield "1 + 3 is 4."
            yield Finish("eosFound", _counts(249, 13))
            return
        yield "Hi."
        for a, b in re.findall(r"(\d) \+ (\d)", asked):
            yield ToolCall("add", {"a": int(a), "b": int(b)})
        yield Finish("eosFound", _counts(192, 38))


def _ending(request, predicted):
    # The end of the text was a token of these models, and counted.
    at_limit = request.max_tokens is not None and predicted >= request.max_tokens
    return "maxPredictedTokensReached" if at_limit else "eosFound"


def _counts(prompt, predicted):
    return {
        "promptTokensCount": prompt,
        "predictedTokensCount": predicted,
        "totalTokensCount": prompt + predicted,
    }


def _text(message):
    return "".join(part.get("text", "") for part in message["content"])


def serve():
    """A server with the suite's models, none of them loaded."""
    models = (SMALL, LARGE, VISION, EMBEDDING)
    return Server(models=models, loaded=[], engine=SuiteEngine())
