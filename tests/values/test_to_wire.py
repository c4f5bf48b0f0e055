"""Configurations go to the wire: rules between options, the form of the reply, layers."""

import copy
import pickle

import attrs
import pytest
from values.config_fields import (
    DRAFT,
    FITTED,
    LOAD_JINJA,
    as_dict,
    as_fields,
    load,
    prediction,
    reported,
    split,
)

from lmstudio._config.from_wire import kv_to_load_config, kv_to_prediction_config
from lmstudio._config.gpu_setting import GpuSetting
from lmstudio._config.llm_load_options import LlmLoadModelConfig
from lmstudio._config.prediction_options import LlmStructuredPredictionSetting
from lmstudio._config.to_wire import config_stack, prediction_config_to_kv, wants_structured
from lmstudio.errors import LMStudioOptionWarning, LMStudioValueError

AUTO_FIT_KEYS = ("llm.load.llama.autoFit", "llm.load.mlx.autoFit", "llm.load.yuzu.autoFit")
NO_AUTO_FIT = dict.fromkeys(AUTO_FIT_KEYS, False)
NO_SIDECARS = {
    DRAFT + "draftDflashSidecar": False,
    DRAFT + "draftDsparkSidecar": False,
    DRAFT + "draftMtpSidecar": False,
}


def repickled(value):
    return pickle.loads(pickle.dumps(value))


# -- rules between options --------------------------------------------------------------------


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
    config.speculative_draft_simple = True
    with pytest.raises(LMStudioValueError, match=r"draft_min_tokens \(9\) must be less than or"):
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


def test_an_embedding_model_has_no_variables_of_the_environment():
    with pytest.warns(LMStudioOptionWarning, match="'envVars' does not exist.*LlmLoadModelConfig"):
        assert load({"envVars": {"HSA_OVERRIDE_GFX_VERSION": "1"}}, "embedding") == {}


@pytest.mark.parametrize(
    ("pairs", "sent"),
    [
        ([[5, "-inf"], (6, 2)], [[5, "-inf"], [6, 2]]),
        ([[5.0, -1.5]], [[5, -1.5]]),
        ([[5, float("-inf")]], [[5, "-inf"]]),
    ],
)
def test_a_bias_is_that_of_a_tokens_id(pairs, sent):
    assert prediction({"logitBias": pairs}) == {"llm.prediction.llama.logitBias": sent}


@pytest.mark.parametrize(
    "pair", [["yes", 1], [5], [5, "inf"], [5, float("nan")], [True, 1], [5, None], "ab", {5: 1}]
)
def test_a_bias_of_anything_else_is_an_error_that_says_where_ids_come_from(pair):
    with pytest.raises(LMStudioValueError, match=r"pairs of a token's id.*model\.tokenize"):
        prediction({"logitBias": [pair]})


def test_an_unknown_split_strategy_is_an_error_that_lists_the_known_ones():
    with pytest.raises(LMStudioValueError, match=r"one of evenly, favorMainGpu, .*not 'fair'"):
        load({"gpu": {"splitStrategy": "fair"}})


SIMPLE = {"speculativeDraftSimple": True, "speculativeDraftModel": "d"}


@pytest.mark.parametrize(
    ("options", "fields"),
    [
        ({"speculativeDraftMtp": True}, {DRAFT + "draftMtp": True}),
        ({"speculativeDraftModel": ""}, {DRAFT + "draftModel": ""}),
        (SIMPLE, {DRAFT + "draftSimple": True, DRAFT + "draftModel": "d"}),
    ],
)
def test_choosing_a_way_of_drafting_switches_the_sidecars_off(options, fields):
    assert load(options) == {**fields, **NO_SIDECARS}
    both = load({**options, "draftMtpSidecar": True})
    assert both == {**fields, **NO_SIDECARS, DRAFT + "draftMtpSidecar": True}


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (
            {"speculativeDraftMinTokens": 5, "speculativeDraftMaxTokens": 4},
            r"speculative_draft_min_tokens \(5\) must be less than or equal to "
            r"speculative_draft_max_tokens \(4\)",
        ),
        (
            {**SIMPLE, "speculativeDraftMtp": True},
            "speculative_draft_mtp and speculative_draft_simple cannot both be enabled",
        ),
        (
            {"speculativeDraftSimple": True},
            "speculative_draft_simple requires a non-empty speculative_draft_model",
        ),
        (
            {"speculativeDraftSimple": True, "speculativeDraftModel": ""},
            "speculative_draft_simple requires a non-empty speculative_draft_model",
        ),
        (
            {"speculativeDraftModel": "d"},
            "requires an explicit supported draft type; use speculative_draft_simple",
        ),
        (
            {"speculativeDraftModel": "d", "speculativeDraftSimple": False},
            "requires an explicit supported draft type; use speculative_draft_simple",
        ),
    ],
)
def test_contradictory_drafting_options_are_errors_with_the_javascript_clients_reasons(
    options, reason
):
    with pytest.raises(LMStudioValueError, match=reason):
        load(options)


@pytest.mark.parametrize("number", [0, -2, -100])
def test_a_limit_of_no_token_is_an_error(number):
    with pytest.raises(LMStudioValueError, match=r"max_tokens must be greater than or equal to 1"):
        prediction({"maxTokens": number})
    reply = {"llm.prediction.maxPredictedTokens": {"checked": True, "value": number}}
    assert prediction(kv_to_prediction_config(as_fields(reply))) == reply  # a server's own word


def test_minus_one_is_no_limit():
    off = {"llm.prediction.maxPredictedTokens": {"checked": False, "value": 1}}
    assert prediction({"maxTokens": -1}) == prediction({"max_tokens": False}) == off


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


# -- the form of the reply --------------------------------------------------------------------

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
    with pytest.raises(LMStudioValueError, match="Failed to parse response format: "):
        prediction_config_to_kv(None, response_format)


@pytest.mark.parametrize(
    ("response_format", "words"),
    [
        ({"type": "objct"}, r"'objct' is none of its types \(object, array"),
        ({"type": "json_object"}, "'json_object' is none.* no mode .* by a JSON Schema such as"),
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
    with pytest.raises(LMStudioValueError, match="Cannot specify both response_format"):
        prediction_config_to_kv({"structured": JSON_SETTING}, SCHEMA)


def test_the_form_of_the_reply_may_stand_in_the_config():
    assert wants_structured(prediction_config_to_kv({"structured": JSON_SETTING}))
    assert wants_structured(
        prediction_config_to_kv({"raw": {"llm.prediction.structured": GBNF_SETTING}})
    )
    assert not wants_structured(prediction_config_to_kv({"structured": {"type": "none"}}))
    assert not wants_structured(prediction_config_to_kv({"raw": {"llm.prediction.structured": 5}}))
    assert not wants_structured([])


# -- layers -----------------------------------------------------------------------------------


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
