"""The tests of the JavaScript suite that are older than the SDK that they are run with, and why.

Each reason names the fields that the SDK 2.0.0 has, and that the expected values lack. A test that
is named here may differ in these, and in nothing else.
"""

import re

MODEL = ["deviceIdentifier", "indexedModelIdentifier", "lastUsedTime", "publisher", "ttlMs"]
ACT = ["deviceIdentifier", "indexedModelIdentifier", "lastUsedTime"]
STALE = {
    "the SDK's schema of a model requires fields that the snapshot does not have": (
        MODEL,
        [
            "EmbeddingModel can get model info",
            "LLM can get model info",
            "LLM + speculative decoding should work with .complete",
            "LLM + speculative decoding should work with .respond",
            "LLM with vision should work with base64 upload",
            "LLM with vision should work with file upload",
            "LLM.respond should work with array of messages input",
            "LLM.respond should work with single string input",
            "LLM.respond should work with streaming",
            "LLM.respond should work without streaming",
        ],
    ),
    "the same, and the stats say which stop string was found": (
        [*MODEL, "stopString"],
        ["LLM.complete should work with streaming", "LLM.complete should work without streaming"],
    ),
    "the same, and the SDK gives each result of a tool the tool's name": (
        [*ACT, "name", "toolCallId"],
        ["LLM.act should call the tool with the correct parameters"],
    ),
    "the SDK gives each result of a tool the tool's name": (
        ["name", "toolCallId", "content"],  # content: of the other call, which is compared too
        ["LLM.act should queue up tool calls"],
    ),
}
FIELDS = {name: set(fields) for fields, names in STALE.values() for name in names}

_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
_CHANGED = re.compile(r'^\s*[-+]\s{2,}"?(\w+)"?:', re.MULTILINE)


def problems(name, messages):
    """What of a test's failures is not explained by its being stale."""
    if name not in FIELDS:
        return [_COLOUR.sub("", message)[:1500] for message in messages]
    found = []
    for message in messages:
        text = _COLOUR.sub("", message)
        changed = set(_CHANGED.findall(text))
        if not changed or changed - FIELDS[name]:
            found.append(text[:1500])
    return found
