"""Configurations as users write them: taken in either spelling, or refused with a clear error."""

from decimal import Decimal
from fractions import Fraction

import pytest

from lmstudio._config.embedding_load_options import EmbeddingLoadModelConfig
from lmstudio._config.from_user import read_config
from lmstudio._config.gpu_setting import GpuSetting
from lmstudio._config.llm_load_options import LlmLoadModelConfig
from lmstudio._config.prediction_options import LlmPredictionConfig, LlmStructuredPredictionSetting
from lmstudio.errors import LMStudioOptionWarning, LMStudioValueError


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


UNKNOWN = [
    ({"temprature": 1}, LlmPredictionConfig, "'temprature'", "did you mean 'temperature'"),
    ({"maxtokens": 1}, LlmPredictionConfig, "'maxtokens'", "did you mean 'maxTokens'"),
    ({"max_token": 1}, LlmPredictionConfig, "'max_token'", "did you mean 'maxTokens'"),
    ({"top_p": 1}, LlmPredictionConfig, "'top_p'", "did you mean 'topPSampling'"),
    ({"topK": 1}, LlmPredictionConfig, "'topK'", "did you mean 'topKSampling'"),
    ({"repetitionPenalty": 1}, LlmPredictionConfig, "'repetitionPenalty'", "'repeatPenalty'"),
    ({"timeout": 1}, LlmPredictionConfig, "'timeout'", "timeout= is an argument of the call"),
    ({"ttl": 1}, LlmLoadModelConfig, "'ttl'", "ttl= is an argument of model()"),
    ({"responseFormat": 1}, LlmPredictionConfig, "'responseFormat'", "is an argument of respond()"),
    ({"temperature": 1}, LlmLoadModelConfig, "'temperature'", "one of LlmPredictionConfig"),
    ({"context_length": 1}, LlmPredictionConfig, "'context_length'", "one of LlmLoadModelConfig"),
    ({"num_predict": 1}, LlmPredictionConfig, "'num_predict'", "did you mean 'maxTokens'"),
    ({"num_ctx": 1}, LlmLoadModelConfig, "'num_ctx'", "did you mean 'contextLength'"),
    ({"model": 1}, LlmPredictionConfig, "'model'", "lists all"),
    ({"n": 1}, LlmPredictionConfig, "'n'", "lists all"),
    ({"xyzzy": 1}, LlmPredictionConfig, "'xyzzy'", "help(lmstudio.LlmPredictionConfig) lists all"),
    ({5: 1}, LlmPredictionConfig, "5", "lists all"),
    ({"": 1}, LlmPredictionConfig, "''", "lists all"),
    ({"gpu": {"mainGPU": 1}}, LlmLoadModelConfig, "'mainGPU'", "did you mean 'mainGpu'"),
    ({"flashAttention": 1}, EmbeddingLoadModelConfig, "'flashAttention'", "of LlmLoadModelConfig"),
]


@pytest.mark.parametrize(("config", "cls", "key", "hint"), UNKNOWN)
def test_an_option_that_does_not_exist_is_left_out_with_a_warning_at_the_callers_line(
    config, cls, key, hint
):
    with pytest.warns(LMStudioOptionWarning) as caught:
        read = read_config(config, cls)
    (warning,) = caught
    assert str(warning.message).startswith(f"The option {key} does not exist and is left out: ")
    assert hint in str(warning.message)
    assert str(warning.message).endswith("lists all options.")
    assert warning.filename == __file__
    assert read == cls(gpu=GpuSetting()) if "gpu" in config else read == cls()


@pytest.mark.parametrize(("config", "cls", "key", "hint"), UNKNOWN)
def test_a_strict_client_refuses_an_option_that_does_not_exist(config, cls, key, hint):
    with pytest.raises(LMStudioValueError) as caught:
        read_config(config, cls, is_strict=True)
    assert str(caught.value).startswith(f"Unknown option {key}: ")
    assert hint in str(caught.value)


def test_constructors_refuse_what_does_not_exist():
    with pytest.raises(TypeError, match="topP"):
        LlmPredictionConfig(topP=1)


