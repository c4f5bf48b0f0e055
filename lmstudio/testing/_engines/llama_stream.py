"""Runs one llama.cpp completion and yields what comes out of it."""

from __future__ import annotations

import itertools
import logging
import queue
import threading
from collections.abc import Iterator
from typing import Any

from .._protocol.log import Failure
from .engine import Event, Finish, GenerationRequest, Token

logger = logging.getLogger("lmstudio.testing")

_STOP_LIMIT = 10.0
_numbers = itertools.count(1)


class _Run:
    """A completion in a daemon thread of its own: the native call blocks and calls back."""

    def __init__(self, native: Any, body: dict[str, Any], stop: threading.Event) -> None:
        self.chunks: queue.SimpleQueue[dict[str, Any] | None] = queue.SimpleQueue()
        self._native = native
        self._body = body
        self._stop = stop
        self._closed = False
        self._thread = threading.Thread(
            target=self._call, name=f"lmstudio-testing-llama-{next(_numbers)}", daemon=True
        )
        self._thread.start()

    def close(self) -> None:
        """Stop; the native call ends at its next token or batch."""
        self._closed = True  # the completion's thread looks at it at each token
        self._thread.join(_STOP_LIMIT)

    def _call(self) -> None:
        try:
            self._native.handle_completions(self._body, self._take)
        except Exception as problem:
            logger.debug("llama.cpp failed: %s", Failure(problem))
            self.chunks.put({"error": {"message": str(problem)}})
        finally:
            self.chunks.put(None)

    def _take(self, chunk: dict[str, Any]) -> bool:
        # True stops the generation. No exception may leave: it would end it in silence.
        self.chunks.put(chunk)
        return self._closed or self._stop.is_set()


def stream(native: Any, body: dict[str, Any], request: GenerationRequest) -> Iterator[Event]:
    """Yield the tokens of a completion, and at last a `Finish` with its stats.

    Raises:
        RuntimeError: llama.cpp reports an error, as a prompt that is too long.
    """
    run = _Run(native, body, request.stop)
    timings: dict[str, Any] = {}
    reason = "eosFound"
    try:
        while (chunk := run.chunks.get()) is not None:
            if "error" in chunk:
                raise RuntimeError(str(chunk["error"].get("message", chunk["error"])))
            progress = chunk.get("prompt_progress")
            if progress is not None:
                request.report_progress(
                    progress["processed"], progress["total"], progress.get("cache", 0)
                )
            timings = chunk.get("timings") or timings
            choice = chunk["choices"][0]
            if choice.get("finish_reason") == "length":
                reason = _length_reason(body, timings)
            yield from _tokens(choice)
    finally:
        run.close()
    yield Finish(reason, _stats(timings))


def _tokens(choice: dict[str, Any]) -> Iterator[Event]:
    text = choice.get("text")
    if not text:
        return
    details = (choice.get("logprobs") or {}).get("content")
    if not details:
        yield str(text)
        return
    tokens = [
        {
            **_token(one),
            "candidates": [_token(other) for other in one.get("top_logprobs", ())],
        }
        for one in details
    ]
    yield Token(str(text), tokens=tokens)


def _token(entry: dict[str, Any]) -> dict[str, Any]:
    return {"text": entry["token"], "id": entry["id"], "logProb": entry["logprob"]}


def _length_reason(body: dict[str, Any], timings: dict[str, Any]) -> str:
    if 0 <= body["n_predict"] <= timings.get("predicted_n", 0):
        return "maxPredictedTokensReached"
    return "contextLengthReached"


def _stats(timings: dict[str, Any]) -> dict[str, Any]:
    if not timings.get("predicted_n"):
        return {}  # stopped in the prompt: what was processed so far is not its length
    prompt = timings["prompt_n"] + timings.get("cache_n", 0)
    return {
        "promptTokensCount": prompt,
        "predictedTokensCount": timings["predicted_n"],
        "totalTokensCount": prompt + timings["predicted_n"],
        "tokensPerSecond": timings["predicted_per_second"],
    }
