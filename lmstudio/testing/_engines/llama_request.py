"""Turns a prediction config into the options of a llama.cpp completion."""

from __future__ import annotations

from typing import Any

from .engine import GenerationRequest, tool_schema

# A small model talks nonsense with the usual temperature of 0.8.
_DEFAULTS = {"temperature": 0.2, "top_p": 0.9, "repeat_penalty": 1.1}
_JSON_TOKENS = 256  # limit of a JSON text: a small model may find no end in it
_OPTIONS = {
    "llm.prediction.temperature": "temperature",
    "llm.prediction.topKSampling": "top_k",
    "llm.prediction.topPSampling": "top_p",
    "llm.prediction.minPSampling": "min_p",
    "llm.prediction.repeatPenalty": "repeat_penalty",
    "llm.prediction.seed": "seed",
    "llm.prediction.llama.presencePenalty": "presence_penalty",
    "llm.prediction.llama.frequencyPenalty": "frequency_penalty",
    "llm.prediction.llama.xtcProbability": "xtc_probability",
    "llm.prediction.llama.xtcThreshold": "xtc_threshold",
    "llm.prediction.llama.locallyTypicalSampling": "typical_p",
}


def completion_body(
    request: GenerationRequest, max_tokens: int | None, tool: str | None
) -> dict[str, Any]:
    """Return the body of the completion.

    Args:
        request: The request; stop strings are the server's business.
        max_tokens: Limit if the client has none.
        tool: Name of the tool whose arguments the reply has to be, if any.
    """
    body: dict[str, Any] = {
        "prompt": request.prompt,
        "stream": True,
        "return_progress": True,
        "timings_per_token": True,
        **_DEFAULTS,
    }
    for key, option in _OPTIONS.items():
        value = request.checked(key)
        if value is not None:
            body[option] = value
    limit = request.max_tokens if request.max_tokens is not None else max_tokens
    body["n_predict"] = -1 if limit is None else limit
    structured = request.config.get("llm.prediction.structured") or {}
    if tool is not None:
        body["json_schema"] = _closed(tool_schema(request, tool))
    elif structured.get("type") == "json":
        # Any JSON object if there is no schema.
        body["json_schema"] = _closed(structured.get("jsonSchema") or {"type": "object"})
    elif structured.get("type") == "gbnf":
        body["grammar"] = structured.get("gbnfGrammar", "")
    if limit is None and "json_schema" in body:
        body["n_predict"] = _JSON_TOKENS
    logprobs = request.checked("llm.prediction.logProbs")
    if logprobs is not None:
        body["logprobs"] = max(1, int(logprobs))
    return body


_SCHEMAS_BY_NAME = ("properties", "patternProperties", "$defs", "definitions")
_SCHEMAS = ("items", "prefixItems", "anyOf", "oneOf")


def _closed(schema: Any) -> Any:
    """Return the schema without further properties: a small model would invent them without end."""
    if isinstance(schema, list):
        return [_closed(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    closed = dict(schema)
    for key in _SCHEMAS_BY_NAME:
        if isinstance(schema.get(key), dict):
            closed[key] = {name: _closed(one) for name, one in schema[key].items()}
    for key in _SCHEMAS:
        if key in schema:
            closed[key] = _closed(schema[key])
    if "properties" in schema:
        closed.setdefault("additionalProperties", False)
    return closed
