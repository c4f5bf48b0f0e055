"""The published schemas of the protocol, and messages held against them.

The folder that the environment variable LMSTUDIO_PROTOCOL names has them: `schema.json` (parameters,
results and packets of every endpoint) and `kv.json` (the values of every configuration key). What
frames them on the wire has no schema there, so it is written down here.
"""

import functools
import importlib.util
import json
import os
from pathlib import Path

VARIABLE = "LMSTUDIO_PROTOCOL"
ABSENT = object()

TEXT = {"type": "string"}
NUMBER = {"type": "integer"}
TEXTS = {"type": "array", "items": TEXT}


def closed(*, optional=(), **properties):
    """The schema of an object with these keys and no others."""
    return {
        "type": "object",
        "properties": properties,
        "required": [name for name in properties if name not in optional],
        "additionalProperties": False,
    }


def message(*, optional=(), **properties):
    return closed(type=TEXT, **properties, optional=optional)


WARNING_KINDS = [
    "rpcEndpointUnknown",
    "rpcEndpointUnhandled",
    "rpcParameterTypeError",
    "channelEndpointUnknown",
    "channelEndpointUnhandled",
    "channelCreationParameterTypeError",
    "channelMessageTypeError",
    "channelUnknown",
    "channelAlreadyOpen",
]
WARNING = message(warning=TEXT, kind={"enum": WARNING_KINDS}, optional=["kind"])
FROM_SERVER = {
    "communicationWarning": WARNING,
    "keepAliveAck": message(),
    "channelSend": message(channelId=NUMBER, message={}, ackId=NUMBER, optional=["ackId"]),
    "channelClose": message(channelId=NUMBER),
    "channelError": message(channelId=NUMBER, error={}),
    "rpcResult": message(callId=NUMBER, result={}, optional=["result"]),
    "rpcError": message(callId=NUMBER, error={}),
}
FROM_CLIENT = {
    "communicationWarning": WARNING,
    "keepAlive": message(),
    "channelCreate": message(
        endpoint=TEXT, channelId=NUMBER, creationParameter={}, optional=["creationParameter"]
    ),
    "channelSend": FROM_SERVER["channelSend"],
    "channelAck": message(channelId=NUMBER, ackId=NUMBER),
    "rpcCall": message(endpoint=TEXT, callId=NUMBER, parameter={}, optional=["parameter"]),
}
LOGIN = {
    "anyOf": [
        closed(success={"const": True}),
        closed(success={"const": False}, error=TEXT),
    ]
}
MODELS_SAMPLE = {"loadedModelsSample": TEXTS, "totalLoadedModels": NUMBER}
DISPLAY_DATA = {
    "generic.specificModelUnloaded": closed(code=TEXT),
    "generic.noModelMatchingQuery": closed(code=TEXT, query={"type": "object"}, **MODELS_SAMPLE),
    "generic.identifierNotFound": closed(code=TEXT, identifier=TEXT, **MODELS_SAMPLE),
    "generic.pathNotFound": closed(
        code=TEXT, path=TEXT, availablePathsSample=TEXTS, totalModels=NUMBER
    ),
    "generic.domainMismatch": closed(code=TEXT, path=TEXT, actualDomain=TEXT, expectedDomain=TEXT),
    "generic.presetNotFound": closed(
        code=TEXT,
        specifiedFuzzyPresetIdentifier=TEXT,
        availablePresetsSample={"type": "array", "items": closed(identifier=TEXT, name=TEXT)},
        totalAvailablePresets=NUMBER,
    ),
}
ERROR_FIELDS = {
    **dict.fromkeys(("title", "rootTitle", "stack", "suggestion"), TEXT),
    **{"cause": {}, "errorData": {"type": "object"}, "displayData": {"type": "object"}},
}
ERROR = closed(optional=set(ERROR_FIELDS) - {"title"}, **ERROR_FIELDS)


def missing():
    """Why nothing can be checked here; None if it can."""
    if VARIABLE not in os.environ:
        return f"the protocol's schemas are not here: {VARIABLE} names no folder"
    if importlib.util.find_spec("jsonschema") is None:
        return "jsonschema is not here: `make test` installs it"
    return None


