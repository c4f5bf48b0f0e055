"""The life of one prediction, as the test sees it."""

from __future__ import annotations

from typing import Any, Literal, get_args

from .._protocol import argument_checks as checks
from .._protocol.public import public
from .changes import Changes

Phase = Literal["queued", "prefill", "generating", "finished"]


@public
class Prediction:
    """What the server did for one `predict` or `completeRawText`.

    Made by the server; found in `Server.predictions`.

    Thread safety:
        Any thread.
    """

    def __init__(
        self,
        changes: Changes,
        identifier: str,
        prompt: str | None,
        messages: list[dict[str, Any]],
        config: dict[str, Any],
    ) -> None:
        self._changes = changes
        self._identifier = identifier
        self._prompt = prompt
        self._messages = messages
        self._config = config
        self._tokens_sent = 0
        self._cancelled_after: int | None = None
        self._phases: list[Phase] = ["queued"]
        self._stop_reason: str | None = None
        self._error: str | None = None

    @property
    def identifier(self) -> str:
        """Identifier of the model instance that predicts."""
        return self._identifier

    @property
    def prompt(self) -> str:
        """The prompt, the chat template applied; empty until the template was applied."""
        return self._prompt or ""

    @property
    def messages(self) -> list[dict[str, Any]]:
        """The messages of the chat as the client sent them; empty for raw text."""
        return self._messages

    @property
    def config(self) -> dict[str, Any]:
        """The prediction config, all layers merged: key to value, as on the wire."""
        return self._config

    @property
    def tokens_sent(self) -> int:
        """Number of tokens whose fragments were handed to the socket."""
        return self._tokens_sent

    @property
    def cancelled_after(self) -> int | None:
        """`tokens_sent` when the client's cancel arrived; None if none arrived in time."""
        return self._cancelled_after

    @property
    def phase(self) -> Phase:
        """Where it stands: "queued", "prefill", "generating" or "finished"."""
        return self._phases[-1]

    @property
    def finished(self) -> bool:
        """Whether the engine has stopped and the outcome is on its way to the client."""
        return self.phase == "finished"

    @property
    def stop_reason(self) -> str | None:
        """Why it stopped; None while it runs, or when it failed."""
        return self._stop_reason

    @property
    def error(self) -> str | None:
        """Title of the error that it ended with, or what broke it; None otherwise."""
        return self._error

    def __repr__(self) -> str:
        parts: list[str] = [self.phase, f"{self._tokens_sent} token(s) sent"]
        if self._cancelled_after is not None:
            parts.append(f"cancelled after {self._cancelled_after}")
        if self._stop_reason is not None:
            parts.append(self._stop_reason)
        if self._error is not None:
            parts.append(f"error {self._error!r}")
        return f"<Prediction on {self._identifier!r}: {', '.join(parts)}>"

    def wait_finished(self, timeout: float = 5.0) -> Prediction:
        """Wait for the end of the generation.

        Args:
            timeout: Seconds.

        Returns:
            This prediction.

        Raises:
            AssertionError: It did not end in time.
        """
        return self.wait_phase("finished", timeout)

    def wait_phase(self, phase: Phase, timeout: float = 5.0) -> Prediction:
        """Wait until the prediction is in the phase, or has been through it.

        Args:
            phase: One of the values of `phase`.
            timeout: Seconds.

        Returns:
            This prediction.

        Raises:
            AssertionError: It ended without that phase, or did not reach it in time.
            ValueError: There is no such phase.
        """
        checks.known("phase", phase, get_args(Phase))
        self._changes.wait(
            lambda: phase in self._phases or self.finished,
            timeout,
            lambda: f"expected the phase {phase!r}, but this came: {self!r}",
        )
        if phase not in self._phases:
            raise AssertionError(f"expected the phase {phase!r}, but it ended without: {self!r}")
        return self

    def wait_tokens(self, count: int, timeout: float = 5.0) -> Prediction:
        """Wait until at least `count` tokens were sent.

        Args:
            count: Number of tokens.
            timeout: Seconds.

        Returns:
            This prediction.

        Raises:
            AssertionError: It ended with fewer, or did not get there in time.
        """
        checks.whole()("count", count)
        self._changes.wait(
            lambda: self._tokens_sent >= count or self.finished,
            timeout,
            lambda: f"expected {count} token(s), but this came: {self!r}",
        )
        if self._tokens_sent < count:
            raise AssertionError(f"expected {count} token(s), but it ended before: {self!r}")
        return self

    def needs_prompt(self) -> bool:
        """Whether the chat template is still to be applied."""
        return self._prompt is None

    def note_prompt(self, prompt: str) -> None:
        """Record the prompt. Worker thread."""
        self._prompt = prompt

    def note_sent(self, tokens: int) -> None:
        """Record that a fragment was written. Loop thread."""
        self._tokens_sent += tokens
        self._changes.touch()

    def note_cancel(self) -> None:
        """Record the client's cancel. Loop thread."""
        if self._cancelled_after is None and not self.finished:
            self._cancelled_after = self._tokens_sent
            self._changes.touch()

    def note_phase(self, phase: Phase) -> None:
        """Record that a phase begins."""
        # In one step: a waiting thread sees the new phase together with those that have been.
        if phase not in self._phases:
            self._phases.append(phase)
        self._changes.touch()

    def note_end(self, stop_reason: str | None, error: str | None = None) -> None:
        """Record the end."""
        # Before the phase: a waiting thread that sees the end reads why.
        self._stop_reason = stop_reason
        self._error = error
        self.note_phase("finished")
