"""The default engine: replies that a test has queued, else short ones that end by themselves."""

from __future__ import annotations

import itertools
import logging
from collections import deque
from collections.abc import Iterator, Sequence
from typing import Any

import attrs

from .._protocol import argument_checks as checks
from .._protocol.clock import monotonic
from .._protocol.public import public
from .engine import Engine, Event, Fault, Finish, GenerationRequest, Token, ToolCall, split_tokens
from .schema_check import misfit
from .schema_reply import fit

logger = logging.getLogger("lmstudio.testing")

SHORT_REPLY = "This is a reply of the test server."
STORY_TOKENS = 400
STORY_DELAY = 0.005
_PROGRESS_STEPS = 10
_SHOWN = 200  # characters of a reply in the log
_SENTENCES = (
    "Once upon a time there was a small server that lived on a loopback address.",
    " Every morning a client came by and asked it for a story.",
    " The server never knew how long the client would listen, so it told one word at a time.",
    " Sometimes the client stopped it in the middle, and that was all right.",
)


@checks.names_checked
@attrs.frozen(kw_only=True)
@public
class Reply:
    """One scripted reply.

    Args:
        tokens: The tokens of the answer.
        reasoning: The tokens of the reasoning that comes before it, between its tags.
        tool_calls: Tool calls that come after the answer.
        delay: Seconds before each token, and before the fault.
        prefill: Seconds of prompt processing, with progress packets.
        stop_reason: How it ends; None for "eosFound", which LM Studio says after tool calls too.
        stats: Further entries of the stats, as on the wire.
        slow_stop: Seconds that the engine goes on after a cancel.
        fault: What goes wrong, if anything does.
        fault_after: Number of tokens after which it goes wrong.
    """

    tokens: Sequence[str | Token] = ()
    reasoning: Sequence[str] = ()
    tool_calls: Sequence[ToolCall] = ()
    delay: float = 0.0
    prefill: float = 0.0
    stop_reason: str | None = None
    stats: dict[str, Any] = attrs.field(factory=dict)
    slow_stop: float = 0.0
    fault: Fault | None = None
    fault_after: int = 0

    def pieces(self) -> Iterator[Token]:
        """Yield all tokens, the reasoning first."""
        if self.reasoning:
            yield Token("<think>", reasoning_type="reasoningStartTag")
            for text in self.reasoning:
                yield Token(text, reasoning_type="reasoning")
            yield Token("</think>", reasoning_type="reasoningEndTag")
        for token in self.tokens:
            yield token if isinstance(token, Token) else Token(token)


@checks.names_checked
@public
class ScriptedEngine(Engine):
    """Plays the replies that were queued, one a prediction; then its default reply.

    The default reply fits the JSON schema if there is one, is a long story if the last message of
    the user asks for a story, and is one short sentence otherwise.

    With a draft model all tokens but the first pass for its guesses, unless they are `Token`
    objects, which say it themselves.

    Args:
        delay: Seconds before each token of the default reply; None for none (a story: 5 ms).
        prefill: Seconds of prompt processing of the default reply.
        tokens: Number of tokens of the default reply; None for its natural length.

    Raises:
        TypeError: An argument is of the wrong type.
        ValueError: An argument has no meaning.

    Thread safety:
        Any thread.
    """

    def __init__(
        self, *, delay: float | None = None, prefill: float = 0.0, tokens: int | None = None
    ) -> None:
        checks.optional(checks.number())("delay", delay)
        checks.number()("prefill", prefill)
        checks.optional(checks.whole(1))("tokens", tokens)
        self._queue: deque[Reply] = deque()
        self._delay = delay
        self._prefill = prefill
        self._tokens = tokens

    def add(self, reply: Reply) -> None:
        """Queue a reply for the next prediction that has none."""
        checks.instance(Reply, "a Reply, as Reply(tokens=['a', 'b'])")("the reply", reply)
        self._queue.append(reply)

    def generate(self, request: GenerationRequest) -> Iterator[Event]:
        """Yield the reply that was queued for this prediction, or the default one."""
        scripted = request.script or self.admit()
        if scripted is not None:
            _check_fit(scripted, request)
        return _play(scripted or self._default(request), request)

    def admit(self) -> Reply | None:
        """Take the next reply from the queue."""
        try:
            return self._queue.popleft()
        except IndexError:
            return None

    def _default(self, request: GenerationRequest) -> Reply:
        story = "story" in request.last_user_text.lower()
        delay = self._delay
        if delay is None:
            delay = STORY_DELAY if story else 0.0
        if request.json_schema is not None:
            tokens = split_tokens(fit(request.json_schema))
        elif self._tokens is not None:
            tokens = _story(self._tokens)
        elif story:
            tokens = _story(STORY_TOKENS)
        else:
            tokens = split_tokens(SHORT_REPLY)
        return Reply(tokens=tokens, delay=delay, prefill=self._prefill)


