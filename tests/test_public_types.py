"""Type checkers know every public name's type, and `Any` stands only where anything will do."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from api.public_api import describe

import lmstudio

PYRIGHT = Path(sys.prefix, "js", "node_modules", "pyright", "index.js")
LIMIT = 200  # seconds
# A type that is `Any`, or that may be: not a part of one, as in ``dict[str, Any]``, which is JSON.
IS_ANY = re.compile(r"(?:^|-> |, |\| )Any(?=$| = | \|)")
# Where it stands on purpose, by the end of its path.
REASONS = {
    "(reason)": "why something was cancelled may be told by any object, which is handed on",
    "CancelToken.reason": "that object",
    "LMStudioCancelledError.reason": "that object",
    "SerializedLMSExtendedError.title": "an error must be readable, however odd it is on the wire",
    "SerializedLMSExtendedError.cause": "likewise",
    "SerializedLMSExtendedError.suggestion": "likewise",
    "SerializedLMSExtendedError.error_data": "likewise",
    "SerializedLMSExtendedError.display_data": "likewise",
    "SerializedLMSExtendedError.stack": "likewise",
    "SerializedLMSExtendedError.root_title": "likewise",
    "call_tool": "what a tool of a plugin returns: JSON data",
    "BatchOutcome.input": "an input of a batch is whatever `to_prompt` takes",
    "run_in_background(arguments)": "those of the function that is given",
    "run_in_background(options)": "likewise",
    "QtDispatcher(parent)": "a QObject of whatever binding is installed, none of which is needed",
    "TkDispatcher(widget)": "tkinter is imported only by programs that have it",
    "respond_many_on_dask(dask_client)": "Dask is not needed by this package",
    "respond_many": "what is not overloaded here is the function behind the overloads",
    "testing.Call.parameter": "JSON data, as a client has sent it",
    "testing.Call.result(value)": "JSON data, as the test wants it",
    "testing.Call.error(fields)": "fields of a message, as on the wire",
    "testing.Call.fragment(fields)": "likewise",
    "testing.Call.progress(details)": "likewise",
    "testing.Call.success(stats)": "likewise",
    "testing.ToolRun.complete(result)": "JSON data, as the test wants it",
    "testing.ToolRun.fail(fields)": "fields of a message, as on the wire",
    "Engine.admit": "whatever an engine wants to get back as `GenerationRequest.script`",
    "testing.GenerationRequest.script": "that",
    "testing.GenerationRequest.checked": "a setting of a client, as on the wire",
    "testing.GenerationRequest.json_schema": "a schema of a client, which need not be one",
    "testing.Server.reply(stats)": "entries of a message, as on the wire",
    "testing.Server.wait_for": "whatever the function that is given returns",
    "testing.Tool.result": "JSON data, as the test wants it",
}


def places_of_any():
    for path, texts in describe().items():
        # What stands behind overloads is seen by nobody.
        typed = [text for text in texts if not text.startswith("overload")]
        if any(IS_ANY.search(text) for text in typed):
            yield path


def test_any_stands_only_where_there_is_a_reason():
    places = list(places_of_any())

    assert [path for path in places if not any(map(path.endswith, REASONS))] == []
    assert [end for end in REASONS if not any(path.endswith(end) for path in places)] == []


@pytest.mark.timeout(LIMIT + 20)
def test_pyright_knows_the_type_of_every_public_name(tmp_path):
    node = shutil.which("node")
    if node is None or not PYRIGHT.exists():
        pytest.skip("pyright is not here: `make test` installs it where there is npm")
    environment = os.environ | {"PYTHONPATH": str(Path(lmstudio.__file__).parents[1])}
    command = [node, PYRIGHT, "--verifytypes", "lmstudio", "--ignoreexternal", "--outputjson"]

    done = subprocess.run(
        [*command, "--pythonpath", sys.executable],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=LIMIT,
    )

    report = json.loads(done.stdout)["typeCompleteness"]
    unknown = [one["name"] for one in report["symbols"] if not one["isTypeKnown"]]
    assert unknown == []
    assert report["completenessScore"] == 1
    assert report["exportedSymbolCounts"]["withKnownType"] > 1_500
