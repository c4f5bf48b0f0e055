"""Configurations come from the wire; and whatever goes there comes back."""

import copy
import pickle
import typing

import attrs
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from values.config_fields import as_fields, load, prediction, reported, split

from lmstudio._config.embedding_load_options import EmbeddingLoadModelConfig
from lmstudio._config.from_wire import kv_to_load_config, kv_to_prediction_config
from lmstudio._config.gpu_setting import GpuSetting
from lmstudio._config.llm_load_options import LlmLoadModelConfig
from lmstudio._config.option import Off, PlainDict
from lmstudio._config.prediction_options import LlmPredictionConfig, LlmStructuredPredictionSetting
from lmstudio._config.to_wire import load_config_to_kv, prediction_config_to_kv
from lmstudio.errors import LMStudioProtocolError

AUTO_FIT_OFF = {f"llm.load.{engine}.autoFit": False for engine in ("llama", "mlx", "yuzu")}
OF_ONE_ENGINE = [
    key
    for field in attrs.fields(LlmLoadModelConfig)
    for key in field.metadata.get("keys", ())
    if any(f".load.{engine}." in key for engine in ("llama", "mlx", "yuzu", "vllm"))
]


def repickled(value):
    return pickle.loads(pickle.dumps(value))


# -- the way back -----------------------------------------------------------------------------


@pytest.mark.parametrize("data", [None, [], {}, {"fields": None}, {"fields": 5}])
def test_what_is_no_list_of_fields_is_a_protocol_error(data):
    with pytest.raises(LMStudioProtocolError):
        kv_to_prediction_config(data)
    with pytest.raises(LMStudioProtocolError):
        kv_to_load_config(data, "llm")


@pytest.mark.parametrize(
    "key",
    [
        "load.gpuSplitConfig",
        "llm.load.seed",
        "llm.load.mlx.kvCacheQuantization",
        "llm.load.llama.acceleration.offloadRatio",
    ],
)
@pytest.mark.parametrize(
    "value",
    [None, 5, "x", [], {}, {"strategy": 5}, {"strategy": "x", "priority": 5, "disabledGpus": 5}],
)
def test_an_ill_formed_value_of_the_server_breaks_nothing(key, value):
    kv_to_load_config({"fields": [{"key": key, "value": value}, {}, 5]}, "llm")


def test_the_value_may_be_left_out_by_the_server():
    config = kv_to_prediction_config({"fields": [{"key": "llm.prediction.temperature"}]})
    assert config == LlmPredictionConfig()


def test_keys_without_a_name_go_to_raw():
    fields = {"llm.prediction.quantum": {"a": 1}, "llm.prediction.temperature": 1}
    config = kv_to_prediction_config(as_fields(fields))
    assert config == LlmPredictionConfig(temperature=1, raw={"llm.prediction.quantum": {"a": 1}})


def test_what_an_option_does_not_say_of_a_report_goes_back_until_it_is_changed():
    limit = {"checked": False, "value": 1000}
    schema = {"$ref": "#/$defs/A", "$defs": {"A": {"type": "object"}}}
    fields = {
        "llm.prediction.maxPredictedTokens": limit,
        "llm.prediction.logProbs": {"checked": False, "value": 5},
        "llm.prediction.llama.logitBias": [[1.5, 2]],
        "llm.prediction.structured": {"type": "json", "jsonSchema": schema, "new": 1},
    }
    config = kv_to_prediction_config(as_fields(fields))
    assert (config.max_tokens, config.log_probs, config.raw) == (False, False, None)
    for same in (config, copy.copy(config), copy.deepcopy(config), repickled(config)):
        assert same == config
        assert prediction(same) == fields

    config.max_tokens, config.log_probs, config.logit_bias = 7, 0, None
    config.structured.gbnf_grammar = "x"
    assert prediction(config) == {
        "llm.prediction.maxPredictedTokens": {"checked": True, "value": 7},
        "llm.prediction.logProbs": {"checked": True, "value": 0},
        "llm.prediction.structured": {
            "type": "json",
            "jsonSchema": {"type": "object"},
            "gbnfGrammar": "x",
        },
    }


def test_what_is_made_of_a_reported_config_is_made_by_hand():
    fields = {"llm.prediction.maxPredictedTokens": {"checked": False, "value": 1000}}
    config = kv_to_prediction_config(as_fields(fields))
    off = {"llm.prediction.maxPredictedTokens": {"checked": False, "value": 1}}
    for made in (attrs.evolve(config), config.to_dict(), LlmPredictionConfig(max_tokens=False)):
        assert prediction(made) == off


def test_a_form_of_a_reply_that_is_none_goes_to_raw():
    fields = {"llm.prediction.structured": {"type": "json", "jsonSchema": 5}}
    config = kv_to_prediction_config(as_fields(fields))
    assert (config.structured, config.raw) == (None, fields)
    assert prediction(config) == fields


