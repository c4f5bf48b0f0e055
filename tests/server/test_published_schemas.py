"""Every message of the embedded server against the published schemas of LM Studio's protocol."""

import base64
import hashlib
import json
import os
from pathlib import Path

import pytest
from server.raw_client import ANY, NO_CONFIG, RawClient, user

from lmstudio.testing import Server, Token
from lmstudio.testing._endpoints.handlers import CALLS, CHANNELS

VARIABLE = "LMSTUDIO_PROTOCOL"  # the folder with schema.json
SPECIFIER = {"specifier": ANY}
TEXT = {"specifier": ANY, "inputString": "a b"}
FIND = {"specifier": ANY, "throwIfNotFound": True}


@pytest.fixture(scope="module")
def schemas():
    pytest.importorskip("jsonschema")
    folder = os.environ.get(VARIABLE)
    if folder is None:
        pytest.skip(f"the schemas did not check anything: {VARIABLE} does not name their folder")
    return json.loads(Path(folder, "schema.json").read_text())


def models(namespace, key):
    """Calls that both kinds of models know."""
    yield "listLoaded", None
    yield "getModelInfo", FIND
    yield "getModelInfo", {**FIND, "throwIfNotFound": False}
    yield "getLoadConfig", SPECIFIER
    yield "getBasePredictionConfig", SPECIFIER
    yield "getInstanceProcessingState", FIND
    yield "estimateModelUsage", {"modelKey": key, "loadConfigStack": NO_CONFIG}
    yield "tokenize", TEXT
    yield "countTokens", TEXT
    yield "channel loadModel", {"modelKey": key, "loadConfigStack": NO_CONFIG}
    yield "channel getOrLoad", {"identifier": key, "loadConfigStack": NO_CONFIG}
    if namespace == "llm":
        yield "channel getOrLoad", {"identifier": "test-vlm", "loadConfigStack": NO_CONFIG}
    yield "unloadModel", {"identifier": f"{key}:2"}


def llm(server):
    """Calls of the namespace `llm`."""
    history = {"messages": [user("hi")]}
    stack = {"predictionConfigStack": NO_CONFIG}
    yield from models("llm", "test-llm")
    yield "applyPromptTemplate", {**SPECIFIER, "history": history, **stack, "opts": {}}
    yield "preloadDraftModel", {**SPECIFIER, "draftModelKey": "test-llm"}
    server.reply(
        [Token("x", tokens=[{"text": "x", "id": 1, "logProb": -1, "candidates": []}])],
        reasoning="hm",
        prefill=0.01,
        tool_calls=[{"name": "a"}, {"name": "b", "failure": "no"}],
    )
    predict = {"modelSpecifier": ANY, "history": history, **stack}
    yield "channel predict", predict
    yield "channel completeRawText", {"modelSpecifier": ANY, "rawPrompt": "x", **stack}


def embedding(server):
    """Calls of the namespace `embedding`."""
    yield from models("embedding", "test-embedding")
    yield "embedString", {"modelSpecifier": ANY, "inputString": "a"}


def system(server):
    """Calls of the namespace `system`."""
    for endpoint in CALLS["system"]:
        parameters = {
            "listDownloadedModelVariants": {"modelKey": "test-vlm"},
            "notify": {"title": "x"},
            "setExperimentFlag": {"code": "x", "value": True},
            "startHttpServer": {},
        }
        yield endpoint, parameters.get(endpoint)


def files(server):
    """Calls of the namespace `files`."""
    content = base64.b64encode(b"hello").decode()
    yield "uploadFileBase64", {"name": "a.txt", "contentBase64": content}
    digest = hashlib.sha256(b"hello").hexdigest()
    identifier = f"{digest}-0.txt"  # the server's first file
    yield "getLocalFileAbsolutePath", {"fileName": identifier}
    yield "getDocumentParsingLibrary", {"fileIdentifier": identifier}
    yield "channel parseDocument", {"fileIdentifier": identifier, "parseOpts": {}}
    config = {"fields": []}
    retrieve = {"query": "hello", "fileIdentifiers": [identifier], "config": config}
    yield "channel retrieve", retrieve


def repository(server):
    """Calls of the namespace `repository`."""
    yield "searchModels", {"opts": {"searchTerm": "test"}}
    identifier = {"type": "catalog", "identifier": "testing/tiny-llm"}
    yield "getModelDownloadOptions", {"modelSearchResultIdentifier": identifier}
    yield "channel downloadModel", {"downloadIdentifier": "testing/tiny-llm"}
    yield "lmLinkSetPreferredDevice", {"deviceIdentifier": "testing-device"}
    yield "lmLinkStatus", None


def check(schema, value, where):
    from jsonschema import Draft7Validator

    branches = [schema]
    if isinstance(value, dict) and "anyOf" in schema:  # the branch by its type, or the errors are
        kind = value.get("type")  # of no use
        typed = [
            one
            for one in schema["anyOf"]
            if one.get("properties", {}).get("type", {}).get("const") == kind
        ]
        branches = typed or branches
    problems = [list(Draft7Validator(one).iter_errors(value)) for one in branches]
    assert [] in problems, f"{where}: {[p.message for found in problems for p in found]}: {value}"


@pytest.mark.parametrize("calls", [llm, embedding, system, files, repository])
def test_all_that_is_sent_fits_the_schemas(schemas, calls):
    namespace = calls.__name__
    used = set()
    with Server() as server, RawClient(server, namespace) as client:
        for name, parameter in calls(server):
            given = () if parameter is None else (parameter,)
            used.add(name)
            kind, _, endpoint = name.rpartition(" ")
            schema = schemas[namespace][kind or "rpc"][endpoint]
            if not kind:
                message = client.call(endpoint, *given)
                assert message["type"] == "rpcResult", message
                if "result" in message:
                    check(schema["returns"], message["result"], name)
                else:
                    returns = schema["returns"]
                    assert returns in ({}, {"not": {}}), f"{name} must return something"
                continue
            packets, end = client.rest(client.open(endpoint, *given))
            assert end["type"] == "channelClose", end
            for packet in packets:
                check(schema["toClientPacket"], packet, name)
    served = {*CALLS[namespace], *(f"channel {name}" for name in CHANNELS[namespace])}
    assert served - used <= {"channel alive"}  # which says nothing
