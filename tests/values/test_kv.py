"""Configurations on the wire: every option, what False means, the rules, and the way back."""

import copy
import pickle
import typing

import attrs
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from lmstudio._config.from_wire import kv_to_load_config, kv_to_prediction_config
from lmstudio._config.options import (
    EmbeddingLoadModelConfig,
    GpuSetting,
    LlmLoadModelConfig,
    LlmPredictionConfig,
    LlmStructuredPredictionSetting,
    Off,
    PlainDict,
)
from lmstudio._config.to_wire import (
    config_stack,
    load_config_to_kv,
    prediction_config_to_kv,
    wants_structured,
)
from lmstudio._json.converter import camel_case
from lmstudio.errors import LMStudioProtocolError, LMStudioValueError

JINJA = {"type": "jinja", "jinjaPromptTemplate": {"template": "x"}, "stopStrings": []}
LOAD_JINJA = {"type": "jinja", "jinjaPromptTemplate": {"template": "x"}}
PARSING = {"enabled": True, "startString": "<t>", "endString": "</t>"}
MIROSTAT = {"version": 2, "learningRate": 0.1, "targetEntropy": 5}
MLX_CACHE = {"enabled": True, "bits": 4, "groupSize": 32, "quantizedStart": 10}
ARGUMENTS = {
    "enabled": True,
    "disabledParameters": [],
    "overrideParameters": [{"key": "--x", "value": "1"}],
    "excludeAllConfig": False,
}

