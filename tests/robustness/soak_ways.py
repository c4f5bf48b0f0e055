"""What a thread of `soak.py` does with a prediction: each way to leave it, and the other calls.

A way gets the soak, its thread's random numbers, the prediction's number, the stream in a list (so
that it can be dropped) and what it was started with. It returns how many tokens were received and
how the prediction ended; `AssertionError` says that the stream broke its contract.
"""

import threading
from collections.abc import Callable

import attrs

import lmstudio as lms

LIMIT = 30.0  # seconds in which anything must have ended
SILENCE = 2.0  # seconds of silence that some predictions allow, less than this process is stopped
TEXT = "one two three four"
IMAGE = b"GIF89a" + bytes(100_000)


class Refused(Exception):
    """A call could not be made: the server restarts, or everything was cancelled."""


class Boom(Exception):
    """Raised by a callback or in a loop."""


@attrs.frozen
class Way:
    """A way to use a stream, and what must be known before it starts."""

    function: Callable
    leaves: bool = False  # it ends a prediction that would never end
    starts: bool = True  # the stream may be started before
    passes: tuple = ()
    options: Callable = lambda rng, token: {}

    @property
    def __name__(self):
        return self.function.__name__

    def __call__(self, *arguments):
        return self.function(*arguments)


WAYS = []


def way(**settings):
    def register(function):
        WAYS.append(Way(function, **settings))
        return function

    return register


# -- how it ended -------------------------------------------------------------------------------


def text_of(number, tokens):
    return "".join(f"{number}.{index} " for index in range(tokens))


def check(number, content):
    """The number of tokens in what was received, which must be what the server writes, from 0."""
    tokens = content.count(" ")
    assert content == text_of(number, tokens), f"wrong text: {content[:80]!r}..."
    return tokens


def settle(number, stream, taken=None):
    """Wait for the result, and hold what a loop has taken against it."""
    try:
        result = stream.result(timeout=LIMIT)
        content, outcome = result.content, "cancelled" if result.cancelled else "finished"
        assert (result.stats.stop_reason == "userStopped") is result.cancelled, result.stats
    except lms.LMStudioError as error:
        assert stream.done(), f"it hangs: {error}"
        content = error.partial.content if error.partial else ""
        outcome = kind_of(error)
    if taken is not None:
        assert "".join(taken) == content, f"taken {len(taken)}, {outcome}: {content[-40:]!r}"
    return check(number, content), outcome


def kind_of(error):
    if isinstance(error, lms.LMStudioTimeoutError):
        return "timeout"
    if isinstance(error, (lms.LMStudioConnectionLostError, lms.LMStudioProtocolError)):
        return "lost"
    if isinstance(error, lms.LMStudioWebsocketError):
        return "refused"
    if isinstance(error, lms.LMStudioCancelledError):
        return "cancelled"
    raise AssertionError(f"an unexpected error: {error!r}") from error


def loop(stream, taken, *, stop_at, then):
    """Iterate; after `stop_at` fragments call `then`, and leave if it returns something true."""
    try:
        for fragment in stream:
            taken.append(fragment.content)
            if len(taken) == stop_at and then():
                break
    except lms.LMStudioRuntimeError:
        raise  # another thread reads the stream
    except lms.LMStudioError as error:
        kind_of(error)


# -- the ways -----------------------------------------------------------------------------------


@way()
def iterated_to_its_end(soak, rng, number, holder, options):
    taken = []
    loop(holder[0], taken, stop_at=-1, then=None)
    return settle(number, holder[0], taken)


@way()
def waited_for(soak, rng, number, holder, options):
    return settle(number, holder[0])


@way()
def waited_for_in_other_threads(soak, rng, number, holder, options):
    stream, taken = holder[0], []
    others = [soak.helpers.submit(settle, number, stream) for _ in range(2)]
    if rng.random() < 0.5:
        try:
            loop(stream, taken, stop_at=-1, then=None)
        except lms.LMStudioRuntimeError:
            pass  # a helper reads it already
    mine = settle(number, stream)
    for other in others:
        assert other.result(LIMIT) == mine, (other.result(), mine)
    return mine


@way(leaves=True)
def cancelled_by_another_thread(soak, rng, number, holder, options):
    stream, taken = holder[0], []
    if rng.random() < 0.5:
        soak.later(stream.cancel, "at once")
    loop(stream, taken, stop_at=rng.randint(1, 9), then=lambda: soak.later(stream.cancel, "later"))
    stream.cancel("in the end")
    return settle(number, stream, taken)


@way(leaves=True)
def cancelled_by_many_threads(soak, rng, number, holder, options):
    stream = holder[0]
    firsts = [soak.helpers.submit(stream.cancel, index) for index in range(3)]
    outcome = settle(number, stream)
    assert sum(first.result(LIMIT) for first in firsts) <= 1
    return outcome


