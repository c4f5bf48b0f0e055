"""Programs in a process of their own, whose exit, Ctrl-C or fork is under test."""

import subprocess
import sys
import textwrap

PRELUDE = """
import atexit, gc, os, signal, sys, threading, time
import lmstudio as lms
client = lms.Client(sys.argv[1], cancel_grace=10)
model = lms.LLM("test-llm", client.llm)

def wait_until(condition):
    while not condition():
        time.sleep(0.001)  # a busy loop would keep the other threads from getting there

def send(number):
    # A signal to this process; os.kill would be its end on Windows.
    if os.name == "nt":
        signal.raise_signal(number)
    else:
        os.kill(os.getpid(), number)

def interrupt_soon(condition):
    # From another thread, once the main thread is where the test wants it. Python overlooks a
    # signal that comes between its last look and the system call that blocks, so it is repeated.
    arrived, handler = [], signal.getsignal(signal.SIGINT)
    def handle(*arguments):
        arrived.append(True)
        handler(*arguments)
    def wait():
        wait_until(condition)
        while not arrived:
            send(signal.SIGINT)
            time.sleep(0.5)
    signal.signal(signal.SIGINT, handle)
    threading.Thread(target=wait, daemon=True).start()
"""


def execute(server, source):
    """Run a program to its end; every warning is an error in it."""
    return subprocess.run(
        [sys.executable, "-X", "dev", "-W", "error", "-c", textwrap.dedent(source), server.host],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


def run(server, program, *, code=0):
    """Run a program that has a client and a model; it must be silent on stderr. What it printed."""
    done = execute(server, PRELUDE + textwrap.dedent(program))
    assert (done.returncode, done.stderr) == (code, ""), f"{done.returncode}: {done.stderr}"
    return done.stdout.split()


def assert_stopped(server, count=1):
    """The server got one cancel for each prediction, and stopped them."""
    server.wait_prediction(count - 1)  # it may read the last words only now
    assert len(server.predictions) == count
    for prediction in server.predictions:
        prediction.wait_finished()
        assert prediction.cancelled_after is not None, prediction
        # A program that ends at once may be gone before the server has said its last word.
        assert prediction.stop_reason == "userStopped" or prediction.error == "connection lost"
    cancels = server.received(type="channelSend")
    assert len(cancels) == count