# Option, value, key: the value goes out as it is.
PREDICTION_PLAIN = [
    ("temperature", 0.5, "llm.prediction.temperature"),
    ("stopStrings", ["a"], "llm.prediction.stopStrings"),
    ("toolCallStopStrings", ["b"], "llm.prediction.toolCallStopStrings"),
    ("contextOverflowPolicy", "stopAtLimit", "llm.prediction.contextOverflowPolicy"),
    ("structured", {"type": "json", "jsonSchema": {}}, "llm.prediction.structured"),
    ("rawTools", {"type": "none"}, "llm.prediction.tools"),
    ("toolChoice", {"type": "generic", "mode": "required"}, "llm.prediction.toolChoice"),
    ("toolNaming", "snakeCase", "llm.prediction.toolNaming"),
    ("topKSampling", 20, "llm.prediction.topKSampling"),
    ("cpuThreads", 4, "llm.prediction.llama.cpuThreads"),
    ("enableThinking", False, "llm.prediction.reasoning.enableThinking"),
    ("promptTemplate", JINJA, "llm.prediction.promptTemplate"),
    ("draftModel", "d", "llm.prediction.speculativeDecoding.draftModel"),
    (
        "speculativeDecodingNumDraftTokensExact",
        3,
        "llm.prediction.speculativeDecoding.numDraftTokensExact",
    ),
    (
        "speculativeDecodingMinDraftLengthToConsider",
        1,
        "llm.prediction.speculativeDecoding.minDraftLengthToConsider",
    ),
    (
        "speculativeDecodingMinContinueDraftingProbability",
        0.5,
        "llm.prediction.speculativeDecoding.minContinueDraftingProbability",
    ),
    ("reasoningParsing", PARSING, "llm.prediction.reasoning.parsing"),
    (
        "ignoreModelPreferredMaxImageDimension",
        True,
        "llm.prediction.vision.ignoreModelPreferredMaxImageDimension",
    ),
    ("numReuseTokens", 9, "llm.prediction.speculativeDecoding.numReuseTokens"),
    ("maxTokensToDraft", 9, "llm.prediction.speculativeDecoding.maxTokensToDraft"),
    ("systemPrompt", "be brief", "llm.prediction.systemPrompt"),
    ("contextPrefill", [{"type": "jsonFile", "absPath": "/x"}], "llm.prediction.contextPrefill"),
    ("mirostatSampling", MIROSTAT, "llm.prediction.llama.mirostatSampling"),
    ("logitBias", [[5, "-inf"]], "llm.prediction.llama.logitBias"),
]
# Option, value, key, what False carries along: these have a checkbox.
PREDICTION_CHECKBOX = [
    ("maxTokens", 100, "llm.prediction.maxPredictedTokens", 1),
    ("reasoningBudget", 512, "llm.prediction.reasoning.budgetTokens", 1024),
    ("repeatPenalty", 1.2, "llm.prediction.repeatPenalty", 1.1),
    ("presencePenalty", 0.3, "llm.prediction.llama.presencePenalty", 0),
    ("minPSampling", 0.1, "llm.prediction.minPSampling", 0.05),
    ("topPSampling", 0.9, "llm.prediction.topPSampling", 0.95),
    ("xtcProbability", 0.3, "llm.prediction.llama.xtcProbability", 0),
    ("xtcThreshold", 0.2, "llm.prediction.llama.xtcThreshold", 0),
    ("logProbs", 3, "llm.prediction.logProbs", 0),
    (
        "userMaxImageDimensionPixels",
        512,
        "llm.prediction.vision.userMaxImageDimensionPixels",
        1024,
    ),
    ("seed", 7, "llm.prediction.seed", -1),
    ("frequencyPenalty", 0.5, "llm.prediction.llama.frequencyPenalty", 0),
    ("tailFreeSampling", 0.5, "llm.prediction.llama.tailFreeSampling", 0.95),
    ("locallyTypicalSampling", 0.5, "llm.prediction.llama.locallyTypicalSampling", 0.9),
]
DRAFT = "llm.load.llama.speculativeDecoding."
LOAD_PLAIN = [
    ("maxParallelPredictions", 2, "llm.load.numParallelSessions"),
    ("useUnifiedKvCache", True, "llm.load.useUnifiedKvCache"),
    ("offloadKVCacheToGpu", True, "llm.load.offloadKVCacheToGpu"),
    ("promptTemplate", LOAD_JINJA, "llm.load.promptTemplate"),
    ("evalBatchSize", 64, "llm.load.llama.evalBatchSize"),
    ("physicalBatchSize", 64, "llm.load.llama.physicalBatchSize"),
    ("flashAttention", True, "llm.load.llama.flashAttention"),
    ("contextCheckpoints", 3, "llm.load.llama.contextCheckpoints"),
    ("reasoningBudgetMessage", "m", "llm.load.llama.reasoningBudgetMessage"),
    ("speculativeDraftMaxTokens", 3, DRAFT + "draftMaxTokens"),
    ("speculativeDraftMinTokens", 1, DRAFT + "draftMinTokens"),
    ("speculativeDraftMinContinueProbability", 0.5, DRAFT + "draftMinContinueProbability"),
    ("draftDflashSidecar", True, DRAFT + "draftDflashSidecar"),
    ("draftDsparkSidecar", True, DRAFT + "draftDsparkSidecar"),
    ("draftMtpSidecar", True, DRAFT + "draftMtpSidecar"),
    ("keepModelInMemory", True, "llm.load.llama.keepModelInMemory"),
    ("useFp16ForKVCache", True, "llm.load.llama.useFp16ForKVCache"),
    ("tryMmap", True, "llm.load.llama.tryMmap"),
    ("tryDirectIO", True, "llm.load.llama.tryDirectIO"),
    ("llamaCppArgumentsOverride", ARGUMENTS, "llm.load.llama.argumentsOverride"),
    ("numExperts", 2, "llm.load.numExperts"),
    ("mlxDiskCache", True, "llm.load.mlx.diskCache"),
    ("mlxKvCacheQuantization", MLX_CACHE, "llm.load.mlx.kvCacheQuantization"),
    ("autoFitMinContextLength", 512, "llm.load.autoFitMinContextLength"),
    ("cpuThreadPoolSize", 8, "llm.load.llama.cpuThreadPoolSize"),
    ("gpuMemoryUtilization", 0.5, "llm.load.vllm.gpuMemoryUtilization"),
    ("reasoningParser", "p", "llm.load.vllm.reasoningParser"),
    ("toolCallParser", "p", "llm.load.vllm.toolCallParser"),
    ("envVars", {"HSA_OVERRIDE_GFX_VERSION": "1"}, "envVars"),
]
LOAD_CHECKBOX = [
    ("seed", 1, "llm.load.seed", 0),
    ("ropeFrequencyBase", 1, "llm.load.llama.ropeFrequencyBase", 0),
    ("ropeFrequencyScale", 1, "llm.load.llama.ropeFrequencyScale", 0),
    ("llamaKCacheQuantizationType", "q8_0", "llm.load.llama.kCacheQuantizationType", "f16"),
    ("llamaVCacheQuantizationType", "q8_0", "llm.load.llama.vCacheQuantizationType", "f16"),
]
EMBEDDING_PLAIN = [
    ("contextLength", 1000, "embedding.load.contextLength"),
    ("keepModelInMemory", True, "embedding.load.llama.keepModelInMemory"),
    ("tryMmap", True, "embedding.load.llama.tryMmap"),
    ("evalBatchSize", 64, "embedding.load.llama.evalBatchSize"),
    ("envVars", {"HSA_OVERRIDE_GFX_VERSION": "1"}, "envVars"),
]
EMBEDDING_CHECKBOX = [
    ("ropeFrequencyBase", 1, "embedding.load.llama.ropeFrequencyBase", 0),
    ("ropeFrequencyScale", 1, "embedding.load.llama.ropeFrequencyScale", 0),
    ("seed", 1, "embedding.load.seed", -1),
]
AUTO_FIT_KEYS = ("llm.load.llama.autoFit", "llm.load.mlx.autoFit", "llm.load.yuzu.autoFit")
NO_AUTO_FIT = dict.fromkeys(AUTO_FIT_KEYS, False)
NO_SIDECARS = {
    DRAFT + "draftDflashSidecar": False,
    DRAFT + "draftDsparkSidecar": False,
    DRAFT + "draftMtpSidecar": False,
}


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


