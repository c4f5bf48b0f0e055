"""Configurations as fields of the wire, and as dicts of them."""

from lmstudio._config.from_wire import kv_to_load_config
from lmstudio._config.to_wire import load_config_to_kv, prediction_config_to_kv

LOAD_JINJA = {"type": "jinja", "jinjaPromptTemplate": {"template": "x"}}
DRAFT = "llm.load.llama.speculativeDecoding."


def as_dict(fields):
    result = {field["key"]: field["value"] for field in fields}
    assert len(result) == len(fields), "a key is given twice"
    return result


def prediction(options, response_format=None):
    return as_dict(prediction_config_to_kv(options, response_format))


def load(options, namespace="llm"):
    return as_dict(load_config_to_kv(options, namespace))


def as_fields(values):
    return {"fields": [{"key": key, "value": value} for key, value in values.items()]}


def split(strategy="evenly", disabled=(), priority=()):
    return {
        "strategy": strategy,
        "disabledGpus": list(disabled),
        "priority": list(priority),
        "customRatio": [],
    }


FITTED = {
    "llm.load.contextLength": 4096,
    "llm.load.llama.autoFit": True,
    "llm.load.llama.acceleration.offloadRatio": 0.5,
    "load.gpuSplitConfig": split("priorityOrder", priority=[1]),
}


def reported(fields=FITTED, defaults=True):
    return kv_to_load_config(as_fields(fields), "llm", defaults=defaults)
