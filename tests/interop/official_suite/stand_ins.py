"""What the files of the official suite import at their top and this package does not have.

Inert: the classes can be subclassed and subscripted, the decorators give back what they get, and
that is all. A test that uses one for anything else fails, and the table of failures says so.
"""

import importlib
import sys
import types
from importlib.machinery import PathFinder
from typing import Literal

import pytest

import lmstudio

# The official package's modules, and what is private in each.
PRIVATE = {
    "lmstudio.sync_api": [
        "_DEFAULT_TIMEOUT",
        "SyncLMStudioWebsocket",
        "_SyncSession",
        "_SyncSessionSystem",
        "_prepare_file",
        "_reset_default_client",
    ],
    "lmstudio.async_api": ["_AsyncLMStudioWebsocket", "_AsyncSession", "_AsyncSessionSystem"],
    "lmstudio.json_api": [
        "ChannelEndpoint",
        "ChatResponseEndpoint",
        "ClientBase",
        "DownloadedModelBase",
        "ModelHandleBase",
        "ModelSessionTypes",
        "ModelTypesEmbedding",
        "ModelTypesLlm",
        "_NO_DEFAULT",
        "_model_spec_to_api_dict",
    ],
    "lmstudio.sdk_api": ["sdk_callback_invocation"],
    "lmstudio.schemas": ["LMStudioStruct", "_snake_case_keys_to_camelCase", "_to_json_schema"],
    "lmstudio.history": ["AssistantMultiPartInput", "_FileHandleCache", "_LocalFileData"],
    "lmstudio._sdk_models": [
        "GpuSettingDict",
        "GpuSplitConfigDict",
        "KvConfigFieldDict",
        "KvConfigStackDict",
        "ModelSpecifierInstanceReferenceDict",
        "ModelSpecifierQueryDict",
        "ToolCallRequestDataDict",
        "ToolCallResultDataDict",
    ],
    "lmstudio._kv_config": [
        "TO_SERVER_LOAD_EMBEDDING",
        "TO_SERVER_LOAD_LLM",
        "TO_SERVER_PREDICTION",
        "ToServerKeymap",
        "load_config_to_kv_config_stack",
        "parse_server_config",
        "prediction_config_to_kv_config_stack",
    ],
    "lmstudio._logging": ["new_logger"],
    "lmstudio._ws_impl": ["AsyncTaskManager"],
    "lmstudio._ws_thread": ["AsyncWebsocketThread"],
}


class Inert:
    """May be named, subscripted and subclassed."""

    def __class_getitem__(cls, item):
        return cls

    def __init_subclass__(cls, **options):
        pass


def undecorated(*_options):
    return lambda function: function


# Those that must be something else than a class while a file is imported.
ODD = {
    "lmstudio._sdk_models": {"LlmSplitStrategy": Literal["evenly", "favorMainGpu"]},
    "lmstudio.sdk_api": {
        "sdk_public_api": undecorated,
        "sdk_public_api_async": undecorated,
        "sdk_public_type": lambda cls: cls,
    },
    "lmstudio._kv_config": {
        "TO_SERVER_LOAD_EMBEDDING": {},
        "TO_SERVER_LOAD_LLM": {},
        "TO_SERVER_PREDICTION": {},
    },
}
# Their `class Strict(GpuSetting, forbid_unknown_fields=True)` is msgspec's.
SUBCLASSED_WITH_OPTIONS = (
    "EmbeddingLoadModelConfig",
    "GpuSetting",
    "LlmLoadModelConfig",
    "LlmPredictionConfig",
)


def install():
    """Add what is missing to `sys.modules`, and to the modules that are there."""
    from . import bridges  # built on this package

    modules = {name: _module(name) for name in PRIVATE}
    bridges.install(modules)
    for name, private in PRIVATE.items():
        module = modules[name]
        stand_ins = {**{one: type(one, (Inert,), {}) for one in private}, **ODD.get(name, {})}
        for one, stand_in in stand_ins.items():
            if not hasattr(module, one):
                setattr(module, one, stand_in)
    for name in SUBCLASSED_WITH_OPTIONS:
        getattr(lmstudio, name).__init_subclass__ = Inert.__init_subclass__
    struct = modules["lmstudio.schemas"].LMStudioStruct  # theirs is generic
    struct.__class_getitem__ = Inert.__class_getitem__


def install_subtests():
    """The suite wants pytest-subtests; pytest has had them built in since 9.0."""
    module = sys.modules["pytest_subtests"] = types.ModuleType("pytest_subtests")
    module.SubTests = pytest.Subtests


def _module(name):
    """The package's own module of that name, else an empty one."""
    if PathFinder.find_spec(name, lmstudio.__path__):
        module = importlib.import_module(name)
        for one in getattr(module, "__all__", ()):  # the suite looks into `__dict__`
            setattr(module, one, getattr(module, one))
        return module
    module = sys.modules[name] = types.ModuleType(name)
    setattr(lmstudio, name.rpartition(".")[2], module)
    return module