@pytest.mark.parametrize(
    ("config", "cls", "message"),
    [
        (
            {"maxTokens": 1, "max_tokens": 1},
            LlmPredictionConfig,
            "'max_tokens' is given twice, as 'maxTokens' too",
        ),
        (5, LlmPredictionConfig, "a dict of options or a LlmPredictionConfig, not 5 (int)"),
        (LlmLoadModelConfig(), LlmPredictionConfig, "or a LlmPredictionConfig, not LlmLoad"),
        (LlmPredictionConfig, LlmPredictionConfig, "Write LlmPredictionConfig(...)."),
        ({"structured": 5}, LlmPredictionConfig, "LlmPredictionConfig.structured is a dict of"),
        ({"structured": {}}, LlmPredictionConfig, "LlmStructuredPredictionSetting needs 'type'"),
        (
            {"reasoningParsing": {"startString": "<"}},
            LlmPredictionConfig,
            "Parsing needs 'enabled'",
        ),
    ],
)
def test_what_is_no_configuration_is_refused(config, cls, message):
    with pytest.raises(LMStudioValueError) as caught:
        read_config(config, cls)
    assert message in str(caught.value)
    assert str(caught.value).endswith(".")


class Count:
    def __index__(self):
        return 7


class Share:
    def __float__(self):
        return 0.25


@pytest.mark.parametrize(
    ("options", "read"),
    [
        ({"max_tokens": 50.0}, 50),
        ({"max_tokens": Count()}, 7),
        ({"temperature": Share()}, 0.25),
        ({"temperature": Decimal("0.5")}, 0.5),
        ({"temperature": Fraction(1, 4)}, 0.25),
        ({"max_tokens": Decimal(3)}, 3),
        ({"temperature": Count()}, 7),
        ({"seed": Decimal(2**53 + 1)}, 2**53 + 1),
    ],
)
def test_a_number_of_any_class_is_a_number(options, read):
    ((name, _),) = options.items()
    value = getattr(read_config(options, LlmPredictionConfig), name)
    assert value == read
    assert type(value) is type(read)


def test_numbers_of_numpy_are_numbers_and_its_truths_are_truths():
    numpy = pytest.importorskip("numpy")
    config = read_config(
        {
            "max_tokens": numpy.int64(5),
            "temperature": numpy.float32(0.5),
            "seed": numpy.bool_(False),
            "enable_thinking": numpy.bool_(True),
            "cpu_threads": numpy.array(4),
        },
        LlmPredictionConfig,
    )
    assert config == LlmPredictionConfig(
        max_tokens=5, temperature=0.5, seed=False, enable_thinking=True, cpu_threads=4
    )
    assert read_config(
        {"gpu": {"disabled_gpus": [numpy.int32(1)]}}, LlmLoadModelConfig
    ).gpu == GpuSetting(disabled_gpus=[1])
    for wrong in (
        *(numpy.bool_(True), numpy.array([1, 2]), numpy.str_("5"), numpy.complex64(1)),
        *(numpy.array("50"), numpy.bytes_(b"50"), numpy.array(True)),
    ):
        with pytest.raises(LMStudioValueError, match="takes a finite number"):
            read_config({"temperature": wrong}, LlmPredictionConfig)
    with pytest.raises(LMStudioValueError, match="takes a whole number"):
        read_config({"max_tokens": numpy.float64(5.5)}, LlmPredictionConfig)


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
        ({"max_tokens": 0.5}, "takes a whole number or False, not 0.5"),
        ({"stop_strings": "stop"}, "takes a list, each item a string, not 'stop'"),
        ({"stop_strings": ["a", 1]}, "takes a list, each item a string, not ['a', 1]"),
        ({"enable_thinking": 1}, "takes True or False, not 1"),
        ({"raw_tools": []}, "takes a dict, not []"),
        ({"raw": "x"}, "takes a dict or a list, not 'x'"),
        ({"system_prompt": ["x" * 999]}, "... (1,003 characters) (list)"),
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
    with pytest.warns(LMStudioOptionWarning, match="did you mean 'contextLength'"):
        LlmLoadModelConfig.from_dict({"contextLenght": 5})