def repickled(value):
    return pickle.loads(pickle.dumps(value))


# ---- options one by one ----


@pytest.mark.parametrize(("option", "value", "key"), PREDICTION_PLAIN)
def test_a_plain_prediction_option_is_written_as_it_is_and_read_back(option, value, key):
    fields = prediction({option: value})
    assert fields == {key: value}
    assert kv_to_prediction_config(as_fields(fields)) == LlmPredictionConfig.from_dict(
        {option: value}
    )


@pytest.mark.parametrize(("option", "value", "key", "off"), PREDICTION_CHECKBOX)
def test_a_prediction_option_with_a_checkbox_can_be_set_and_switched_off(option, value, key, off):
    for given_value, checked, wire in ((value, True, value), (0, True, 0), (False, False, off)):
        fields = prediction({option: given_value})
        assert fields == {key: {"checked": checked, "value": wire}}
        read = kv_to_prediction_config(as_fields(fields))
        assert read.to_dict() == {option: given_value}
        assert (read.to_dict()[option] is False) == (given_value is False)


@pytest.mark.parametrize(
    ("namespace", "option", "value", "key"),
    [("llm", *row) for row in LOAD_PLAIN] + [("embedding", *row) for row in EMBEDDING_PLAIN],
)
def test_a_plain_load_option_is_written_as_it_is_and_read_back(namespace, option, value, key):
    fields = load({option: value}, namespace)
    assert fields == {key: value}
    assert kv_to_load_config(as_fields(fields), namespace).to_dict() == {option: value}


@pytest.mark.parametrize(
    ("namespace", "option", "value", "key", "off"),
    [("llm", *row) for row in LOAD_CHECKBOX] + [("embedding", *row) for row in EMBEDDING_CHECKBOX],
)
def test_a_load_option_with_a_checkbox_can_be_set_and_switched_off(
    namespace, option, value, key, off
):
    for given_value, checked, wire in ((value, True, value), (False, False, off)):
        fields = load({option: given_value}, namespace)
        assert fields == {key: {"checked": checked, "value": wire}}
        read = kv_to_load_config(as_fields(fields), namespace).to_dict()
        assert read == {option: given_value}


def test_the_mlx_cache_quantization_is_switched_off_in_its_own_way():
    off = {"enabled": False, "bits": 8, "groupSize": 64, "quantizedStart": 5000}
    fields = load({"mlxKvCacheQuantization": False})
    assert fields == {"llm.load.mlx.kvCacheQuantization": off}
    assert kv_to_load_config(as_fields(fields), "llm").mlx_kv_cache_quantization is False


@pytest.mark.parametrize(
    ("cls", "tables"),
    [
        (LlmPredictionConfig, (PREDICTION_PLAIN, PREDICTION_CHECKBOX)),
        (LlmLoadModelConfig, (LOAD_PLAIN, LOAD_CHECKBOX)),
        (EmbeddingLoadModelConfig, (EMBEDDING_PLAIN, EMBEDDING_CHECKBOX)),
    ],
)
def test_the_tables_above_miss_no_option(cls, tables):
    ruled = {"autoFit", "contextLength", "gpu", "gpuStrictVramCap", "raw"}
    ruled |= {"speculativeDraftMtp", "speculativeDraftSimple", "speculativeDraftModel"}
    tested = {row[0] for table in tables for row in table}
    assert {camel_case(field.name) for field in attrs.fields(cls)} - ruled == tested - ruled


