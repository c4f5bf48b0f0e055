"""A framework for structured output that wraps clients of several makers (as outlines does).

After the manner of dottxt-ai/outlines, outlines/models/lmstudio.py.
"""

import json
import sys
from functools import singledispatch

import lmstudio as lms
from lmstudio import AsyncClient, Chat, Client

SCHEMA = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "age": {"type": "integer"}},
    "required": ["name", "age"],
}
PNG = b"\x89PNG\r\n\x1a\n" + b"pixels" * 4


class Model:
    def __init__(self, client, model_name=None):
        self.client = client
        self.model_name = model_name

    def _model(self, options):
        key = options.pop("model", self.model_name)
        return self.client.llm.model(key) if key else self.client.llm.model()

    def generate(self, prompt, output_type=None, **options):
        model = self._model(options)
        if output_type is not None:
            options["response_format"] = output_type
        return model.respond(to_history(prompt), **options).content

    def generate_stream(self, prompt, **options):
        for fragment in self._model(options).respond_stream(to_history(prompt), **options):
            yield fragment.content


class AsyncModel(Model):
    pass


def from_client(client, model_name=None):
    if isinstance(client, Client):
        return Model(client, model_name)
    if isinstance(client, AsyncClient):
        return AsyncModel(client, model_name)
    raise ValueError("the client must be a Client or an AsyncClient")


@singledispatch
def to_history(prompt):
    raise TypeError(f"no prompt: {type(prompt).__name__}")


@to_history.register
def _(prompt: str):
    return prompt


@to_history.register
def _(prompt: list):
    text, *images = prompt
    chat = Chat()
    chat.add_user_message(text, images=[lms.prepare_image(image, "image.png") for image in images])
    return chat


@to_history.register
def _(prompt: dict):
    messages = prompt["messages"]
    chat = Chat(messages[0]["content"]) if messages[0]["role"] == "system" else Chat()
    for message in messages:
        if message["role"] == "user":
            chat.add_user_message(message["content"])
        elif message["role"] == "assistant":
            chat.add_assistant_response(message["content"])
    return chat


client = lms.get_default_client(sys.argv[1])
model = from_client(client)
print(type(model).__name__, model.client is client)
print(type(from_client(client, "test-vlm")).__name__)
print(issubclass(AsyncClient, Client), issubclass(Client, AsyncClient))
print(
    issubclass(lms.AsyncLLM, lms.LLM), issubclass(lms.AsyncPredictionStream, lms.PredictionStream)
)
try:
    from_client("localhost:1234")
except ValueError as error:
    print(error)

print(model.generate("Who are you?", config={"temperature": 0.2, "maxTokens": 12}))
person = json.loads(model.generate("Describe a person.", SCHEMA))
print(sorted(person))
print("".join(model.generate_stream("Go on.", model="test-llm")))
print(model.generate(["What is this?", PNG], model="test-vlm"))
conversation = {
    "messages": [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "One?"},
        {"role": "assistant", "content": "Two."},
        {"role": "user", "content": "Three?"},
    ]
}
print(model.generate(conversation, model="test-llm"))
try:
    model.generate(42)
except TypeError as error:
    print(error)
