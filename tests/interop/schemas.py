"""The published schemas of the protocol, and messages held against them.

The folder that the environment variable LMSTUDIO_PROTOCOL names has three files: `schema.json`
(parameters, results and packets of every endpoint), `kv.json` (the values of every configuration
key) and `friendly-config.json` (what frames the packets on the wire, and the data of errors).
"""

import functools
import importlib.util
import json
import os
from pathlib import Path

VARIABLE = "LMSTUDIO_PROTOCOL"
ABSENT = object()
LOGIN = {
    "type": "object",
    "properties": {"success": {"type": "boolean"}, "error": {"type": "string"}},
    "required": ["success"],
    "additionalProperties": False,
}


def missing():
    """Why nothing can be checked here; None if it can."""
    if VARIABLE not in os.environ:
        return f"the protocol's schemas are not here: {VARIABLE} names no folder"
    if importlib.util.find_spec("jsonschema") is None:
        return "jsonschema is not here: `make test` installs it"
    return None


class Schemas:
    """Finds what does not fit.

    `seen` collects what was held against a schema, as (namespace, endpoint, what): "parameter",
    "result", "error", or the direction and the type of a packet ("from server: success").
    """

    def __init__(self, folder=None):
        folder = Path(os.environ[VARIABLE]) if folder is None else folder
        self.namespaces = json.loads((folder / "schema.json").read_text())
        entries = json.loads((folder / "kv.json").read_text())
        self._keys = {entry["key"]: entry["schema"] for entry in entries}
        frames = json.loads((folder / "friendly-config.json").read_text())
        self._from_server, self._from_client = frames["serverToClient"], frames["clientToServer"]
        self._error_data = {"anyOf": frames["errs"]}
        self._echoes = []
        self.seen = set()

    def problems(self, connection, *, of_client=False):
        """What is wrong with the messages that the server (or the client) sent on a connection."""
        return list(self._problems(connection, of_client))

    def _problems(self, connection, of_client):
        namespace = connection.path.strip("/")
        endpoints = {}
        for message in connection.messages:
            if message["type"] in ("rpcCall", "channelCreate"):
                endpoints[_id(message)] = message["endpoint"]
        # What the client has set itself comes back as it was, right or wrong.
        self._echoes = [] if of_client else list(_settings(connection.messages))
        for message in connection.messages if of_client else connection.sent:
            endpoint = endpoints.get(_id(message))
            check = self._of_client if of_client else self._of_server
            for problem in check(namespace, endpoint, message):
                yield f"{namespace}/{endpoint}: {problem}, in {json.dumps(message)[:2000]}"

    def _of_server(self, namespace, endpoint, message):
        kind = message.get("type")
        if kind is None:
            yield from self._fit(LOGIN, message)
            return
        yield from self._fit(self._from_server, message)
        if kind == "rpcResult":
            schema = self._schema(namespace, "rpc", endpoint, "returns", "result")
            yield from self._fit(schema, message.get("result", ABSENT))
        elif kind == "channelSend":
            packet = message["message"]
            note = f"from server: {packet['type']}"
            schema = self._schema(namespace, "channel", endpoint, "toClientPacket", note)
            yield from self._fit(schema, packet)
            yield from self._error(packet.get("error"))
        elif kind in ("rpcError", "channelError"):
            self.seen.add((namespace, endpoint, "error"))
            yield from self._error(message["error"])

    def _of_client(self, namespace, endpoint, message):
        kind = message["type"]
        yield from self._fit(self._from_client, message)
        if kind == "rpcCall":
            schema = self._schema(namespace, "rpc", endpoint, "parameter", "parameter")
            yield from self._fit(schema, message.get("parameter", ABSENT))
        elif kind == "channelCreate":
            part = "creationParameter"
            schema = self._schema(namespace, "channel", endpoint, part, "parameter")
            yield from self._fit(schema, message.get("creationParameter", ABSENT))
        elif kind == "channelSend":
            packet = message["message"]
            note = f"from client: {packet['type']}"
            schema = self._schema(namespace, "channel", endpoint, "toServerPacket", note)
            yield from self._fit(schema, packet)

    def _schema(self, namespace, kind, endpoint, part, note):
        self.seen.add((namespace, endpoint, note))
        endpoints = self.namespaces[namespace][kind]
        return endpoints[endpoint][part] if endpoint in endpoints else False

    def _error(self, error):
        if error is not None and error.get("displayData") is not None:
            yield from self._fit(self._error_data, error["displayData"])

    def _fit(self, schema, value):
        if value is ABSENT:
            # {"not": {}} means absent, {} anything or absent.
            if schema != {} and {"not": {}} not in (schema, *schema.get("anyOf", ())):
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
        for tag in ("type", "role", "code"):
            if isinstance(value, dict) and tag in value:
                chosen = [branch for branch in branches if _tag(branch, tag) == value[tag]]
                if len(chosen) == 1:
                    return validator.descend(value, chosen[0])
        return general(validator, branches, value, schema)

    return jsonschema.validators.extend(jsonschema.Draft7Validator, {"anyOf": any_of})


def _tag(schema, name):
    return schema.get("properties", {}).get(name, {}).get("const")


def _id(message):
    return ("call", message["callId"]) if "callId" in message else message.get("channelId")


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


def assert_fit(published, server, *, tolerated=None):
    """All that the server has sent fits, and all that was sent to it. For a closed server."""
    for connection in server.connections:
        assert published.problems(connection) == []
        problems = published.problems(connection, of_client=True)
        assert [one for one in problems if tolerated is None or tolerated not in one] == []
