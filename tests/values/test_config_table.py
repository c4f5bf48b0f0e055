"""Every option of a configuration: its form on the wire, the way back, and what False means."""

import attrs
import pytest
from values.config_fields import DRAFT, LOAD_JINJA, as_fields, load, prediction

from lmstudio._config.embedding_load_options import EmbeddingLoadModelConfig
from lmstudio._config.from_wire import kv_to_load_config, kv_to_prediction_config
from lmstudio._config.llm_load_options import LlmLoadModelConfig
from lmstudio._config.prediction_options import LlmPredictionConfig
from lmstudio._json.converter import camel_case

JINJA = {"type": "jinja", "jinjaPromptTemplate": {"template": "x"}, "stopStrings": []}
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
    ("gpuStrictVramCap", True, "load.gpuStrictVramCap"),
]
EMBEDDING_CHECKBOX = [
    ("ropeFrequencyBase", 1, "embedding.load.llama.ropeFrequencyBase", 0),
    ("ropeFrequencyScale", 1, "embedding.load.llama.ropeFrequencyScale", 0),
    ("seed", 1, "embedding.load.seed", -1),
]


@pytest.mark.parametrize(("option", "value", "key"), PREDICTION_PLAIN)
def test_a_plain_prediction_option_is_written_as_it_is_and_read_back(option, value, key):
    fields = prediction({option: value})
    assert fields == {key: value}
    assert kv_to_prediction_config(as_fields(fields)) == LlmPredictionConfig.from_dict(
        {option: value}
    )


@pytest.mark.parametrize(("option", "value", "key", "off"), PREDICTION_CHECKBOX)
def test_a_prediction_option_with_a_checkbox_can_be_set_and_switched_off(option, value, key, off):
    least = 1 if option == "maxTokens" else 0
    for given_value, checked, wire in (
        (value, True, value),
        (least, True, least),
        (False, False, off),
    ):
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