def test_engines_that_do_not_agree_on_auto_fit_keep_theirs():
    fields = {"llm.load.llama.autoFit": True, "llm.load.mlx.autoFit": False}
    config = kv_to_load_config(as_fields(fields), "llm")
    assert config.auto_fit is True
    assert load(config) == fields
    config.auto_fit = False
    assert load(config) == AUTO_FIT_OFF


def test_auto_fit_goes_back_to_the_engines_only_that_reported_it():
    for key in AUTO_FIT_OFF:
        for value in (True, False):
            config = kv_to_load_config(as_fields({key: value}), "llm")
            assert load(config) == {key: value}
            config.auto_fit = not value
            assert load(config) == dict.fromkeys(AUTO_FIT_OFF, not value)


def test_a_changed_option_switches_auto_fit_off_for_each_engine_that_reported_it():
    fields = {"llm.load.llama.autoFit": False, "llm.load.mlx.autoFit": True}
    config = kv_to_load_config(as_fields(fields), "llm")
    config.context_length = 512
    assert load(config) == {**AUTO_FIT_OFF, "llm.load.contextLength": 512}


@pytest.mark.parametrize(
    "fields",
    [
        {"llm.load.promptTemplate": {"type": "jinja", "a_b": 1}},
        {"llm.load.llama.argumentsOverride": {"enabled": True, "a_b": 2}},
        {"llm.load.mlx.kvCacheQuantization": {"enabled": True, "a_b": 2}},
        {"llm.load.seed": {"checked": True, "value": 1.0, "new": 3}},
    ],
)
def test_what_was_reported_of_loading_goes_back_to_the_letter(fields):
    config = kv_to_load_config(as_fields(fields), "llm")
    assert repr(load(config)) == repr(fields)
    config.context_length = 512  # which overrules something else
    assert repr(load(config)[next(iter(fields))]) == repr(*fields.values())


@pytest.mark.parametrize("key", OF_ONE_ENGINE)
def test_what_one_engine_reported_is_read_again_as_of_that_engine(key):
    config = kv_to_load_config(as_fields({key: False}), "llm", defaults=True)
    assert load(kv_to_load_config(as_fields(load(config)), "llm", defaults=True)) == load(config)


def test_a_gpu_split_comes_back_as_gpu_options_or_whole_if_it_cannot():
    def read(value):
        return kv_to_load_config(as_fields({"load.gpuSplitConfig": value}), "llm")

    assert read(split("priorityOrder", [2], [1])).gpu == GpuSetting(
        split_strategy="favorMainGpu", main_gpu=1, disabled_gpus=[2]
    )
    for value in (
        split("priorityOrder", priority=[1, 0]),
        {**split("custom"), "customRatio": [1, 2]},
        {**split("evenly"), "new": 1},
    ):
        config = read(value)
        assert (config.gpu, config.raw) == (None, {"load.gpuSplitConfig": value})
        assert load(config) == {"load.gpuSplitConfig": value}


def test_defaults_fill_what_the_server_left_out():
    config = kv_to_load_config(as_fields({"llm.load.contextLength": 77}), "llm", defaults=True)
    assert config.context_length == 77
    assert (config.eval_batch_size, config.seed, config.auto_fit) == (2048, False, True)
    assert config.gpu == GpuSetting(
        ratio="max", num_cpu_expert_layers_ratio="off", split_strategy="evenly", disabled_gpus=[]
    )
    assert (config.mlx_disk_cache, config.tool_call_parser) == (None, None)
    assert config.prompt_template["type"] == "jinja"
    assert config.llama_cpp_arguments_override["enabled"] is False
    assert config.raw is None


def test_defaults_are_those_of_the_models_engine():
    fields = {"llm.load.llama.autoFit": False, "llm.load.mlx.autoFit": False}
    config = kv_to_load_config(
        as_fields({**fields, "llm.load.mlx.diskCache": False}), "llm", defaults=True
    )
    assert (config.mlx_disk_cache, config.mlx_kv_cache_quantization) == (False, False)
    assert (config.auto_fit, config.eval_batch_size) == (False, None)


def test_defaults_of_an_embedding_model():
    config = kv_to_load_config({"fields": []}, "embedding", defaults=True)
    assert (config.context_length, config.eval_batch_size, config.seed) == (2048, 2048, False)
    assert config.gpu == GpuSetting(ratio="max", split_strategy="evenly", disabled_gpus=[])


def test_defaults_are_never_shared():
    for _ in range(2):
        config = kv_to_load_config({"fields": []}, "llm", defaults=True)
        assert config.env_vars == {}
        config.env_vars["A"] = "1"


# -- properties -------------------------------------------------------------------------------