class Schemas:
    """Finds what does not fit.

    `seen` collects what was held against a schema: (namespace, endpoint, "parameter"), and the same
    with "result", "error", or the direction and type of a packet: "from server: fragment".
    """

    def __init__(self, folder=None):
        folder = Path(os.environ[VARIABLE]) if folder is None else folder
        self.namespaces = json.loads((folder / "schema.json").read_text())
        entries = json.loads((folder / "kv.json").read_text())
        self._keys = {entry["key"]: entry["schema"] for entry in entries}
        self._echoes = []
        self.seen = set()

    def problems(self, connection, *, of_client=False):
        """What is wrong with the messages that the server (or the client) sent on a connection."""
        return list(self._problems(connection, of_client))

    def _problems(self, connection, of_client):
        namespace = connection.path.strip("/")
        calls, channels = {}, {}
        for sent in connection.messages:
            if sent["type"] == "rpcCall":
                calls[sent["callId"]] = sent["endpoint"]
            elif sent["type"] == "channelCreate":
                channels[sent["channelId"]] = sent["endpoint"]
        # What the client has set itself comes back as it was, right or wrong.
        self._echoes = [] if of_client else list(_settings(connection.messages))
        for sent in connection.messages if of_client else connection.sent:
            endpoint = sent.get("endpoint") or (
                calls.get(sent["callId"])
                if "callId" in sent
                else channels.get(sent.get("channelId"))
            )
            check = self._of_client if of_client else self._of_server
            for problem in check(namespace, endpoint, sent):
                yield f"{namespace}/{endpoint}: {problem}, in {json.dumps(sent)[:2000]}"

    def _of_server(self, namespace, endpoint, sent):
        kind = sent.get("type")
        if kind is None:
            yield from self._fit(LOGIN, sent)
            return
        yield from self._envelope(FROM_SERVER, sent)
        if kind == "rpcResult":
            self.seen.add((namespace, endpoint, "result"))
            schema = self._schema(namespace, "rpc", endpoint, "returns")
            yield from self._fit(schema, sent.get("result", ABSENT))
        elif kind == "channelSend":
            yield from self._packet(namespace, endpoint, "Client", sent["message"])
        elif kind in ("rpcError", "channelError"):
            self.seen.add((namespace, endpoint, "error"))
            yield from self._error(sent["error"])

    def _of_client(self, namespace, endpoint, sent):
        kind = sent["type"]
        yield from self._envelope(FROM_CLIENT, sent)
        if kind == "rpcCall":
            self.seen.add((namespace, endpoint, "parameter"))
            schema = self._schema(namespace, "rpc", endpoint, "parameter")
            yield from self._fit(schema, sent.get("parameter", ABSENT))
        elif kind == "channelCreate":
            self.seen.add((namespace, endpoint, "parameter"))
            schema = self._schema(namespace, "channel", endpoint, "creationParameter")
            yield from self._fit(schema, sent.get("creationParameter", ABSENT))
        elif kind == "channelSend":
            yield from self._packet(namespace, endpoint, "Server", sent["message"])

    def _envelope(self, envelopes, sent):
        if sent["type"] not in envelopes:
            yield f"no message has the type {sent['type']!r}"
        else:
            yield from self._fit(envelopes[sent["type"]], sent)

    def _packet(self, namespace, endpoint, receiver, packet):
        sender = "client" if receiver == "Server" else "server"
        self.seen.add((namespace, endpoint, f"from {sender}: {packet.get('type')}"))
        schema = self._schema(namespace, "channel", endpoint, f"to{receiver}Packet")
        yield from self._fit(schema, packet)
        if packet.get("type") == "toolCallGenerationFailed":
            yield from self._error(packet["error"])

    def _error(self, error):
        yield from self._fit(ERROR, error)
        data = error.get("displayData")
        if data is not None and data.get("code") not in DISPLAY_DATA:
            yield f"no error has the code {data.get('code')!r}"
        elif data is not None:
            yield from self._fit(DISPLAY_DATA[data["code"]], data)

    def _schema(self, namespace, kind, endpoint, part):
        endpoints = self.namespaces[namespace][kind]
        return endpoints[endpoint][part] if endpoint in endpoints else {"not": {}}

    def _fit(self, schema, value):
        if value is ABSENT:
            # "not" anything: only absent; anything: also absent.
            choices = [schema, *schema.get("anyOf", ())]
            if schema != {} and {"not": {}} not in choices:
                yield "absent, but it must be there"
            return
        for problem in _validator()(schema).iter_errors(value):
            yield f"{problem.json_path}: {problem.message[:500]}"
        for key, setting in _settings(value):
            if key not in self._keys:
                yield f"there is no configuration key {key!r}"
            elif setting is not ABSENT and (key, setting) not in self._echoes:
                for problem in _validator()(self._keys[key]).iter_errors(setting):
                    yield f"{key}: {problem.message[:500]}"


@functools.cache
def _validator():
    import jsonschema

    general = jsonschema.Draft7Validator.VALIDATORS["anyOf"]

    def any_of(validator, branches, value, schema):
        # By its tag: else the problem is only "fits none of these".
        for tag in ("type", "role"):
            if isinstance(value, dict) and tag in value:
                chosen = [one for one in branches if _tag(one, tag) == value[tag]]
                if len(chosen) == 1:
                    return validator.descend(value, chosen[0])
        return general(validator, branches, value, schema)

    return jsonschema.validators.extend(jsonschema.Draft7Validator, {"anyOf": any_of})


def _tag(schema, name):
    return schema.get("properties", {}).get(name, {}).get("const")


def _settings(value):
    """All keys and values of the configurations inside a value."""
    if isinstance(value, dict):
        if set(value) == {"fields"} and isinstance(value["fields"], list):
            for field in value["fields"]:
                yield field.get("key"), field.get("value", ABSENT)
        for item in value.values():
            yield from _settings(item)
    elif isinstance(value, list):
        for item in value:
            yield from _settings(item)
