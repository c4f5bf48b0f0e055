"""What the tests of a cancelled `act()` share: tools that wait, and how one comes to them."""

import threading

from helpers import Worker

import lmstudio as lms


class WaitingTools:
    """Tools that wait, each telling when it started and what it saw."""

    def __init__(self):
        self.started = threading.Semaphore(0)
        self.release = threading.Event()
        self.log = []

    def polite(self, context: lms.ToolCallContext) -> str:
        """Wait until cancelled."""
        self.started.release()
        context.cancel_token.wait(20)
        self.log.append(("polite", context.cancel_token.reason))
        context.cancel_token.raise_if_cancelled()
        return "released"

    def stuck(self) -> str:
        """Wait for the test, whatever happens."""
        self.started.release()
        self.release.wait(20)
        self.log.append(("stuck", None))
        return "late"

    def quick(self) -> str:
        """Return at once."""
        self.log.append(("quick", None))
        return "quick"

    def wait_started(self):
        assert self.started.acquire(timeout=10)


def start(model, chat, waiting_tools, *names, **options):
    functions = [getattr(waiting_tools, name) for name in names or ("polite", "stuck", "quick")]
    return Worker(lambda: model.act(chat, functions, on_message=chat.append, **options))


def in_a_tool(held, model, chat, waiting_tools, *names, **options):
    """Start an act(); come back when its prediction has ended and the first waiting tool runs."""
    completed = threading.Event()
    options["on_prediction_completed"] = lambda result: completed.set()
    worker = start(model, chat, waiting_tools, **options)
    call = held.expect("predict")
    call.fragment("Let me.")
    for name in names:
        call.tool_call(name)
    call.success("toolCalls")
    assert completed.wait(10)
    waiting_tools.wait_started()
    return worker


def assert_acts_again(held, model, waiting_tools):
    """The same model acts again, at once."""
    worker = Worker(model.act, "Again.", [waiting_tools.quick])
    call = held.expect("predict")
    call.fragment("fine")
    call.success()
    assert worker.result().rounds == 1


def assert_cancelled(result, reason, rounds=1):
    assert (result.cancelled, result.cancel_reason, result.rounds) == (True, reason, rounds)
