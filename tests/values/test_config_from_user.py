"""Configurations as users write them: taken in either spelling, or refused with a clear error."""

import pytest

from lmstudio._config.from_user import read_config
from lmstudio._config.options import (
    EmbeddingLoadModelConfig,
    GpuSetting,
    LlmLoadModelConfig,
    LlmPredictionConfig,
    LlmStructuredPredictionSetting,
)
from lmstudio.errors import LMStudioValueError


def test_none_is_an_empty_configuration():
    assert read_config(None, LlmPredictionConfig) == LlmPredictionConfig()


def test_a_dict_may_mix_both_spellings_and_none_is_not_given():
    config = read_config(
        {"maxTokens": 5, "top_p_sampling": 0.5, "temperature": None}, LlmPredictionConfig
    )
    assert config == LlmPredictionConfig(max_tokens=5, top_p_sampling=0.5)


@pytest.mark.parametrize(
    ("key", "attribute"),
    [
        ("offloadKVCacheToGpu", "offload_kv_cache_to_gpu"),
        ("useFp16ForKVCache", "use_fp16_for_kv_cache"),
        ("tryDirectIO", "try_direct_io"),
        ("useUnifiedKvCache", "use_unified_kv_cache"),
    ],
)
def test_names_with_irregular_capitals_are_known(key, attribute):
    assert getattr(read_config({key: True}, LlmLoadModelConfig), attribute) is True


def test_reading_copies_and_never_changes_the_callers_objects():
    config = LlmLoadModelConfig(gpu=GpuSetting(ratio=0.5), env_vars={"A": "1"})
    copied = read_config(config, LlmLoadModelConfig)
    assert copied == config
    assert copied.gpu is not config.gpu
    assert copied.env_vars is not config.env_vars


def test_nested_options_are_read_too():
    config = read_config(
        {
            "structured": {"type": "json", "json_schema": {"my_key": {"type": "string"}}},
            "prompt_template": {
                "type": "jinja",
                "jinja_prompt_template": {"template": "x"},
                "stop_strings": [],
            },
        },
        LlmPredictionConfig,
    )
    assert config.structured == LlmStructuredPredictionSetting(
        type="json", json_schema={"my_key": {"type": "string"}}
    )
    assert config.prompt_template == {
        "type": "jinja",
        "jinjaPromptTemplate": {"template": "x"},
        "stopStrings": [],
    }
    assert read_config({"gpu": {"mainGpu": 1}}, LlmLoadModelConfig).gpu == GpuSetting(main_gpu=1)


def test_the_parameter_names_of_tools_are_left_alone():
    function = {"name": "f", "parameters": {"type": "object", "properties": {"my_arg": {}}}}
    tools = {"type": "toolArray", "tools": [{"type": "function", "function": function}]}
    assert read_config({"raw_tools": tools}, LlmPredictionConfig).raw_tools == tools


@pytest.mark.parametrize(
    ("config", "cls", "message"),
    [
        ({"temprature": 1}, LlmPredictionConfig, "did you mean 'temperature'"),
        ({"maxtokens": 1}, LlmPredictionConfig, "did you mean 'maxTokens'"),
        ({"max_token": 1}, LlmPredictionConfig, "did you mean 'max_tokens'"),
        ({"xyzzy": 1}, LlmPredictionConfig, "Unknown option 'xyzzy': help(lmstudio.LlmPred"),
        ({5: 1}, LlmPredictionConfig, "Unknown option 5"),
        ({"gpu": {"mainGPU": 1}}, LlmLoadModelConfig, "did you mean 'mainGpu'"),
        ({"flashAttention": True}, EmbeddingLoadModelConfig, "Unknown option 'flashAttention'"),
        ({"maxTokens": 1, "max_tokens": 1}, LlmPredictionConfig, "'max_tokens' is given twice"),
        (5, LlmPredictionConfig, "a LlmPredictionConfig or a dict, not 5 (int)"),
        (LlmLoadModelConfig(), LlmPredictionConfig, "a LlmPredictionConfig or a dict, not LlmLoad"),
        ({"structured": {}}, LlmPredictionConfig, "LlmStructuredPredictionSetting needs 'type'"),
    ],
)
def test_an_unknown_option_is_an_error_that_names_the_nearest_known_one(config, cls, message):
    with pytest.raises(LMStudioValueError) as caught:
        read_config(config, cls)
    assert message in str(caught.value)
    assert str(caught.value).endswith(".")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"temperature": "hot"},
            "LlmPredictionConfig.temperature takes a finite number, not 'hot'",
        ),
        ({"temperature": float("nan")}, "takes a finite number, not nan"),
        ({"temperature": float("inf")}, "takes a finite number, not inf"),
        ({"temperature": True}, "takes a finite number, not True"),
        ({"max_tokens": True}, "takes a whole number or False, not True"),
        ({"max_tokens": 1.5}, "takes a whole number or False, not 1.5"),
        ({"max_tokens": 0.0}, "takes a whole number or False, not 0.0"),
        ({"stop_strings": "stop"}, "takes a list, each item a string, not 'stop'"),
        ({"stop_strings": ["a", 1]}, "takes a list, each item a string, not ['a', 1]"),
        ({"enable_thinking": 1}, "takes True or False, not 1"),
        ({"raw_tools": []}, "takes a dict, not []"),
        ({"raw": "x"}, "takes a dict or a list, not 'x'"),
        ({"system_prompt": ["x" * 999]}, "... (list)"),
    ],
)
def test_a_value_of_the_wrong_type_is_an_error_that_says_what_is_taken(options, message):
    with pytest.raises(LMStudioValueError) as caught:
        read_config(options, LlmPredictionConfig)
    assert message in str(caught.value)
    assert len(str(caught.value)) < 200
    with pytest.raises(LMStudioValueError):
        read_config(LlmPredictionConfig(**options), LlmPredictionConfig)


def test_zero_is_a_value_and_false_is_off():
    config = read_config({"max_tokens": 0, "seed": False}, LlmPredictionConfig)
    assert (config.max_tokens, config.seed) == (0, False)


def test_from_dict_and_to_dict_are_inverse():
    config = LlmLoadModelConfig(
        context_length=5, gpu=GpuSetting(ratio="max"), seed=False, raw={"llm.load.x_y": {"a_b": 1}}
    )
    data = config.to_dict()
    assert data == {
        "contextLength": 5,
        "gpu": {"ratio": "max"},
        "seed": False,
        "raw": {"llm.load.x_y": {"a_b": 1}},
    }
    assert LlmLoadModelConfig.from_dict(data) == config
    with pytest.raises(LMStudioValueError, match="did you mean 'contextLength'"):
        LlmLoadModelConfig.from_dict({"contextLenght": 5})
