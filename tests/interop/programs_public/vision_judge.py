"""Judges what a model says of pictures, for a benchmark of vision models."""

import logging
import re
import sys
from collections import Counter

import lmstudio as lms
from lmstudio import LlmLoadModelConfig
from lmstudio._sdk_models import GpuSetting, LlmPredictionConfig
from lmstudio.schemas import BaseModel

THINKING = re.compile(r"<think>.*?</think>", re.DOTALL)


class Verdict(BaseModel):
    is_correct: bool
    reason: str


class Judge:
    def __init__(self, model_id, server_api):
        try:
            lms.configure_default_client(server_api)
        except lms.LMStudioClientError:
            pass
        self.model = lms.llm(
            model_id,
            config=LlmLoadModelConfig(
                seed=0,
                gpu=GpuSetting(ratio="max"),
                gpu_strict_vram_cap=True,
                offload_kv_cache_to_gpu=True,
                context_length=32768,
            ),
            ttl=60,
        )

    def ask(self, image, question, response_schema=None, stop_strings=None):
        chat = lms.Chat()
        chat.add_user_message(question, images=[lms.prepare_image(image, "question.png")])
        try:
            response = self.model.respond(
                chat,
                config=LlmPredictionConfig(
                    top_k_sampling=1,
                    temperature=0.0,
                    top_p_sampling=1.0,
                    min_p_sampling=0.0,
                    repeat_penalty=1.0,
                    max_tokens=64,
                    stop_strings=stop_strings,
                ),
                response_format=response_schema,
            )
        except lms.LMStudioServerError as error:
            logging.warning("LMS Server Error: %s", error)
            raise
        if response.structured:
            return {key: value for key, value in dict(response.parsed).items()}
        return THINKING.sub("", response.content).strip()


PNG = b"\x89PNG\r\n\x1a\n" + bytes(60)
judge = Judge("test-vlm", sys.argv[1])
print(judge.ask(PNG, "What is this?", stop_strings=["END"]))
answer = judge.ask(
    PNG, "Answer in JSON.", {"type": "object", "properties": {"a": {"type": "string"}}}
)
print(type(answer).__name__, sorted(answer))
verdicts = Counter()
for number in range(3):
    verdict = judge.ask(PNG, f"Is answer {number} correct?", Verdict)
    verdicts[verdict["is_correct"]] += 1
    print(number, verdict)
print(sum(verdicts.values()), judge.model.get_load_config().context_length)
again = Judge("test-vlm", sys.argv[1])
print(again.model.identifier == judge.model.identifier)