# Keys in which no spelling can be mistaken for the other.
words = st.text("abcxyz", min_size=1, max_size=6)
BY_TYPE = {
    bool: st.booleans(),
    int: st.integers(0, 10_000),
    float: st.floats(0, 1e6),
    str: st.text(max_size=8),
    Off: st.just(False),
    PlainDict: st.dictionaries(words, st.integers() | st.text()).map(lambda d: {**d, "enabled": 1}),
    list[str]: st.lists(st.text(max_size=8)),
    list[int]: st.lists(st.integers(0, 7)),
    list[typing.Any]: st.lists(st.lists(st.integers())),
    LlmStructuredPredictionSetting: st.builds(
        LlmStructuredPredictionSetting,
        type=st.sampled_from(["json", "none"]),
        json_schema=st.none() | st.dictionaries(st.text(), st.text()),
    ),
}


def configs(cls, **special):
    hints = typing.get_type_hints(cls)
    options = {}
    for field in attrs.fields(cls):
        if field.name == "raw":
            values = st.none() | st.dictionaries(words.map("raw.".__add__), st.text(), min_size=1)
        elif field.name in special:
            values = special[field.name]
        else:
            values = st.one_of(
                st.none(), *(BY_TYPE[t] for t in typing.get_args(hints[field.name]) if t in BY_TYPE)
            )
        options[field.name] = values
    return st.builds(cls, **options)


gpus = st.builds(
    GpuSetting,
    ratio=st.none() | st.floats(0, 1) | st.sampled_from(["max", "off"]),
    main_gpu=st.none() | st.integers(0, 7),
    split_strategy=st.sampled_from(["evenly", "favorMainGpu", "tensor"]),
    disabled_gpus=st.lists(st.integers(0, 7)),
)


checked = {
    "logit_bias": st.none()
    | st.lists(st.tuples(st.integers(0), st.integers() | st.just("-inf")).map(list)),
    "max_tokens": st.sampled_from([None, False, 1, 100]),
}


@given(configs(LlmPredictionConfig, **checked))
def test_prediction_options_survive_the_way_there_and_back(config):
    assert kv_to_prediction_config({"fields": prediction_config_to_kv(config)}) == config


@given(configs(EmbeddingLoadModelConfig, gpu=st.none() | gpus))
def test_embedding_load_options_survive_the_way_there_and_back(config):
    fields = load_config_to_kv(config, "embedding")
    assert kv_to_load_config({"fields": fields}, "embedding") == config


@given(
    configs(
        LlmLoadModelConfig,
        gpu=st.none() | gpus,
        auto_fit=st.none() | st.just(False),
        speculative_draft_min_tokens=st.none(),
    )
)
def test_load_options_survive_the_way_there_and_back(config):
    assume(bool(config.speculative_draft_model) == bool(config.speculative_draft_simple))
    assume(not (config.speculative_draft_mtp and config.speculative_draft_simple))
    fields = load_config_to_kv(config, "llm")
    read = kv_to_load_config({"fields": fields}, "llm")
    assert load_config_to_kv(read, "llm") == fields
    # Besides what was given, only what follows from it.
    implied = {"auto_fit", "draft_dflash_sidecar", "draft_dspark_sidecar", "draft_mtp_sidecar"}
    for field in attrs.fields(LlmLoadModelConfig):
        value = getattr(config, field.name)
        if value is None and field.name in implied:
            assert getattr(read, field.name) in (None, False)
        else:
            assert getattr(read, field.name) == value


@given(
    st.dictionaries(
        st.sampled_from(
            [
                key
                for field in attrs.fields(LlmLoadModelConfig)
                for key in field.metadata.get("keys", ())
                if "autoFit" not in key
            ]
            + ["load.gpuSplitConfig", "llm.load.llama.acceleration.offloadRatio", "new.key"]
        ),
        st.one_of(*BY_TYPE.values())
        | st.builds(lambda value: {"checked": True, "value": value}, st.integers() | st.text())
        | st.builds(
            split, st.sampled_from(["evenly", "custom", "new"]), st.just([1]), st.just([0])
        ),
    ),
    st.booleans(),
    st.booleans(),
)
def test_any_report_goes_back_as_it_is(fields, auto_fit, defaults):
    config = reported({**fields, "llm.load.llama.autoFit": auto_fit}, defaults)
    back = load(config)
    assert back["llm.load.llama.autoFit"] is auto_fit
    assert reported(back, defaults) == config


@given(configs(LlmPredictionConfig, **checked))
def test_both_spellings_and_the_object_mean_the_same(config):
    fields = prediction_config_to_kv(config)
    names = [field.name for field in attrs.fields(LlmPredictionConfig)]
    assert prediction_config_to_kv({name: getattr(config, name) for name in names}) == fields
    assert prediction_config_to_kv(config.to_dict()) == fields
