"""A translator with one instance of its model for each GPU, and a pool of threads over them."""

import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import lmstudio
from lmstudio import LlmLoadModelConfig, LlmPredictionConfig
from lmstudio._sdk_models import GpuSetting

GPUS = [0, 1]
PREFIX = "translate"
MODEL = "test-vlm"


def init(url):
    lmstudio.configure_default_client(url.replace("http://", ""))
    loaded = [item.identifier for item in lmstudio.list_loaded_models("llm")]
    client = lmstudio.get_default_client()
    names = []
    for gpu in GPUS:
        name = f"{MODEL}-gpu{gpu}"
        if name not in loaded:
            others = [number for number in GPUS if number != gpu]
            config = LlmLoadModelConfig(
                gpu=GpuSetting(main_gpu=gpu, split_strategy="favorMainGpu", disabled_gpus=others),
                context_length=8192,
            )
            client.llm.load_new_instance(MODEL, name, config=config, ttl=None)
        names.append(name)
    return names


def translate(part):
    number, text = part
    thread = threading.current_thread().name
    assert thread.startswith(PREFIX)
    model = lmstudio.llm(names[number % len(names)])
    chat = lmstudio.Chat("Translate into French. Say nothing else.")
    chat.add_user_message(text)
    result = model.respond(chat, config=LlmPredictionConfig(temperature=0.0))
    return number, result.content, model.identifier


names = init(f"http://{sys.argv[1]}")
print(names)
texts = [f"sentence {number}" for number in range(12)]
with ThreadPoolExecutor(len(names), thread_name_prefix=PREFIX) as pool:
    for number, content, identifier in pool.map(translate, enumerate(texts)):
        print(number, content, identifier)
for name in names:
    context = lmstudio.llm(name).get_context_length()
    print(name, context)
    lmstudio.llm(name).unload()
print([item.identifier for item in lmstudio.list_loaded_models("llm")])