# ---- rules between options ----


@pytest.mark.parametrize(
    ("options", "fields"),
    [
        ({"contextLength": 1000}, {"llm.load.contextLength": 1000}),
        ({"gpuStrictVramCap": True}, {"load.gpuStrictVramCap": True}),
        ({"gpu": {"ratio": 0.5}}, {"llm.load.llama.acceleration.offloadRatio": 0.5}),
        ({"gpu": {"numCpuExpertLayersRatio": 0.3}}, {"llm.load.numCpuExpertLayersRatio": 0.3}),
        ({"gpu": {"mainGpu": 1}}, {"load.gpuSplitConfig": split(priority=[1])}),
        ({"gpu": {"mainGpu": 0}}, {"load.gpuSplitConfig": split(priority=[0])}),
        (
            {"gpu": {"splitStrategy": "favorMainGpu"}},
            {"load.gpuSplitConfig": split("priorityOrder")},
        ),
        ({"gpu": {"splitStrategy": "tensor"}}, {"load.gpuSplitConfig": split("tensor")}),
    ],
)
def test_an_option_that_auto_fit_could_overrule_switches_it_off(options, fields):
    assert load(options) == {**fields, **NO_AUTO_FIT}
    assert load({**options, "autoFit": False}) == {**fields, **NO_AUTO_FIT}
    with pytest.raises(LMStudioValueError, match="auto_fit=True contradicts"):
        load({**options, "autoFit": True})


FITTED = {
    "llm.load.contextLength": 4096,
    "llm.load.llama.autoFit": True,
    "llm.load.llama.acceleration.offloadRatio": 0.5,
    "load.gpuSplitConfig": split("priorityOrder", priority=[1]),
}


def reported(fields=FITTED, defaults=True):
    return kv_to_load_config(as_fields(fields), "llm", defaults=defaults)


@pytest.mark.parametrize("defaults", [True, False])
@pytest.mark.parametrize("copy_it", [lambda c: c, copy.copy, copy.deepcopy, repickled])
def test_what_a_server_reported_goes_back_as_it_is(defaults, copy_it):
    config = copy_it(reported(defaults=defaults))
    assert config == reported(defaults=defaults)
    fields = load(config)
    assert {key: fields[key] for key in FITTED} == FITTED
    assert load(config.to_dict() | {"autoFit": None})["llm.load.llama.autoFit"] is False


def test_an_option_changed_after_the_report_switches_auto_fit_off():
    for option, value in (("context_length", 512), ("gpu", GpuSetting(ratio="off"))):
        config = reported()
        setattr(config, option, value)
        assert load(config).items() >= NO_AUTO_FIT.items()
    config = reported()
    config.context_length, config.eval_batch_size = None, 64
    assert load(config)["llm.load.llama.autoFit"] is True


def test_a_contradiction_made_by_hand_raises_after_a_report_too():
    config = reported({**FITTED, "llm.load.llama.autoFit": False})
    assert load(config)["llm.load.llama.autoFit"] is False
    config.auto_fit = True
    for made in (config, attrs.evolve(reported()), LlmLoadModelConfig(**attrs.asdict(reported()))):
        with pytest.raises(LMStudioValueError, match="auto_fit=True contradicts context_length"):
            load(made)


def test_contradictory_drafting_options_of_a_server_go_back_as_they_are():
    fields = {DRAFT + "draftModel": "d", DRAFT + "draftMinTokens": 9}
    config = reported(fields)
    assert load(config).items() >= fields.items()
    config.speculative_draft_max_tokens = 4
    with pytest.raises(LMStudioValueError, match="exceeds"):
        load(config)


def test_a_template_that_was_only_filled_in_does_not_replace_the_models_own():
    assert "llm.load.promptTemplate" not in load(reported())
    said = reported({"llm.load.promptTemplate": reported().prompt_template})
    changed = reported()
    changed.prompt_template = LOAD_JINJA
    assert load(said)["llm.load.promptTemplate"] == reported().prompt_template
    assert load(changed)["llm.load.promptTemplate"] == LOAD_JINJA


