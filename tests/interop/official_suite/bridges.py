"""Private methods of the official package that its suite calls, led to what is here for them.

So the tests that use them test this package's behaviour. A bridge translates names and shapes, and
adds nothing that a user of this package could not have.
"""

import types

import attrs

import lmstudio as lms
from lmstudio._agent.tools import is_async, prepare_tools
from lmstudio._asyncio.downloaded import AsyncDownloadedModel
from lmstudio._asyncio.files import AsyncFilesNamespace
from lmstudio._asyncio.namespaces import (
    AsyncEmbeddingNamespace,
    AsyncLlmNamespace,
    AsyncModelNamespace,
)
from lmstudio._config.from_wire import kv_to_load_config
from lmstudio._config.to_wire import (
    config_stack,
    load_config_to_kv,
    prediction_config_to_kv,
    wants_structured,
)
from lmstudio._connection.address import Identity
from lmstudio._handles.downloaded import DownloadedModel
from lmstudio._handles.files import FilesNamespace
from lmstudio._handles.namespaces import EmbeddingNamespace, LlmNamespace, ModelNamespace
from lmstudio._values.local_file import open_local_file
from lmstudio._values.model_info import specifier_to_wire


class AnyOrder(list):
    """Fields of a configuration: their order means nothing."""

    __hash__ = None

    def __eq__(self, other):
        return len(self) == len(other) and all(field in list(other) for field in self)


def _stack(fields):
    stack = config_stack(AnyOrder(fields))
    return types.SimpleNamespace(to_dict=lambda: stack)


def load_config_to_kv_config_stack(config, cls):
    kind = "embedding" if cls is lms.EmbeddingLoadModelConfig else "llm"
    return _stack(load_config_to_kv(config, kind))


def prediction_config_to_kv_config_stack(response_format, config):
    fields = prediction_config_to_kv(config, response_format)
    return wants_structured(fields), _stack(fields)


def parse_server_config(config):
    is_llm = any(field["key"].startswith("llm.") for field in config["fields"])
    return kv_to_load_config(config, "llm" if is_llm else "embedding").to_dict()


@attrs.define
class LlmToolParameters:
    """What the suite compares a tool's schema with."""

    type: str
    properties: dict
    required: list = attrs.field(factory=list)
    additional_properties: object = None


def _llm_tool(tool):
    schema = tool.definition["function"]["parameters"]
    known = ("type", "properties", "required")
    parameters = LlmToolParameters(
        **{key: schema[key] for key in known if key in schema},
        additional_properties=schema.get("additionalProperties"),
    )
    function = types.SimpleNamespace(name=tool.name, parameters=parameters)
    return types.SimpleNamespace(function=function)


class ChatResponseEndpoint:
    @staticmethod
    def parse_tools(definitions, *, allow_async=False):
        tools = prepare_tools(definitions, may_be_async=allow_async)
        llm_tools = types.SimpleNamespace(tools=[_llm_tool(one) for one in tools.values()])
        return llm_tools, {
            name: (one.parameters, one.implementation, is_async(one.implementation))
            for name, one in tools.items()
        }


class _FileHandleCache:
    def _get_file_handle(self, src, name=None):
        with open_local_file(src, name, None):
            raise AssertionError("the suite in scope gives files that are not there only")


def _tool_definition(definition):
    tool = prepare_tools([definition])[definition.name]
    return tool.parameters.schema, tool.definition


def _add_entries(chat, entries):
    for entry in entries:
        if isinstance(entry, tuple):
            chat.add_entry(*entry)
        else:
            chat.append(entry)


def _prepare_file(src, name=None):
    return lms.get_default_client().files.prepare_image(src, name)


MODULES = {
    "lmstudio.sync_api": {
        "_DEFAULT_TIMEOUT": lms.get_sync_api_timeout(),
        "_prepare_file": _prepare_file,
        "_reset_default_client": lms.close_default_client,
    },
    "lmstudio.json_api": {
        "ChatResponseEndpoint": ChatResponseEndpoint,
        "DownloadedModelBase": DownloadedModel | AsyncDownloadedModel,
        "LMStudioError": lms.LMStudioError,
        "LMStudioRuntimeError": lms.LMStudioRuntimeError,
        "LMStudioValueError": lms.LMStudioValueError,
        "ModelHandleBase": lms.SyncModelHandle | lms.AsyncModelHandle,
        "_model_spec_to_api_dict": specifier_to_wire,
    },
    "lmstudio.schemas": {"_to_json_schema": lambda schema: schema},
    "lmstudio.history": {"_FileHandleCache": _FileHandleCache},
    "lmstudio._kv_config": {
        "load_config_to_kv_config_stack": load_config_to_kv_config_stack,
        "parse_server_config": parse_server_config,
        "prediction_config_to_kv_config_stack": prediction_config_to_kv_config_stack,
    },
    "lmstudio._sdk_models": {"LlmToolParameters": LlmToolParameters},
}

# Of both halves: what a bridge calls is a coroutine function in the asyncio half.
_CLIENT = {
    "_create_auth_from_token": staticmethod(lambda token: Identity(token).auth_packet()),
}
_MODELS = {
    "_create_handle": lambda self, name: self._handle(name),
    "_get_context_length": lambda self, name: self._handle(name).get_context_length(),
}
_EMBEDDING = {
    "_embed": lambda self, name, input: self._handle(name).embed(input),
}
_LLM = {
    "_complete_stream": lambda self, name, prompt, **options: self._handle(name).complete_stream(
        prompt, **options
    ),
    "_apply_prompt_template": lambda self, name, history: self._handle(name).apply_prompt_template(
        history
    ),
}
CLASSES = {
    lms.Client: _CLIENT,
    lms.AsyncClient: _CLIENT,
    lms.Chat: {
        "_add_entries": _add_entries,
        "_get_history_for_prediction": lms.Chat.to_dict,
        "_messages": property(list),
    },
    lms.ToolFunctionDef: {"_to_llm_tool_def": _tool_definition},
    ModelNamespace: _MODELS,
    AsyncModelNamespace: _MODELS,
    EmbeddingNamespace: _EMBEDDING,
    AsyncEmbeddingNamespace: _EMBEDDING,
    LlmNamespace: _LLM,
    AsyncLlmNamespace: _LLM,
    FilesNamespace: {"_prepare_file": FilesNamespace.prepare_image},
    AsyncFilesNamespace: {"_prepare_file": AsyncFilesNamespace.prepare_image},
}


def install(modules):
    """Put the bridges into the modules of the official names, and into the classes."""
    for module, bridges in MODULES.items():
        for name, bridge in bridges.items():
            if not hasattr(modules[module], name):
                setattr(modules[module], name, bridge)
    for cls, bridges in CLASSES.items():
        for name, bridge in bridges.items():
            if not hasattr(cls, name):
                setattr(cls, name, bridge)
