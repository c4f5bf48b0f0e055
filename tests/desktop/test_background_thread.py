"""The thread that reads in the background: jobs that fail, forks, and the end of a program."""

import pytest
from child_process import run
from desktop.background import LIMIT
from helpers import needs_fork

from lmstudio._background import thread as _background

pytestmark = pytest.mark.races


def test_a_job_that_fails_does_not_end_the_others(server, model):
    class Broken:
        call, interval = None, 0.01

        def turn(self):
            raise ZeroDivisionError

    _background.add(Broken())
    assert model.respond_stream("hi").run_in_background().result(LIMIT).content


@needs_fork
def test_a_forked_child_has_a_background_of_its_own_and_leaves_the_parents_alone(server):
    server.reply("one two three", delay=0.2)
    server.reply("four")
    program = """
    begun = threading.Event()
    future = model.respond_stream("hi").run_in_background(on_text=lambda text: begun.set())
    assert begun.wait(10)
    pid = os.fork()
    if pid == 0:
        try:
            future.result()
        except lms.LMStudioRuntimeError as error:
            assert "forked child" in str(error)
        with lms.Client(sys.argv[1]) as own:
            print(own.llm.model().respond_stream("hi").run_in_background().result(10).content)
        sys.exit(0)
    assert os.waitpid(pid, 0)[1] == 0
    print(future.result(10).content)
    """
    assert run(server, program) == ["four", "one", "two", "three"]


def test_a_program_may_end_while_something_runs_in_the_background(server):
    server.reply("word " * 1000, delay=0.01)
    program = """
    started = threading.Event()
    future = model.respond_stream("hi").run_in_background(on_text=lambda text: started.set())
    assert started.wait(10)
    """
    run(server, program)
    server.predictions[0].wait_finished()
    assert server.predictions[0].cancelled_after is not None
