"""What belongs to one process only."""

import subprocess
import sys

import pytest
from helpers import needs_fork

import lmstudio as lms
from lmstudio._concurrency import fork


def test_what_belongs_to_this_process_may_be_used():
    fork.check_process(fork.current, "client")


def test_what_came_through_a_fork_is_refused_by_its_name():
    with pytest.raises(lms.LMStudioRuntimeError, match="This future belongs to the parent"):
        fork.check_process(object(), "future")


@needs_fork
def test_the_state_of_a_module_is_made_anew_in_a_child_from_that_of_the_parent():
    code = """
import os
from lmstudio._concurrency import fork
state = fork.PerProcess(lambda old: [0 if old is None else old[0] + 1])
before, process = state.value, fork.current
child = os.fork()
if child == 0:
    os._exit(0 if state.value == [1] and fork.current is not process else 1)
assert os.waitpid(child, 0)[1] == 0
assert state.value is before == [0] and fork.current is process
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30)
    assert (done.returncode, done.stderr) == (0, "")