def test_auto_fit_goes_to_every_engine():
    assert load({"autoFit": True}) == dict.fromkeys(AUTO_FIT_KEYS, True)
    assert kv_to_load_config(as_fields(load({"autoFit": True})), "llm").auto_fit is True


def test_the_users_gpu_split_is_overwritten_only_when_a_split_is_given():
    assert load({"gpu": {"disabledGpus": [1]}}) == {"load.gpuSplitConfig": split(disabled=[1])}
    assert load({"gpu": {"disabledGpus": []}}) == {}
    assert load({"gpu": {}}) == {}
    assert "load.gpuSplitConfig" not in load({"gpu": {"ratio": "max"}})


def test_an_embedding_model_has_gpu_options_but_no_auto_fit():
    options = {"gpu": {"ratio": 0.5, "mainGpu": 1}, "contextLength": 10}
    assert load(options, "embedding") == {
        "embedding.load.llama.acceleration.offloadRatio": 0.5,
        "load.gpuSplitConfig": split(priority=[1]),
        "embedding.load.contextLength": 10,
    }
    with pytest.raises(LMStudioValueError, match="language models only"):
        load({"gpu": {"numCpuExpertLayersRatio": 0.5}}, "embedding")


def test_an_unknown_split_strategy_is_an_error_that_lists_the_known_ones():
    with pytest.raises(LMStudioValueError, match=r"one of evenly, favorMainGpu, .*not 'fair'"):
        load({"gpu": {"splitStrategy": "fair"}})


@pytest.mark.parametrize(
    ("option", "key", "value"),
    [
        ("speculativeDraftMtp", "draftMtp", True),
        ("speculativeDraftSimple", "draftSimple", True),
        ("speculativeDraftModel", "draftModel", "d"),
    ],
)
def test_choosing_a_way_of_drafting_switches_the_sidecars_off(option, key, value):
    assert load({option: value}) == {DRAFT + key: value, **NO_SIDECARS}
    both = load({option: value, "draftMtpSidecar": True})
    assert both == {DRAFT + key: value, **NO_SIDECARS, DRAFT + "draftMtpSidecar": True}


def test_contradictory_drafting_options_are_errors():
    with pytest.raises(LMStudioValueError, match=r"draft_min_tokens \(5\) exceeds"):
        load({"speculativeDraftMinTokens": 5, "speculativeDraftMaxTokens": 4})
    with pytest.raises(LMStudioValueError, match="needs speculative_draft_simple"):
        load({"speculativeDraftModel": "d", "speculativeDraftSimple": False})


@pytest.mark.parametrize(
    "raw",
    [
        {"some.new_key": {"a_b": None}, "llm.prediction.temperature": 1},
        [
            {"key": "some.new_key", "value": {"a_b": None}},
            {"key": "llm.prediction.temperature", "value": 1},
        ],
        {"fields": [{"key": "some.new_key", "value": {"a_b": None}}]},
    ],
)
def test_raw_takes_any_key_as_it_is_and_named_options_win(raw):
    fields = prediction({"raw": raw, "temperature": 0.5})
    assert fields == {"some.new_key": {"a_b": None}, "llm.prediction.temperature": 0.5}


@pytest.mark.parametrize("raw", [[5], [{"value": 1}], [{"key": 5}], {"fields": [[]]}])
def test_a_raw_setting_without_a_key_is_an_error(raw):
    with pytest.raises(LMStudioValueError, match=r"^A raw setting is .*\.$"):
        prediction({"raw": raw})


# ---- the form of the reply ----

SCHEMA = {"type": "object", "properties": {"my_key": {"type": "string"}}}
JSON_SETTING = {"type": "json", "jsonSchema": SCHEMA}
GBNF_SETTING = {"type": "gbnf", "gbnfGrammar": 'root ::= "x"'}


class Modelled:
    @classmethod
    def model_json_schema(cls):
        return SCHEMA


