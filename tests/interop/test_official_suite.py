"""The tests of the official Python package's own suite, both halves, with that package and ours.

They are in the repository lmstudio-ai/lmstudio-python, and nothing of them is here: name a checkout
in LMSTUDIO_PYTHON_CHECKOUT, and they run against the embedded server, with the package that `make`
installs, with the one that the checkout holds beside them, and with this one. `official_suite`
prepares them, and its table `known_failures` says what fails, and why.
"""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from interop.official_suite import known_failures, served

import lmstudio

pytestmark = [pytest.mark.interop, pytest.mark.timeout(200)]

HERE = Path(__file__).parent
ROOT = Path(lmstudio.__file__).parents[1]
OFFICIAL = Path(sys.prefix) / "official"
CHECKOUT = "LMSTUDIO_PYTHON_CHECKOUT"
LIMIT = 180.0  # seconds that the suite may take; it takes 5 with this package, 20 with theirs
AT_LEAST = 250  # tests; 289 in 1.6.0b1, 104 of them of asyncio
DIFFERENCES = Path(__file__).parents[2] / "docs" / "differences.md"


@pytest.fixture
def checkout():
    named = os.environ.get(CHECKOUT)
    if not named:
        pytest.skip(
            f"the official suite did not run: name a checkout of lmstudio-python in {CHECKOUT}"
        )
    tests = Path(named).resolve() / "tests"
    assert (tests / "sync").is_dir(), f"{CHECKOUT} is no checkout of lmstudio-python: {named}"
    return tests.parent


def installed(checkout, folder):
    """The package of a checkout, as if it was installed: with the metadata that one test reads."""
    project = (checkout / "pyproject.toml").read_text(encoding="utf-8")
    version = re.search(r'(?m)^version = "(.+)"$', project)[1]
    metadata = folder / "installed" / f"lmstudio-{version}.dist-info" / "METADATA"
    metadata.parent.mkdir(parents=True)
    lines = f"Metadata-Version: 2.1\nName: lmstudio\nVersion: {version}\n"
    metadata.write_text(lines, encoding="utf-8")
    (folder / "installed" / "lmstudio").symlink_to(checkout / "src" / "lmstudio")
    return folder / "installed"


def run_suite(package, checkout, folder):
    """Run the suite, and return what failed: the last words of each test by its name."""
    homes = {"official": OFFICIAL, "ours": ROOT}
    home = homes.get(package) or installed(checkout, folder)
    outcomes = folder / "outcomes.jsonl"
    foreign = ("PYTHON", "PYTEST_", "LM_", "LMS_", "LMSTUDIO_")
    environment = {key: value for key, value in os.environ.items() if not key.startswith(foreign)}
    with served.serve() as server:
        where = folder / "http-server.json"  # as LM Studio has it; our package looks there
        where.write_text(json.dumps({"port": server.port}), encoding="utf-8")
        settings = {"package": package, "port": server.port, "extras": str(OFFICIAL)}
        environment |= {
            "OFFICIAL_SUITE": json.dumps({**settings, "outcomes": str(outcomes)}),
            "LMS_API_SERVER_INFO_PATH": str(where),
            "PYTHONPATH": os.pathsep.join([str(home), str(HERE)]),
            "PYTHONDONTWRITEBYTECODE": "1",
            "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",  # ours would import lmstudio.testing
        }
        command = [sys.executable, "-m", "pytest", checkout / "tests", "-q", "--rootdir", checkout]
        command += ["-c", os.devnull, "-p", "official_suite.plugin", "-p", "no:cacheprovider"]
        command += ["-W", "error", "-W", "ignore::pytest.PytestRemovedIn10Warning"]
        done = subprocess.run(
            command,
            env=environment,
            cwd=checkout,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=LIMIT,
            check=False,
        )
    output = f"{done.stdout}\n{done.stderr}"
    assert outcomes.is_file(), output
    first, *lines = map(json.loads, outcomes.read_text(encoding="utf-8").splitlines())
    ended = {line["id"]: line for line in lines}
    assert len(ended) == first["collected"] >= AT_LEAST, output
    return {line["id"]: line["words"] for line in lines if line["outcome"] == "failed"}


@pytest.mark.parametrize("package", ["official", "checkout", "ours"])
def test_the_official_suite_fails_only_where_the_table_says_so(package, checkout, tmp_path, caplog):
    caplog.set_level("WARNING", "lmstudio.testing.websockets")
    if not (OFFICIAL / "lmstudio").is_dir():
        pytest.skip("the official Python client is not here: `make interop` installs it")
    failed = run_suite(package, checkout, tmp_path)
    known = known_failures.of(package)
    news = [f"{name} fails: {words}" for name, words in failed.items() if name not in known]
    news += [f"{name} passes: strike it off the table" for name in known if name not in failed]
    if news:
        pytest.fail("\n\n".join(news), pytrace=False)


def test_each_difference_of_the_table_is_a_row_of_the_list_of_differences():
    lines = DIFFERENCES.read_text(encoding="utf-8").splitlines()
    rows = {line.split(" | ")[0].removeprefix("| ") for line in lines}
    assert {*known_failures.ROWS, *known_failures.TRACEBACKS} - rows == set()