class _Stopper:
    """Waits in a generation, and knows when it has to end."""

    def __init__(self, request: GenerationRequest, slow_stop: float) -> None:
        self._request = request
        self._slow_stop = slow_stop
        self._give_up: float | None = None

    def over(self) -> bool:
        """Whether to end now: abandoned, or cancelled and done being slow about it."""
        request = self._request
        if request.abandoned.is_set():
            return True
        if not request.stop.is_set():
            return False
        if self._give_up is None:
            self._give_up = monotonic() + self._slow_stop
        return monotonic() >= self._give_up

    def sleep(self, seconds: float) -> bool:
        """Wait, unless it is over; True if it is."""
        deadline = monotonic() + seconds
        while not self.over():
            now = monotonic()
            if now >= deadline:
                return False
            if self._give_up is None and not self._request.stop.is_set():
                self._request.stop.wait(deadline - now)
            else:
                limit = deadline if self._give_up is None else min(deadline, self._give_up)
                self._request.abandoned.wait(max(0.0, limit - now))
        return True


def _check_fit(reply: Reply, request: GenerationRequest) -> None:
    """Tell the log, which pytest shows when a test fails, of a reply that no model would give."""
    if request.json_schema is None or reply.fault is not None or reply.tool_calls:
        return
    text = "".join(one.text for one in reply.pieces() if one.reasoning_type == "none")
    if problem := misfit(text, request.json_schema):
        logger.warning(
            "the scripted reply %r does not fit the JSON schema that the client asks for: %s. "
            "Script one that fits, as server.reply(json.dumps({...})). (Unscripted ones fit.)",
            text[:_SHOWN],
            problem,
        )


def _play(reply: Reply, request: GenerationRequest) -> Iterator[Event]:
    stopper = _Stopper(request, reply.slow_stop)
    request.report_stats(reply.stats)
    if _process_prompt(reply, request, stopper):
        return
    # A test that makes tokens by hand says itself which of them were guessed.
    drafting = request.draft_model and not any(isinstance(one, Token) for one in reply.tokens)
    sent = 0
    for token in reply.pieces():
        if drafting and sent:
            token = attrs.evolve(token, contains_drafted=True)
        if stopper.sleep(reply.delay):
            return
        if reply.fault is not None and sent >= reply.fault_after:
            yield reply.fault
            return
        yield token
        sent += token.count
    if reply.fault is not None:
        yield reply.fault
        return
    for call in reply.tool_calls:
        if stopper.sleep(reply.delay):
            return
        yield call
    yield Finish(reply.stop_reason or "eosFound", dict(reply.stats))


def _process_prompt(reply: Reply, request: GenerationRequest, stopper: _Stopper) -> bool:
    total = len(split_tokens(request.prompt))
    request.report_progress(0, total, 0)
    for step in range(1, _PROGRESS_STEPS + 1):
        if reply.prefill > 0 and stopper.sleep(reply.prefill / _PROGRESS_STEPS):
            return True
        if reply.prefill > 0 or step == _PROGRESS_STEPS:
            request.report_progress(total * step // _PROGRESS_STEPS, total, 0)
    return stopper.over()


def _story(count: int) -> list[str]:
    words = itertools.chain.from_iterable(split_tokens(one) for one in itertools.cycle(_SENTENCES))
    return list(itertools.islice(words, count))