@way(
    leaves=True,
    passes=("cancel_event",),
    options=lambda rng, token: {"cancel_event": threading.Event()},
)
def cancelled_by_an_event(soak, rng, number, holder, options):
    stream, taken, event = holder[0], [], options["cancel_event"]
    if rng.random() < 0.3:
        event.set()
    loop(stream, taken, stop_at=rng.randint(1, 9), then=lambda: soak.later(event.set))
    event.set()
    return settle(number, stream, taken)


@way(leaves=True, passes=("cancel_event",), options=lambda rng, token: {"cancel_event": token})
def cancelled_by_a_token_of_several(soak, rng, number, holder, options):
    soak.later(options["token"].cancel, "token")
    return settle(number, holder[0])


@way(leaves=True)
def left_by_break(soak, rng, number, holder, options):
    taken = []
    loop(holder[0], taken, stop_at=rng.randint(1, 9), then=lambda: True)
    return settle(number, holder[0], taken)


@way(leaves=True)
def left_by_an_exception(soak, rng, number, holder, options):
    taken = []

    def fail():
        raise Boom

    try:
        loop(holder[0], taken, stop_at=rng.randint(1, 9), then=fail)
    except Boom:
        pass
    return settle(number, holder[0], taken)


@way(leaves=True)
def left_by_with(soak, rng, number, holder, options):
    taken = []
    try:
        with holder[0] as stream:
            iterator = iter(stream)
            for _ in range(rng.randint(0, 5)):
                taken.append(next(iterator).content)
    except StopIteration:
        pass
    except lms.LMStudioError as error:
        kind_of(error)
    return settle(number, holder[0], taken)


@way(leaves=True)
def dropped(soak, rng, number, holder, options):
    holder.clear()
    return 0, "dropped"


@way(leaves=True)
def dropped_in_the_middle(soak, rng, number, holder, options):
    taken = []
    iterator = iter(holder[0])
    holder.clear()
    try:
        for _ in range(rng.randint(1, 9)):
            taken.append(next(iterator).content)
    except StopIteration:
        pass
    except lms.LMStudioError as error:
        kind_of(error)
    return check(number, "".join(taken)), "dropped"


@way(
    leaves=True,
    passes=("timeout",),
    options=lambda rng, token: {"timeout": rng.choice([0.01, 0.1, 0.3])},
)
def timed_out(soak, rng, number, holder, options):
    return settle(number, holder[0])


@way(passes=("idle_timeout",), options=lambda rng, token: {"idle_timeout": SILENCE})
def allowed_little_silence(soak, rng, number, holder, options):
    tokens, outcome = settle(number, holder[0])
    return tokens, "silent" if outcome == "timeout" else outcome


@way(
    leaves=True,
    passes=("on_prediction_fragment",),
    options=lambda rng, token: {"on_prediction_fragment": FailingCallback(rng.randint(1, 9))},
)
def left_by_a_callback(soak, rng, number, holder, options):
    try:
        tokens, outcome = settle(number, holder[0])
        assert options["tokens"] < options["on_prediction_fragment"].at or outcome != "finished"
        return tokens, outcome
    except Boom:
        return settle(number, holder[0])


@way(leaves=True, starts=False)
def cancelled_before_its_start(soak, rng, number, holder, options):
    stream = holder[0]
    assert stream.cancel("early")
    assert list(stream) == []
    assert settle(number, stream) == (0, "cancelled")
    return 0, "withdrawn"


class FailingCallback:
    def __init__(self, at):
        self.at = at
        self._count = 0

    def __call__(self, fragment):
        self._count += 1
        if self._count == self.at:
            raise Boom


# -- other calls --------------------------------------------------------------------------------


def rpc(function):
    def call(soak, rng):
        try:
            function(soak)
        except lms.LMStudioError as error:
            kind_of(error)
            raise Refused from None

    return call


@rpc
def count(soak):
    assert soak.model.count_tokens(TEXT) == 4


@rpc
def tokenize(soak):
    several = soak.model.tokenize([TEXT] * 20)
    assert len(several) == 20
    assert all(tokens == several[0] and len(tokens) == 4 for tokens in several)


@rpc
def embed(soak):
    assert len(soak.embedding.embed([TEXT, "five"])) == 2


@rpc
def list_loaded(soak):
    assert {model.identifier for model in soak.client.llm.list_loaded()} == {"test-llm"}


@rpc
def upload(soak):
    assert soak.client.prepare_image(IMAGE).size_bytes == len(IMAGE)


RPCS = [count, tokenize, embed, list_loaded, upload]
