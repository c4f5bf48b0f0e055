"""The tests of LM Studio's JavaScript SDK that talk to a server, with the SDK 2.0.0 of npm.

They are in the repository lmstudio-ai/lmstudio-js, and nothing of them is here: name a checkout in
LMSTUDIO_JS_CHECKOUT, and they run against the embedded server. `javascript_suite` prepares them,
and its file `stale` names those that are older than the SDK, with the reason.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from interop.javascript_suite import served, stale
from interop.node import node_command

pytestmark = [pytest.mark.interop, pytest.mark.timeout(200)]

HERE = Path(__file__).parent / "javascript_suite"
MODULES = Path(sys.prefix) / "js2" / "node_modules"
CHECKOUT = "LMSTUDIO_JS_CHECKOUT"
LIMIT = 180.0  # seconds that the suite may take; it takes 5
AT_LEAST = 50  # tests


@pytest.fixture
def checkout():
    named = os.environ.get(CHECKOUT)
    if not named:
        pytest.skip(f"this did not run: name a checkout of lmstudio-js in {CHECKOUT}")
    found = Path(named).resolve()
    is_one = (found / "packages" / "lms-client" / "src").is_dir()
    assert is_one, f"{CHECKOUT} is no checkout of lmstudio-js: {named}"
    return found


def run_suite(checkout, folder):
    """Run the suite; the failures of each test by its name, none for one that has passed."""
    outcomes = folder / "outcomes.json"
    foreign = ("NODE_", "JEST_", "LM_", "LMS_", "LMSTUDIO_", "FORCE_COLOR")
    environment = {key: value for key, value in os.environ.items() if not key.startswith(foreign)}
    with served.serve() as server:
        environment |= {
            "JAVASCRIPT_SUITE_URL": f"ws://{server.host}",
            "JAVASCRIPT_SUITE_CHECKOUT": str(checkout),
            "JAVASCRIPT_SUITE_MODULES": str(MODULES),
            "JAVASCRIPT_SUITE_CACHE": str(folder / "cache"),
            "NODE_PATH": str(MODULES),
        }
        command = [node_command(), MODULES / "jest" / "bin" / "jest.js"]
        command += ["--config", HERE / "jest.config.cjs", "--ci", "--runInBand"]
        command += ["--json", "--outputFile", outcomes]
        done = subprocess.run(
            command,
            env=environment,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=LIMIT,
            check=False,
        )
        warned = [one for connection in server.connections for one in connection.sent]
        warned = [one for one in warned if one.get("type") == "communicationWarning"]
    assert outcomes.is_file(), f"{done.stdout}\n{done.stderr}"
    assert warned == []
    assert server.received("communicationWarning") == []
    found = json.loads(outcomes.read_text(encoding="utf-8"))
    broken = [one["message"] for one in found["testResults"] if not one["assertionResults"]]
    assert broken == []
    return {
        test["fullName"]: test["failureMessages"]
        for file in found["testResults"]
        for test in file["assertionResults"]
    }


def test_the_javascript_suite_fails_only_where_it_is_older_than_its_sdk(checkout, tmp_path):
    if not (MODULES / "jest").is_dir():
        pytest.skip("the JavaScript client 2.0.0 is not here: `make interop` installs it")
    ended = run_suite(checkout, tmp_path)
    assert len(ended) >= AT_LEAST
    news = [
        f"{name} fails: {problem}"
        for name, messages in ended.items()
        for problem in stale.problems(name, messages)
    ]
    news += [f"{name} passes: strike it off the table" for name in stale.FIELDS if not ended[name]]
    if news:
        pytest.fail("\n\n".join(news), pytrace=False)
