"""The workflow for CI runs what the Makefile runs, on every Python that setup.cfg names."""

import configparser
import json
import re
from pathlib import Path

ROOT = Path(__file__).parent.parent
WORKFLOW = (ROOT / ".github" / "workflows" / "ci.yml").read_text(encoding="utf-8")
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
JOBS = re.split(r"^  (?=[\w-]+:$)", WORKFLOW.partition("\njobs:\n")[2], flags=re.MULTILINE)[1:]


def test_the_tests_run_on_every_python_of_the_classifiers_and_on_three_systems():
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg", encoding="utf-8")
    pythons = re.findall(r"Python :: (3\.\d+)", setup["metadata"]["classifiers"])
    assert json.loads(re.search(r"python: (\[.*\])", WORKFLOW)[1]) == pythons
    systems = re.search(r"os: \[(.*)\]", WORKFLOW)[1].split(", ")
    assert [re.match("[a-z]+", system)[0] for system in systems] == ["ubuntu", "windows", "macos"]


def test_the_tests_are_those_that_need_no_more_than_python():
    fast = re.search(r"FAST: >-\n((?: {4}.*\n)+)", WORKFLOW)[1]
    assert " ".join(fast.split()) == re.search(r"^FAST := (.*)", MAKEFILE, re.MULTILINE)[1]


def test_each_job_ends_in_bounded_time_and_has_a_name():
    assert len(JOBS) >= 6
    for job in JOBS:
        assert re.search(r"^    timeout-minutes: \d+$", job, re.MULTILINE), job
        assert re.search(r"^    name: \w", job, re.MULTILINE), job


def test_each_action_is_pinned_to_a_commit_and_says_its_version():
    uses = re.findall(r"uses: (.*)", WORKFLOW)
    wrong = [line for line in uses if not re.fullmatch(r"[\w./-]+@[0-9a-f]{40} # v[\d.]+", line)]
    assert uses
    assert wrong == []
    pins = {line.partition("@")[0]: line for line in uses}
    assert set(uses) == set(pins.values()), "one action in two versions"


def test_the_token_of_a_run_can_only_read():
    assert re.findall(r"^ *permissions:\n(?: +.*\n)+", WORKFLOW, re.MULTILINE) == [
        "permissions:\n  contents: read\n"
    ]
    assert "pull_request_target" not in WORKFLOW
    checkouts = WORKFLOW.count("uses: actions/checkout@")
    assert WORKFLOW.count("persist-credentials: false") == checkouts


def test_each_target_of_make_that_it_runs_exists():
    targets = re.findall(r"run: make (.*)", WORKFLOW)
    assert targets
    missing = [name for name in targets if not re.search(rf"^{name}:", MAKEFILE, re.MULTILINE)]
    assert missing == []