@pytest.mark.parametrize(
    ("response_format", "setting"),
    [
        (SCHEMA, JSON_SETTING),
        (Modelled, JSON_SETTING),
        (JSON_SETTING, JSON_SETTING),
        ({"type": "json", "json_schema": SCHEMA}, JSON_SETTING),
        (LlmStructuredPredictionSetting(type="json", json_schema=SCHEMA), JSON_SETTING),
        (GBNF_SETTING, GBNF_SETTING),
        (LlmStructuredPredictionSetting(type="gbnf", gbnf_grammar='root ::= "x"'), GBNF_SETTING),
    ],
)
def test_the_form_of_the_reply_may_be_a_schema_a_class_or_a_setting(response_format, setting):
    fields = prediction_config_to_kv({"temperature": 1}, response_format)
    assert as_dict(fields)["llm.prediction.structured"] == setting
    assert wants_structured(fields)


@pytest.mark.parametrize("response_format", [5, "json", {}, {"properties": {}}, int, Modelled()])
def test_anything_else_is_no_form_of_a_reply(response_format):
    with pytest.raises(LMStudioValueError, match="response_format takes"):
        prediction_config_to_kv(None, response_format)


@pytest.mark.parametrize(
    ("response_format", "words"),
    [
        ({"type": "objct"}, r"'objct' is none of its types \(object, array"),
        ({"type": "json_object"}, "'json_object' is none of its types"),
        (
            {"type": "json_schema", "json_schema": {"name": "a", "schema": SCHEMA}},
            "Pass what is under json_schema and schema",
        ),
    ],
)
def test_a_schema_of_another_api_or_with_an_unknown_type_is_refused(response_format, words):
    with pytest.raises(LMStudioValueError, match=words):
        prediction_config_to_kv(None, response_format)


def test_the_form_of_the_reply_cannot_be_given_twice():
    with pytest.raises(LMStudioValueError, match="either response_format or"):
        prediction_config_to_kv({"structured": JSON_SETTING}, SCHEMA)


def test_the_form_of_the_reply_may_stand_in_the_config():
    assert wants_structured(prediction_config_to_kv({"structured": JSON_SETTING}))
    assert wants_structured(
        prediction_config_to_kv({"raw": {"llm.prediction.structured": GBNF_SETTING}})
    )
    assert not wants_structured(prediction_config_to_kv({"structured": {"type": "none"}}))
    assert not wants_structured(prediction_config_to_kv({"raw": {"llm.prediction.structured": 5}}))
    assert not wants_structured([])


# ---- layers ----


def test_the_options_travel_in_the_layer_that_overrides_the_servers():
    fields = [{"key": "llm.prediction.temperature", "value": 1}]
    layer = {"layerName": "apiOverride", "config": {"fields": fields}}
    assert config_stack(fields) == {"layers": [layer]}


def test_a_completion_has_a_layer_that_passes_the_prompt_through():
    # As the official Python client 1.5.0 sends it.
    template = {
        "bosToken": "",
        "eosToken": "",
        "inputConfig": {
            "messagesConfig": {"contentConfig": {"type": "string"}},
            "useTools": False,
        },
        "template": "{% for message in messages %}{{ message['content'] }}{% endfor %}",
    }
    field = {
        "key": "llm.prediction.promptTemplate",
        "value": {"jinjaPromptTemplate": template, "stopStrings": [], "type": "jinja"},
    }
    assert config_stack([], completion=True) == {
        "layers": [
            {"layerName": "apiOverride", "config": {"fields": []}},
            {"layerName": "completeModeFormatting", "config": {"fields": [field]}},
        ]
    }


# ---- the way back ----


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


def test_a_gpu_split_comes_back_as_gpu_options_or_whole_if_it_cannot():
    def read(value):
        return kv_to_load_config(as_fields({"load.gpuSplitConfig": value}), "llm")

    assert read(split("priorityOrder", [2], [1])).gpu == GpuSetting(
        split_strategy="favorMainGpu", main_gpu=1, disabled_gpus=[2]
    )
    for value in (
        split("priorityOrder", priority=[1, 0]),
        {**split("custom"), "customRatio": [1, 2]},
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


# ---- properties ----

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


@given(configs(LlmPredictionConfig))
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
    assume(not config.speculative_draft_model or config.speculative_draft_simple is not False)
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


@given(configs(LlmPredictionConfig))
def test_both_spellings_and_the_object_mean_the_same(config):
    fields = prediction_config_to_kv(config)
    names = [field.name for field in attrs.fields(LlmPredictionConfig)]
    assert prediction_config_to_kv({name: getattr(config, name) for name in names}) == fields
    assert prediction_config_to_kv(config.to_dict()) == fields
