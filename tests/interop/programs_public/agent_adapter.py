"""An agent framework with message classes of its own, converted to and from the package's.

After the manner of stndart/radarange-orchestrator,
radarange_orchestrator/backend/lmstudio_remote_model.py.
"""

import functools
import json
import sys
from dataclasses import dataclass

import lmstudio as lms
from lmstudio import LlmLoadModelConfig

FINISH = {"eosFound": "stop", "toolCalls": "tool_call", "maxPredictedTokensReached": "length"}


@dataclass
class Message:
    role: str
    content: str


def to_lms(message):
    classes = {
        "system": lms.SystemPrompt,
        "user": lms.UserMessage,
        "assistant": lms.AssistantResponse,
    }
    part = {"type": "text", "text": message.content}
    return classes[message.role].from_dict({"role": message.role, "content": [part]})


def to_chat(messages):
    return lms.history.Chat.from_history({"messages": [to_lms(one).to_dict() for one in messages]})


def from_lms(message: lms.AssistantResponse) -> Message:
    text = ""
    for part in message.content:
        if part.type == "text":
            text += part.text
        elif part.type == "toolCallRequest":
            text += json.dumps(part.tool_call_request.to_dict(), sort_keys=True)
    return Message(message.role, text)


def logged(handler):
    @functools.wraps(handler)
    def wrapper(*args, **kwargs):
        print("tool", handler.__name__, args, kwargs)
        return handler(*args, **kwargs)

    return wrapper


def weather(city: str, days: int) -> str:
    """Tell the weather of a city."""
    return f"{days} days of rain in {city}"


class Agent:
    def __init__(self, host, model, gpus=(0,)):
        config = LlmLoadModelConfig(
            gpu={"ratio": 1.0, "mainGpu": 0, "disabledGpus": sorted({0, 1} ^ set(gpus))},
            context_length=8000,
        )
        self.client = lms.Client(host)
        self.model = self.client.llm.model(model, ttl=300, config=config)

    def act(self, messages, tools, on_message, max_tokens=-1):
        history = to_chat(messages)
        definitions = [
            lms.ToolFunctionDef(
                name=tool.__name__,
                description=tool.__doc__,
                parameters={"city": str, "days": int},
                implementation=logged(tool),
            )
            for tool in tools
        ]

        def handle(message):
            if isinstance(message, lms.AssistantResponse):
                on_message(from_lms(message))
            elif isinstance(message, lms.ToolResultMessage):
                for part in message.content:
                    on_message(Message("tool", part.content))
            history.append(message)

        result = self.model.act(
            history,
            definitions,
            on_message=handle,
            max_prediction_rounds=3,
            config=lms.LlmPredictionConfig(
                max_tokens=None if max_tokens == -1 else max_tokens, temperature=0.7
            ),
        )
        print("rounds", result.rounds)
        return from_lms(history._get_last_message("assistant"))


agent = Agent(sys.argv[1], "test-vlm")
conversation = [
    Message("system", "You help."),
    Message("user", "Hello."),
    Message("assistant", "Hi."),
    Message("user", "How is the weather in Oslo?"),
]
print(agent.act(conversation, [weather], print))
reply = agent.model.respond(history=to_chat(conversation))
print(FINISH[reply.stats.stop_reason], reply.content)
settings: dict[lms._sdk_models.LlmPredictionStats, str] = {}
print(isinstance(reply.stats, lms._sdk_models.LlmPredictionStats), settings)
agent.client.close()
