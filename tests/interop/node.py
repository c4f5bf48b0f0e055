"""Node, which runs what LM Studio wrote in JavaScript."""

import functools
import shutil
import subprocess

import pytest

OLDEST = 18
LIMIT = 40.0


@functools.cache
def _find():
    """The command, or None, and why it cannot be used."""
    node = shutil.which("node")
    if node is None:
        return None, "node is not here"
    asked = subprocess.run([node, "--version"], capture_output=True, text=True, timeout=LIMIT)
    version = asked.stdout.strip()
    if int(version.lstrip("v").partition(".")[0]) < OLDEST:
        return None, f"node {version} is too old"
    return node, ""


def node_command():
    """The path of node; without it, or with an old one, the test is skipped."""
    node, problem = _find()
    if node is None:
        pytest.skip(f"the half of the JavaScript client did not run: {problem}")
    return node
