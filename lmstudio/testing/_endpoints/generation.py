"""Runs one prediction: asks the engine for tokens and turns them into packets."""

from __future__ import annotations

import asyncio
import json
import math
import threading
from typing import Any

import attrs

from .._core.channel import Channel
from .._core.core import Core
from .._core.loop_thread import logger
from .._core.prediction import Prediction
from .._core.registry import Found, Instance
from .._engines.engine import Event, Fault, Finish, GenerationRequest, Token, ToolCall, split_tokens
from .._protocol.clock import perf_counter
from .._protocol.errors import EndpointError, serialize
from .._protocol.log import Failure
from .._protocol.packets import progress_packet
from .reasoning_tags import ReasoningTags
from .stop_strings import StopStrings

_PARSING = "llm.prediction.reasoning.parsing"


class Generation:
    """A prediction that runs in a worker thread.

    `run`: the worker thread. `stop` and `abandon`: the loop thread.
    """

    def __init__(
        self,
        core: Core,
        channel: Channel,
        instance: Instance,
        record: Prediction,
        raw_prompt: bool,
        fields: list[dict[str, Any]],
        script: Any,
        draft: Found | None,
    ) -> None:
        self._core = core
        self._channel = channel
        self._instance = instance
        self._fields = fields
        self.record = record
        self.stopped = asyncio.Event()  # loop thread only
        self._reason: str | None = None
        self._known: dict[str, Any] = {}  # stats that the engine has told beforehand
        self.request = GenerationRequest(
            model=instance.model,
            messages=record.messages,
            prompt=record.prompt,
            raw=raw_prompt,
            config=record.config,
            context_length=instance.context_length,
            stop=threading.Event(),
            abandoned=threading.Event(),
            report_progress=self._progress,
            report_stats=self._known.update,
            script=script,
        )
        self._strings = StopStrings(self.request.stop_strings)
        self._tags = ReasoningTags(record.config.get(_PARSING))
        self._started = perf_counter()
        self._first: float | None = None
        self._prompt_tokens: int | None = None
        self._taken = 0  # tokens of the engine
        self._predicted = 0  # those of them that are part of the reply
        self._output: list[str] = []  # for the log
        self._draft = draft
        self._drafted = 0  # tokens of the reply that the draft model has guessed

    def stop(self, reason: str) -> None:
        """Tell the engine to stop; the prediction then ends with this reason."""
        # The reason first: the worker thread reads it when it has seen the event.
        if self._reason is None:
            self._reason = reason
        self.request.stop.set()
        self.stopped.set()

    def abandon(self) -> None:
        """Tell the engine to end now: nobody waits for it."""
        self.stop("userStopped")
        self.request.abandoned.set()

    def run(self) -> bool:
        """Generate and send; False if the channel is to stay open in silence."""
        self.record.note_phase("prefill")
        self._started = perf_counter()
        try:
            return self._generate()
        except EndpointError as problem:
            self._end(None, str(problem))
            raise
        except BaseException as problem:  # the engine's, which is a user's
            logger.debug("the engine failed: %s", Failure(problem))
            self._end(None, str(problem) or type(problem).__name__)
            raise

    def finish(self, finish: Finish) -> None:
        """Send the success packet."""
        stats = {"stopReason": finish.stop_reason, **self._stats(), **finish.stats}
        self._channel.send(
            {
                "type": "success",
                "stats": stats,
                "modelInfo": self._instance.info(),
                "loadModelConfig": self._instance.load_config(),
                "predictionConfig": {"fields": self._fields},
            }
        )
        self._core.log(
            {
                "type": "llm.prediction.output",
                "output": "".join(self._output),
                "stats": stats,
                "modelIdentifier": self._instance.identifier,
            }
        )
        self._end(stats["stopReason"])

    def finish_unstarted(self) -> None:
        """Send the success packet of a prediction that was stopped while queued."""
        self.finish(Finish(self._reason or "userStopped"))

    def _end(self, stop_reason: str | None, error: str | None = None) -> None:
        if not self._channel.connection.open:
            stop_reason, error = None, "connection lost"
        # By the loop thread, when all is written: a test's thread that waits for the end then reads
        # the final number of tokens.
        self._channel.connection.after(lambda: self.record.note_end(stop_reason, error))

    def _generate(self) -> bool:
        if self.record.needs_prompt():
            request = self.request
            prompt = self._core.engine.apply_template(request.model, request.messages)
            self.record.note_prompt(prompt)
            self.request = attrs.evolve(request, prompt=prompt)
        model = self._instance.model
        self._core.log(
            {
                "type": "llm.prediction.input",
                "input": self.request.prompt,
                "modelPath": model.file_path(),
                "modelIdentifier": self._instance.identifier,
            }
        )
        limit = self._limit()
        events = iter(self._core.engine.generate(self.request))
        finish: Finish | None = None
        try:
            while finish is None:
                if limit is not None and self._taken >= limit[0]:
                    finish = Finish(limit[1], self._known)
                    break
                event = next(events, None)
                if event is None:
                    finish = Finish()
                elif isinstance(event, Fault):
                    return self._fail(event)
                elif isinstance(event, Finish):
                    finish = event
                else:
                    finish = self._take(event)
        finally:
            # The engine may hold native resources: it must know that nobody takes more.
            close = getattr(events, "close", None)
            if close is not None:
                close()
        self._emit_held()
        if self._reason is not None:
            finish = Finish(self._reason, finish.stats)
        self.finish(finish)
        return True

    def _limit(self) -> tuple[int, str] | None:
        limits = []
        if self.request.max_tokens is not None:
            limits.append((self.request.max_tokens, "maxPredictedTokensReached"))
        if self.request.config.get("llm.prediction.contextOverflowPolicy") == "stopAtLimit":
            room = self.request.context_length - len(split_tokens(self.request.prompt))
            limits.append((max(0, room), "contextLengthReached"))
        return min(limits, default=None)

    def _take(self, event: Event) -> Finish | None:
        if isinstance(event, ToolCall):
            self._call_tool(event)
            return None
        token = Token(event) if isinstance(event, str) else event
        assert isinstance(token, Token)
        self._taken += token.count
        if self._first is None:
            self._first = perf_counter()
            self.record.note_phase("generating")
        if token.reasoning_type != "none" or token.is_structural:
            self._emit_held()
            self._emit(token)
            return None
        tokens, found = self._strings.feed(token)
        for one in tokens:
            for part in self._tags.feed(one):
                self._emit(part)
        if found is not None:
            return Finish("stopStringFound", {"stopString": found, **self._known})
        return None

    def _emit_held(self) -> None:
        """Send what was held back: neither a stop string nor a tag has come of it."""
        for one in self._strings.rest():
            for part in self._tags.feed(one):
                self._emit(part)
        for part in self._tags.rest():
            self._emit(part)

    def _emit(self, token: Token) -> None:
        self._predicted += token.count
        if not token.text:
            return
        self._output.append(token.text)
        self._drafted += token.count if token.contains_drafted else 0
        fragment: dict[str, Any] = {
            "content": token.text,
            "tokensCount": token.count,
            "containsDrafted": token.contains_drafted,
            "reasoningType": token.reasoning_type,
            "isStructural": token.is_structural,
        }
        if token.tokens is not None:
            fragment["tokens"] = list(token.tokens)
        self._channel.send(
            {"type": "fragment", "fragment": fragment},
            lambda: self.record.note_sent(token.count),
        )
        self._channel.connection.wait_room(self.request.stop.is_set)

    def _call_tool(self, call: ToolCall) -> None:
        self._emit_held()
        self.record.note_phase("generating")
        call_id = call.id or f"call_{next(self._core.numbers)}"
        text = json.dumps(call.arguments, separators=(",", ":"))
        self._channel.send({"type": "toolCallGenerationStart", "toolCallId": call_id})
        self._channel.send({"type": "toolCallGenerationNameReceived", "name": call.name})
        size = max(1, math.ceil(len(text) / max(1, call.pieces)))
        for at in range(0, len(text), size):
            self._channel.send(
                {
                    "type": "toolCallGenerationArgumentFragmentGenerated",
                    "content": text[at : at + size],
                }
            )
        if call.failure is not None:
            self._channel.send(
                {
                    "type": "toolCallGenerationFailed",
                    "error": serialize(call.failure),
                    "rawContent": text,
                }
            )
            return
        request = {
            "id": call_id,
            "type": "function",
            "arguments": call.arguments,
            "name": call.name,
        }
        self._channel.send(
            {"type": "toolCallGenerationEnd", "toolCallRequest": request, "rawContent": text}
        )

    def _fail(self, fault: Fault) -> bool:
        connection = self._channel.connection
        if fault.kind == "error":
            raise EndpointError(fault.title, **fault.fields)
        self._end(None, fault.title or fault.kind)
        if fault.kind == "drop":
            connection.flush()
            connection.drop()
        elif fault.kind == "garbage":
            connection.send_text(fault.title)
        return fault.kind == "close"

    def _progress(self, processed: int, total: int, cached: int = 0) -> None:
        self._prompt_tokens = total
        self._channel.send(progress_packet(processed, total, cached))

    def _stats(self) -> dict[str, Any]:
        now = perf_counter()
        prompt = self._prompt_tokens
        if prompt is None:
            prompt = len(split_tokens(self.request.prompt))
        stats: dict[str, Any] = {
            "numGpuLayers": -1,
            "totalTimeSec": now - self._started,
            "promptTokensCount": prompt,
            "predictedTokensCount": self._predicted,
            "totalTokensCount": prompt + self._predicted,
        }
        if self._first is not None:
            stats["timeToFirstTokenSec"] = self._first - self._started
            if now > self._first:
                stats["tokensPerSecond"] = self._predicted / (now - self._first)
        if self._draft is not None:
            stats |= {
                "usedDraftModelKey": self._draft.model.key,
                "totalDraftTokensCount": self._drafted,
                "acceptedDraftTokensCount": self._drafted,
                "rejectedDraftTokensCount": 0,
                "ignoredDraftTokensCount": 0,
            }
        return stats
